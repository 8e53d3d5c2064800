"""Features that earlier work has named, each defined by which tokens it should fire on (paper, sections on feature splitting and on
earlier work; the expressions and word lists are ours). Expressions are over the UTF-8 bytes of a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from replication.features.proxies import Find, spans
from replication.studies.patterns import base64_runs
from replication.studies.phenomenology.language import lines_in

PERSON, EMOTION = "person", "emotion"


@dataclass(frozen=True)
class Known:
    """A feature that was named: what people call it, what sort of thing it is, and how to find its tokens."""

    label: str
    sort: str
    find: Find


def words(*stems: str, end: str = "") -> Find:
    """Words that begin so, whole unless `end` allows more."""
    return spans(rf"(?<![A-Za-z])(?:{'|'.join(stems)}){end}(?![a-z])")


def _emotion(label: str, *stems: str) -> Known:
    return Known(label, EMOTION, spans(rf"(?i)(?<![a-z])(?:{'|'.join(stems)})(?![a-z])"))


PERSONS = ("Obama", "Trump", "Clinton", "Bush", "Putin", "Hitler", "Napoleon", "Lincoln", "Shakespeare", "Darwin", "Einstein", "Newton",
           "Mozart", "Gandhi", "Jesus", "Muhammad")
KNOWN: Mapping[str, Known] = {
    "capitals": Known("words in capitals", "script", spans(r"(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])")),
    "title_case": Known("title case", "script", spans(r"(?:(?<![A-Za-z])[A-Z][a-z]+[ -]){2,}[A-Z][a-z]+")),
    "hexadecimal": Known("hexadecimal", "script", spans(
        r"(?<![0-9A-Za-z])(?:0x)?(?=[0-9A-Fa-f]*[0-9])(?=[0-9A-Fa-f]*[A-Fa-f])[0-9A-Fa-f]{8,}(?![0-9A-Za-z])")),
    "base64": Known("base64", "script", base64_runs),
    "french": Known("French", "language", lines_in("French")),
    "german": Known("German", "language", lines_in("German")),
    "australia": Known("Australia", "region", words(
        "Australia", "Sydney", "Melbourne", "Queensland", "Canberra", "Brisbane", "Perth", "Adelaide", "Tasmania",
        "New South Wales", "Aussie",
        end="(?:ns?|s)?")),
    "canada": Known("Canada", "region", words(
        "Canada", "Canadian", "Toronto", "Ontario", "Qu(?:e|é)bec", "Vancouver", "Alberta", "Ottawa", "Montr(?:e|é)al", "Manitoba",
        "Saskatchewan", "Nova Scotia", "British Columbia", "Newfoundland", end="s?")),
    "africa": Known("Africa", "region", words(
        "Africa", "Nigeria", "Kenya", "Ghana", "Ethiopia", "Uganda", "Zimbabwe", "Tanzania", "Congo", "Sudan", "Senegal", "Rwanda",
        "Angola", "Zambia", "Mozambique", "Somalia", "Nairobi", "Lagos", "Johannesburg", "Cape Town", "Botswana", "Namibia", "Cameroon",
        end="(?:ns?|lese)?")),
    "israel_palestine": Known("Israel and Palestine", "region", words(
        "Israel", "Palestin(?:e|ian)", "Gaza", "West Bank", "Jerusalem", "Hamas", "Tel Aviv", "Netanyahu", "Hebron", "Ramallah",
        end="(?:is?|s)?")),
    "prime_factors": Known("prime factors", "mathematics", spans(
        r"(?i)prime factors?[^\n]{0,60}|factori[sz]ations? (?:of|into) [^\n]{0,40}")),
    **{f"person_{name.lower()}": Known(name, PERSON, words(name)) for name in PERSONS},
    "joy": _emotion("joy", "joy(?:ful|ous|fully)?", "happ(?:y|iness|ily)", "delight(?:ed|ful)?", "glad(?:ly)?", "cheerful",
                    "smil(?:e|ed|ing)"),
    "sadness": _emotion("sadness", "sad(?:ness|ly)?", "sorrow(?:ful)?", "grief", "griev(?:e|ed|ing)", "weep(?:ing)?", "wept", "tears",
                        "mourn(?:ed|ing)?"),
    "anger": _emotion("anger", "ang(?:er|ry|rily)", "fur(?:y|ious)", "rage", "wrath", "irritat(?:ed|ion)", "annoyed"),
    "fear": _emotion("fear", "fear(?:s|ed|ful)?", "afraid", "terror", "terrified", "dread(?:ed|ful)?", "frighten(?:ed|ing)?", "scared",
                     "horror"),
    "disgust": _emotion("disgust", "disgust(?:ed|ing)?", "loath(?:e|ed|ing)", "revolting", "repuls(?:ed|ive)", "contempt"),
    "surprise": _emotion("surprise", "surpris(?:e|ed|ing)", "astonish(?:ed|ing|ment)?", "amaz(?:ed|ing|ement)", "startled"),
}
