"""What features split into in larger dictionaries (paper, "Feature splitting").

A coarse feature matches a finer one where their masked cosine exceeds 0.4. Three families are chosen on half 0 of the
evaluation tokens, among coarse features whose activation falls on few tokens, so that their names tell something: the one with
the most finer features that match no other better, and those that share the most finer ones with it. Everything reported is
measured on half 1, beside a null with the finer features moved to other texts. Over features neither dead nor ultralow with 20
firing tokens on each half (ours).
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features.logit_weights import Readout, written
from replication.features.masked_cosine import FEWEST, Matches, Pair, masked_cosine
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import arm_of, estimate
from replication.studies.replicates import sibling
from replication.studies.tables import Number, Reader, number, write
from replication.studies.token_sums import Numbers, Sums, Values, ratio, sums

FAMILIES, CHILDREN, GRANDCHILDREN = 3, 4, 2  # shown: coarse features, finer ones of each, still finer ones of each of those
FEW_TOKENS, TELLING = 8, 0.6  # a name tells something where so many tokens hold this share of the activation
TOKENS, LOGITS = 4, 3  # that name a feature
THE, A = (" the", " The", "the", "The"), (" a", " A", " an", " An")
ARTICLES, SPLIT = 0.25, 0.8  # share of the activation on articles; share of that on one of the two that sets them apart
TECHNICAL, PROSE = 0.03, ".,;:'\"!?()-’‘“”…"  # share of signs other than these in technical text


@dataclass(frozen=True)
class Layer:
    """One size of dictionary: its features that are compared, their sums over tokens on either half, and their names."""

    name: str
    features: Numbers
    chosen: Sums
    reported: Sums
    logits: list[list[str]]
    largest: NDArray[np.float32]

    @property
    def names(self) -> list[str]:
        """`A/0/12` and so on."""
        return [f"{self.name}/{feature}" for feature in self.features]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """Rows of three kinds (`row`): nodes and edges of the graph, coarse features by number of matches."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    strings, tokens = reader.vocabulary().strings, reader.tokens()
    layers = [layer(reader, name, tokens.ravel().astype(np.int64), len(strings)) for name in settings.dictionaries]
    steps = []
    for done, (coarse, fine) in enumerate(pairwise(layers), start=1):
        pair = Pair(reader.matrix(coarse.name), reader.matrix(fine.name), coarse.features, fine.features)
        steps.append((masked_cosine(pair), masked_cosine(pair, permuted=True)[1]))
        progress(done, len(layers))
    rows: list[dict[str, object]] = []
    numbers: dict[str, Number] = {}
    for (coarse, fine), ((_, real), null) in zip(pairwise(layers), steps, strict=True):
        step = f"{coarse.name.rpartition('/')[2]}_{fine.name.rpartition('/')[2]}"
        matches, without = np.diff(real.indptr), np.diff(null.indptr)
        rows += distribution(f"{coarse.name} → {fine.name}", matches, without)
        suffix = "" if coarse is layers[0] else f"_{step}"
        found = matched(matches, without, real, settings, step) | narrowing(reader, coarse, fine, real, settings, len(strings))
        numbers |= {key + suffix: value for key, value in found.items()}
    if steps:
        (chosen, real), _ = steps[0]
        numbers |= articles(layers[0], layers[1], real, strings)
        families = choose(layers[0], chosen)
        shown = grown(families, [both for both, _ in steps])
        numbers["technical_features"] = technical(reader, layers[0], families, tokens, strings)
        rows += drawn(layers, shown, [both for both, _ in steps], strings)
    else:
        rows.append({"row": "absent", "name": absent(settings)})
    write(out=out, study="splitting_graph", data=pd.DataFrame(rows), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=missing(settings))


