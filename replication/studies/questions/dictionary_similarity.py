"""Which features recur across sizes and seeds? (paper, related work: "maximum cosine similarity").

Over the features that fired on the evaluation tokens: the largest decoder cosine with a feature of another dictionary, of another
seed at the same size or of another size, beside the controls of `recurrence` and the dictionary of another model, whose neurons are
others. The paper suspects that the two modes of this similarity are two modes of density. So: how well density alone tells the upper
part from the lower (AUC; the cut is Otsu's), beside whether a feature ever moved from its start; and, at equal density, whether what
recurs in one replicate recurs in the other too: if density were all, one would say nothing about the other. Numbers that end on
`_paper_start` are those of the dictionary with the paper's start, where the run has it (looked for in its other seeds, or in the main
dictionary where it has none). A match is chosen by weights; whether it fires
on the same tokens is then measured. Modes by the fixed rule of `studies.modes`; the rest is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from replication.artifacts import Layout
from replication.config import Settings
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.appendices.ultralow_cluster import auc, two_parts
from replication.studies.intervals import Arm, arm_of, estimate, random
from replication.studies.modes import modes
from replication.studies.questions.recurrence import SAME, Anchor, Array, Live, anywhere, crowded, independent, level, look, nearest, strata, within
from replication.studies.replicates import groups, sibling
from replication.studies.tables import Number, Reader, number, write

WIDTH, DENSITY_WIDTH = 0.05, 0.25  # of the Gaussians under the count of modes: cosine, decades of density
QUARTERS, TENTHS = 4, 10
EDGES = np.linspace(-0.2, 1.0, 61)
DRAWN = 3000  # features that the table keeps for the figure
FIRED, LEARNED = "features that fired", "features that are neither dead nor ultralow"
NO_SEEDS = "the run has no second seed of the main dictionary"
TWO_SEEDS = "the run has fewer than three seeds of the main dictionary"
OF_SEEDS = ("modes", "density_difference", "activation_spearman", "above_chance")
OF_THREE = ("consensus", "consensus_learned", "consensus_expected", "consensus_above_density", "within_density")
Found = Callable[..., Number]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of four sorts (`row`): bins of histograms, pairs of sizes, features of the main dictionary, tenths by density."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    main, twin = settings.studies.main, settings.studies.twin
    of = {name: sae for name, sae in settings.dictionaries.items() if sae.site == settings.dictionaries[main].site}
    live = {name: Live.of(reader.features(name, "feature", "density", "part", "moved"), reader.weights(name)["W_dec"]) for name in settings.dictionaries}
    members = {group: [name for name in names if len(live[name].table)] for group, names in groups(of).items() if group != twin or group == main}
    seeds, start = members[main], members.get(sibling(main, "kaiming"), [])
    matrices = {name: reader.matrix(name) for name in (*members[main], *start)}
    progress(1, 2)
    if len(seeds) < 2:
        why = dict.fromkeys((*OF_SEEDS, *OF_THREE, "smaller_in_larger_0_1", "smaller_in_larger_1_2"), NO_SEEDS)
        write(out=out, study="dictionary_similarity", data=pd.DataFrame({"row": ["none"]}), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=why, absent=NO_SEEDS)
        return
    anchors = [look(live, name, [other for other in seeds if other != name], matrices) for name in seeds]
    starts = [look(live, name, [other for other in (start if len(start) > 1 else seeds[:1]) if other != name], matrices) for name in start]
    chance = [controls(item.live, item.live.rows, settings, index) for index, item in enumerate(anchors)]
    foreign = live[twin].rows if twin in live and twin not in seeds and live[twin].rows.shape[1] == live[main].rows.shape[1] else np.empty((0, 0))
    others = [nearest(item.live.rows, foreign)[0] for item in anchors] if foreign.size else []
    numbers = headline(anchors, chance, others, settings)
    if starts:
        numbers |= {f"{key}_paper_start": value for key, value in (modes_of(starts) | by_density(starts, settings)).items()}
    for step, pair in steps(main).items():
        both = [(live[small], live[large]) for small, large in zip(*(members.get(name, []) for name in pair), strict=False)]
        numbers |= {f"{key}_{step}": value for key, value in between(both, settings, step).items()} if both else {}
    tables = [bins(anchors[0], "seeds", {**chance[0], **({"other model": others[0]} if others else {})}),
              *(bins(item, "paper start", controls(item.live, item.live.rows, settings, 0)) for item in starts[:1]),
              pairs(live, members, settings), features(anchors[0], settings), tenths(anchors)]
    progress(2, 2)
    write(out=out, study="dictionary_similarity", data=pd.concat(tables, ignore_index=True).assign(group=main), numbers=numbers, settings=settings,
          reader=reader, stopwatch=stopwatch, missing=lacking(main, members))


def lacking(main: str, members: Mapping[str, list[str]]) -> dict[str, str]:
    """Why numbers cannot be given by this run."""
    why = {f"{key}_{step}": f"the run has no {name}" for step, pair in steps(main).items() for name in pair if not members.get(name)
           for key in ("mmcs", "smaller_in_larger")}
    alike = dict.fromkeys(("density_difference", "density_auc"), "all features are equally similar")
    starts = dict.fromkeys((f"{key}_paper_start" for key in ("modes", "density_difference", "density_auc")), "the run has no dictionary with the paper's start")
    return why | alike | starts | dict.fromkeys(OF_THREE, TWO_SEEDS) | {"mmcs_other_model": "the run has no dictionary of another model at this width"}


def steps(main: str) -> dict[str, tuple[str, str]]:
    """Pairs of the paper's sizes, the smaller one first."""
    return {f"{small}_{large}": (sibling(main, small), sibling(main, large)) for small, large in (("0", "1"), ("1", "2"), ("0", "2"))}


