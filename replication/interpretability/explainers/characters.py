"""What a person sees of a token at a glance: spaces, letters, digits, punctuation, script, length.

A class is a yes-or-no question about a token's string, named by what follows "a token". A look is the answer to a question
that may have many. Source: ours.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

SCRIPTS = ("GREEK", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI", "CJK", "HIRAGANA", "KATAKANA", "HANGUL")
AT_LEAST = {length: f"of {length} or more characters" for length in (2, 3, 4, 5, 6, 8)}
PARTIAL = re.compile(r"(\\x[0-9a-f]{2})+")  # bytes that are no whole character, see `features.vocabulary`


def _script(name: str, string: str) -> bool:
    return any(unicodedata.name(character, "").startswith(name) for character in string if ord(character) > 127)


def _word(string: str) -> str:
    return string.strip(" ")


CLASSES: Mapping[str, Callable[[str], bool]] = {
    "with a leading space": lambda s: s.startswith(" "),
    "of white space": lambda s: bool(s) and s.isspace(),
    "with a line break": lambda s: "\n" in s,
    "in lower case": lambda s: _word(s).isalpha() and _word(s).islower(),
    "with a capital": lambda s: _word(s)[:1].isupper(),
    "in capitals": lambda s: len(_word(s)) > 1 and _word(s).isalpha() and _word(s).isupper(),
    "of letters": lambda s: _word(s).isalpha(),
    "of digits": lambda s: _word(s).isdigit(),
    "with a digit": lambda s: any(character.isdigit() for character in s),
    "of punctuation": lambda s: bool(_word(s)) and not any(character.isalnum() or character.isspace() for character in _word(s)),
    "with an underscore": lambda s: "_" in s,
    "of part of a character": lambda s: PARTIAL.fullmatch(_word(s)) is not None,
    "outside ASCII": lambda s: not s.isascii(),
    **{f"in {name.title() if name != 'CJK' else 'Chinese'} script": partial(_script, name) for name in SCRIPTS},
    **{name: partial(lambda length, s: len(_word(s)) >= length, length) for length, name in AT_LEAST.items()},
}
KINDS = ("of white space", "of part of a character", "of digits", "in capitals", "in lower case", "with a capital", "of punctuation")
SIGNS = ("outside ASCII", "with an underscore", "with a line break")
LONG = 6  # characters, from which a token is just long


def classes(strings: list[str]) -> NDArray[np.bool_]:
    """Which classes each string is in, [token, class], in the order of `CLASSES`."""
    return np.array([[test(string) for test in CLASSES.values()] for string in strings], dtype=bool).reshape(len(strings), len(CLASSES))


def looks(string: str) -> list[str]:
    """How a string looks: whether a space comes first, its kind, both, its length, and its signs."""
    space = "with a leading space" if CLASSES["with a leading space"](string) else "without one"
    kind = next((name for name in KINDS if CLASSES[name](string)), "mixed")
    signs = ", ".join(name for name in SIGNS if CLASSES[name](string))
    return [space, kind, f"{kind} {space}", f"of {min(len(_word(string)), LONG)} characters", f"signs: {signs}"]
