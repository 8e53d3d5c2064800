"""Are features the model's or the data's? The main dictionary beside one of the shuffled model (paper, "Global analysis").

A single-token feature has the same strongest token in all of its 20 top examples. How far down it stays on this token: of the 11
activation intervals from the strongest on, the share of those in unbroken order in which all five examples have it as their
strongest token. Over features that fire on at least 20 tokens, as the published shares are.

Scores of explanations come from the headline explainer (`studies.scores`); their modes by `studies.modes`, 0.05 wide (ours).

Beside it, how much the MLP's activations depend on the token at hand at all: the share of their variance that lies between
tokens, unbiased by the within-token variance (ours). A feature can only be a token's where this is large.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.examples import INTERVALS, TOP
from replication.features.losses import batches
from replication.features.vocabulary import Vocabulary
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.randomness import generator
from replication.studies import scores
from replication.studies.intervals import Arm, arm_of, estimate, exact
from replication.studies.modes import modes
from replication.studies.replicates import base, groups
from replication.studies.tables import Number, Reader, number, write

SHOWN = 3  # features of each kind whose examples are shown
WINDOWS = (("top", -1, 0), ("interval", 8, 0))  # of each: the strongest example, and one from a weak interval
CONTEXTS = 512  # on which the share of variance is measured
NO_CONTROL = "the run has no dictionary on a shuffled copy of the main model"
NO_SINGLE = "a dictionary has no single-token features to compare"
WIDTH = 0.05  # of the density of scores whose modes are counted
COLUMNS = ("feature", "group", "interval", "rank", "window_tokens", "window_activations", "centre")


@torch.no_grad()
def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`table`): a dictionary, an interval of a dictionary's single-token features, an example."""
    assert settings.dictionaries and settings.studies and settings.models
    stopwatch, reader = Stopwatch(), Reader(layout)
    main = groups(settings.dictionaries)[settings.studies.main]
    names = list(settings.dictionaries)
    kept, depths, parts = {}, {}, []
    for name in progress.over(names, len(names) + 1):
        table = reader.features(name, "feature", "single_token", "fired")
        table = table[table["fired"] >= TOP]
        kept[name] = table["single_token"].to_numpy(float)
        examples = reader.examples(name, *COLUMNS)
        same = on_token(examples, table.loc[table["single_token"], "feature"].to_numpy())
        depths[name] = depth(same)
        about = {"dictionary": name, "group": base(name, settings.dictionaries)}
        parts.append(pd.DataFrame([{
            "table": "dictionary", **about, "features": len(table), "single_token": kept[name].mean() if len(table) else np.nan,
            "depth": depths[name].mean() if len(same) else np.nan, "l0": reader.evaluation(name)["l0"]}]))
        still = np.cumprod(same, axis=1).mean(0) if len(same) else np.full(INTERVALS, np.nan)
        parts.append(pd.DataFrame({"table": "interval", **about, "interval": np.arange(INTERVALS), "share": still}))
        if name == about["group"]:
            chosen = choose(table, generator(settings.seed, "studies.random_transformer", names.index(name)))
            parts.append(windows(examples, chosen, reader.vocabulary()).assign(table="example", **about))
    tokens = torch.from_numpy(reader.tokens())
    tokens = tokens[np.linspace(0, len(tokens) - 1, min(CONTEXTS, len(tokens))).astype(int)]
    variance = {name: token_share(reader.model(name), tokens, settings.site(settings.studies.main)) for name in dict.fromkeys(map(model_of, names))}
    progress(1, 1)
    data = pd.concat(parts, ignore_index=True)
    data["token_variance"] = data["dictionary"].map(model_of).map(variance).where(data["table"] == "dictionary")
    numbers = headline(kept, depths, main, settings) | variance_numbers(variance, tokens.numel(), settings)
    explained, unexplained = scores.measured(explanations(scores.read(reader, settings, scores.units(reader, settings), "spearman"), settings))
    control = len(names) > len(main)
    missing = dict.fromkeys(("single_token_difference", "purity_difference"), NO_SINGLE if control else NO_CONTROL)
    write(out=out, study="random_transformer", data=data, numbers=numbers | explained, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing | unexplained)


def on_token(examples: pd.DataFrame, features: np.ndarray) -> np.ndarray:
    """Whether all examples of an interval have the feature's token as their strongest [feature, interval]."""
    first = (examples["group"] == "top") & (examples["rank"] == 0)
    some = examples[examples["feature"].isin(features) & (first | (examples["group"] == "interval"))]
    pairs = zip(some["window_tokens"], some["window_activations"], strict=True)
    strongest = np.array([tokens[np.argmax(activations)] for tokens, activations in pairs], dtype=np.int64)
    place = np.searchsorted(features, some["feature"].to_numpy())
    own = np.empty(len(features), dtype=np.int64)
    top = (some["group"] == "top").to_numpy()
    own[place[top]] = strongest[top]
    same = np.ones((len(features), INTERVALS), dtype=bool)
    np.logical_and.at(same, (place[~top], some["interval"].to_numpy(np.int64)[~top]), strongest[~top] == own[place[~top]])
    return same