def controls(left: Live, others: Array, settings: Settings, index: int) -> dict[str, Array]:
    """Maximum cosines of a dictionary's features with as many directions drawn by chance."""
    return {key: nearest(left.rows, draw(others, random(settings, f"dictionary_similarity.{key}", index)))[0]
            for key, draw in (("random", anywhere), ("moments", crowded))}


def bins(found: Anchor, panel: str, chance: Mapping[str, Array]) -> pd.DataFrame:
    """Histograms, empty bins left out: of the maximum cosine in the first of the others, by quarter of density, and of what chance gives."""
    quarter = strata(found.live.log_density, QUARTERS)
    series = [("found", k, found.cosine[0][quarter == k]) for k in range(QUARTERS)] + [(kind, -1, values) for kind, values in chance.items()]
    parts = []
    for kind, k, values in series:
        counts, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)
        parts.append(pd.DataFrame({"row": "bin", "panel": panel, "kind": kind, "quarter": k, "low": EDGES[:-1], "high": EDGES[1:], "count": counts}))
    return pd.concat(parts).query("count > 0")


def pairs(live: Mapping[str, Live], members: Mapping[str, list[str]], settings: Settings) -> pd.DataFrame:
    """Mean maximum cosine of the learned features of one size (`left`) in another (`right`) or in another seed of its own, and by chance."""
    assert settings.studies
    main = settings.studies.main
    names = [name for name in dict.fromkeys([sibling(main, "0"), main, sibling(main, "2")]) if members.get(name)]
    rows = []
    for left in names:
        chosen = live[left].learned
        for right in names:
            other = next((name for name in members[right] if name != left), None)
            if other is not None and chosen.any():
                cosine = nearest(live[left].rows, live[other].rows)[0][chosen]
                chance = controls(live[left], live[other].rows, settings, 0)["moments"][chosen]
                rows.append({"row": "pair", "left": left, "right": right, "count": len(cosine), "mean": cosine.mean(), "chance": chance.mean(),
                             "recurring": (cosine >= SAME).mean(), "d_left": len(live[left].table), "d_right": len(live[other].table)})
    return pd.DataFrame(rows)


def features(found: Anchor, settings: Settings) -> pd.DataFrame:
    """At most DRAWN features of the main dictionary, so that the table stays small at every scale."""
    table = found.live.table[["feature", "part", "moved"]].assign(
        row="feature", log10_density=found.live.log_density, cosine=found.cosine[0], match=found.match[0], activation=found.activation[0],
        cosine_second=found.cosine[1] if len(found.cosine) > 1 else np.nan)
    if len(table) > DRAWN:
        table = table.iloc[np.sort(random(settings, "dictionary_similarity.drawn").choice(len(table), DRAWN, replace=False))]
    return table.round({"log10_density": 4, "cosine": 4, "cosine_second": 4, "activation": 4})


def tenths(anchors: Sequence[Anchor]) -> pd.DataFrame:
    """By tenth of density: mean density, share found again in another seed and in all, and in all if seeds were independent."""
    rows = []
    for k in range(TENTHS):
        inside = [(item, chosen) for item in anchors for chosen in [strata(item.live.log_density, TENTHS) == k] if chosen.any()]
        recurs = [item.recurs[chosen] for item, chosen in inside]
        expected = [independent(item.recurs, level(item.live))[chosen].mean() for item, chosen in inside]
        if inside:
            rows.append({"row": "tenth", "tenth": k, "count": sum(map(len, recurs)), "recurring": np.mean([x.mean() for x in recurs]),
                         "log10_density": np.mean([item.live.log_density[chosen].mean() for item, chosen in inside]),
                         "consensus": np.mean([x.all(1).mean() for x in recurs]), "expected": np.mean(expected)})
    return pd.DataFrame(rows)


