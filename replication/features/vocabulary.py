r"""The vocabulary as tables need it: tokens as a person reads them, and how often the training text holds each.

A token is text where its bytes are text; a byte that is no whole character stands as `\xd8`, as in the published viewer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replication import artifacts
from replication.corpus.tokenizer import load

if TYPE_CHECKING:  # texts of tokens are wanted where nobody waits for torch
    from jaxtyping import Int
    from torch import Tensor


@dataclass(frozen=True)
class Vocabulary:
    """The text of each token, and its count in the training text."""

    strings: list[str]
    counts: "Int[Tensor, ' d_vocab']"

    @staticmethod
    def read(corpus: Path) -> "Vocabulary":
        """From a corpus's folder. Raises ArtifactError when a file is missing or changed."""
        from replication.corpus.shards import read_counts

        artifacts.check(corpus, artifacts.TOKENIZER, name=artifacts.TOKENIZER_META)
        artifacts.check(corpus, artifacts.UNIGRAMS, name=artifacts.TOKENS_META)
        return Vocabulary(token_strings(corpus / artifacts.TOKENIZER), read_counts(corpus / artifacts.UNIGRAMS))


def token_strings(tokenizer: Path) -> list[str]:
    """The text of every token of a `tokenizer.json`, by token id. Raises ArtifactError when the file is missing or no tokenizer."""
    names, special, byte_level = _names(tokenizer)
    return [name if token in special or not byte_level else _bytes(name).decode("utf-8", "backslashreplace") for token, name in enumerate(names)]


def token_bytes(tokenizer: Path) -> list[bytes]:
    """The UTF-8 bytes of every token, none for special ones such as end of text. Raises ArtifactError as `token_strings` does."""
    names, special, byte_level = _names(tokenizer)
    return [b"" if token in special else _bytes(name) if byte_level else name.encode() for token, name in enumerate(names)]


def _names(tokenizer: Path) -> tuple[list[str], set[int], bool]:
    """Tokens as the tokenizer spells them, which ids are special, and whether a spelling's characters stand for bytes."""
    loaded = load(tokenizer)
    content = json.loads(tokenizer.read_text(encoding="utf-8"))
    names = [loaded.id_to_token(token) or "" for token in range(loaded.get_vocab_size(with_added_tokens=True))]
    byte_level = "ByteLevel" in json.dumps([content.get("pre_tokenizer"), content.get("decoder")])
    special = {entry["id"] for entry in content.get("added_tokens", [])}
    return names if byte_level else [name.replace("▁", " ") for name in names], special, byte_level


def _bytes(name: str) -> bytes:
    return bytes(BYTES[character] for character in name)


def _byte_characters() -> dict[str, int]:
    """The byte that each character of byte-level BPE stands for (GPT-2's table: printable ones stand for themselves)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES = _byte_characters()
