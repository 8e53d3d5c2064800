"""Commands for people: look at a config and at a finished run. Each returns its exit status; only this module prints."""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import artifacts, resolution
from replication.config import UserError, to_dict

if TYPE_CHECKING:
    from replication.claims.reference import Reference

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

REFERENCES = Path("results", "reference")


def register(commands: "Commands") -> None:
    """config, summary, claims, freeze, verify."""
    parser = commands.add_parser("config", help="show, check or explain a config file")
    parser.add_argument("what", choices=("show", "check", "explain", "departures"),
                        help="show: every setting of the run; check: is it valid; explain: what settings mean; departures: from the paper")
    parser.add_argument("file", type=Path, nargs="?", help="a config such as config/laptop.yaml; explain needs none")
    parser.set_defaults(plain=show_config)

    parser = commands.add_parser("summary", help="a short table of a finished run and where to look")
    parser.add_argument("run", type=Path, help="folder of a run, such as results/laptop")
    parser.set_defaults(plain=summary)

    parser = commands.add_parser("claims", help="a run beside what was published and beside its frozen reference")
    parser.add_argument("run", type=Path, help="folder of a run, such as results/laptop")
    parser.add_argument("--check", action="store_true",
                        help="exit with 1 when a number left its reference tolerance, on the reference's corpus; with 2 where no reference is frozen")
    parser.add_argument("--reference", type=Path, help="folder of frozen numbers; results/reference/<run> by default")
    parser.add_argument("--all", action="store_true", help="also rows that no study answers yet, and numbers inside their tolerance")
    parser.set_defaults(plain=claims)

    parser = commands.add_parser("freeze", help="freeze the numbers of finished runs that differ in the seed as a reference",
                                 epilog="Another seed: snakemake --cores all --configfile config/laptop.yaml --config run=laptop-seed1 seed=1")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs, such as results/laptop results/laptop-seed1")
    parser.add_argument("--out", type=Path, help="folder to write; results/reference/<first run> by default")
    parser.set_defaults(plain=freeze)

    parser = commands.add_parser("verify", help="compare the files of a run that have a checksum with it: all but exhibits, logs and state")
    parser.add_argument("run", type=Path, help="folder of a run, such as results/laptop")
    parser.set_defaults(plain=verify)


def show_config(arguments: argparse.Namespace) -> int:
    """Print a config resolved, its validity, what its settings mean, or its departures from the paper."""
    if arguments.what == "explain" and arguments.file is None:
        print(resolution.explain())
        return 0
    if arguments.file is None:
        raise UserError(f"config {arguments.what} needs a file, such as config/laptop.yaml")
    run = resolution.load(arguments.file)
    if arguments.what == "show":
        print(json.dumps(to_dict(run), indent=1, ensure_ascii=False))
    elif arguments.what == "check":
        held = f"{len(run.models)} models, {len(run.dictionaries)} dictionaries"
        print(f"{arguments.file} is valid: run {run.run}, seed {run.seed}, {held}, hash {run.hash()}")
    elif arguments.what == "explain":
        print(resolution.explain())
    else:
        from replication.claims import departures
        from replication.provenance import written

        sections = ("corpus", "activations", "features", "studies")
        everything = run.settings(*sections, models=list(run.models), dictionaries=list(run.dictionaries))
        print(departures.markdown(departures.table(Path(written("paper", "report", "departures.csv")), everything)))
    return 0


