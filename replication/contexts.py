"""Named contexts, such as Arabic script or base64: what a string of tokens must be to lie in one.

A run lists the contexts that it examines in `studies.contexts`; its config may describe more under `contexts`, in the same
form as the ones below. How a context becomes a number for each token is in `features/proxies.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from replication.validation import ZERO_OR_MORE, ConfigError, build, nearest, setting

ID, BLOCK = re.compile(r"[a-z0-9]+"), re.compile(r"[0-9A-F]{4,6}-[0-9A-F]{4,6}")
DESCRIBED_BY = {"characters": "alphabet", "script": "blocks", "pattern": "pattern"}  # the setting that each kind needs


@dataclass(frozen=True)
class Context:
    """A kind of text that a person can tell."""

    label: str = setting("What people call it, as in a figure's title.")
    kind: Literal["characters", "script", "pattern"] = setting(
        "`characters`: strings over an alphabet; `script`: characters of Unicode blocks; `pattern`: matches of a regular expression.")
    alphabet: str = setting("`characters` only: the allowed characters, as inside the brackets of a regular expression.", default="")
    blocks: tuple[str, ...] = setting("`script` only: ranges of code points such as 0590-05FF.", default=())
    pattern: str = setting("`pattern` only: a regular expression over the UTF-8 bytes of a text; what it matches lies in the context.", default="")
    threshold: float = setting(
        "Nats of the score above which a token is on; a small vocabulary needs more than the paper's 0 (ours).", default=0.0, within=ZERO_OR_MORE)
    at_least: int = setting("`characters` only: the fewest tokens that a string must have.", default=1, within=(1, 16))


# The first four are the paper's; their alphabets and main blocks too. The other Arabic blocks and everything below are ours, and
# so are thresholds: the paper gives none for base64, and with a small vocabulary most numbers and short names score above 0.
BUILT_IN: Mapping[str, Context] = {
    "arabic": Context("Arabic script", "script", blocks=("0600-06FF", "0750-077F", "0870-089F", "08A0-08FF", "FB50-FDFF", "FE70-FEFF")),
    "dna": Context("DNA", "characters", alphabet="ATCG", at_least=2),
    "base64": Context("base64", "characters", alphabet="a-zA-Z0-9+/", threshold=20.0),
    "hebrew": Context("Hebrew script", "script", blocks=("0590-05FF",)),
    "hex": Context("hexadecimal", "characters", alphabet="0-9a-fA-F", threshold=10.0),
    "licence": Context("licence text", "pattern", pattern=(
        r"(?i)[^\n]*(?:warrant(?:y|ies)|merchantab|redistribut|permission is hereby|licensed under|copyright notice|liab(?:le|ility))[^\n]*")),
    "latex": Context("LaTeX maths", "pattern", pattern=(
        r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|pi|rho|sigma|tau|phi|omega|frac|sqrt|sum|prod|int|left|right|math[a-z]+|text[a-z]*|begin|end"
        r"|cdot|times|infty|partial|nabla|leq?|geq?|neq?|in|to|quad|ldots|hat|bar|vec|overline|operatorname|label|ref|cite|item|section)(?![a-zA-Z])"
        r"(?:[_^]?\{[^{}\n]{0,80}\}|[_^][0-9a-zA-Z])*")),
    "html": Context("HTML tags", "pattern", pattern=(  # names of elements, because code writes types in such brackets too
        r"</?(?:html|head|body|title|meta|link|script|style|div|span|p|a|b|i|em|strong|code|pre|br|hr|img|h[1-6]|ul|ol|li|dl|dt|dd|table|thead|tbody|tr|td|th"
        r"|form|input|button|label|select|option|section|nav|header|footer|main|article|sup|sub|svg|path|rect|text|g)(?:\s[^<>\n]{0,200})?/?>")),
    "constants": Context("upper-case identifiers", "pattern", pattern=r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![A-Za-z0-9_])"),
}


def examined(described: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Context]:
    """The contexts `wanted`, in their order: built-in ones, or of the config's own, as its section `contexts` has them. Raises ConfigError."""
    known = {**BUILT_IN, **{name: build(Context, entry, f"contexts.{name}") for name, entry in described.items()}}
    for name, context in known.items():
        _check(name, context)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"studies.contexts lists {name!r}, which does not exist; {nearest(name, known)}")
    return {name: known[name] for name in wanted}


def _check(name: str, context: Context) -> None:
    needed = DESCRIBED_BY[context.kind]
    if not ID.fullmatch(name):
        raise ConfigError(f"contexts.{name}: an id is made of a-z and 0-9, because it names exhibits")
    if not getattr(context, needed):
        raise ConfigError(f"contexts.{name} is of kind {context.kind} and lacks its {needed}")
    if any(not BLOCK.fullmatch(block) for block in context.blocks):
        raise ConfigError(f"contexts.{name}.blocks must be ranges of code points such as 0590-05FF, but is {', '.join(context.blocks)}")
    for expression in (f"[{context.alphabet}]" if context.alphabet else "", context.pattern):
        try:
            re.compile(expression)
        except re.error as error:
            raise ConfigError(f"contexts.{name}: {expression!r} is not a regular expression ({error})") from None