def layer(reader: Reader, name: str, tokens: Numbers, d_vocab: int) -> Layer:
    """The features of one dictionary that are compared."""
    table = reader.features(name, "part", "top_tokens", "max")
    chosen, reported = sums(reader.matrix(name), tokens, d_vocab)
    fired = np.minimum(*(half.fired.sum(axis=1) for half in (chosen, reported)))
    features = np.flatnonzero((table["part"].to_numpy() == "other") & (fired >= FEWEST))
    logits = [list(table["top_tokens"][feature][:LOGITS]) for feature in features]
    return Layer(name, features, chosen, reported, logits, table["max"].to_numpy()[features])


def distribution(step: str, matches: Numbers, null: Numbers) -> list[dict[str, object]]:
    """How many coarse features have each number of matches, and under the null."""
    top = int(max(matches.max(initial=0), null.max(initial=0))) + 1
    counts, without = np.bincount(matches, minlength=top), np.bincount(null, minlength=top)
    return [{"row": "matches", "name": step, "matches": k, "features": int(counts[k]), "null": int(without[k])} for k in range(top)]


def matched(matches: Numbers, null: Numbers, real: Matches, settings: Settings, step: str) -> dict[str, Number]:
    """Matches of a coarse feature, above one and above the null; finer features that match several coarse ones."""
    if not len(matches):
        return {}
    samples = {"matches": matches, "matches_null": null, "matches_above_one": matches - 1, "matches_above_null": matches - null}
    found = {key: number(estimate(arm_of(mean, [sample], settings, f"splitting_graph.{step}")), unit="matches per feature", n=len(matches),
                         over="coarse features") for key, sample in samples.items()}
    parents = np.bincount(real.indices, minlength=real.shape[1])
    found["merges"] = Number(float((parents > 1).sum()), "features", real.shape[1], "finer features")
    if len(parents):
        found["unmatched"] = Number(float((parents == 0).mean()), "share of finer features", real.shape[1], "finer features")
    return found


def mean(sample: Values) -> float:
    """The mean."""
    return float(np.mean(sample))


@torch.no_grad()
def predicted(reader: Reader, settings: Settings, of: Layer, *, pinned: bool) -> Values:
    """Entropy in nats of softmax(a w), w the logit weights of each feature, a its largest activation (`pinned`) or 1.

    What a feature alone would predict at that activation; the layer norm's scale and the bias are left out.
    """
    assert settings.features
    model = reader.model(model_of(of.name))
    readout = Readout.of(model, reader.vocabulary().counts, rare_token=settings.features.rare_token)
    directions = torch.from_numpy(reader.weights(of.name)["W_dec"][of.features])
    scale = torch.from_numpy(of.largest if pinned else np.ones_like(of.largest))
    scaled = written(model, settings.site(of.name), directions) * scale[:, None]
    parts = [torch.distributions.Categorical(logits=readout(some)).entropy() for some in scaled.split(readout.block)]
    return torch.cat(parts).double().numpy() if parts else np.zeros(0)


def collisions(reader: Reader, of: Layer, following: Numbers, d_vocab: int) -> Values:
    """Chance that the same token follows two of the tokens on which a feature fires, on half 1; unbiased in how many there are.

    `following` [token] is the next token, `d_vocab` where there is none.
    """
    fired = sums(reader.matrix(of.name), following, d_vocab + 1)[1].fired[of.features][:, :d_vocab]
    n = np.asarray(fired.sum(axis=1)).ravel()
    return ratio(np.asarray((fired * fired).sum(axis=1)).ravel() - n, n * (n - 1))


def narrower(coarse: Values, finer: Values, real: Matches) -> pd.DataFrame:
    """A quantity of each coarse feature and its mean over the matches, NaN where it has none."""
    matches = np.diff(real.indptr)
    return pd.DataFrame({"coarse": coarse, "finer": np.where(matches > 0, ratio((real > 0).astype(float) @ finer, matches), np.nan)})


