"""The ledger: every published statement with what this run found, a frozen reference beside it, and a verdict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replication import artifacts
from replication.claims import readable, statements
from replication.claims import reference as frozen
from replication.claims.scale import facts
from replication.claims.statements import Claim
from replication.claims.verdict import WORDS, Answer, judge
from replication.config import Settings
from replication.provenance import Stopwatch

LEDGER_COLUMNS = ("value", "sd", "n", "low", "high", "reference", "reference_sd", "reference_n", "reference_corpus", "verdict", "reason")
EXPLANATIONS = ("run", "on", "id", "looked_at")
Numbers = Mapping[str, Mapping[str, Any]]


def make(*, settings: Settings, claims: Path, explanations: Path, numbers: Sequence[Path], corpus: Path, evaluation: Path,
         reference: Path | None, template: Path, out: Path) -> list[dict[str, str]]:
    """Write the ledger of a run as csv, md and html, with metadata beside it; returns its rows.

    `numbers` are the `numbers.json` of its studies, `evaluation` that of the main dictionary, `reference` a folder of
    frozen numbers, `template` that of the html. Raises UserError.
    """
    stopwatch = Stopwatch()
    known = frozen.read(reference) if reference else None
    studies = {path.parent.name: artifacts.read_json(path) for path in numbers}
    rated = "raters" in studies.get("rubric_scores", {}).get("numbers", {})
    corpus_hash = str(artifacts.read_json(corpus)["manifest_sha256"])
    rows = judge_all(
        claims=statements.read(claims), studies=studies, scale=facts(settings, artifacts.read_json(evaluation), rated=rated),
        notes=notes(explanations, settings, known, corpus_hash), reference=known, corpus_hash=corpus_hash)
    artifacts.write_rows(out, rows)
    written = read(out)
    text, page = out.with_name(artifacts.CLAIMS_TEXT), out.with_name(artifacts.CLAIMS_PAGE)
    artifacts.write_text(text, readable.markdown(written, settings.run, counts(written)))
    artifacts.write_text(page, readable.page(written, settings.run, counts(written), template))
    inputs = {"claims": claims, "explanations": explanations, "corpus": corpus, "evaluation": evaluation}
    artifacts.write_meta(out.parent, stage="claims", settings=settings, files={"claims": out, "text": text, "page": page}, stopwatch=stopwatch,
                         name=artifacts.CLAIMS_META, inputs=inputs | {path.parent.name: path for path in numbers})
    return written


def notes(path: Path, settings: Settings, reference: frozen.Reference | None, corpus_hash: str) -> dict[str, str]:
    """What was looked at to explain rows, by claim: notes for a run of this name and for every run.

    People looked at one run, and a name says little of what another machine ran under it. So a note says on what it was looked at, unless this run
    repeats the one that is frozen: same name, settings, text and seed.
    """
    about = {"settings_hash": frozen.settings_hash(settings), "corpus_hash": corpus_hash}
    repeats = reference is not None and not frozen.marks(about, reference) and settings.seed == reference.provenance["seeds"][0]
    own = settings.run if repeats else ""
    return {row["id"]: row["looked_at"] if row["on"] == own else f"on another run ({row['on']}): {row['looked_at']}"
            for row in statements.read_rows(path, EXPLANATIONS) if row["run"] in (settings.run, "")}


def judge_all(*, claims: Sequence[Claim], studies: Numbers, scale: Mapping[str, float | str], notes: Mapping[str, str],
              reference: frozen.Reference | None, corpus_hash: str) -> list[dict[str, Any]]:
    """One row per statement: its own columns, then `LEDGER_COLUMNS`."""
    rows = []
    for claim in claims:
        answer = answer_of(claim, studies)
        known = reference.numbers.get(claim.number) if reference else None
        verdict = judge(claim, answer, scale, notes.get(claim.id, ""))
        found = _found(answer.number or {}) | _known(known, reference, corpus_hash)
        rows.append({**claim.row, **found, "verdict": verdict.word, "reason": verdict.reason})
    return rows


def answer_of(claim: Claim, studies: Numbers) -> Answer:
    """What the studies of a run say to a claim."""
    if claim.study not in studies:
        return Answer(ran=False)
    study = studies[claim.study]
    return Answer(ran="absent" not in study, number=study["numbers"].get(claim.key), missing=study.get("missing", {}).get(claim.key, ""))


def counts(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """How many rows have each verdict, in the fixed order, verdicts without rows included."""
    return {word: sum(row["verdict"] == word for row in rows) for word in WORDS}


def read(path: Path) -> list[dict[str, str]]:
    """A ledger that a run wrote, as texts. Raises ArtifactError when it is missing, UserError when it is not one."""
    if not path.is_file():
        raise artifacts.ArtifactError(f"{path} is missing; `snakemake --cores all` makes it")
    return statements.read_rows(path, (*statements.COLUMNS, *LEDGER_COLUMNS))


def _found(number: Mapping[str, Any]) -> dict[str, Any]:
    return {key: number.get(key, "") for key in ("value", "sd", "n", "low", "high")}


def _known(known: frozen.Frozen | None, reference: frozen.Reference | None, corpus_hash: str) -> dict[str, Any]:
    if known is None or reference is None:
        return dict.fromkeys(("reference", "reference_sd", "reference_n", "reference_corpus"), "")
    return {"reference": known.value, "reference_sd": "" if known.sd is None else known.sd, "reference_n": known.n,
            "reference_corpus": "same" if reference.corpus_hash == corpus_hash else frozen.DIFFERENT_CORPUS}
