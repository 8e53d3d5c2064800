"""Features seen from one neuron: dense too. A dictionary's weights along both axes, and who carries a neuron where it is on.

A row of the decoder is a feature over neurons, a column is a neuron over features; rows of the encoder have unit norm here too. Of every
slice: kurtosis, participation ratio (sum of squares squared over sum of fourth powers) and how much of its L1 norm the largest weights
hold. Controls: the neuron axis rotated at random; neurons levelled to equal mean squares, so that none is merely louder (of slices of neurons:
features, which are level already); all entries shuffled, which leaves rows of unequal norm and so lowers kurtosis a little by itself. Features
are those that fired and are not ultralow. Source: the rotation is Nanda's, the rest is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies.directions import excess_kurtosis, unit
from replication.studies.intervals import Arm, arm_of, estimate
from replication.studies.questions.contributors import Contributions, Strong, contributions
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

SITE = "mlp_act"
SIDES, AXES, BASES = ("decoder", "encoder"), ("feature", "neuron"), ("own", "rotated", "levelled", "shuffled")
TOPS = (1, 3, 10)
ROTATIONS = 4
DIRECTIONS = 128  # random ones beside the neurons
FEWEST = 2  # features that make a matrix
BINS = np.logspace(0, 4, 49)  # of kurtosis
COUNTED = {"feature": "neurons", "neuron": "features"}  # what a slice has for entries
OVER = {"feature": "features neither dead nor ultralow", "neuron": "neurons"}
LEDGER = ("kurtosis_above_rotated", "levelled_kurtosis_above_rotated", "neuron_kurtosis_above_rotated", "neuron_dense_margin", "fewer_than_rotated")
Floats = NDArray[np.float64]
Slices = dict[tuple[str, str, str], pd.DataFrame]  # by side, axis, basis


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows `histogram` (of kurtosis), `median` (of every measure), `curve` (L1 held by the largest weights), `carried` and `needed` (by contributors)."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader, main = Stopwatch(), Reader(layout), settings.studies.main
    if not settings.site(main).startswith(SITE):
        why = f"the main dictionary describes {settings.site(main)} and not the activations of an MLP"
        write(out=out, study="dictionary_slices", data=pd.DataFrame([{"dictionary": main}]), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=dict.fromkeys(LEDGER, why), absent=why)
        return
    names, members = list(settings.dictionaries), groups(settings.dictionaries)
    matrices = {name: live(reader, name) for name in names}
    sliced = {name: slices(matrices[name], settings, index) for index, name in enumerate(progress.over(names, 2 * len(names)))}
    own = [name for name in names if model_of(name) == model_of(main)]
    strong = Strong.of(reader.matrix(f"{model_of(main)}/{NEURONS}"), directions(reader.weights(main)["W_dec"].shape[1], settings))
    carried = {}
    for index, name in enumerate(own):
        rng = generator(settings.seed, "studies.dictionary_slices.tokens", index)
        carried[name] = contributions(reader.matrix(name), reader.weights(name)["W_dec"], strong, rng)
        progress(len(names) + index + 1, 2 * len(names))
    numbers: dict[str, Number] = {}
    for group, of in members.items():
        suffix = "" if group == main else "_" + group.replace("/", "_")
        numbers |= {key + suffix: value for key, value in of_slices([sliced[name] for name in of], settings, whole=group == main).items()}
        if group in carried:
            numbers |= {key + suffix: value for key, value in of_contributors([carried[name] for name in of], settings).items()}
    parts = [histograms(sliced, settings), medians(sliced, settings), curves(matrices[main]["decoder"], settings, main),
             *(told(name, item, settings) for name, item in carried.items())]
    rare = dict.fromkeys(LEDGER, "fewer than two features are neither dead nor ultralow") | {"fewer_than_rotated": "no neuron is strongly on"}
    write(out=out, study="dictionary_slices", data=pd.concat(parts, ignore_index=True), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=rare)


def live(reader: Reader, name: str) -> dict[str, Floats]:
    """Unit rows [feature, d_mlp] of decoder and encoder, of the features that are neither dead nor ultralow."""
    alive, weights = (reader.features(name, "part")["part"] == "other").to_numpy(), reader.weights(name)
    return {"decoder": unit(weights["W_dec"][alive]), "encoder": unit(weights["W_enc"].T[alive])}


def directions(d_mlp: int, settings: Settings) -> Floats:
    """Random unit directions [d_mlp, direction]."""
    return unit(generator(settings.seed, "studies.dictionary_slices.directions").standard_normal((DIRECTIONS, d_mlp))).T


def controls(matrix: Floats, axis: str, basis: str, rng: np.random.Generator) -> list[Floats]:
    """The slices [slice, entry] of one axis in one basis; as many matrices as there are rotations, else one."""
    turn: Callable[[Floats], Floats] = np.asarray if axis == "feature" else np.transpose
    match basis:
        case "own":
            return [turn(matrix)]
        case "rotated":
            turns = [np.linalg.qr(rng.standard_normal((matrix.shape[1],) * 2))[0] for _ in range(ROTATIONS)]
            return [turn(matrix @ rotation) for rotation in turns]
        case "levelled":
            scale = np.sqrt(np.square(matrix).mean(axis=0 if axis == "feature" else 1, keepdims=True))
            return [turn(matrix / np.where(scale > 0, scale, 1.0))]
    return [turn(rng.permuted(matrix))]


def slices(matrices: Mapping[str, Floats], settings: Settings, index: int) -> Slices:
    """The measures of every slice, by side, axis and basis; none of a matrix of fewer than two features."""
    found: Slices = {}
    for side in SIDES if len(matrices["decoder"]) >= FEWEST else ():
        for axis in AXES:
            for basis in BASES:
                rng = generator(settings.seed, f"studies.dictionary_slices.{side}.{axis}.{basis}", index)
                tables = [measures(rows) for rows in controls(matrices[side], axis, basis, rng)]
                # a feature keeps its place when neurons are rotated, so that its rotations can be averaged; a neuron does not
                found[side, axis, basis] = sum(tables[1:], tables[0]) / len(tables) if axis == "feature" else pd.concat(tables, ignore_index=True)
    return found


def measures(rows: Floats) -> pd.DataFrame:
    """Of each slice [slice, entry] that is not all zero: kurtosis (3 of a normal distribution), participation, and top_1, top_3, top_10."""
    rows = rows[np.abs(rows).sum(1) > 0]
    size = -np.sort(-np.abs(rows), axis=1)
    squares = np.square(size)
    held = np.cumsum(size, axis=1) / size.sum(1, keepdims=True)
    return pd.DataFrame({"kurtosis": excess_kurtosis(rows) + 3, "participation": participation(squares)} | {
        f"top_{k}": held[:, min(k, held.shape[1]) - 1] for k in TOPS})


def participation(squares: Floats) -> Floats:
    """(sum of squares)^2 / sum of fourth powers [slice], of `squares` [slice, entry]: how many entries there are as it were, all where they are equal."""
    return np.asarray(np.square(squares.sum(1)) / np.square(squares).sum(1))


def mean(sample: Floats) -> float:
    """The mean."""
    return float(sample.mean())


def median(sample: Floats) -> float:
    """The median."""
    return float(np.median(sample))


def log_median(sample: Floats) -> float:
    """The median in powers of two."""
    return float(np.log2(np.median(sample)))


def apart(plus: Arm, minus: Arm) -> Arm:
    """The arm of a difference between samples of the same replicates."""
    return Arm(plus.values - minus.values, plus.draws - minus.draws)


def of_slices(of: Sequence[Slices], settings: Settings, *, whole: bool) -> dict[str, Number]:
    """Medians over slices and their differences from the controls, over the replicates of one dictionary; `whole`: not only the first difference."""
    if not all(of):
        return {}
    numbers: dict[str, Number] = {}
    for side, axis in ((side, axis) for side in SIDES for axis in AXES):
        prefix = ("" if side == "decoder" else "encoder_") + ("" if axis == "feature" else "neuron_")
        n = min(len(each[side, axis, "own"]) for each in of)

        def median_of(measure: str, basis: str = "own", side: str = side, axis: str = axis) -> Arm:
            return arm_of(median, [each[side, axis, basis][measure].to_numpy() for each in of], settings, f"dictionary_slices.{axis}.{basis}")

        def said(unit_: str, found: Mapping[str, Arm], prefix: str = prefix, n: int = n, axis: str = axis) -> dict[str, Number]:
            return {prefix + key: number(estimate(arm), unit=unit_, n=n, over=OVER[axis]) for key, arm in found.items()}

        numbers |= said("kurtosis", {"kurtosis_above_rotated": above_rotated(of, side, axis, "own", settings)})
        if whole:
            numbers |= said("kurtosis", {"kurtosis": median_of("kurtosis")}) | said(COUNTED[axis], {"participation": median_of("participation")})
            numbers |= said("share of absolute weight", {"top_10": median_of("top_10")})
        if whole and side == "decoder":
            numbers |= said("kurtosis", {"kurtosis_above_shuffled": apart(median_of("kurtosis"), median_of("kurtosis", "shuffled"))})
            numbers |= said("share of absolute weight", {f"top_{k}": median_of(f"top_{k}") for k in TOPS[:-1]})
            numbers |= said("share of absolute weight", {"top_10_rotated": median_of("top_10", "rotated")})
            numbers |= said(COUNTED[axis], {"participation_rotated": median_of("participation", "rotated")})
        if whole and side == "decoder" and axis == "feature":
            numbers |= said("kurtosis", {"levelled_kurtosis_above_rotated": above_rotated(of, side, axis, "levelled", settings)})
    if whole:
        dense = estimate(arm_of(median, [each["decoder", "neuron", "own"]["top_10"].to_numpy() for each in of], settings, "dictionary_slices.neuron.own"))
        margin = number(dense.times(-1).shifted(0.5), unit="share of absolute weight", n=numbers["neuron_top_10"].n, over=OVER["neuron"])
        numbers["neuron_dense_margin"] = margin
    return numbers


def above_rotated(of: Sequence[Slices], side: str, axis: str, basis: str, settings: Settings) -> Arm:
    """How far the kurtosis of slices lies above that of the rotated basis: the median over features of their own differences, or of neurons in two."""
    samples = [[each[side, axis, some]["kurtosis"].to_numpy() for each in of] for some in (basis, "rotated")]
    if axis == "feature":
        return arm_of(median, [own - turned for own, turned in zip(*samples, strict=True)], settings, "dictionary_slices.feature.own")
    own, turned = (arm_of(median, sample, settings, f"dictionary_slices.neuron.{some}") for sample, some in zip(samples, (basis, "rotated"), strict=True))
    return apart(own, turned)


def of_contributors(of: Sequence[Contributions], settings: Settings) -> dict[str, Number]:
    """How many features carry half of a neuron, and of a random direction: medians over all its strong tokens, means on single ones."""
    found: dict[str, Number] = {}
    for key, statistic, counts in (("contributors", median, [each.needed() for each in of]), ("token_contributors", mean, [each.per_token() for each in of])):
        both = [(values[:-DIRECTIONS], values[-DIRECTIONS:]) for values in counts]
        told = [tuple(values[np.isfinite(values)] for values in pair) for pair in both]
        if not all(len(values) for pair in told for values in pair):
            continue
        for place, (name, over) in enumerate((("", "neurons"), ("_rotated", "random directions"))):
            arm = arm_of(statistic, [pair[place] for pair in told], settings, f"dictionary_slices.contributors{name}")
            found[key + name] = number(estimate(arm), unit="features", n=min(len(pair[place]) for pair in told), over=over)
        if key == "contributors":
            logs = [arm_of(log_median, [pair[place] for pair in told], settings, f"dictionary_slices.contributors.{place}") for place in (1, 0)]
            found["fewer_than_rotated"] = number(estimate(apart(*logs)), unit="log2 features", n=found["contributors"].n, over="neurons and random directions")
    return found


def histograms(sliced: Mapping[str, Slices], settings: Settings) -> pd.DataFrame:
    """Histograms of kurtosis by dictionary, side, axis and basis."""
    assert settings.dictionaries
    rows = []
    for name, found in sliced.items():
        for (side, axis, basis), table in found.items():
            counts, _ = np.histogram(np.clip(table["kurtosis"], BINS[0], BINS[-1]), BINS)
            rows += [{"kind": "histogram", "group": base(name, settings.dictionaries), "dictionary": name, "side": side, "axis": axis, "basis": basis,
                      "low": low, "high": high, "count": count} for low, high, count in zip(BINS, BINS[1:], counts, strict=False) if count]
    return pd.DataFrame(rows)


def medians(sliced: Mapping[str, Slices], settings: Settings) -> pd.DataFrame:
    """Every measure's median by dictionary, side, axis and basis."""
    assert settings.dictionaries
    return pd.DataFrame([
        {"kind": "median", "group": base(name, settings.dictionaries), "dictionary": name, "side": side, "axis": axis, "basis": basis, "what": what,
         "value": value}
        for name, found in sliced.items() for (side, axis, basis), table in found.items() for what, value in table.median().items()])