def finder(settings: Settings) -> Found:
    """What makes a number from a statistic and one sample of features for each replicate; the same `what` pairs the resamples."""
    def found(statistic: Callable[[Array], float], samples: Sequence[Array], unit: str, what: str, over: str = FIRED) -> Number:
        arm = arm_of(statistic, list(samples), settings, f"dictionary_similarity.{what}")
        return number(estimate(arm), unit=unit, n=min(map(len, samples)), over=over)

    return found


def headline(anchors: Sequence[Anchor], chance: Sequence[Mapping[str, Array]], others: Sequence[Array], settings: Settings) -> dict[str, Number]:
    """The numbers of seeds; each argument has one entry for each replicate, `others` those of another model, if any."""
    found, share = finder(settings), "share of features"
    both = [np.concatenate([anchors[i].cosine[j - 1], anchors[j].cosine[i]]) for i, j in combinations(range(len(anchors)), 2)]
    numbers = modes_of(anchors) | by_density(anchors, settings) | by_start(anchors, found) | by_activation(anchors, found) | {
        "mmcs_seeds": found(mean, both, "cosine", "mmcs"),
        "cosine_median": found(median, [item.mean for item in anchors], "cosine", "median"),
        "recurring": found(mean, [item.recurs.mean(1) for item in anchors], share, "recurring"),
        "above_chance": found(mean, [item.mean - by["moments"] for item, by in zip(anchors, chance, strict=True)], "cosine", "chance"),
        "mmcs_random": found(mean, [by["random"] for by in chance], "cosine", "random"),
        "mmcs_moments": found(mean, [by["moments"] for by in chance], "cosine", "moments"),
        "chance_recurring": found(mean, [by["moments"] >= SAME for by in chance], share, "chance_recurring"),
    }
    if others:
        numbers["mmcs_other_model"] = found(mean, others, "cosine", "other_model")
    return numbers | by_seed(anchors, found) if len(anchors) > 2 else numbers


def modes_of(anchors: Sequence[Anchor]) -> dict[str, Number]:
    """How many modes the similarity has, of all features and others together, and how many the density of the first dictionary."""
    cosines, densities = np.concatenate([item.cosine.ravel() for item in anchors]), anchors[0].live.log_density
    return {"modes": Number(len(modes(cosines, WIDTH)), "modes", len(cosines), "features, once for each other dictionary"),
            "density_modes": Number(len(modes(densities, DENSITY_WIDTH)), "modes", len(densities), FIRED)}


def by_density(anchors: Sequence[Anchor], settings: Settings) -> dict[str, Number]:
    """Similarity against density: rank correlations, and how the upper part differs from the lower."""
    found, numbers = finder(settings), {}
    for key, over in (("density_spearman", FIRED), ("density_spearman_learned", LEARNED)):
        kept = [np.ones(len(item.live.table), bool) if over == FIRED else item.live.learned for item in anchors]
        if min(chosen.sum() for chosen in kept) > 1:
            columns = [(item.live.log_density[chosen], item.mean[chosen]) for item, chosen in zip(anchors, kept, strict=True)]
            ranks = [np.stack([rankdata(density), rankdata(cosine)], axis=1) for density, cosine in columns]
            numbers[key] = found(pearson, ranks, "rank correlation", key, over)
    if all(np.ptp(item.mean) > 0 for item in anchors):
        upper = [two_parts(item.mean) for item in anchors]
        parts = [np.stack([item.live.log_density, item.live.moved, high], axis=1) for item, high in zip(anchors, upper, strict=True)]
        cuts = [float(item.mean[high].min()) for item, high in zip(anchors, upper, strict=True)]
        numbers |= {"density_difference": found(lambda sample: gap(sample[:, 0], sample[:, 2] > 0), parts, "log10 share of tokens", "parts"),
                    "density_auc": found(lambda sample: auc(sample[:, 2], sample[:, 0]), parts, "AUC", "parts"),
                    "moved_auc": found(lambda sample: auc(sample[:, 2], sample[:, 1]), parts, "AUC", "parts"),
                    "upper_share": found(lambda sample: float(sample[:, 2].mean()), parts, "share of features", "parts"),
                    "cut": Number(float(np.mean(cuts)), "cosine", min(map(len, parts)), FIRED)}
    return numbers


