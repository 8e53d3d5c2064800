"""Which features of the stream before the MLP cause a feature of the MLP, given the nonlinearity: the question of readers.

A dictionary of `resid_mid` and the main dictionary of the neurons, on the same tokens. How strong a cause is, is what ablation says: an
MLP feature's activation less what is left of it when one feature of the stream is taken away. Activation x gradient gives all causes
of a feature for one backward pass; how well that, integrated gradients and products of weights agree with ablation (`causes`) is measured
over pairs of an MLP feature that is on and a stream feature that is on. Then the answer: causes are ranked by their mean
gradient attribution on one half of the tokens, and their weight is their mean ablation effect on the other. Source: ours.

Controls: the attribution to one feature against the effect on another one on at the same token; random directions of the same norm; of
what was chosen, the choice of another feature. A replicate pairs one dictionary of the MLP with one of the stream.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.losses import FORWARD_TOKENS
from replication.features.matrix import HALVES, REPORTING
from replication.model.transformer import Transformer
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import Arm, estimate, random, resampled, resampled_sums
from replication.studies.questions import agreement_of_causes, causes, ranked_causes
from replication.studies.questions.sampled_causes import METHODS, Activations, Floats, Found, measure
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_tables import top_tokens

TOKENS = 2**18  # evaluation tokens that are looked at
ONE, MANY = 0.5, 10  # a feature has one cause where the first holds so much, many where so many hold less
DRAWN, SHOWN, TOLD, WORDS = 3000, 5, 3, 3  # pairs in the figure; features told as examples, causes of each, tokens of each
ABSENT = "the run has no dictionary of the stream before the MLP (site resid_mid)"
OVER = "features of the MLP"
DIFFERENCES: Mapping[str, tuple[str, str]] = {  # of two columns; those that the ledger asks for
    "gradient_minus_weights": ("spearman_gradient", "spearman_weights"), "gradient_minus_other": ("spearman_gradient", "spearman_other"),
    "gradient_minus_frozen": ("spearman_gradient", "spearman_frozen"), "integrated_minus_gradient": ("spearman_integrated", "spearman_gradient"),
    "strong_minus_weak": ("strong", "weak"), "sign_large_minus_small": ("sign_large", "sign_small"), "effect_minus_random": ("effect", "effect_random"),
    "features_minus_error": ("budget_features", "budget_error"), "stable_minus_shuffled": ("stable", "stable_shuffled"),
    "found_minus_weights": ("found", "found_weights"), "attributed_minus_correlated": ("effect_top", "effect_correlated"),
    "correlation_minus_together": ("correlation_top", "correlation_together")}
SCALED = METHODS[1:]  # products of weights leave out the layer norm's scale
RANK, PAIRS, ACTIVATION, FEATURES, RAISING = "rank correlation", "share of pairs", "share of activation", "share of features", "share of raising effects"
MEANS: Mapping[str, Sequence[str]] = {
    RANK: (*(f"spearman_{name}" for name in (*METHODS, "random", "other")), "strong", "weak", "ranks_gradient", "ranks_weights", "ranks_correlation",
           "gradient_minus_weights", "gradient_minus_other", "gradient_minus_frozen", "integrated_minus_gradient", "strong_minus_weak"),
    PAIRS: (*(f"sign_{name}" for name in (*METHODS, "small", "large")), "off", "sign_large_minus_small"),
    ACTIVATION: ("effect", "effect_random", "effect_top", "effect_correlated", "effect_minus_random", "features_minus_error", "attributed_minus_correlated"),
    FEATURES: ("stable", "stable_shuffled", "found", "found_same", "found_weights", "found_correlation", "one_cause", "many_causes", "stable_minus_shuffled",
               "found_minus_weights"),
    "share of five causes": ("common", "common_shuffled"), RAISING: ("share_1", "share_3", "share_10", "borrowed_1", "borrowed_10"),
    "correlation": ("correlation_minus_together",),
}
MEDIANS: Mapping[str, Sequence[str]] = {
    "share of squared effect": [f"explained_{name}" for name in SCALED], "effect per attribution": [f"slope_{name}" for name in SCALED],
    ACTIVATION: ("budget_features", "budget_error", "budget_constant", "kept"), "causes": ("number",), RAISING: ("lowering",),
    "correlation": ("correlation_top", "correlation_together", "correlation_best"),
}
TABLE = ("top", "share_1", "share_10", "number", "stable", "spearman_gradient", "explained_gradient", "budget_features", "budget_error", "correlation_top",
         "correlation_together")


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of six sorts (`row`): pairs, bins of pairs by the size of the effect, fifths by the feature's activation, ranks of causes, features, examples."""
    stopwatch, reader = Stopwatch(), Reader(layout)
    tokens, strings, couples = reader.tokens(), reader.vocabulary().strings, coupled(settings)
    found = examine(reader, settings, couples, tokens, progress)
    if not found or not all(len(item.features) for item in found):
        why = "no feature of the MLP fires on enough tokens of both halves" if couples else ABSENT
        write(out=out, study="upstream_causes", data=pd.DataFrame({"row": ["none"]}), numbers={}, settings=settings, reader=reader,
              stopwatch=stopwatch, missing=dict.fromkeys(DIFFERENCES, why), absent=why)
        return
    tables = [of_features(item) for item in found]
    rows = {"pair": drawn(found[0], settings), "size": agreement_of_causes.by_size(found), "fifth": agreement_of_causes.by_fifth(found), "rank": ranks(tables),
            "feature": tables[0][["feature", *TABLE]].round(5), "example": examples(found[0], tables[0], reader, couples[0], tokens, strings)}
    data = pd.concat([table.assign(row=row) for row, table in rows.items()], ignore_index=True)
    write(out=out, study="upstream_causes", data=data.assign(group=couples[0][0]), numbers=headline(tables, settings), settings=settings,
          reader=reader, stopwatch=stopwatch, missing=dict.fromkeys(DIFFERENCES, "no feature has pairs enough"), pairs=sum(len(item.pairs) for item in found))


