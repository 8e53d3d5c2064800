"""How do features form through training, and is a second layer different? (a question of readers of the paper).

Dictionaries of the main model at points of its training, of two sorts. Fresh ones have a start of their own: each feature of the final
dictionary is looked for in the one at a point, from another seed (`found_again`), beside what a second fit at the end finds of it (the
ceiling: no point can show more), the dictionary of another seed's model, single neurons, and a dictionary on other texts (chance).
Those of a chain each start from the one before: feature i at a point is held against feature i at the end. From both, when features
are born (`births`) and which kind is early. Over features that are neither dead nor ultralow. The second layer is in `second_layer`.
Source: ours.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import recovered
from replication.studies.checkpoints import by_layer, chain, fresh
from replication.studies.intervals import Arm, arm_of, estimate, exact
from replication.studies.questions import second_layer
from replication.studies.questions.births import STATISTICS, early, sample
from replication.studies.questions.courses import Course, Lasting, Points, follow, look
from replication.studies.questions.facts import Array, Facts, Flags
from replication.studies.questions.found_again import SAME, Matches, counted
from replication.studies.questions.second_layer import SHARE, difference, median, quantity
from replication.studies.recovered import Measured
from replication.studies.replicates import groups, sibling
from replication.studies.tables import Number, Reader, number, write

FRESH, CHAIN = "fresh", "chain"
OVER, EDGES = "features of the final dictionary", np.linspace(-0.2, 1.0, 61)
NOTHING = "the run has no dictionaries along a training or of models with more layers"
NO_POINTS = "the run has no dictionaries along the main model's training"
NO_CHAIN = "the run has no chain of dictionaries that start from each other along the training"
NO_SEED = "the run has no second seed of the main dictionary"
NO_LAYERS = "the run has no dictionaries of models with more layers"
UNDATED = "no features of both kinds are there at the end"
OF_POINTS = ("found_first", "found_last", "found_growth", "found_chance", "found_twin", "found_neurons", "last_minus_twin", "twin_minus_first",
             "lasting_first", "lasting_last", "single_token_fall")
OF_SEEDS = ("found_ceiling", "ceiling_minus_last")
OF_CHAIN = ("kept_first", "kept_last", "kept_growth", "kept_minus_found", "kept_chance", "kept_cosine_first", "kept_cosine_last")


@dataclass(frozen=True)
class Run:
    """What was read of the dictionaries that the study compares."""

    facts: Mapping[str, Facts]
    losses: Mapping[str, Measured]
    matches: Matches
    settings: Settings

    def number(self, plus: Arm, minus: Arm | None = None, *, unit: str = SHARE, n: int, over: str = OVER) -> Number:
        """The number of an arm, or of the difference of two."""
        return number(estimate(plus, minus), unit=unit, n=n, over=over)

    def flags(self, samples: Sequence[Flags], what: str) -> Number:
        """The share of features that have something."""
        return self.number(counted(samples, self.settings, what), n=min(map(len, samples)))

    def gain(self, plus: Sequence[Flags], minus: Sequence[Flags]) -> Number:
        """How much larger one share is than the other, of the same features."""
        return self.number(difference(plus, minus, self.settings), n=min(map(len, plus)))


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four kinds (`kind`): a quantity at a point of training, or in a layer; the share of features born by a point; a bin of best matches."""
    assert settings.dictionaries and settings.studies and settings.models
    stopwatch, reader = Stopwatch(), Reader(layout)
    main, models, dictionaries = settings.studies.main, settings.models, settings.dictionaries
    tokens, table = reader.tokens(), reader.matches()
    if main not in dictionaries:  # nothing was selected to be held against it
        write(out=out, study="feature_growth", data=pd.DataFrame({"kind": ["none"]}), numbers={}, settings=settings, reader=reader, stopwatch=stopwatch,
              missing=lacking({}, {}, {}), absent=NOTHING)
        return
    own = main, models, dictionaries
    points, linked, layers = fresh(*own), chain(*own), by_layer(*own)
    finals = groups(dictionaries)[main]
    names = list(dict.fromkeys([*finals, *(name for of in (*points.values(), *linked.values(), *layers.values()) for name in of)]))
    facts = {name: Facts.of(reader, name, tokens) for name in progress.over(names, 3 * len(names))}
    run = Run(facts, recovered.measure(reader, names, settings), Matches(reader), settings)
    twins, neurons = (matched(table, finals, other, facts) for other in (settings.studies.twin, sibling(main, NEURONS)))
    numbers, parts, shown = dict[str, Number](), list[pd.DataFrame](), {"twin": twins, NEURONS: neurons}
    if points:
        course, lasting = look(points, run.matches)
        numbers |= of_points(course, lasting, points, twins, neurons, run) | births(course, run)
        parts += [quantities(FRESH, points, reader, run), found(course, lasting, points, run), born_by(FRESH, course, run)]
        shown["last"] = [course.correlation[k][facts[name].learned, -2] for k, name in enumerate(course.names)]
        if linked and all(facts[name].learned.any() for name in linked[1.0]):
            followed, cosines, chance = follow(reader, linked)
            numbers |= of_chain(followed, cosines, chance, course, run) | {f"{key}_chain": value for key, value in births(followed, run).items()}
            parts += [quantities(CHAIN, linked, reader, run), kept(followed, cosines, run), born_by(CHAIN, followed, run)]
    progress(2, 3)
    if layers and all(facts[name].learned.any() for of in layers.values() for name in of):
        made, rows, ahead = second_layer.compare(layers, finals, twins, facts, run.losses, run.matches, settings)
        numbers, parts, shown = numbers | made, [*parts, rows], shown | ahead
    progress(1, 1)
    write(out=out, study="feature_growth", data=pd.concat([*parts, bins(shown)], ignore_index=True).assign(group=main), numbers=numbers, settings=settings,
          reader=reader, stopwatch=stopwatch, missing=lacking(points, linked, layers))