def depth(same: np.ndarray) -> np.ndarray:
    """Share of the intervals, from the strongest on and unbroken, that stay on the token [feature]."""
    return np.asarray(np.cumprod(same, axis=1).sum(1) / INTERVALS)


def choose(table: pd.DataFrame, draws: np.random.Generator) -> pd.DataFrame:
    """A few features of each kind, drawn at random: columns feature, kind."""
    parts = []
    for kind, single in (("single", True), ("other", False)):
        features = table.loc[table["single_token"] == single, "feature"].to_numpy()
        drawn = np.sort(draws.choice(features, min(SHOWN, len(features)), replace=False))
        parts.append(pd.DataFrame({"feature": drawn, "kind": kind}))
    return pd.concat(parts, ignore_index=True)


def windows(examples: pd.DataFrame, chosen: pd.DataFrame, vocabulary: Vocabulary) -> pd.DataFrame:
    """The examples of chosen features that are shown: feature, kind, interval (-1 for the top), tokens and values as JSON, centre."""
    wanted = pd.DataFrame(WINDOWS, columns=["group", "interval", "rank"])
    found = chosen.merge(examples, on="feature").merge(wanted, on=["group", "interval", "rank"])
    return pd.DataFrame({
        "feature": found["feature"], "kind": found["kind"], "interval": found["interval"], "centre": found["centre"],
        "tokens": [json.dumps([vocabulary.strings[token] for token in tokens], ensure_ascii=False) for tokens in found["window_tokens"]],
        "values": [json.dumps([round(float(value), 3) for value in values]) for values in found["window_activations"]]})


def token_share(model: Transformer, tokens: torch.Tensor, site: str) -> float:
    """Share of the variance of the vectors at a site that lies between tokens.

    The variance within a token is estimated from tokens that occur at least twice, with their count less one, so that rare
    tokens do not count as explained.
    """
    x = torch.cat([model.read(batch, site).flatten(0, 1) for _, batch in batches(tokens, model, shard_contexts=len(tokens))])
    which = tokens.flatten().long()
    counts = torch.bincount(which, minlength=model.architecture.d_vocab)
    means = torch.zeros(len(counts), x.shape[1]).index_add_(0, which, x) / counts.clamp_min(1)[:, None]
    within = (x - means[which]).square().sum().double() / (counts[counts > 1] - 1).sum().clamp_min(1)
    total = (x - x.mean(0)).square().sum().double() / (len(x) - 1)
    return float(1 - within / total)


def headline(kept: Mapping[str, np.ndarray], depths: Mapping[str, np.ndarray], main: list[str], settings: Settings) -> dict[str, Number]:
    """Shares and depths of the two, and how far the shuffled model's lie above the main model's."""
    shuffled = [name for name in kept if name not in main]
    found: dict[str, Number] = {}
    for key, samples, share, unit in (("single_token", kept, "single_token_share", "share of features"),
                                      ("purity", depths, "depth", "share of intervals")):
        arms = {}
        for which, names in (("A", main), ("random", shuffled)):
            filled = [samples[name] for name in names if len(samples[name])]
            if filled:
                arms[which] = arm_of(mean, filled, settings, f"random_transformer.{key}.{which}")
                found[f"{share}_{which}"] = number(estimate(arms[which]), unit=unit, n=min(map(len, filled)), over="features")
        if len(arms) == 2:
            n = min(len(samples[name]) for name in kept if len(samples[name]))
            found[f"{key}_difference"] = number(estimate(arms["random"], arms["A"]), unit=unit, n=n, over="features of the smaller sample")
    return found


def explanations(table: pd.DataFrame, settings: Settings) -> dict[str, Number | str]:
    """Modes of the shuffled model's scores, and how far the main model's lie above them among features that are not single-token."""
    own = scores.answered(table[table["explainer"] == scores.headline(settings)])
    other = own[~own["single_token"]]
    sides = [scores.sample(other, role, ["spearman"], scores.median, settings, "random_transformer.scores") for role in (scores.FEATURES, scores.RANDOM)]
    values = own.loc[own["role"] == scores.RANDOM, "spearman"].to_numpy(float)
    return {"score_modes": Number(len(modes(values, WIDTH)), "modes", len(values), "features") if len(values) else scores.LACKING[scores.RANDOM],
            "other_score_difference": scores.difference(*sides, unit="correlation", over="features of the smaller sample")}


def variance_numbers(variance: Mapping[str, float], tokens: int, settings: Settings) -> dict[str, Number]:
    """The share of variance between tokens, of the main model and of the shuffled ones."""
    assert settings.studies
    own = model_of(settings.studies.main)
    others = [value for name, value in variance.items() if name != own]
    arms: dict[str, Arm] = {"A": exact([variance[own]])} | ({"random": exact(others)} if others else {})
    return {f"token_variance_{which}": Number(float(arm.values.mean()), "share of variance", tokens, "tokens")
            for which, arm in arms.items()}


def mean(values: np.ndarray) -> float:
    """The mean."""
    return float(values.mean())
