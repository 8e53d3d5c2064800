"""The published viewer's files (a JSON file per feature) as a table of the browser, so that one page draws them and a run.

What a file holds beside the fields read here is passed over. A file is read twice and never kept: once for the index and the tokens, once for
its card. Source of the format: the public files of the paper's feature explorer.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import replication
from replication import artifacts
from replication.browser import site, tables
from replication.browser.schema import LABEL, NONE, PARTS, VERSION_OF, About, Card, Columns, Example, Histogram, Relation, Shared, Table
from replication.config import UserError, model_of
from replication.features import NEURONS
from replication.features.examples import INTERVALS, TOP
from replication.progress import Progress

NAME = re.compile(r"(?!text/)[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")  # of a table; the page keeps text/ for texts
BOTTOM = INTERVALS + 1
ULTRALOW = 1e-6  # density; source: paper, appendix on feature density
MOST_FEATURES = 2**20
LARGEST_FILE = 2**26  # bytes, a few hundred times what a file has
LONGEST_TOKEN = 1000  # characters
LIMIT = 1e30  # beyond any activation, and well inside float32


class PublishedError(UserError):
    """A file that is not in the published viewer's format."""


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
        """The tokens with the largest summed activation in its examples."""
        sums: dict[str, float] = {}
        for window in self.windows:
            for token, activation in zip(window.tokens, window.activations, strict=True):
                if activation > 0:
                    sums[token] = sums.get(token, 0.0) + activation
        return sorted(sums, key=lambda token: -sums[token])[:LABEL]

    def strings(self) -> Iterator[str]:
        """Every token text in it."""
        for window in self.windows:
            yield from window.tokens
        yield from (token for token, _ in (*self.up, *self.down))

    def card(self, ids: Mapping[str, int], neurons: str) -> Card:
        """As a card, with tokens by id."""
        return Card(self.index, self.activations, self.logits, [(ids[token], weight) for token, weight in self.up],
                    [(ids[token], weight) for token, weight in self.down], [_example(window, ids) for window in self.windows],
                    [Relation("weight", neurons, neuron, weight, share) for neuron, weight, share in self.weights])


def bring(folder: Path, out: Path, *, name: str, title: str = "", progress: Progress | None = None) -> int:
    """Write a browser folder `out` from a folder of files, all of it or nothing; returns the number of files.

    `name` is the table's, `title` the run's (the folder's name by default). Raises PublishedError.
    """
    if not NAME.fullmatch(name):
        raise PublishedError(f"{name!r} is not the name of a table; a name is model/dictionary, such as A/1")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise PublishedError(f"{out} exists already; delete it or name another folder with --out")
    progress = progress or Progress()
    files, columns, vocabulary = survey(folder, progress)
    features = len(columns.density)
    ids = {token: place for place, token in enumerate(vocabulary)}
    cards = _cards(files, features, ids, f"{model_of(name)}/{NEURONS}", progress)
    table = Table(name, "neurons" if name.endswith(f"/{NEURONS}") else "features", columns, cards)
    shared = Shared(vocabulary, None)
    with _whole(out) as temporary:
        site.write_shared(shared, temporary / artifacts.SHARDS)
        entry = tables.write(table, len(vocabulary), temporary / artifacts.SHARDS)
        site.write_page(_about(title or folder.resolve().name, name, files, columns, vocabulary), shared, [entry], temporary)
    return len(files)


def survey(folder: Path, progress: Progress) -> tuple[dict[int, Path], Columns, list[str]]:
    """Every file, by feature; the index of the table; all token texts in the order in which they come. Raises PublishedError."""
    if not folder.is_dir():
        raise PublishedError(f"{folder} is not a folder; name one with a JSON file for each feature")
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not paths:
        raise PublishedError(f"{folder} holds no file that ends in .json; name a folder with one for each feature")
    files: dict[int, Path] = {}
    vocabulary: dict[str, int] = {}
    rows: dict[int, tuple[float, float, bool, list[int], list[int]]] = {}
    for path in progress.over(paths, len(paths), "files checked"):
        feature = read(path)
        if feature.index in files:
            raise PublishedError(f"{path}: index is {feature.index}, as in {files[feature.index].name}; each feature has one file")
        files[feature.index] = path
        for token in feature.strings():
            vocabulary.setdefault(token, len(vocabulary))
        raised = [vocabulary[token] for token, _ in feature.up[:LABEL]]
        rows[feature.index] = feature.density, feature.max, feature.single_token, [vocabulary[token] for token in feature.fires()], raised
    return files, _columns(rows), list(vocabulary)


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
        return self.value

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


def _example(window: Window, ids: Mapping[str, int]) -> Example:
    fired = [(place - window.centre, activation) for place, activation in enumerate(window.activations) if activation > 0]
    effects = [(place - window.centre, -loss) for place, loss in enumerate(window.losses) if loss != 0]  # a loss that rises is a log-likelihood that falls
    return Example(window.group, NONE, NONE, window.repeated, -window.centre, [ids[token] for token in window.tokens], fired, effects)


def _cards(files: Mapping[int, Path], features: int, ids: Mapping[str, int], neurons: str, progress: Progress) -> Iterator[Card]:
    for index in progress.over(range(features), features, "cards written"):
        try:
            yield read(files[index]).card(ids, neurons) if index in files else Card(index, None, None, [], [], [])
        except KeyError:
            raise PublishedError(f"{files[index]} changed while it was read; start again") from None


def _columns(rows: Mapping[int, tuple[float, float, bool, list[int], list[int]]]) -> Columns:
    """The index of a table whose features without a row are dead."""
    features = max(rows) + 1
    density, largest = np.zeros(features, dtype=np.float32), np.zeros(features, dtype=np.float32)
    part, single = np.full(features, PARTS.index("dead"), dtype=np.uint8), np.zeros(features, dtype=np.uint8)
    fires, up = np.full((features, LABEL), NONE, dtype=np.int32), np.full((features, LABEL), NONE, dtype=np.int32)
    for index, (share, top, one_token, strongest, raised) in rows.items():
        density[index], largest[index], single[index] = share, top, one_token
        part[index] = PARTS.index("ultralow" if share < ULTRALOW else "other")
        fires[index, :len(strongest)], up[index, :len(raised)] = strongest, raised
    unknown = np.full(features, np.nan, dtype=np.float32)
    return Columns(density=density, max=largest, bias=unknown, spearman=unknown, logit_score=unknown, universality=unknown, x=unknown, y=unknown,
                   cluster=np.full(features, NONE, dtype=np.int16), part=part, single_token=single, fires=fires, up=up)


def _about(title: str, name: str, files: Mapping[int, Path], columns: Columns, vocabulary: Sequence[str]) -> About:
    features = len(columns.density)
    counts = {part: int((columns.part == place).sum()) for place, part in enumerate(PARTS)}
    row = {"name": name, "table": True, "d_sae": features, "l1": None, "l1_summed": None, "l0": float(columns.density.sum(dtype=np.float64)), "recovered": None,
           "dead": counts["dead"], "ultralow": counts["ultralow"], "seed": None, "commit": None, "config": None, "vectors": None, "shuffled": False}
    facts = {"source": "files in the published viewer's format", "features with a file": f"{len(files):,} of {features:,}; the others are shown as dead",
             "tokens": f"{len(vocabulary):,}, those that the files show", VERSION_OF: replication.__version__}
    return About(title, facts, [row])


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends well, and vanishes when it does not."""
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, out)
    except OSError as error:
        raise PublishedError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
