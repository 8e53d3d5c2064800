"""Base64 in text: which run a place lies in, and whether the run decodes to printable ASCII."""

import base64
import re

ALPHABET = re.compile(rb"[A-Za-z0-9+/]+")
PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r")
SHARE = 0.8  # of decoded bytes that must be printable; of random bytes two in five are
FEWEST = 12  # decoded bytes
ALIGNMENTS = 4


def run_around(text: bytes, place: int) -> bytes:
    """The maximal run of base64 characters that holds a place of a text; empty if the character there is none."""
    for match in ALPHABET.finditer(text):
        if match.start() <= place < match.end():
            return match.group()
    return b""


def decoded(run: bytes) -> bytes:
    """What a run says, read from that of its first four characters from which most bytes are printable; empty if too short.

    A text may begin inside a run, and an escape such as a line end may look like its first characters, so that where its groups
    of four begin is not known.
    """
    found = (base64.b64decode(run[start : start + (len(run) - start) // 4 * 4]) for start in range(ALIGNMENTS))
    return max((said for said in found if len(said) >= FEWEST), key=printable, default=b"")


def printable(said: bytes) -> float:
    """Share of bytes that are printable ASCII."""
    return sum(byte in PRINTABLE for byte in said) / len(said) if said else 0.0


def is_ascii(run: bytes) -> bool:
    """Whether a run decodes to printable ASCII."""
    return printable(decoded(run)) >= SHARE
