"""Transformers with small MLPs trained from scratch, and the share of the MLP's worth that they recover beside the dictionaries'.

    share = (loss with the MLP zeroed - loss of the small model) / (loss with the MLP zeroed - loss)

with the zeroed and the whole loss of the reference: the model with the widest MLP among those that differ in its width and
the seed only, so that it saw as many tokens. Source: paper, footnote on the loss recovered (no data shown there).
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from replication.artifacts import Layout
from replication.config import Model, Settings, canonical_json, model_of
from replication.features.losses import recovered
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies import intervals
from replication.studies import recovered as dictionaries
from replication.studies.intervals import Arm, estimate
from replication.studies.replicates import groups
from replication.studies.tables import Number, Reader, number, write

KEYS = ("best_share", "width_slope")
NONE = "the run trains no transformers with a smaller MLP (models such as `mlp_8: {d_mlp: 8}`; the config `full` has them)"
FEW = "the run trains too few widths of small MLPs that have neurons"
SUMS = ("loss", "loss_zero", "predicted")


@dataclass(frozen=True)
class Baseline:
    """Shares of the small models by width, and their slope per doubling, each an arm over seeds; the reference's names and tokens of training."""

    shares: Mapping[int, Arm]
    losses: Mapping[int, float]
    slope: Arm | None
    reference: int
    tokens: int


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """A row per width of MLP, and one per dictionary of the main model."""
    assert settings.models and settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    with_dictionaries = {model_of(name) for name in settings.dictionaries}
    bare = {name: model for name, model in settings.models.items() if name not in with_dictionaries}
    tables = {name: reader.losses(f"{name}/{settings.site(settings.studies.main)}") for name in bare}
    family = widest_family(bare)
    found = baseline(family, {name: tables[name] for name in family}, settings) if family else None
    shares = dictionaries.measure(reader, list(settings.dictionaries), settings)
    progress(1, 1)
    evaluated = next(iter(shares.values())).tokens
    numbers = headline(found, evaluated) if found else {}
    rows = [*(of_models(found) if found else []), *of_dictionaries(shares, settings)]
    write(out=out, study="small_mlp_baseline", data=pd.DataFrame(rows).assign(tokens=evaluated), numbers=numbers, settings=settings, reader=reader,
          stopwatch=stopwatch, missing=dict.fromkeys(KEYS, FEW if found else NONE))


def widest_family(models: Mapping[str, Model]) -> dict[str, Model]:
    """The models that differ in the width of the MLP and the seed only: of such families the one with the most widths, if it has two."""
    families: dict[str, dict[str, Model]] = defaultdict(dict)
    for name, model in models.items():
        rest = {key: value for key, value in asdict(model).items() if key not in ("d_mlp", "seed", "stream")}
        families[canonical_json(rest)][name] = model
    widths = {key: len({model.d_mlp for model in family.values()}) for key, family in families.items()}
    most = max(families, key=lambda key: widths[key], default="")
    return families[most] if widths.get(most, 0) > 1 else {}


def baseline(models: Mapping[str, Model], tables: Mapping[str, pd.DataFrame], settings: Settings) -> Baseline:
    """Shares of a family on the same evaluation contexts; replicate `k` of a width is held against replicate `k` of the reference."""
    assert settings.studies
    by_width: dict[int, list[str]] = defaultdict(list)
    for name, model in sorted(models.items(), key=lambda item: (item[1].d_mlp, item[1].seed)):
        by_width[model.d_mlp].append(name)
    columns = np.concatenate([tables[name][list(SUMS)].to_numpy(float) for name in models], axis=1)
    sources = next(iter(tables.values()))["source"].to_numpy()
    sums = intervals.resampled_sums(intervals.by_text(columns, sources), settings.studies.bootstrap, intervals.random(settings, "contexts"))
    whole = np.concatenate([columns.sum(0)[None], sums])  # the value first, then its draws
    loss = {name: part[:, 0] / part[:, 2] for name, part in zip(models, np.split(whole, len(models), axis=1), strict=True)}
    zero = {name: part[:, 1] / part[:, 2] for name, part in zip(models, np.split(whole, len(models), axis=1), strict=True)}
    reference = max(by_width)
    shares = {}
    for width, names in by_width.items():
        if width == reference:
            continue
        pairs = [(name, by_width[reference][k % len(by_width[reference])]) for k, name in enumerate(names)]
        values = np.array([share(small=loss[name], whole=loss[of], zero=zero[of]) for name, of in pairs])
        shares[width] = Arm(values[:, 0], values[:, 1:])
    means = {width: float(np.mean([loss[name][0] for name in names])) for width, names in by_width.items()}
    return Baseline(shares, means, slope(shares), reference, next(iter(models.values())).tokens)


def share(*, small: np.ndarray, whole: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """The share recovered, value and draws [1 + resample]."""
    return np.array([recovered(loss=of, ablated=ablated, reconstructed=with_small) for with_small, of, ablated in zip(small, whole, zero, strict=True)])


def slope(shares: Mapping[int, Arm]) -> Arm | None:
    """Least-squares slope of the share on the logarithm of the width, per doubling, over widths above 0; None with fewer than two."""
    widths = sorted(width for width in shares if width)
    if len(widths) < 2:
        return None
    x = np.log2(widths)
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    seeds = min(len(shares[width].values) for width in widths)
    values, draws = (sum(weight * getattr(shares[width], part)[:seeds] for weight, width in zip(weights, widths, strict=True)) for part in ("values", "draws"))
    return Arm(np.asarray(values), np.asarray(draws))


def headline(found: Baseline, tokens: int) -> dict[str, Number]:
    """The share of every width, of the widest small MLP, and the slope."""
    numbers = {f"share_{width}": number(estimate(arm), unit="share", n=tokens, over="tokens") for width, arm in found.shares.items()}
    if widest := max(found.shares):  # no choosing: the widest that has neurons
        numbers["best_share"] = numbers[f"share_{widest}"]
    if found.slope:
        numbers["width_slope"] = number(estimate(found.slope), unit="share per doubling", n=tokens, over="tokens")
    return numbers


def of_models(found: Baseline) -> list[dict[str, object]]:
    """A row per width of a small MLP, and one of the reference, whose share is 1 by definition."""
    rows: list[dict[str, object]] = []
    for width, arm in sorted(found.shares.items()):
        value = estimate(arm)
        rows.append({"kind": "model", "name": f"{width} neurons", "width": width, "share": value.value, "low": value.low, "high": value.high,
                     "replicates": len(arm.values), "loss": found.losses[width], "trained_tokens": found.tokens})
    return [*rows, {"kind": "reference", "name": f"{found.reference} neurons", "width": found.reference, "share": 1.0, "loss": found.losses[found.reference],
                    "trained_tokens": found.tokens}]


def of_dictionaries(found: Mapping[str, dictionaries.Measured], settings: Settings) -> list[dict[str, object]]:
    """A row per dictionary of the main model with its replicates."""
    assert settings.dictionaries
    rows: list[dict[str, object]] = []
    for group, members in groups(settings.dictionaries).items():
        value = estimate(dictionaries.arm(found, members, "recovered"))
        rows.append({"kind": "dictionary", "name": group, "width": settings.dictionaries[group].d_sae, "share": value.value, "low": value.low,
                     "high": value.high, "replicates": len(members), "loss": float(np.mean([found[name].values["loss_reconstructed"] for name in members]))})
    return rows
