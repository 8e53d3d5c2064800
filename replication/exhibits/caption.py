"""Text that people wrote with places for a run's numbers."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


def fill(template: str, numbers: Mapping[str, Mapping[str, Any]], facts: Mapping[str, str] | None = None) -> str:
    """A text with its numbers: `{other.value:,.0f}`, `{auc_gain.low:.3f}`, `{tokens}`.

    A template has one sentence a line; a sentence that names a number which this run did not measure is left out.
    """
    places: dict[str, Any] = {key: SimpleNamespace(**number) for key, number in numbers.items()} | dict(facts or {})
    sentences = []
    for line in template.splitlines():
        try:
            sentences.append(line.strip().format_map(places))
        except (KeyError, AttributeError):
            continue
    return " ".join(sentence for sentence in sentences if sentence)
