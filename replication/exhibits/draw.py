"""Draw one exhibit: read its study, draw in the one style, write picture and caption."""

import importlib
from pathlib import Path

from replication import artifacts
from replication.exhibits import Exhibit, style
from replication.exhibits.study import Drawing, fill, read


def draw(*, exhibit: Exhibit, study: Path, caption: Path, distributions: Path, claims: Path, out: Path) -> None:
    """Write `<id>.png`, `<id>.pdf` and `<id>.txt`. Raises ArtifactError when the study's files are missing or changed."""
    found = read(study, exhibit.study, distributions=distributions, claims=claims)
    with style.paper():
        drawing: Drawing = importlib.import_module(exhibit.module).draw(found)
        style.save(drawing.figure, out, exhibit.id, exhibit.title, found.provenance, drawing.note)
    with artifacts.atomic(out / f"{exhibit.id}.txt") as temporary:
        temporary.write_text(fill(caption.read_text(encoding="utf-8"), found, drawing.facts) + "\n", encoding="utf-8")
