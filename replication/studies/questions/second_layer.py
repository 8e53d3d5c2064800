"""Is a second layer different? Dictionaries of the first and the last MLP of models with more layers, beside the one-layer model's.

What they recover, how many features are on, how far features are settled by their token (`facts.settled`); and which features the
one-layer model's dictionary shares with either layer, beside what it shares with a one-layer model of another seed. Each model with
more layers is one replicate; the last MLP is called the second. Source: ours.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from replication.config import Settings
from replication.studies import recovered
from replication.studies.intervals import Arm, arm_of, estimate
from replication.studies.questions.facts import Array, Facts, Flags
from replication.studies.questions.found_again import SAME, Matches, counted
from replication.studies.recovered import Measured
from replication.studies.tables import Number, number

ONE, FIRST, SECOND = "one", "first", "second"
SHARE, VARIANCE = "share of features", "share of variance"
QUANTITIES: Mapping[str, tuple[str, str]] = {  # what is compared between layers: unit, and over what its interval is
    "recovered": ("share", "tokens"), "l0": ("features per token", "tokens"), "loss": ("nats per token", "tokens"), "single": (SHARE, "features"),
    "settled": (VARIANCE, "features"), "log_density": ("log10 share of tokens", "features")}
COMPARED = ("recovered", "l0", "single", "settled")
KEYS = ("found_in_first", "found_in_second", "first_minus_second", "same_depth_minus_first", "first_known", "second_known", "known_first_minus_second",
        "universal_settled_difference", *(f"{what}_{layer}_layer" for what in COMPARED for layer in (FIRST, SECOND)),
        *(f"{what}_layer_difference" for what in COMPARED))


def compare(layers: Mapping[int, Sequence[str]], finals: Sequence[str], twins: Sequence[Array], facts: Mapping[str, Facts], losses: Mapping[str, Measured],
            matches: Matches, settings: Settings) -> tuple[dict[str, Number], pd.DataFrame, dict[str, list[Array]]]:
    """Numbers, rows of quantities by layer, and correlations with the best match of the one-layer model's learned features by where it is looked for.

    `finals` are the main dictionary's replicates, `twins` the correlation of each learned feature with its best match in another seed's one-layer model.
    """
    names = {ONE: list(finals), FIRST: list(layers[min(layers)]), SECOND: list(layers[max(layers)])}
    arms = {layer: {what: quantity(what, of, facts, losses, settings) for what in QUANTITIES} for layer, of in names.items()}
    sizes = {layer: {"tokens": losses[of[0]].tokens, "features": min(int(facts[name].learned.sum()) for name in of)} for layer, of in names.items()}
    rows = pd.DataFrame([{"kind": "layer", "layer": layer, "what": what, "value": (value := estimate(arm)).value, "low": value.low, "high": value.high,
                          "n": sizes[layer][QUANTITIES[what][1]], "replicates": value.replicates} for layer, of in arms.items() for what, arm in of.items()])
    numbers = {}
    for what in COMPARED:
        unit, over = QUANTITIES[what]
        for layer in (FIRST, SECOND):
            numbers[f"{what}_{layer}_layer"] = number(estimate(arms[layer][what]), unit=unit, n=sizes[layer][over], over=over)
        least = min(sizes[FIRST][over], sizes[SECOND][over])
        numbers[f"{what}_layer_difference"] = number(estimate(arms[FIRST][what], arms[SECOND][what]), unit=unit, n=least, over=over)
    shared, found = universality(names, finals, twins, facts, matches, settings)
    return numbers | shared, rows, found


def quantity(what: str, names: Sequence[str], facts: Mapping[str, Facts], losses: Mapping[str, Measured], settings: Settings) -> Arm:
    """One quantity of some dictionaries, a replicate each."""
    if what in ("recovered", "l0", "loss"):
        return recovered.arm(losses, names, what)
    kept: list[Array | Flags] = [getattr(facts[name], what)[facts[name].learned] for name in names]
    return counted(kept, settings, what) if what == "single" else arm_of(median, kept, settings, f"feature_growth.{what}")


def universality(names: Mapping[str, Sequence[str]], finals: Sequence[str], twins: Sequence[Array], facts: Mapping[str, Facts], matches: Matches,
                 settings: Settings) -> tuple[dict[str, Number], dict[str, list[Array]]]:
    """Which features one-layer models share with either layer, both ways; a model with more layers and a replicate of the main dictionary in turn."""
    pairs = [(finals[index % len(finals)], *of) for index, of in enumerate(zip(names[FIRST], names[SECOND], strict=False))]
    both = {layer: [matches.both(pair[0], pair[place]) for pair in pairs] for place, layer in ((1, FIRST), (2, SECOND))}
    learned = [facts[final].learned for final, *_ in pairs]
    ahead = {layer: [forward[kept] for (forward, _), kept in zip(found, learned, strict=True)] for layer, found in both.items()}
    back = {layer: [(backward >= SAME)[facts[pair[place]].learned] for (_, backward), pair in zip(found, pairs, strict=True)]
            for place, (layer, found) in enumerate(both.items(), start=1)}
    there = {layer: [values >= SAME for values in of] for layer, of in ahead.items()}
    arms = {f"found_in_{layer}": counted(there[layer], settings, layer) for layer in there}
    arms |= {f"{layer}_known": counted(back[layer], settings, f"known {layer}") for layer in back}
    n, least = min(map(len, ahead[FIRST])), min(len(of) for layer in back.values() for of in layer)
    numbers = {key: number(estimate(arm), unit=SHARE, n=n if key.startswith("found") else least, over="features") for key, arm in arms.items()}
    numbers["first_minus_second"] = number(estimate(difference(there[FIRST], there[SECOND], settings)), unit=SHARE, n=n, over="features")
    numbers["known_first_minus_second"] = number(estimate(arms["first_known"], arms["second_known"]), unit=SHARE, n=least, over="features")
    if twins:
        same_depth = [twins[index % len(finals)] >= SAME for index in range(len(pairs))]
        numbers["same_depth_minus_first"] = number(estimate(difference(same_depth, there[FIRST], settings)), unit=SHARE, n=n, over="features")
    samples = [np.stack([facts[final].settled[kept], found], axis=1) for (final, *_), kept, found in zip(pairs, learned, there[FIRST], strict=True)]
    settled = estimate(arm_of(apart, samples, settings, "feature_growth.universal"))
    numbers["universal_settled_difference"] = number(settled, unit=VARIANCE, n=n, over="features")
    return numbers, ahead


def difference(plus: Sequence[Flags], minus: Sequence[Flags], settings: Settings) -> Arm:
    """How much larger the share of the one is than that of the other, of the same features."""
    return counted([one.astype(int) - other for one, other in zip(plus, minus, strict=True)], settings, "paired")


def apart(sample: Array) -> float:
    """Median of a value of features with a mark less that of features without [feature, (value, mark)]; NaN where one kind is missing."""
    marked = sample[:, 1] > 0
    return float(np.median(sample[marked, 0]) - np.median(sample[~marked, 0])) if marked.any() and not marked.all() else float("nan")


def median(values: Array) -> float:
    """The median."""
    return float(np.median(values))