def coupled(settings: Settings) -> list[tuple[str, str]]:
    """Dictionaries of the MLP and of the stream before it, in pairs by replicate."""
    assert settings.studies
    of = settings.dictionaries or {}
    sides = [[name for name in of if (of[name].site == of[settings.studies.main].site) == same] for same in (True, False)]
    return list(zip(*sides, strict=False))


def examine(reader: Reader, settings: Settings, couples: Sequence[tuple[str, str]], tokens: NDArray[np.int32], progress: Progress) -> list[Found]:
    """Each replicate, all on the same tokens."""
    found = []
    contexts = min(len(tokens), max(len(HALVES), TOKENS // tokens.shape[1]))
    for index, (after, mid) in enumerate(progress.over(couples, len(couples))):
        if index == 0:
            model, site = reader.model(model_of(mid)), settings.site(mid)
            stream = before(model, tokens[:contexts], site)
        path = causes.Path(model, model.place(site)[1], reader.sae(mid), reader.sae(after))
        ours, theirs = (Activations.of(reader.matrix(name), contexts) for name in (after, mid))
        found.append(measure(path, ours, theirs, stream, random(settings, "upstream_causes.sample", index)))
    return found


@torch.no_grad()
def before(model: Transformer, tokens: NDArray[np.int32], site: str) -> torch.Tensor:
    """The stream at a site [token, d_model]."""
    texts = torch.from_numpy(tokens.astype(np.int64)).split(max(1, FORWARD_TOKENS["cpu"] // tokens.shape[1]))
    return torch.cat([model.read(some, site).flatten(0, 1) for some in texts])


def of_features(found: Found) -> pd.DataFrame:
    """All that is told of each feature of the sample."""
    table = pd.DataFrame({"feature": found.features, **agreement_of_causes.by_feature(found), **ranked_causes.by_feature(found)})
    first, many = table["share_1"], table[f"share_{MANY}"]
    return table.assign(one_cause=(first >= ONE).where(first.notna()).astype(float), many_causes=(many < ONE).where(many.notna()).astype(float),
                        **{key: table[left] - table[right] for key, (left, right) in DIFFERENCES.items()})


def drawn(found: Found, settings: Settings) -> pd.DataFrame:
    """Some pairs at random: attribution and effect in shares of the feature's activation at the token."""
    some = np.sort(random(settings, "upstream_causes.drawn").choice(len(found.pairs), min(DRAWN, len(found.pairs)), replace=False))
    pairs = found.pairs.iloc[some]
    return pd.DataFrame({"feature": found.features[pairs["feature"]], **{name: (pairs[name] / pairs["active"]).round(5) for name in (*METHODS, "effect")}})


def ranks(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Share of all raising causes in the first ones, by their own ranking and by another feature's; mean over features and replicates."""
    whole = pd.concat(tables)
    return pd.DataFrame([{"rank": k, "share": whole[f"share_{k}"].mean(), "borrowed": whole[f"borrowed_{k}"].mean()} for k in ranked_causes.RANKS])


def examples(found: Found, table: pd.DataFrame, reader: Reader, couple: tuple[str, str], tokens: NDArray[np.int32], strings: list[str]) -> pd.DataFrame:
    """Features at even steps of how concentrated their causes are, with the first causes and the tokens that hold most of the activation of each."""
    after, mid = couple
    able = table.dropna(subset="share_1").sort_values("share_1", kind="stable").index.to_numpy()
    shown = able[np.linspace(len(able) - 1, 0, SHOWN + 2).round().astype(int)[1:-1]] if len(able) > SHOWN else able
    causes_of = ranked_causes.ranked(found.chosen)[shown, :TOLD]
    words = dict(zip(shown.tolist(), top_tokens(reader.matrix(after), tokens, strings, found.features[shown], most=WORDS), strict=True))
    theirs = np.unique(causes_of)
    said = dict(zip(theirs.tolist(), top_tokens(reader.matrix(mid), tokens, strings, theirs, most=WORDS), strict=True))
    total = np.maximum(found.effect, 0).sum(1)
    return pd.DataFrame([
        {"place": place, "feature": found.features[index], "tokens": words[index], "rank": rank, "cause": cause, "cause_tokens": said[cause],
         "share": found.effect[index, cause] / total[index], "correlation": found.correlation[REPORTING, index, cause]}
        for place, (index, of) in enumerate(zip(shown.tolist(), causes_of.tolist(), strict=True)) for rank, cause in enumerate(of, start=1)])


def headline(tables: Sequence[pd.DataFrame], settings: Settings) -> dict[str, Number]:
    """The numbers; a table for each replicate."""
    numbers: dict[str, Number] = {}
    for statistic, of in ((means, MEANS), (medians, MEDIANS)):
        columns = [column for names in of.values() for column in names]
        arms, n = statistic(tables, columns, settings)
        for unit, names in of.items():
            numbers |= {name: number(estimate(arms[name]), unit=unit, n=n[name], over=OVER) for name in names if n[name]}
    return numbers


def means(tables: Sequence[pd.DataFrame], columns: Sequence[str], settings: Settings) -> tuple[dict[str, Arm], dict[str, int]]:
    """Means over features, all columns resampled together, and the fewest features behind each; a feature is left out of what it cannot tell."""
    assert settings.studies
    values, draws, counts = [], [], []
    for index, table in enumerate(tables):
        known = table[columns].notna().to_numpy(float)
        both = np.hstack([table[columns].fillna(0.0).to_numpy(float), known])
        drawn_sums = resampled_sums(both, settings.studies.bootstrap, random(settings, "upstream_causes", index))
        ratios = [np.divide(of[..., :len(columns)], of[..., len(columns):], out=np.zeros_like(of[..., :len(columns)]), where=of[..., len(columns):] > 0)
                  for of in (both.sum(0), drawn_sums)]
        values.append(ratios[0])
        draws.append(ratios[1])
        counts.append(known.sum(0))
    return _arms(columns, values, draws), dict(zip(columns, np.min(counts, axis=0).astype(int).tolist(), strict=True))


def medians(tables: Sequence[pd.DataFrame], columns: Sequence[str], settings: Settings) -> tuple[dict[str, Arm], dict[str, int]]:
    """Medians over the features that can tell all of the columns, resampled together, and how many there are."""
    assert settings.studies
    samples = [table[columns].dropna().to_numpy(float) for table in tables]
    n = min(map(len, samples))
    if not n:
        return {}, dict.fromkeys(columns, 0)
    draws = [resampled(lambda rows: np.median(rows, axis=0), rows, settings.studies.bootstrap, random(settings, "upstream_causes", index))
             for index, rows in enumerate(samples)]
    return _arms(columns, [np.median(rows, axis=0) for rows in samples], draws), dict.fromkeys(columns, n)


def _arms(columns: Sequence[str], values: Sequence[Floats], draws: Sequence[Floats]) -> dict[str, Arm]:
    return {name: Arm(np.array([of[k] for of in values]), np.stack([of[:, k] for of in draws])) for k, name in enumerate(columns)}
