"""The published viewer's files (a JSON file per feature) as a table of features with the columns that they can fill.

What a file holds beside the fields read here is passed over. Source of the format: the public files of the paper's feature explorer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from replication import artifacts
from replication.config import Settings, UserError
from replication.features.examples import INTERVALS, TOP
from replication.progress import Progress
from replication.provenance import Stopwatch

BOTTOM = INTERVALS + 1
ULTRALOW = 1e-6  # density; source: paper, appendix on feature density
MOST_FEATURES = 2**20
LARGEST_FILE = 2**26  # bytes, a few hundred times what a file has
LONGEST_TOKEN = 1000  # characters
LIMIT = 1e30  # beyond any activation, and well inside float32


class PublishedError(UserError):
    """A file that is not in the published viewer's format."""


class Histogram(NamedTuple):
    """Counts in bins, and the edges of the bins, one more."""

    counts: Sequence[int]
    edges: Sequence[float]


@dataclass(frozen=True)
class Window:
    """An example: the texts of its tokens, their activations, and the loss that ablating the feature adds to each."""

    group: int
    centre: int
    repeated: bool
    tokens: Sequence[str]
    activations: Sequence[float]
    losses: Sequence[float]


@dataclass(frozen=True)
class Feature:
    """What is read of one file. `weights` are (neuron, decoder weight, share of the L1 norm)."""

    index: int
    density: float
    max: float
    activations: Histogram
    logits: Histogram
    up: Sequence[tuple[str, float]]
    down: Sequence[tuple[str, float]]
    windows: Sequence[Window]
    weights: Sequence[tuple[int, float, float]]

    @property
    def single_token(self) -> bool:
        """Whether the strongest token of all 20 top examples is the same (the paper's rule)."""
        top = [window.tokens[int(np.argmax(window.activations))] for window in self.windows if window.group == 0]
        return len(top) == TOP and len(set(top)) == 1

    def fires(self) -> list[str]:
        """The tokens on which its examples fire, the largest summed activation first."""
        sums: dict[str, float] = {}
        for window in self.windows:
            for token, activation in zip(window.tokens, window.activations, strict=True):
                if activation > 0:
                    sums[token] = sums.get(token, 0.0) + activation
        return sorted(sums, key=lambda token: -sums[token])

    def strings(self) -> Iterator[str]:
        """Every token text in it."""
        for window in self.windows:
            yield from window.tokens
        yield from (token for token, _ in (*self.up, *self.down))

    def row(self) -> dict[str, Any]:
        """Its row in a table of features, in the columns of `features.profile` and `features.table`."""
        neurons = [np.array(values) for values in zip(*self.weights, strict=True)] or [np.zeros(0)] * 3
        return {
            "feature": self.index, "density": self.density, "max": self.max, "single_token": self.single_token,
            "activation_counts": np.array(self.activations.counts), "activation_edges": np.array(self.activations.edges, np.float32),
            "logit_counts": np.array(self.logits.counts), "logit_edges": np.array(self.logits.edges, np.float32),
            "top_tokens": [token for token, _ in self.up], "top_weights": np.array([weight for _, weight in self.up], np.float32),
            "bottom_tokens": [token for token, _ in self.down], "bottom_weights": np.array([weight for _, weight in self.down], np.float32),
            "top_neurons": neurons[0].astype(np.int32), "top_neuron_weights": neurons[1].astype(np.float32),
            "top_neuron_shares": neurons[2].astype(np.float32),
            "part": "ultralow" if self.density < ULTRALOW else "other"}