def by_start(anchors: Sequence[Anchor], found: Found) -> dict[str, Number]:
    """Medians of features that moved from their start and of those that did not."""
    numbers = {}
    for key, over in (("moved", "features that moved from their start"), ("unmoved", "features that never moved from their start")):
        samples = [item.mean[item.live.moved if key == "moved" else ~item.live.moved] for item in anchors]
        if all(map(len, samples)):
            numbers[f"{key}_median"] = found(median, samples, "cosine", key, over)
    return numbers


def by_seed(anchors: Sequence[Anchor], found: Found) -> dict[str, Number]:
    """What recurs in all seeds, beside what would if seeds were independent at equal density."""
    share = "share of features"
    every = [np.asarray(item.recurs.all(1)) for item in anchors]
    levels = [level(item.live) for item in anchors]
    expected = [independent(item.recurs, of) for item, of in zip(anchors, levels, strict=True)]
    ranks = [np.stack([within(rankdata(row), of) for row in item.cosine[:2]], axis=1) for item, of in zip(anchors, levels, strict=True)]
    numbers = {"consensus": found(mean, every, share, "consensus"), "consensus_expected": found(mean, expected, share, "consensus"),
               "consensus_above_density": found(mean, [x - y for x, y in zip(every, expected, strict=True)], share, "consensus"),
               "within_density": found(pearson, ranks, "rank correlation", "within")}
    learned = [x[item.live.learned] for x, item in zip(every, anchors, strict=True)]
    return numbers | ({"consensus_learned": found(mean, learned, share, "learned", LEARNED)} if all(map(len, learned)) else {})


def by_activation(anchors: Sequence[Anchor], found: Found) -> dict[str, Number]:
    """Whether similar directions fire on the same tokens: rank correlation, and medians of pairs from SAME up and below."""
    over, samples = "features and their nearest", []
    for item in anchors:
        table = np.stack([item.cosine.ravel(), item.activation.ravel(), item.shuffled.ravel()], axis=1)
        samples.append(table[np.isfinite(table).all(1)])
    if min(map(len, samples)) < 2:
        return {}
    ranks = [np.stack([rankdata(sample[:, 0]), rankdata(sample[:, 1])], axis=1) for sample in samples]
    numbers = {"activation_spearman": found(pearson, ranks, "rank correlation", "activation", over),
               "shuffled_median": found(median, [sample[:, 2] for sample in samples], "correlation", "shuffled", over)}
    for key in ("same", "different"):
        chosen = [sample[(sample[:, 0] >= SAME) == (key == "same"), 1] for sample in samples]
        if all(map(len, chosen)):
            numbers[f"activation_{key}_median"] = found(median, chosen, "correlation", f"activation_{key}", over)
    return numbers


def between(both: Sequence[tuple[Live, Live]], settings: Settings, step: str) -> dict[str, Number]:
    """A smaller and a larger dictionary, a pair for each replicate: MMCS, and how much better learned features of the smaller are found in the
    larger than the other way round, each above its control.
    """
    ways = [tuple(np.stack([nearest(left.rows, right.rows)[0], controls(left, right.rows, settings, index)["moments"], left.learned], axis=1)
                  for left, right in (pair, pair[::-1])) for index, pair in enumerate(both)]
    n = min(len(side) for pair in ways for side in pair)

    def made(statistic: Callable[[Array, Array], float]) -> Number:
        assert settings.studies
        draws = []
        for index, pair in enumerate(ways):
            rng = random(settings, f"dictionary_similarity.{step}", index)
            draws.append([statistic(*(side[rng.integers(len(side), size=len(side))] for side in pair)) for _ in range(settings.studies.bootstrap)])
        values = np.array([statistic(*pair) for pair in ways])
        return number(estimate(Arm(values, np.array(draws))), unit="cosine", n=n, over="features of the smaller dictionary")

    return {"mmcs": made(lambda up, down: float(up[:, 0].mean() + down[:, 0].mean()) / 2), "smaller_in_larger": made(lambda up, down: above(up) - above(down))}


def above(side: Array) -> float:
    """Mean maximum cosine of learned features above the control; 0 where none was learned."""
    chosen = side[side[:, 2] > 0]
    return float((chosen[:, 0] - chosen[:, 1]).mean()) if len(chosen) else 0.0


def mean(values: Array) -> float:
    """The mean."""
    return float(values.mean())


def median(values: Array) -> float:
    """The median."""
    return float(np.median(values))


def gap(values: Array, upper: np.ndarray) -> float:
    """Mean of the upper part less mean of the lower; 0 where a resample has one part only."""
    return float(values[upper].mean() - values[~upper].mean()) if 0 < upper.sum() < len(upper) else 0.0


def pearson(sample: Array) -> float:
    """Correlation of two columns; 0 where one does not vary."""
    x, y = (sample - sample.mean(0)).T
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else 0.0