def curves(matrix: Floats, settings: Settings, name: str) -> pd.DataFrame:
    """Median share of the L1 norm of a decoder's slices that their largest weights hold, by their number (`rank`)."""
    rows = []
    for axis, basis in ((axis, basis) for axis in AXES for basis in BASES if len(matrix) >= FEWEST):
        drawn = controls(matrix, axis, basis, generator(settings.seed, f"studies.dictionary_slices.curve.{axis}.{basis}"))[0]
        size = -np.sort(-np.abs(drawn[np.abs(drawn).sum(1) > 0]), axis=1)
        held = np.median(np.cumsum(size, axis=1) / size.sum(1, keepdims=True), axis=0)
        rows += [{"kind": "curve", "group": name, "dictionary": name, "side": "decoder", "axis": axis, "basis": basis, "rank": rank, "share": held[rank - 1]}
                 for rank in ranks(len(held))]
    return pd.DataFrame(rows)


def ranks(n: int) -> list[int]:
    """Whole numbers up to n, evenly spaced in their logarithm."""
    return sorted({round(rank) for rank in np.geomspace(1, n, 40)})


def told(name: str, item: Contributions, settings: Settings) -> pd.DataFrame:
    """Median shares that the first features of a coordinate carry, and how many coordinates need how many for half."""
    assert settings.dictionaries
    about = {"group": base(name, settings.dictionaries), "dictionary": name}
    curve, needed, single = item.curve(), item.needed(), item.per_token()
    rows: list[dict[str, object]] = []
    for basis, some in (("own", slice(None, -DIRECTIONS)), ("rotated", slice(-DIRECTIONS, None))):
        known = curve[:, some][:, np.isfinite(needed[some])]
        if known.shape[1]:
            low, middle, high = np.quantile(known, (0.25, 0.5, 0.75), axis=1)
            rows += [{"kind": "carried", **about, "basis": basis, "rank": rank, "share": middle[rank - 1], "low": low[rank - 1], "high": high[rank - 1]}
                     for rank in ranks(len(known))]
        for what, counts in (("over tokens", needed[some]), ("on one token", single[some])):
            values, times = np.unique(np.round(counts[np.isfinite(counts)], 1), return_counts=True)
            rows += [{"kind": "needed", **about, "basis": basis, "what": what, "rank": value, "count": count}
                     for value, count in zip(values, times, strict=True)]
    return pd.DataFrame(rows)
