"""The rating page as one self-contained file: it fetches nothing, and no text of a token ever becomes markup.

Served, it posts each rated interval to the server that gave it out; as a file it keeps ratings in the browser's storage and exports them.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from replication.rating import cards, ratings, rubric
from replication.rating.cards import Card
from replication.rating.sample import Unit

FOLDER = Path(__file__).parent
EXPORTED = tuple(column for column in ratings.COLUMNS if column != "unit")


@dataclass(frozen=True)
class Task:
    """What one rater is asked: units in order with their cards by name, texts of tokens, and whose ratings they become."""

    run: str
    rater: str
    seed: int
    units: Sequence[Unit]
    cards: Mapping[str, Card]
    strings: Sequence[str]

    def named(self) -> dict[str, Unit]:
        """Units by the id under which the page knows them."""
        return {self.cards[unit.name].id: unit for unit in self.units}


def render(task: Task, saved: Sequence[Mapping[str, Any]], *, served: bool) -> str:
    """The page; `saved` are rows of the rater's file, of which those about what is shown are resumed."""
    shown = [{**cards.as_shown(task.cards[unit.name], task.strings), "rate": unit.intervals} for unit in task.units]
    known = {unit["id"] for unit in shown}
    content = {
        "run": task.run, "rater": task.rater, "seed": task.seed, "served": served, "columns": EXPORTED,
        "key": hashlib.sha256("".join(sorted(known)).encode()).hexdigest()[:12],
        "rubric": [asdict(item) for item in rubric.RUBRIC], "most": rubric.MOST, "units": shown,
        "saved": [{column: row[column] for column in EXPORTED} for row in saved if row["shown"] in known]}
    style, script = ((FOLDER / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
    reached = "'self'" if served else "'none'"
    policy = (f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; connect-src {reached}; "
              "base-uri 'none'; form-action 'none'")
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(
        run=task.run, policy=Markup(policy), style=Markup(style), script=Markup(script), content=Markup(inline(content)))


def inline(content: Any) -> str:
    """JSON that no markup inside a script element can end."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
