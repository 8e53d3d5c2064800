"""What a paper about a run needs: its numbers as LaTeX macros, and what to cite as BibTeX."""

from collections.abc import Sequence
from pathlib import Path

import replication
from replication import artifacts
from replication.claims import bibliography, ledger, tex
from replication.config import Settings
from replication.provenance import Stopwatch


def make(*, settings: Settings, claims: Path, numbers: Sequence[Path], references: Path, citation: Path, corpus: Path, macros: Path, bib: Path) -> None:
    """Write `numbers.tex` and `references.bib`, with metadata beside them. Raises UserError when a source is missing or broken."""
    stopwatch = Stopwatch()
    about = {"run": settings.run, "config": settings.hash(), "corpus": str(artifacts.read_json(corpus)["manifest_sha256"])[:12]}
    found = {f"{path.parent.name}.{key}": number for path in numbers for key, number in artifacts.read_json(path)["numbers"].items()}
    rows = ledger.read(claims)
    artifacts.write_text(macros, tex.text(found, rows, ledger.counts(rows), about | {"version": replication.__version__}))
    works = [bibliography.own(bibliography.citation(citation), **about), *bibliography.read(references)]
    artifacts.write_text(bib, bibliography.bibtex(works))
    inputs = {"ledger": claims, "references": references, "citation": citation, **{path.parent.name: path for path in numbers}}
    artifacts.write_meta(macros.parent, stage="claims", settings=settings, files={"macros": macros, "references": bib}, inputs=inputs,
                         stopwatch=stopwatch, name=artifacts.CITATION_META)
