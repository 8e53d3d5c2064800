"""Is interpretability free? Models of one size, text and number of steps that differ in the activation function of their MLP.

Of each function: the loss, and what it costs against ReLU and GELU; how well neurons are explained (median score of the headline
explainer, the scores' spread and ends, and the score of another neuron's explanation as control); what a dictionary adds to that, with
its loss recovered and its L0 beside it, since activations differ in size, so that l1 may differ too and L0 will; and how much of the MLP's
worth lies in neurons that read (`readable`). Where a neuron fires: `features.neurons`. SoLU stands with the layer norm after it, as it was published,
and without.

Replicates are models that differ in the seed, with one dictionary each; fewer than three do not tell how much training varies, so then
the first stands alone. Scores come from windows of all evaluation tokens, hence the share `unseen`, on tokens in none of them. Source:
ours, after what the paper's discussion says of SoLU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import recovered, scores
from replication.studies.intervals import Arm, arm_of, estimate, exact, smallest
from replication.studies.questions import readable
from replication.studies.questions.carried import Floats
from replication.studies.questions.readable import GOOD, HALF, READ, STRICT, THRESHOLDS, Curve
from replication.studies.scores import READS
from replication.studies.tables import Number, Reader, number, write

FUNCTIONS = {"relu": "ReLU", "gelu": "GELU", "solu": "SoLU", "solu_ln": "SoLU with layer norm"}
AGAINST = (("gelu", "relu"), ("solu", "relu"), ("solu", "gelu"), ("solu_ln", "relu"), ("solu_ln", "gelu"), ("solu", "solu_ln"))
TRAINED = 3  # models that tell how much training varies
FEATURES, ADDED, SHARE = "features", "added", "share"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STATISTICS: Mapping[str, tuple[str, bool, Callable[[Floats], float]]] = {  # whose scores, by another unit's explanation, what of them
    NEURONS: (NEURONS, False, lambda score: float(np.median(score))), FEATURES: (FEATURES, False, lambda score: float(np.median(score))),
    "control": (NEURONS, True, lambda score: float(np.median(score))), "features_control": (FEATURES, True, lambda score: float(np.median(score))),
    "spread": (NEURONS, False, lambda score: float(score.std())), "reads": (NEURONS, False, lambda score: float((score > READS).mean())),
    "clearest": (NEURONS, False, lambda score: float(np.quantile(score, 0.9))), "worst": (NEURONS, False, lambda score: float(np.quantile(score, 0.1)))}
PARTS = {SHARE: READ, "strict": STRICT, "half": HALF}  # columns of the curve; the next one is the control
Explained = Mapping[tuple[str, str, bool], pd.DataFrame]  # by model, kind and whether another unit's explanation was asked
COMPARED = {"loss": "tax", NEURONS: "clearer", "spread": "spread", "clearest": "clearest", "worst": "worst", SHARE: "carried",
            "strict": "carried_strict", ADDED: "added"}
LEDGER = ("solu_spread", "tax_solu_over_gelu", "tax_solu_over_solu_ln", "clearer_solu_ln_over_relu", "clearer_solu_ln_over_gelu", "added_relu_over_solu_ln",
          "added_least", "share_above_random_relu", "share_above_random_solu_ln", "carried_strict_solu_ln_over_gelu")


@dataclass(frozen=True)
class Quantity:
    """One quantity of one activation function: an arm over its models, its unit, and what it is a sample of."""

    arm: Arm
    unit: str
    n: int
    over: str


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`table`): a model, quantiles of a model's scores, a threshold of an activation function."""
    assert settings.dictionaries
    stopwatch, reader, names = Stopwatch(), Reader(layout), list(settings.dictionaries)
    losses, explained, curves = recovered.measure(reader, names, settings), read_scores(reader, settings), {}
    scored = [name for name in names if (model_of(name), NEURONS, False) in explained]
    for name in progress.over(scored, len(scored)):
        curves[name] = readable.curve(reader, settings, model_of(name), explained[model_of(name), NEURONS, False], reader.tokens())
    found = {function: quantities(function, losses, explained, curves, settings) for function in FUNCTIONS}
    numbers, missing = headline(found)
    data = pd.concat([of_models(losses, settings), of_scores(explained, settings), of_thresholds(curves, settings)], ignore_index=True)
    write(out=out, study="interpretability_tax", data=data.assign(headline=scores.headline(settings)), numbers=numbers, settings=settings,
          reader=reader, stopwatch=stopwatch, missing={key: why for key, why in missing.items() if key in LEDGER})


def members(function: str, names: Sequence[str], settings: Settings) -> list[str]:
    """The dictionaries among `names` whose models have an activation function; of fewer than three the first."""
    found = [name for name in names if act_fn(name, settings) == function]
    return found if len(found) >= TRAINED else found[:1]


