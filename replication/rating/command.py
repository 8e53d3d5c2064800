"""The command `rate`, for people: serve the rating page, write it as a file, or take in what a page exported."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from replication.config import UserError

if TYPE_CHECKING:
    from replication.rating.page import Task
    from replication.rating.source import Source

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def register(commands: "Commands") -> None:
    """The one command: rate."""
    parser = commands.add_parser(
        "rate", help="rate features, neurons and features of a shuffled model blind by the rubric",
        description="Serve a blind rating page for one person. Ratings land in paper/ratings/<run>/<rater>.csv, and "
                    "`snakemake --cores all` takes them from there into the exhibit rubric_scores.")
    parser.add_argument("run", type=Path, help="folder of a run, such as results/laptop")
    parser.add_argument("--units", type=int, default=40, help="features and neurons to rate, in equal parts of each kind; 40 by default")
    parser.add_argument("--intervals", type=int, default=3, help="activation intervals of each, 1 to 11; 3 by default (the paper rated 412 of 162)")
    parser.add_argument("--rater", default="rater", help="who rates, in small letters, digits, - and _; the name of the file, never shown on an exhibit")
    parser.add_argument("--seed", type=int, help="of the draw; the run's own by default, so that raters share units")
    parser.add_argument("--port", type=int, default=0, help="of the page on 127.0.0.1; a free one by default")
    parser.add_argument("--page", type=Path, help="write the page as one file that works without this command, and stop")
    parser.add_argument("--import", dest="exported", type=Path, help="take in the csv that such a page exported, and stop")
    parser.set_defaults(plain=rate)


def rate(arguments: argparse.Namespace) -> int:
    """Parse and call."""
    from replication import artifacts
    from replication.rating import ratings
    from replication.rating.page import render
    from replication.rating.server import RatingServer
    from replication.rating.source import Source

    if not arguments.run.is_dir():
        raise UserError(f"{arguments.run} is not a folder; name one of a run, such as results/laptop")
    source = Source.read(arguments.run)
    path = ratings.path_of(source.run, arguments.rater)
    if arguments.exported:
        taken = take(source, arguments.exported, path)
        print(f"{path}: {taken} rated intervals of {arguments.exported} are in it; `snakemake --cores all` counts them")
        return 0
    task = prepare(source, arguments)
    if arguments.page:
        artifacts.write_text(arguments.page, render(task, ratings.rows_of(path), served=False))
        back = f"python -m replication rate {arguments.run} --rater {arguments.rater} --import <csv>"
        print(f"open {arguments.page} in a browser, rate, export, then: {back}")
        return 0
    ratings.rows_of(path)  # a broken file stops here, not after an hour of rating
    with RatingServer(task, path, arguments.port) as server:
        print(f"open http://{server.names[0]}/ and press ? for help; ratings go to {path}; stop with Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(f"\n{path}: {len(ratings.rows_of(path))} rated intervals; `snakemake --cores all` counts them", file=sys.stderr)
    return 0


def prepare(source: "Source", arguments: argparse.Namespace) -> "Task":
    """The units of a draw with what is shown of them."""
    from replication.rating import sample
    from replication.rating.page import Task

    seed = source.seed if arguments.seed is None else arguments.seed
    if seed < 0:
        raise UserError(f"--seed is {seed}; give a whole number from 0 up")
    units = sample.draw(source.offered, units=arguments.units, intervals=arguments.intervals, seed=seed)
    wanted: dict[str, list[int]] = {}
    for unit in units:
        wanted.setdefault(unit.table, []).append(unit.feature)
    return Task(run=source.run, rater=arguments.rater, seed=seed, units=units, cards=source.cards(wanted), strings=source.strings())


def take(source: "Source", exported: Path, path: Path) -> int:
    """Rows of an exported csv into a rater's file, with the names of the units; returns how many. Raises RatingError."""
    from replication.rating import ratings
    from replication.rating.page import EXPORTED

    rows = ratings.lines(exported, EXPORTED)
    everything = source.cards({table: features for tables in source.offered.values() for table, features in tables.items()})
    names = {card.id: name for name, card in everything.items()}
    for line, row in enumerate(rows, start=2):
        if row["shown"] not in names:
            raise ratings.RatingError(f"{exported}, row {line}: {source.layout.root} has no unit that was shown as {row['shown']!r}; "
                                      "the page was made from another run, or its features were trained anew since")
        row["unit"] = names[row["shown"]]
        if wrong := ratings.fault(row):
            raise ratings.RatingError(f"{exported}, row {line}: {wrong}; {ratings.REMEDY}")
    ratings.merge(path, rows)
    return len(rows)