def matched(table: pd.DataFrame, finals: Sequence[str], other: str, facts: Mapping[str, Facts]) -> list[Array]:
    """Correlation of the learned features of each replicate with their best match in another dictionary or among neurons; 0 without a match.

    Empty where the run has not looked for matches there.
    """
    of = [table[(table["dictionary"] == name) & (table["other"] == other)].sort_values("feature") for name in finals]
    return [rows["correlation"].fillna(0).to_numpy(float)[facts[name].learned] for name, rows in zip(finals, of, strict=True)] if all(map(len, of)) else []


def of_points(course: Course, lasting: Lasting, points: Points, twins: Sequence[Array], neurons: Sequence[Array], run: Run) -> dict[str, Number]:
    """Shares of the final features that are found at the first point and at the last before the end, and what they are held against."""
    first, last, end = (course.at(point, run.facts) for point in (0, -2, -1))
    numbers = {"found_first": run.flags(first, "first"), "found_last": run.flags(last, "last"), "found_growth": run.gain(last, first),
               "found_chance": run.flags([run.matches.by_chance(course.names[0])[run.facts[course.names[0]].learned] >= SAME], "chance")}
    if len(course.names) > 1:
        numbers |= {"found_ceiling": run.flags(end, "ceiling"), "ceiling_minus_last": run.gain(end, last)}
    if twins:
        there = [values >= SAME for values in twins]
        numbers |= {"found_twin": run.flags(there, "twin"), "last_minus_twin": run.gain(last, there), "twin_minus_first": run.gain(there, first)}
    if neurons:
        numbers["found_neurons"] = run.flags([values >= SAME for values in neurons], "neurons")
    for key, share in (("first", course.shares[0]), ("last", course.shares[-2])):
        still = run.flags(stays(lasting[share], run), f"lasting {key}")
        numbers[f"lasting_{key}"] = dataclasses.replace(still, over="features of the dictionary at that point")
    single = [quantity("single", names, run.facts, run.losses, run.settings) for names in (points[course.shares[0]], points[1.0])]
    n = min(int(run.facts[name].learned.sum()) for share in (course.shares[0], 1.0) for name in points[share])
    return numbers | {"single_token_fall": run.number(*single, n=n, over="features")}


def of_chain(course: Course, cosines: Sequence[Array], chance: Sequence[Array], looked: Course, run: Run) -> dict[str, Number]:
    """Shares of the last dictionary's features that are themselves at the first point and at the last before the end, beside fresh dictionaries there."""
    first, last = (course.at(point, run.facts) for point in (0, -2))
    learned = [run.facts[name].learned for name in course.names]
    numbers = {"kept_first": run.flags(first, "kept first"), "kept_last": run.flags(last, "kept last"), "kept_growth": run.gain(last, first),
               "kept_chance": run.flags([values[some] >= SAME for values, some in zip(chance, learned, strict=True)], "kept chance")}
    for key, point in (("first", 0), ("last", -2)):
        angles = [values[some, point] for values, some in zip(cosines, learned, strict=True)]
        numbers[f"kept_cosine_{key}"] = run.number(arm_of(median, angles, run.settings, "feature_growth.cosine"), unit="cosine", n=min(map(len, angles)))
    if course.shares[-2] in looked.shares:
        there = looked.at(looked.shares.index(course.shares[-2]), run.facts)
        arms = counted(last, run.settings, "kept last"), counted(there, run.settings, "last")
        numbers["kept_minus_found"] = run.number(*arms, n=min(map(len, [*last, *there])))
    return numbers


def births(course: Course, run: Run) -> dict[str, Number]:
    """When features are born, and which kind is early."""
    return early([sample(course.births(k, run.facts), run.facts[name], course.shares[0]) for k, name in enumerate(course.names)], run.settings)


def stays(found: Sequence[tuple[str, Array]], run: Run) -> list[Flags]:
    """Whether the learned features of dictionaries at a point are found again at the end."""
    return [(values >= SAME)[run.facts[name].learned] for name, values in found]