def act_fn(name: str, settings: Settings) -> str:
    """The activation function of the model of a dictionary or of neurons."""
    assert settings.models
    return settings.models[model_of(name)].act_fn


def read_scores(reader: Reader, settings: Settings) -> Explained:
    """The live units drawn of each model's neurons and dictionary: feature, and score by the headline explainer, NaN for a unit without one."""
    assert settings.interpretability and settings.studies and settings.dictionaries
    main = settings.studies.main
    wanted = settings.interpretability.tables or (main, f"{model_of(main)}/{NEURONS}")
    tables = [table for name in settings.dictionaries for table in (name, f"{model_of(name)}/{NEURONS}") if table in wanted]
    found = {}
    for table in tables:
        drawn = scores.units(reader, settings, table)
        rows = scores.read(reader, settings, drawn, "spearman")
        rows, live = rows[rows["explainer"] == scores.headline(settings)], drawn.loc[drawn["part"] == "other", ["feature"]]
        for control in (False, True):
            answers = scores.answered(rows, control=control)[["feature", "spearman"]].rename(columns={"spearman": "score"})
            found[model_of(table), NEURONS if table.endswith(f"/{NEURONS}") else FEATURES, control] = live.merge(answers, how="left", on="feature")
    return found


def given(explained: Explained, name: str, kind: str, *, control: bool = False) -> Floats:
    """The scores of the neurons or features of a dictionary's model, without units that have none."""
    table = explained.get((model_of(name), kind, control))
    return np.empty(0) if table is None else table["score"].dropna().to_numpy(np.float64)


def quantities(function: str, losses: Mapping[str, recovered.Measured], explained: Explained, curves: Mapping[str, Curve],
               settings: Settings) -> dict[str, Quantity | str]:
    """Every quantity of one activation function, or why there is none."""
    names = members(function, list(losses), settings)
    if not names:
        why = f"the run trains no model with {FUNCTIONS[function]} that is otherwise like the main one"
        return dict.fromkeys(("loss", *STATISTICS, ADDED, *PARTS, "share_above_random"), why)
    tokens = min(losses[name].tokens for name in names)
    found: dict[str, Quantity | str] = {
        key: Quantity(recovered.arm(losses, names, key), unit, tokens, "tokens")
        for key, unit in (("loss", "nats per token"), ("recovered", "share"), ("recovered_mean", "share"), ("l0", "features per token"))}
    return found | explanations(function, explained, list(losses), settings) | worth(function, curves, settings)


def explanations(function: str, explained: Explained, names: Sequence[str], settings: Settings) -> dict[str, Quantity | str]:
    """Statistics of the scores of neurons and features, and how far features lie above neurons in the models where both were scored."""
    def measured(key: str, among: Sequence[str]) -> Quantity | str:
        kind, control, statistic = STATISTICS[key]
        samples = {name: given(explained, name, kind, control=control) for name in among}
        chosen = [samples[name] for name in members(function, [name for name, sample in samples.items() if len(sample)], settings)]
        if not chosen:
            return f"no {kind.removesuffix('s')} of a model with {FUNCTIONS[function]} was scored"
        unit = "share of neurons" if key == "reads" else "correlation"
        return Quantity(arm_of(statistic, chosen, settings, f"interpretability_tax.{kind}.{function}"), unit, min(map(len, chosen)), kind)

    found = {key: measured(key, names) for key in STATISTICS}
    both = [name for name in names if all(len(given(explained, name, kind)) for kind in (NEURONS, FEATURES))]
    features, neurons = (measured(kind, both) for kind in (FEATURES, NEURONS))
    if isinstance(features, str) or isinstance(neurons, str):
        return found | {ADDED: f"no model with {FUNCTIONS[function]} has scores of neurons and of features"}
    return found | {ADDED: Quantity(difference(features.arm, neurons.arm), "correlation", min(features.n, neurons.n), "units of the smaller sample")}


