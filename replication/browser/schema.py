"""What the browser shows, as plain values: the one form that a run, an imported viewer and a synthetic table take on their way to the page.

`page/types.d.ts` says the same of the files, for the page and for whoever reads them elsewhere; the two change together, with `VERSION`.
Activations are in the units of the dictionary, effects in nats of log-likelihood (below 0: ablating the feature hurts), places are
counted in tokens from an example's own token. Source: the card of the paper's viewer; relations, scores and columns are ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

VERSION = 1
WIDE = 32  # tokens on each side that a widened example shows
LABEL = 3  # tokens by which a list names a feature
PARTS = ("dead", "ultralow", "other")  # as in features.parquet; the index holds the place in this tuple
NONE = -1
CONFIG_HASH, CORPUS_HASH, VERSION_OF = "config hash", "corpus hash", "version"  # facts of a run that the small print of a picture repeats

RelationKind = Literal["weight", "neuron", "match", "parent", "child", "decoder", "matched_by"]


@dataclass(frozen=True)
class Example:
    """A window of text. `group` is 0 for the top, 1 to 11 for intervals from strong to weak, 12 for the bottom.

    `context` and `pos` find its own token in the evaluation text (`context` NONE where the text around it is not known);
    `start` is the place of the first token shown (-4 in a whole window of nine). `fired` holds (place, activation) wherever the feature fires up to
    WIDE tokens away, `effects` (place, effect of ablation on that token).
    """

    group: int
    context: int
    pos: int
    repeated: bool
    start: int
    tokens: Sequence[int]
    fired: Sequence[tuple[int, float]]
    effects: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Histogram:
    """Counts of bins and their edges (one more)."""

    counts: Sequence[int]
    edges: Sequence[float]


@dataclass(frozen=True)
class Relation:
    """Another feature or neuron and how near it is.

    `weight`: neuron by decoder weight (second: share of the row's L1 norm); `neuron`: best neuron by correlation of activations; `match`: best
    match in another dictionary, and `matched_by` its inverse (second: correlation of logit weights); `parent` and `child`: in the next smaller and
    larger dictionary, by masked cosine; `decoder`: neighbour in the same dictionary by cosine of decoder rows.
    """

    kind: RelationKind
    table: str
    feature: int
    value: float
    second: float | None = None


@dataclass(frozen=True)
class Explanation:
    """What an explainer said of a feature and how well that predicts it; scores are None where they could not be measured.

    `control` is the Spearman correlation of another feature's explanation; `intervals` has one per interval; `error` says why there is no score.
    """

    explainer: str
    text: str
    spearman: float | None
    pearson: float | None
    logits: float | None
    control: float | None
    intervals: Sequence[float | None]
    error: str


@dataclass(frozen=True)
class Card:
    """A feature. `up` and `down` are (token, logit weight), `contexts` (label, correlation) of named contexts that it follows best, `texts`
    (id of a fixed text, largest activation there).
    """

    feature: int
    activations: Histogram | None
    logits: Histogram | None
    up: Sequence[tuple[int, float]]
    down: Sequence[tuple[int, float]]
    examples: Sequence[Example]
    relations: Sequence[Relation] = ()
    explanations: Sequence[Explanation] = ()
    contexts: Sequence[tuple[str, float]] = ()
    texts: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Columns:
    """The index of a table: an entry for each feature, NaN (or NONE) where it is not known.

    `fires` [feature, LABEL] are the tokens on which it is strongest, `up` [feature, LABEL] those that it raises most. `universality` is the correlation with
    its best match in the other model, `x` and `y` its place on the map, `cluster` its cluster there.
    """

    density: NDArray[np.float32]
    max: NDArray[np.float32]
    bias: NDArray[np.float32]
    spearman: NDArray[np.float32]
    logit_score: NDArray[np.float32]
    universality: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    cluster: NDArray[np.int16]
    part: NDArray[np.uint8]
    single_token: NDArray[np.uint8]
    fires: NDArray[np.int32]
    up: NDArray[np.int32]


@dataclass(frozen=True)
class Firing:
    """One feature on one token of a fixed text; `effect` is that of ablating it on the next token, None at the end."""

    pos: int
    feature: int
    activation: float
    effect: float | None


@dataclass(frozen=True)
class Prediction:
    """A window that an explanation was scored on: its tokens, the true levels 0 to 9 and each explainer's. `group` is a group's name."""

    group: str
    start: int
    tokens: Sequence[int]
    levels: Sequence[int]
    predicted: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Table:
    """A dictionary or the neurons of a model. `cards` come in the order of features, `predictions` of scored features likewise;
    `texts` has firings by the id of a fixed text, and of a token only the `strongest`, where that is not None.
    """

    name: str
    kind: Literal["features", "neurons"]
    columns: Columns
    cards: Iterable[Card]
    predictions: Iterable[tuple[int, Sequence[Prediction]]] = ()
    texts: Mapping[str, Sequence[Firing]] = field(default_factory=dict)
    strongest: int | None = None


@dataclass(frozen=True)
class Text:
    """A fixed text."""

    id: str
    title: str
    tokens: Sequence[int]


@dataclass(frozen=True)
class Shared:
    """What all tables of a run share: token texts by id, the evaluation text, the fixed texts."""

    vocabulary: Sequence[str]
    contexts: NDArray[np.int32] | None
    texts: Sequence[Text] = ()


@dataclass(frozen=True)
class About:
    """The run index: who made what. `facts` and each dictionary are shown as they are, `links` are (label, address relative to the page)."""

    run: str
    facts: Mapping[str, str]
    dictionaries: Sequence[Mapping[str, Any]]
    links: Sequence[tuple[str, str]] = ()