def make(*, settings: Settings, folder: Path, out: Path, progress: Progress | None = None) -> None:
    """Write the table of features of a folder of files. Raises PublishedError."""
    stopwatch, progress = Stopwatch(), progress or Progress()
    rows = [feature.row() for _, feature in read_all(folder, progress)]
    path = out / artifacts.FEATURES
    artifacts.write_table(path, table(rows))
    artifacts.write_meta(out, stage="features", settings=settings, files={"features": path}, inputs={}, stopwatch=stopwatch, source=str(folder),
                         count=len(rows))


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of features: those without a row are dead, and have no histograms. What files do not say (bias, cluster, ...) is no column."""
    made = pd.DataFrame(rows).set_index("feature").sort_index()
    made = made.reindex(pd.RangeIndex(made.index.max() + 1, name="feature")).reset_index().astype({"feature": np.int32})
    filled = made.fillna({"density": 0.0, "max": 0.0, "single_token": False, "part": "dead"}).infer_objects()
    for column in ("top_tokens", "top_weights", "bottom_tokens", "bottom_weights", "top_neurons", "top_neuron_weights", "top_neuron_shares"):
        filled[column] = [[] if part == "dead" else value for part, value in zip(filled["part"], filled[column], strict=True)]
    return filled.astype({"single_token": bool, "max": np.float32})


def read_all(folder: Path, progress: Progress) -> Iterator[tuple[Path, Feature]]:
    """Every file of a folder, one at a time. Raises PublishedError."""
    if not folder.is_dir():
        raise PublishedError(f"{folder} is not a folder; name one with a JSON file for each feature")
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not paths:
        raise PublishedError(f"{folder} holds no file that ends in .json; name a folder with one for each feature")
    files: dict[int, Path] = {}
    for path in progress.over(paths, len(paths), "files checked"):
        feature = read(path)
        if feature.index in files:
            raise PublishedError(f"{path}: index is {feature.index}, as in {files[feature.index].name}; each feature has one file")
        files[feature.index] = path
        yield path, feature


def read(path: Path) -> Feature:
    """One file, checked. Raises PublishedError that names the file and the field."""
    found = _Value(_json(path), path, "")
    if not isinstance(found.value, dict):
        raise PublishedError(f"{path} holds no JSON object; a file of the published viewer does")
    statistics, effects = found["statistics"], found["logit_effects"]
    weights, neurons = statistics["abs_max_neuron_weights"].numbers(), [one.whole(below=MOST_FEATURES) for one in statistics["abs_max_neuron_inds"].items()]
    shares = statistics["l1_max_neuron_weights"].numbers()
    if not len(weights) == len(neurons) == len(shares):
        raise PublishedError(f"{path}: statistics.abs_max_neuron_weights, abs_max_neuron_inds and l1_max_neuron_weights differ in length")
    return Feature(
        found["index"].whole(below=MOST_FEATURES), statistics["density_frac"].number(0, 1), statistics["global_max_act"].number(0),
        _histogram(found, "act"), _histogram(found, "logit"),
        sorted(effects["positives"].pairs(), key=lambda pair: -pair[1]), sorted(effects["negatives"].pairs(), key=lambda pair: pair[1]),
        _windows(found["examples_quantiles"]), list(zip(neurons, weights, shares, strict=True)))


@dataclass(frozen=True)
class _Value:
    """A value of a file and its place there. Every method raises PublishedError when the value is not what it asks for."""

    value: Any
    path: Path
    place: str

    def wrong(self, said: str) -> PublishedError:
        return PublishedError(f"{self.path}: {self.place} {said}")

    def __getitem__(self, key: str) -> "_Value":
        if not isinstance(self.value, dict):
            raise self.wrong("is not an object")
        place = f"{self.place}.{key}" if self.place else key
        if key not in self.value:
            raise PublishedError(f"{self.path}: {place} is missing")
        return _Value(self.value[key], self.path, place)

    def bare(self) -> list[Any]:
        if not isinstance(self.value, list):
            raise self.wrong("is not a list")
        return self.value

    def items(self) -> list["_Value"]:
        return [_Value(one, self.path, f"{self.place}[{place}]") for place, one in enumerate(self.bare())]

    def number(self, low: float = -LIMIT, high: float = LIMIT) -> float:
        if not _is_number(self.value, low, high):
            raise self.wrong(f"is {_brief(self.value)}, not a number from {low:g} to {high:g}")
        return float(self.value)

    def whole(self, *, below: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value < below:
            raise self.wrong(f"is {_brief(self.value)}, not a whole number from 0 to {below - 1}")
        return self.value

    def flag(self) -> bool:
        if self.value not in (0, 1):
            raise self.wrong(f"is {_brief(self.value)}, not 0 or 1")
        return bool(self.value)

    def numbers(self, length: int | None = None, low: float = -LIMIT) -> list[float]:
        values = self.bare()
        if length is not None and len(values) != length:
            raise self.wrong(f"has {len(values)} entries, not {length}")
        for place, one in enumerate(values):
            if not _is_number(one, low, LIMIT):
                raise self.wrong(f"holds {_brief(one)} at {place}, not a number from {low:g} to {LIMIT:g}")
        return [float(one) for one in values]

    def text(self) -> str:
        if not isinstance(self.value, str) or len(self.value) > LONGEST_TOKEN:
            raise self.wrong(f"is {_brief(self.value)}, not a text of at most {LONGEST_TOKEN} characters")
        return self.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # a token may end within a character of two halves

    def pairs(self) -> list[tuple[str, float]]:
        found = []
        for one in self.items():
            both = one.items()
            if len(both) != 2:
                raise one.wrong("is not a pair of token and weight")
            found.append((both[0].text(), both[1].number()))
        return found


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high  # not NaN either


def _brief(value: Any) -> str:
    if isinstance(value, int) and abs(value) > LIMIT:
        return "a whole number of many digits"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else json.dumps(value)


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise PublishedError(f"{path} has more than {LARGEST_FILE:,} bytes; a feature's file has some 200,000")
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise PublishedError(f"{path} is not JSON{where}") from None
    except OSError as error:
        raise PublishedError(f"{path} cannot be read: {error.strerror}") from None


def _histogram(found: _Value, kind: str) -> Histogram:
    counts = found[f"{kind}_buckets"]
    heights = [one.whole(below=2**53) for one in counts.items()]
    edges = found[f"{kind}_bucket_edges"].numbers(len(heights) + 1)
    if not heights or any(high < low for low, high in pairwise(edges)):
        raise found[f"{kind}_bucket_edges"].wrong("does not rise over at least one bin")
    return Histogram(heights, edges)


def _windows(groups: _Value) -> list[Window]:
    """Windows of all groups: the first is the top, one called bottom the bottom, the others intervals in their order."""
    found: list[Window] = []
    interval = 0
    for place, group in enumerate(groups.items()):
        name = group["quantile_name"].text()
        last = name.lower().startswith("bottom")
        interval += place > 0 and not last
        if interval > INTERVALS:
            raise group["quantile_name"].wrong(f"is the interval {interval} of at most {INTERVALS}")
        found += [_window(example, 0 if place == 0 else BOTTOM if last else interval) for example in group["examples"].items()]
    return found


def _window(example: _Value, group: int) -> Window:
    tokens = [one.text() for one in example["tokens_str_list"].items()]
    if not tokens:
        raise example["tokens_str_list"].wrong("is empty")
    return Window(group, example["train_token_ind"].whole(below=len(tokens)), example["is_repeated_datapoint"].flag(), tokens,
                  example["tokens_acts_list"].numbers(len(tokens), 0), example["ablations"]["loss_ablation"].numbers(len(tokens)))