def worth(function: str, curves: Mapping[str, Curve], settings: Settings) -> dict[str, Quantity | str]:
    """Shares of the MLP's worth: of neurons that read, of those that score over 0.5, of the better half by score, and of as many random ones."""
    chosen = [curves[name] for name in members(function, list(curves), settings)]
    if not chosen:
        return dict.fromkeys((*PARTS, "share_above_random"), f"no neuron of a model with {FUNCTIONS[function]} was scored")
    tokens, fresh = (min(getattr(each, count) for each in chosen) for count in ("tokens", "fresh"))
    every, unseen = (readable.arms([getattr(each, which) for each in chosen], settings) for which in ("every", "unseen"))
    found: dict[str, Quantity | str] = dict.fromkeys((*PARTS, "share_above_random"), recovered.UNDEFINED)
    for part, at in PARTS.items() if every else ():
        made = {part: every[at], f"{part}_random": every[at + 1], f"{part}_above_random": difference(every[at], every[at + 1])}  # type: ignore[index]
        found |= {key: Quantity(arm, "share", tokens, "tokens") for key, arm in made.items()}
    if unseen:
        found["unseen"] = Quantity(unseen[READ], "share", fresh, "tokens in no scored window")
    return found | {"negative": Quantity(exact([each.negative for each in chosen]), "share of squared activation", tokens, "tokens")}


def difference(plus: Arm, minus: Arm) -> Arm:
    """The arm of a paired difference: of the same models and, where they are over texts, the same resamples."""
    return Arm(plus.values - minus.values, plus.draws - minus.draws)


def headline(found: Mapping[str, Mapping[str, Quantity | str]]) -> tuple[dict[str, Number], dict[str, str]]:
    """Every quantity of every function, differences between functions, and why others are missing.

    `solu_spread` is with the layer norm; `added_least` is positive when features lie above neurons with every function of the run.
    """
    made: dict[str, Number | str] = {f"{key}_{function}": above(value) for function, of_one in found.items() for key, value in of_one.items()}
    for key, name in COMPARED.items():
        made |= {f"{name}_{plus}_over_{minus}": above(found[plus][key], found[minus][key]) for plus, minus in AGAINST}
    made["solu_spread"] = made["spread_solu_ln_over_relu"]
    made |= {f"added_{plus}_over_solu_ln": above(found[plus][ADDED], found["solu_ln"][ADDED]) for plus in ("relu", "gelu")}
    added = [value for of_one in found.values() if isinstance(value := of_one[ADDED], Quantity)]
    made["added_least"] = (number(smallest([estimate(each.arm) for each in added]), unit=added[0].unit, n=min(each.n for each in added), over=added[0].over)
                           if added else "no model has scores of neurons and of features")
    return scores.measured(made)


def above(plus: Quantity | str, minus: Quantity | str | None = None) -> Number | str:
    """A quantity as a number, or how far it lies above another one; or why that is not known."""
    if isinstance(plus, str) or isinstance(minus, str):
        return plus if isinstance(plus, str) else str(minus)
    found = estimate(plus.arm, minus.arm if minus else None)
    return number(found, unit=plus.unit, n=min(plus.n, minus.n) if minus else plus.n, over=plus.over)


def of_models(losses: Mapping[str, recovered.Measured], settings: Settings) -> pd.DataFrame:
    """A row per model: losses, and what its dictionary does."""
    rows = [{"function": act_fn(name, settings), "model": model_of(name), "dictionary": name, "tokens": each.tokens,
             **{key: each.values[key] for key in ("loss", "recovered", "recovered_mean", "l0")}} for name, each in losses.items()]
    return pd.DataFrame(rows).assign(table="model")


def of_scores(explained: Explained, settings: Settings) -> pd.DataFrame:
    """A row per function, kind and control: quantiles of the scores of all its models."""
    assert settings.dictionaries
    rows = []
    for function, kind, control in product(FUNCTIONS, (NEURONS, FEATURES), (False, True)):
        of = [given(explained, name, kind, control=control) for name in settings.dictionaries if act_fn(name, settings) == function]
        together = np.concatenate([np.empty(0), *of])
        if len(together):
            ends = {f"q{round(100 * q)}": float(np.quantile(together, q)) for q in QUANTILES}
            rows.append({"function": function, "kind": f"{kind} (control)" if control else kind, "n": len(together), **ends})
    return pd.DataFrame(rows).assign(table="scores")


def of_thresholds(curves: Mapping[str, Curve], settings: Settings) -> pd.DataFrame:
    """A row per function and threshold: share of the neurons over it, the worth that they carry, and that of as many random ones."""
    rows: list[dict[str, object]] = []
    for function in FUNCTIONS:
        chosen = [curves[name] for name in members(function, list(curves), settings)]
        arms = readable.arms([each.every for each in chosen], settings) if chosen else None
        for at, threshold in enumerate(THRESHOLDS if arms else ()):
            row: dict[str, object] = {"function": function, "threshold": threshold, "over": float(np.mean([each.over[at] for each in chosen]))}
            good, chance = arms[GOOD[at]], arms[GOOD[at] + 1]  # type: ignore[index]
            for key, arm in (("share", good), ("random", chance), ("above", difference(good, chance))):
                value = estimate(arm)
                row |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
            rows.append(row)
    return pd.DataFrame(rows).assign(table="threshold")
