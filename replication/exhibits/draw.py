"""Draw one exhibit: read its study, draw in the one style, write picture or table and caption."""

import importlib
from pathlib import Path

import pandas as pd

from replication import artifacts
from replication.exhibits import Exhibit, style
from replication.exhibits.caption import fill
from replication.exhibits.study import Drawing, Study, Table, read

ABSENT_HEIGHT = 1.1  # inches


def draw(*, exhibit: Exhibit, study: Path, caption: Path, distributions: Path, claims: Path, out: Path) -> None:
    """Write `<id>.png`, `<id>.pdf` of a figure, `<id>.csv`, `<id>.md` of a table, and `<id>.txt`, the caption.

    Raises ArtifactError when the study's files are missing or changed.
    """
    found = read(study, exhibit.study, distributions=distributions, claims=claims, context=exhibit.context)
    with style.paper():
        drawn: Drawing | Table = absent(found) if found.absent else importlib.import_module(exhibit.module).draw(found)
        if isinstance(drawn, Drawing):
            style.save(drawn.figure, out, exhibit.id, exhibit.title, found.provenance, drawn.note)
        else:
            write(drawn, out, exhibit.id, found)
    said = f"{found.absent[0].upper()}{found.absent[1:]}." if found.absent else fill(caption.read_text(encoding="utf-8"), found.numbers, drawn.facts)
    with artifacts.atomic(out / f"{exhibit.id}.txt") as temporary:
        temporary.write_text(said + "\n", encoding="utf-8")


def absent(study: Study) -> Drawing:
    """A panel that says why there is nothing to draw."""
    figure = style.figure(ABSENT_HEIGHT)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, study.absent, ha="center", va="center", fontsize=8, color=style.GREY, wrap=True)
    return Drawing(figure, "nothing to draw", {})


def write(table: Table, folder: Path, name: str, study: Study) -> None:
    """A table as csv, and as md with the provenance below it."""
    artifacts.write_table(folder / f"{name}.csv", pd.DataFrame(table.rows, columns=list(table.columns)))
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    cells = ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
    with artifacts.atomic(folder / f"{name}.md") as temporary:
        temporary.write_text("\n".join(cells) + f"\n\n{style.describe(study.provenance)} · {table.note}\n", encoding="utf-8")