def summary(arguments: argparse.Namespace) -> int:
    """Print each dictionary in a line, the ledger's verdicts, and where to look."""
    from replication.claims import ledger
    from replication.claims.numerals import numeral

    layout = artifacts.Layout(_run(arguments.run))
    paths = sorted(path for path in layout.evaluation().glob(f"*/*/{artifacts.EVALUATION}") if path.parent.name != "neurons")
    if not paths:
        raise artifacts.ArtifactError(f"{layout.root} holds no evaluated dictionary; `snakemake --cores all` makes them")
    lines = [("dictionary", "features", "L0", "recovered", "dead", "ultralow", "other", "moved")]
    for path in paths:
        found = artifacts.read_json(path)
        recovered = f"{100 * found['recovered']:.1f} %" if "recovered" in found else ""
        cells = [numeral(found.get(key)) for key in ("features", "l0", "dead", "ultralow", "other", "moved")]
        lines.append((found["dictionary"], *cells[:2], recovered, *cells[2:]))
    print(aligned(lines))
    if layout.claims().is_file():
        counted = ledger.counts(ledger.read(layout.claims()))
        print(f"\nledger: {', '.join(f'{count} {word}' for word, count in counted.items())}")
    places = [(layout.report(), "every exhibit in the paper's order; report.pdf for print"), (layout.exhibits(), "figures and tables"),
              (layout.browser() / artifacts.PAGE, "every feature to look at; open it by double click"),
              (layout.claims(), "ledger; claims.html to look through it"), (layout.macros(), "a LaTeX macro for each number; references.bib beside it")]
    print("\n" + aligned([(str(path), what) for path, what in places if path.exists()]))
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """Print a run beside published and reference; with --check, 1 when a number left its tolerance."""
    from replication.claims import ledger
    from replication.claims import reference as frozen
    from replication.claims.numerals import quantity

    run = _run(arguments.run)
    rows = ledger.read(artifacts.Layout(run).claims())
    shown = rows if arguments.all else [row for row in rows if row["verdict"] != "not run"]
    lines = [("number", "published", "here", "reference", "unit", "verdict", "why")]
    for row in shown:
        published, here, known = (quantity(row, column) for column in ("published", "here", "reference"))
        lines.append((row["number"], published, here, known, row["unit"], row["verdict"], row["reason"]))
    print(aligned(lines))
    print(f"\n{', '.join(f'{count} {word}' for word, count in ledger.counts(rows).items())}")
    about = frozen.provenance(run)
    folder = arguments.reference or REFERENCES / about["run"]
    if not arguments.reference and not folder.is_dir():
        if arguments.check:
            raise UserError(f"{folder} does not exist, so there is nothing to check against; name another with --reference")
        print(f"\nno reference is frozen for {about['run']} ({folder})")
        return 0
    return _compared(frozen.numbers_of(run), about, frozen.read(folder), folder, check=arguments.check, everything=arguments.all)


def freeze(arguments: argparse.Namespace) -> int:
    """Freeze runs as a reference and say what was written."""
    from replication.claims import reference as frozen

    out = arguments.out or REFERENCES / frozen.provenance(_run(arguments.runs[0]))["run"]
    made = frozen.freeze([_run(run) for run in arguments.runs], out)
    print(f"{out}: {len(made.numbers)} numbers over seeds {', '.join(map(str, made.provenance['seeds']))}")
    if len(arguments.runs) < frozen.ENOUGH_SEEDS:
        print(f"fewer than {frozen.ENOUGH_SEEDS} seeds give no spread: tolerances are a stated share of each number")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Say which artifacts of a run are not what was written; 1 when there are any."""
    run = _run(arguments.run)
    found = list(artifacts.verify(run))
    if not found:
        raise artifacts.ArtifactError(f"{run} holds no artifact; `snakemake --cores all` makes them")
    broken = [sentence for _, sentence in found if sentence]
    for sentence in broken:
        print(sentence)
    print(f"{run}: {len(found) - len(broken)} of {len(found)} artifacts are what was written")
    return 1 if broken else 0


def _compared(found: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any], reference: "Reference", folder: Path, *,
              check: bool, everything: bool) -> int:
    from replication.claims import reference as frozen
    from replication.claims.numerals import numeral

    marks = frozen.marks(about, reference)
    rows = frozen.compare(found, reference)
    left = [row for row in rows if row.inside is False]
    words = {True: "inside", False: "left", None: "new"}
    lines = [("number", "this run", "reference", "tolerance", "unit", "", "why")]
    for row in rows:
        if everything or row.inside is not True:
            numerals = (numeral(row.value) or "missing", numeral(row.reference), numeral(row.tolerance))
            lines.append((row.number, *numerals, row.unit, words[row.inside], row.why))
    print(f"\nreference {folder}, seeds {', '.join(map(str, reference.provenance['seeds']))}{''.join(f', {mark}' for mark in marks)}")
    if len(lines) > 1:
        print(aligned(lines))
    inside, new = (sum(row.inside is kind for row in rows) for kind in (True, None))
    print(f"{inside} numbers inside their tolerance, {len(left)} left it, {new} new")
    if frozen.DIFFERENT_CORPUS in marks:
        print("the corpus is not the reference's, so nothing is held against this run")
        return 0
    return 1 if check and left else 0


def _run(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name one of a run, such as {os.path.join('results', 'laptop')}")
    return folder


def aligned(lines: Sequence[Iterable[str]]) -> str:
    """Lines of cells as a table for the terminal."""
    table = [list(map(str, line)) for line in lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table)
