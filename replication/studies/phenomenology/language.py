"""In which language a line is written, by its commonest words."""

import functools
import re
from collections.abc import Iterator, Mapping

from replication.features.proxies import Find, Span

WORD, LINE = re.compile(rb"[A-Za-z\x80-\xff]+"), re.compile(rb"[^\n]+")
FEWEST, SHARE = 3, 0.2  # different common words, and their share of a line's words
COMMON: Mapping[str, frozenset[bytes]] = {language: frozenset(words.encode().split()) for language, words in {
    "English": "the of and to in is that for with as on are this be by not from it was or an at have which you",
    "French": "le la les des une est dans pour que qui avec sur pas plus par sont cette ont aux être mais nous vous leur et du au ce "
              "il elle ne en un se d l",
    "German": "der die das und ist nicht mit ein eine für auf den von zu dem sich auch werden wird bei oder als nach im es des wie "
              "aus dass sind",
    "Spanish": "el los las una es por con para del se lo su como más pero sus al está son fue este ha que de la en y no un",
    "Italian": "il di che non è per una sono della con del gli nel alla dei più anche questo le la un ma come da",
    "Portuguese": "o os não uma para com do da em que no na por mais dos das ao seu foi como é um as se",
    "Dutch": "het een van en is niet dat op te zijn voor met die de aan wordt ook als bij door maar naar",
}.items()}


@functools.lru_cache(maxsize=256)  # several languages ask about the same lines
def language_of(line: bytes) -> str:
    """The language with most common words in a line; empty where they are too few."""
    words = WORD.findall(line.lower())
    found = {language: [word for word in words if word in common] for language, common in COMMON.items()}
    best = max(found, key=lambda language: len(found[language]))
    enough = len(set(found[best])) >= FEWEST and len(found[best]) >= SHARE * len(words)
    return best if enough else ""


def lines_in(language: str) -> Find:
    """The lines of a text that are written in a language."""
    def find(text: bytes) -> Iterator[Span]:
        return (match.span() for match in LINE.finditer(text) if language_of(match.group()) == language)

    return find
