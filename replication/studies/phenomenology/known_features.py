"""Features known from earlier work, looked for in every size of dictionary (`studies.known` says on which tokens each should fire).

The score of a feature is the Pearson correlation of its activation with being such a token. Features are chosen on half 0 of the
tokens; one is found if its score is at least `FOUND` on both halves and above chance on half 1, which is the largest score there of
any feature with the tokens of other texts (labels moved on by whole texts). Beside it stands the best neuron, chosen and reported alike.
Source: paper; score and threshold are ours.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from replication.artifacts import Layout
from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.columns import fired_counts
from replication.features.contexts import correlations, pieces
from replication.features.matrix import EvaluationMatrix
from replication.progress import Progress
from replication.provenance import Stopwatch
from replication.studies.intervals import by_text, estimate, exact
from replication.studies.patterns import marked
from replication.studies.phenomenology.known import EMOTION, KNOWN, PERSON
from replication.studies.replicates import base, groups, sibling
from replication.studies.tables import Number, Reader, number, write

FOUND = 0.3
FEWEST, FEWEST_TEXTS = 20, 2  # tokens and texts of each half that must hold a thing
SHIFTS = (2, 6, 14)  # texts by which labels are moved for the null: even, so that halves stay
NARROW = 2.0  # how much more alike than two texts at random those of a narrow context are
Floats = NDArray[np.float64]
IN_PAPER = {  # which things the paper says are in A/0, A/3, A/4
    "0": ("capitals", "title_case", "hexadecimal", "base64", "french", "german"),
    "3": ("australia", "canada", "africa", "israel_palestine"), "4": ("prime_factors",)}


@dataclass(frozen=True)
class Score:
    """Of one thing in one table of features or neurons: the best on half 0 with its score on either half, the largest score by chance,
    and all features that were found.
    """

    feature: int
    chosen: float
    reported: float
    chance: float
    found: tuple[int, ...]


def compute(*, settings: Settings, layout: Layout, out: Path, progress: Progress) -> None:
    """One row for each thing and table of features; things that the text lacks have no score."""
    assert settings.dictionaries and settings.studies
    stopwatch, reader = Stopwatch(), Reader(layout)
    saes, main = settings.dictionaries, settings.studies.main
    reader.vocabulary()
    tokens = reader.tokens()
    labels = marked(pieces(layout.corpus()), tokens, [known.find for known in KNOWN.values()])
    present = [place for place, held in enumerate(enough(labels, reader.sources())) if held]
    names = list(KNOWN)
    wanted = [names[place] for place in present]
    neurons = f"{model_of(main)}/{NEURONS}"
    scores: dict[str, dict[str, Score]] = {}
    for name in progress.over([*saes, neurons], len(saes) + 1):
        matrix = reader.matrix(name)
        scores[name] = dict(zip(wanted, scored(matrix, labels[:, :, present]), strict=True)) if wanted else {}
    share = labels.mean((0, 1))
    rows = []
    for name in scores:
        group, size = (base(name, saes), saes[name].d_sae) if name in saes else (name, None)
        about = {"dictionary": name, "group": group, "d_sae": size}
        for place, key in enumerate(names):
            row = {**about, "known": key, "label": KNOWN[key].label, "sort": KNOWN[key].sort, "share": share[place]}
            score = scores[name].get(key)
            rows.append({**row, "present": 0} if score is None else {
                **row, "present": 1, "feature": score.feature, "chosen": score.chosen, "score": score.reported, "chance": score.chance,
                "found": len(score.found)})
    numbers = counted(scores, settings) | others(reader, scores, tokens, labels, settings)
    write(out=out, study="known_features", data=pd.DataFrame(rows), numbers=numbers, settings=settings, reader=reader, stopwatch=stopwatch,
          missing=absent(share, labels[..., 0].size, scores, settings))


def enough(labels: NDArray[np.bool_], sources: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which things are on enough tokens and in enough texts, on both halves; `labels` [context, n_ctx, thing], contexts of `sources` [context]."""
    sums = [by_text(labels[half::2].sum(1), sources[half::2]) for half in (0, 1)]
    return np.asarray(np.all([(of.sum(0) >= FEWEST) & ((of > 0).sum(0) >= FEWEST_TEXTS) for of in sums], axis=0))


def scored(matrix: EvaluationMatrix, labels: NDArray[np.bool_]) -> list[Score]:
    """The score of each thing; `labels` [context, n_ctx, thing]."""
    things = labels.shape[2]
    moved = np.concatenate([labels, *(np.roll(labels, shift, axis=0) for shift in SHIFTS)], axis=2)
    measured = correlations(matrix, moved.reshape(-1, moved.shape[2]))  # none where a feature is silent on a half
    found = np.nan_to_num(measured, nan=-1.0)
    chance = found[1, :, things:].max(0).reshape(len(SHIFTS), things).max(0)
    scores = []
    for thing in range(things):
        chosen, reported = found[:, :, thing]
        best = int(chosen.argmax())
        good = np.flatnonzero((chosen >= FOUND) & (reported >= FOUND) & (reported > chance[thing]))
        scores.append(Score(best, float(chosen[best]), float(measured[1, best, thing]), float(chance[thing]), tuple(good.tolist())))
    return scores