def row(what: str, arm: Arm, n: int, **about: object) -> dict[str, object]:
    """A row of the table: a quantity with its interval."""
    value = estimate(arm)
    return {**about, "what": what, "value": value.value, "low": value.low, "high": value.high, "n": n, "replicates": value.replicates}


def quantities(start: str, points: Points, reader: Reader, run: Run) -> pd.DataFrame:
    """What the dictionaries at each point are like: loss recovered, L0, the model's own loss, live features, and of which kinds they are."""
    rows = []
    for share, names in points.items():
        about = {"kind": "point", "start": start, "share": share}
        live = [float((reader.features(name, "part")["part"] == "other").sum()) for name in names]
        rows += [row(what, recovered.arm(run.losses, names, what), run.losses[names[0]].tokens, **about) for what in ("recovered", "l0", "loss")]
        rows.append(row("live", exact(live), len(names), **about))
        if all(run.facts[name].learned.any() for name in names):
            n = min(int(run.facts[name].learned.sum()) for name in names)
            rows += [row(what, quantity(what, names, run.facts, run.losses, run.settings), n, **about) for what in ("single", "settled")]
    return pd.DataFrame(rows)


def found(course: Course, lasting: Lasting, points: Points, run: Run) -> pd.DataFrame:
    """Which features are found at each point: of the end there, of the point at the end, and of the point in another seed at the same point."""
    rows = []
    for place, share in enumerate(course.shares):
        about = {"kind": "point", "start": FRESH, "share": share}
        there = course.at(place, run.facts)
        if share < 1 or len(course.names) > 1:
            rows.append(row("found", counted(there, run.settings, "found"), min(map(len, there)), **about))
        if share < 1:
            still = stays(lasting[share], run)
            rows.append(row("lasting", counted(still, run.settings, "lasting"), min(map(len, still)), **about))
            if len(points[share]) > 1:
                one, other = points[share][:2]
                again = run.matches.both(one, other)[0][run.facts[one].learned] >= SAME
                rows.append(row("reproduced", counted([again], run.settings, "reproduced"), len(again), **about))
    return pd.DataFrame(rows)


def kept(course: Course, cosines: Sequence[Array], run: Run) -> pd.DataFrame:
    """How many features of the end are themselves at each point of a chain, and the median cosine of their directions."""
    rows = []
    for place, share in enumerate(course.shares[:-1]):
        about = {"kind": "point", "start": CHAIN, "share": share}
        there = course.at(place, run.facts)
        angles = [values[run.facts[name].learned, place] for name, values in zip(course.names, cosines, strict=True)]
        rows.append(row("kept", counted(there, run.settings, "kept"), min(map(len, there)), **about))
        rows.append(row("cosine", arm_of(median, angles, run.settings, "feature_growth.cosine"), min(map(len, angles)), **about))
    return pd.DataFrame(rows)


def born_by(start: str, course: Course, run: Run) -> pd.DataFrame:
    """Share of the features of either kind that are born by each point, of those that are there at the end."""
    rows = []
    for kind, wanted in (("single", True), ("other", False)):
        dates = []
        for k, name in enumerate(course.names):
            facts = run.facts[name]
            date = course.births(k, run.facts)
            dates.append(date[np.isfinite(date) & (facts.single[facts.learned] == wanted)])
        for share in course.shares if all(map(len, dates)) else ():
            arm = counted([date <= np.log2(share) for date in dates], run.settings, "born")
            rows.append(row(kind, arm, min(map(len, dates)), kind="born", start=start, share=share))
    return pd.DataFrame(rows)


def bins(shown: Mapping[str, Sequence[Array]]) -> pd.DataFrame:
    """Histograms of the correlation of final features with their best match, over replicates, by where it is looked for."""
    rows = []
    for where, of in shown.items():
        if of:
            counts, _ = np.histogram(np.clip(np.concatenate(of), EDGES[0], EDGES[-1]), EDGES)
            rows += [{"kind": "bin", "what": where, "low": low, "high": high, "n": count} for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False)]
    return pd.DataFrame(rows)


def lacking(points: Points, linked: Points, layers: Mapping[int, Sequence[str]]) -> dict[str, str]:
    """Why numbers cannot be given by this run."""
    why = dict.fromkeys(second_layer.KEYS, NO_LAYERS if not layers else "the run has no matches with another seed's model")
    why |= dict.fromkeys(OF_POINTS, "the run has no matches with another seed's model" if points else NO_POINTS)
    why |= dict.fromkeys(OF_CHAIN, "the chain has other points than the fresh dictionaries" if linked else NO_CHAIN)
    why |= dict.fromkeys(OF_SEEDS, NO_SEED if points else NO_POINTS)
    return why | {key: UNDATED if points else NO_POINTS for key in STATISTICS} | {f"{key}_chain": UNDATED if linked else NO_CHAIN for key in STATISTICS}