def narrowing(reader: Reader, coarse: Layer, fine: Layer, real: Matches, settings: Settings, d_vocab: int) -> dict[str, Number]:
    """How much narrower finer features are on the mean: predictions pinned, predictions at activation 1, and the tokens that do follow."""
    tokens = reader.tokens().astype(np.int64)
    following = np.full_like(tokens, d_vocab)
    following[:, :-1] = tokens[:, 1:]
    pinned, at_one = (narrower(predicted(reader, settings, coarse, pinned=way), predicted(reader, settings, fine, pinned=way), real)
                      for way in (True, False))
    chance = narrower(collisions(reader, coarse, following.ravel(), d_vocab), collisions(reader, fine, following.ravel(), d_vocab), real)
    logarithm = np.log(chance.where(chance > 0))
    samples = {"narrower_predictions": pinned["coarse"] - pinned["finer"], "narrower_at_one": at_one["coarse"] - at_one["finer"],
               "narrower_followers": logarithm["finer"] - logarithm["coarse"]}
    kept = {key: sample.dropna().to_numpy() for key, sample in samples.items()}
    return {key: number(estimate(arm_of(mean, [sample], settings, f"splitting_graph.{key}")), unit="nats of entropy", n=len(sample),
                        over="coarse features") for key, sample in kept.items() if len(sample)}


def articles(coarse: Layer, fine: Layer, real: Matches, strings: list[str]) -> dict[str, Number]:
    """Pairs of finer features of one coarse feature, of which one fires on "the" and the other on "a" and the coarse one on both."""
    place = [np.array([token for token, string in enumerate(strings) if string in words], dtype=np.int64) for words in (THE, A)]
    if not all(map(len, place)):
        return {}
    both, the, a = leaning(coarse, place)[0], *leaning(fine, place)[1:]
    families = [real.indices[real.indptr[i]:real.indptr[i + 1]] for i in np.flatnonzero(both)]
    pairs = sum(int(the[own].sum() * a[own].sum()) for own in families)
    return {"the_and_a_apart": Number(float(pairs), "feature pairs", int(both.sum()), "coarse features that fire on both"),
            "coarse_on_both": Number(float(both.sum()), "features", len(coarse.features), "coarse features")}


def leaning(of: Layer, place: Sequence[Numbers]) -> NDArray[np.bool_]:
    """Which features fire on articles: on both kinds, on "the" only, on "a" only [3, feature]; on either half."""
    found = np.ones((3, len(of.features)), dtype=bool)
    for half in (of.chosen, of.reported):
        mass = half.mass[of.features]
        the, a = (np.asarray(mass[:, some].sum(axis=1)).ravel() for some in place)
        often = ratio(the + a, np.asarray(mass.sum(axis=1)).ravel()) >= ARTICLES
        share = ratio(the, the + a)
        found &= often & np.stack([(share > 1 - SPLIT) & (share < SPLIT), share >= SPLIT, share <= 1 - SPLIT])
    return found


def choose(coarse: Layer, chosen: Matches) -> list[int]:
    """The coarse features shown, each with another strongest token: most finer ones of its own, then most in common with those before.

    A finer feature is the own one of the coarse feature that it matches best. Features whose names tell nothing come last.
    """
    finer = sparse.csr_array((chosen > 0).astype(np.int64))
    common = (finer @ finer.T).toarray()
    best = chosen.max(axis=0).toarray().ravel()
    parent = np.asarray(chosen.argmax(axis=0)).ravel()
    own = np.bincount(parent[best > 0], minlength=len(coarse.features))
    mass = coarse.chosen.mass[coarse.features]
    few = np.array([np.sort(row)[::-1][:FEW_TOKENS].sum() for row in np.split(mass.data, mass.indptr[1:-1])])
    held = ratio(few, np.asarray(mass.sum(axis=1)).ravel())
    token = coarse.chosen.strongest[coarse.features]
    found: list[int] = []
    for _ in range(min(FAMILIES, len(own))):
        fresh = ~np.isin(np.arange(len(own)), found) & ~np.isin(token, token[found])
        candidates = fresh if fresh.any() else ~np.isin(np.arange(len(own)), found)
        found.append(int(np.lexsort((held, own, common[found].sum(axis=0), held >= TELLING, candidates))[-1]))
    return found