def key_of(known: str, group: str) -> str:
    """The key of a number."""
    return f"{known}_{group.replace('/', '_')}"


def counted(scores: dict[str, dict[str, Score]], settings: Settings) -> dict[str, Number]:
    """How many features were found for each thing, and the score of the best, over replicates."""
    assert settings.dictionaries
    numbers = {}
    for group, members in groups(settings.dictionaries).items():
        size = settings.dictionaries[group].d_sae
        for known in scores[group]:
            of = [scores[name][known] for name in members]
            found, best = (estimate(exact(values)) for values in ([len(one.found) for one in of], [one.reported for one in of]))
            numbers[key_of(known, group)] = number(found, unit="features", n=size, over="features")
            if np.isfinite(best.value):
                numbers[key_of(f"{known}_score", group)] = number(best, unit="correlation", n=size, over="features")
    return numbers


def others(reader: Reader, scores: dict[str, dict[str, Score]], tokens: NDArray[np.int32], labels: NDArray[np.bool_],
           settings: Settings) -> dict[str, Number]:
    """Emotions found in any dictionary, persons found outside narrow contexts, and how often the hexadecimal feature fires."""
    assert settings.dictionaries and settings.studies
    main, saes = settings.studies.main, settings.dictionaries
    numbers = {}
    first = [name for name in scores if name in saes and name == base(name, saes)]
    emotions = [key for key in scores[main] if KNOWN[key].sort == EMOTION]
    if emotions:
        found = {key for key in emotions for name in first if scores[name][key].found}
        numbers["emotions"] = Number(len(found), "features", len(emotions), "emotions that the text holds")
    persons = [key for key in scores[main] if KNOWN[key].sort == PERSON]
    if persons:
        likeness = Likeness.of(tokens)
        outside = 0
        for key in persons:
            texts = np.flatnonzero(labels[:, :, list(KNOWN).index(key)].any(1))
            outside += any(scores[name][key].found for name in first) and likeness(texts) < NARROW
        numbers["persons_outside_narrow_contexts"] = Number(outside, "features", len(persons), "persons that the text holds")
    if "hexadecimal" in scores[main] and scores[main]["hexadecimal"].found:
        fired = fired_counts(reader.matrix(main))[scores[main]["hexadecimal"].feature]
        numbers["hexadecimal_density"] = Number(float(fired / tokens.size), "share of tokens", tokens.size, "evaluation tokens")
    return numbers


@dataclass(frozen=True)
class Likeness:
    """How alike texts are: unit vectors of their tokens' counts, weighted by inverse document frequency [context, d_vocab], and the mean
    cosine of two texts at random.
    """

    vectors: sparse.csr_array
    usual: float

    @staticmethod
    def of(tokens: NDArray[np.int32]) -> "Likeness":
        """From the evaluation tokens."""
        from sklearn.feature_extraction.text import TfidfTransformer

        contexts = np.repeat(np.arange(len(tokens)), tokens.shape[1])
        counts = sparse.csr_array((np.ones(tokens.size), (contexts, tokens.ravel())), shape=(len(tokens), int(tokens.max()) + 1))
        vectors = sparse.csr_array(TfidfTransformer().fit_transform(counts))
        return Likeness(vectors, mean_cosine(vectors))

    def __call__(self, texts: NDArray[np.int64]) -> float:
        """Mean cosine of pairs of some texts, in units of that of two texts at random."""
        return mean_cosine(self.vectors[texts]) / self.usual if len(texts) > 1 and self.usual > 0 else np.inf


def mean_cosine(vectors: sparse.csr_array) -> float:
    """Mean over pairs of unit rows: (|sum|^2 - n) / (n (n - 1))."""
    n, total = vectors.shape[0], np.asarray(vectors.sum(0)).ravel()
    return float((total @ total - n) / (n * (n - 1)))


def absent(share: Floats, tokens: int, scores: dict[str, dict[str, Score]], settings: Settings) -> dict[str, str]:
    """Why a number that the paper has cannot be given."""
    assert settings.dictionaries and settings.studies
    main = settings.studies.main
    missing = {}
    for short, known in ((short, known) for short, those in IN_PAPER.items() for known in those):
        name = sibling(main, short)
        if name not in settings.dictionaries:
            missing[key_of(known, name)] = f"the run has no {name}"
        elif known not in scores[main]:
            missing[key_of(known, name)] = lacking(known, share, tokens)
    held = "hexadecimal" in scores[main]
    missing["hexadecimal_density"] = f"{main} has no such feature" if held else lacking("hexadecimal", share, tokens)
    for key, sort in (("emotions", EMOTION), ("persons_outside_narrow_contexts", PERSON)):
        missing[key] = f"the text holds none of the {sum(known.sort == sort for known in KNOWN.values())} {sort}s often enough"
    return missing


def lacking(known: str, share: Floats, tokens: int) -> str:
    """That the text holds too little of a thing."""
    return f"the text holds too little of it: {share[list(KNOWN).index(known)]:.2g} of {tokens:,} tokens"