def grown(families: list[int], steps: list[tuple[Matches, Matches]]) -> list[list[int]]:
    """Rows of the features shown in each layer: of each feature the best matches on half 0, and what two families share."""
    shown = [families]
    for depth, (chosen, _) in enumerate(steps):
        most = CHILDREN if depth == 0 else GRANDCHILDREN
        dense = chosen[shown[-1]].toarray()
        found = [int(j) for row in dense for j in np.argsort(-row, kind="stable")[:most] if row[j] > 0]
        if depth == 0:
            shared = [np.minimum(dense[i], dense[j]) for i, j in combinations(range(len(dense)), 2)]
            found += [int(row.argmax()) for row in shared if row.max(initial=0.0) > 0]
        shown.append(list(dict.fromkeys(found)))
    return shown


def drawn(layers: list[Layer], shown: list[list[int]], steps: list[tuple[Matches, Matches]], strings: list[str]) -> list[dict[str, object]]:
    """Nodes and edges; an edge among the features shown was found on half 0, and its masked cosine is that of half 1."""
    rows: list[dict[str, object]] = []
    for depth, (of, some) in enumerate(zip(layers, shown, strict=True)):
        for i in some:
            feature = int(of.features[i])
            mass = of.reported.mass[[feature]]
            order = np.argsort(-mass.data, kind="stable")[:TOKENS]
            fires = [strings[token] for token in mass.indices[order]]
            rows.append({"row": "node", "name": of.names[i], "layer": depth, "tokens": said(fires), "logits": said(of.logits[i])})
    for depth, (chosen, real) in enumerate(steps):
        for i in shown[depth]:
            for j in shown[depth + 1]:
                if chosen[i, j] > 0:
                    rows.append({"row": "edge", "name": layers[depth].names[i], "target": layers[depth + 1].names[j],
                                 "chosen": float(chosen[i, j]), "cosine": float(real[i, j])})
    return rows


def said(some: Sequence[str]) -> str:
    """A list of texts as one cell of a table."""
    return json.dumps(list(some), ensure_ascii=False)


def technical(reader: Reader, coarse: Layer, families: list[int], tokens: NDArray[np.int32], strings: list[str]) -> Number:
    """How many of the features shown have at least half of their activation, on half 1, in technical texts."""
    kinds = np.repeat(is_technical(tokens, strings).astype(np.int64), tokens.shape[1])
    shares = sums(reader.matrix(coarse.name), kinds, 2)[1].share(coarse.features[families], np.ones(len(families), dtype=np.int64))
    return Number(float((shares >= 0.5).sum()), "features", len(families), "coarse features shown")


def is_technical(tokens: NDArray[np.int32], strings: list[str]) -> NDArray[np.bool_]:
    """Which contexts are technical text: more than 3 % of their characters are signs that prose does without (ours)."""
    plain = [re.sub(r"\\x[0-9a-f]{2}", "x", string) for string in strings]  # bytes that are no whole character
    signs = np.array([sum(not (sign.isalnum() or sign.isspace() or sign in PROSE) for sign in string) for string in plain])
    length = np.array([len(string) for string in plain])
    return np.asarray(signs[tokens].sum(axis=1) > TECHNICAL * length[tokens].sum(axis=1))


def absent(settings: Settings) -> str:
    """What the run lacks."""
    assert settings.dictionaries and settings.studies
    others = [sibling(settings.studies.main, short) for short in ("0", "2")]
    return "the run has no " + " and no ".join(name for name in others if name not in settings.dictionaries)


def missing(settings: Settings) -> dict[str, str]:
    """Why some numbers cannot be given by this run."""
    assert settings.dictionaries
    if len(settings.dictionaries) < 2:
        keys = ("matches_above_one", "matches_above_null", "technical_features", "merges", "narrower_predictions", "the_and_a_apart")
        return dict.fromkeys(keys, absent(settings))
    few = f"no coarse feature fires {FEWEST} times on each half"
    return {"matches_above_one": few, "matches_above_null": few, "merges": few,
            "narrower_predictions": "no coarse feature matches a finer one",
            "the_and_a_apart": "the vocabulary has no token for 'the' or none for 'a'"}
