"""A browser folder read back: one feature as `schema` values, from the very files that the page shows.

So a picture and the page cannot differ, an imported viewer is drawn as a run is, and one card of 131,072 takes no longer than one of 512.
"""

import base64
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.browser import shards
from replication.browser.schema import CONFIG_HASH, CORPUS_HASH, LABEL, NONE, VERSION, VERSION_OF, Card, Columns, Example, Explanation, Histogram, Relation
from replication.config import UserError, nearest

FLOATS = ("density", "max", "bias", "spearman", "logit_score", "universality", "x", "y")
TOKENS = ("fires", "up")


@dataclass(frozen=True)
class Packed:
    """A folder with `run.js` and `data/`."""

    folder: Path

    @staticmethod
    def find(path: Path) -> "Packed":
        """The browser of a run's folder, or the folder of a browser itself. Raises UserError when it is neither."""
        if not path.is_dir():
            raise UserError(f"{path} is not a folder; name one of a run, such as results/laptop")
        folder = artifacts.Layout(path).browser() if not (path / artifacts.RUN).is_file() else path
        if not (folder / artifacts.RUN).is_file():
            raise ArtifactError(f"{folder / artifacts.RUN} is missing; `snakemake --cores all` makes it")
        return Packed(folder)

    @cached_property
    def run(self) -> dict[str, Any]:
        """The run index, see `Run` in types.d.ts. Raises ArtifactError when another version of the format wrote it."""
        found: dict[str, Any] = read(self.folder / artifacts.RUN)
        if found.get("version") != VERSION:
            raise ArtifactError(f"{self.folder / artifacts.RUN} has version {found.get('version')} of the format, not {VERSION}; make the browser again")
        return found

    @property
    def provenance(self) -> dict[str, str]:
        """Run, hashes and version, as far as the folder says them."""
        keys = {"config_hash": CONFIG_HASH, "corpus_hash": CORPUS_HASH, "version": VERSION_OF}
        return {"run": self.run["run"], **{key: self.run["facts"][said] for key, said in keys.items() if said in self.run["facts"]}}

    def entry(self, table: str, feature: int) -> dict[str, Any]:
        """What the run index says of a table. Raises UserError when it has no such table or feature."""
        entries: dict[str, dict[str, Any]] = {one["name"]: one for one in self.run["tables"]}
        if table not in entries:
            raise UserError(f"{self.folder} has no table {table!r} with cards; {nearest(table, entries)}")
        if feature >= entries[table]["features"]:
            raise UserError(f"{table} has {entries[table]['kind']} 0 to {entries[table]['features'] - 1}, not {feature}")
        return entries[table]

    def card(self, table: str, feature: int) -> Card:
        """The card of a feature. Raises UserError, or ArtifactError when its shard is missing or changed."""
        firsts = self.entry(table, feature)["cards"]
        for found in self._of(table, f"cards/{bisect_right(firsts, feature) - 1}"):
            if found["feature"] == feature:
                return as_card(found)
        raise ArtifactError(f"{self.folder} lacks the card of {table}/{feature}; delete the folder and make the browser again")

    def columns(self, table: str, feature: int) -> Columns:
        """The row of a feature in the index of its table: columns of one entry. Raises as `card` does."""
        self.entry(table, feature)
        packed = self._of(table, "index")
        ids = shards.token_type(self.run["vocabulary"]["size"])
        types: dict[str, Any] = {name: np.float32 for name in FLOATS} | {"cluster": np.int16, "part": np.uint8, "single_token": np.uint8}
        found = {name: np.frombuffer(base64.b64decode(packed[name]), np.dtype(kind).newbyteorder("<"))[feature:feature + 1] for name, kind in types.items()}
        for name in TOKENS:
            row = np.frombuffer(base64.b64decode(packed[name]), np.dtype(ids).newbyteorder("<")).reshape(-1, LABEL)[feature:feature + 1]
            found[name] = np.where(row == np.iinfo(ids).max, NONE, row.astype(np.int64)).astype(np.int32)
        return Columns(**found)

    @cached_property
    def vocabulary(self) -> Sequence[str]:
        """Token texts by id."""
        return [text for k in range(self.run["vocabulary"]["shards"]) for text in read(self.folder / artifacts.SHARDS / f"vocabulary/{k}.js")]

    def _of(self, table: str, path: str) -> Any:
        data = self.folder / artifacts.SHARDS
        model, _, name = table.partition("/")
        meta = f"{name}.{artifacts.META}"
        if (data / model / meta).is_file():  # of a run; an imported viewer has none
            artifacts.check(data / model, f"{name}/{path}.js", name=meta)
        return read(data / table / f"{path}.js")


def read(path: Path) -> Any:
    """The value of a shard. Raises ArtifactError when the file is missing or none."""
    decoder, start = json.JSONDecoder(), "shard("
    try:
        text = path.read_text(encoding="ascii")
        _, comma = decoder.raw_decode(text, len(start))
        value, end = decoder.raw_decode(text, comma + 1)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; delete its folder and make the browser again") from None
    except (ValueError, OSError):
        raise ArtifactError(f"{path} is not a shard; delete its folder and make the browser again") from None
    if not text.startswith(start) or text[end:].strip() != ");":
        raise ArtifactError(f"{path} is not a shard; delete its folder and make the browser again")
    return value


def as_card(value: Mapping[str, Any]) -> Card:
    """A card from its JSON; the inverse of `tables.as_card` but for the digits that are rounded away there."""
    return Card(
        value["feature"], _histogram(value["activations"]), _histogram(value["logits"]), _tuples(value["up"]), _tuples(value["down"]),
        [_example(one) for one in value["examples"]], [Relation(*one) for one in value["relations"]], [Explanation(**one) for one in value["explanations"]],
        _tuples(value["contexts"]), _tuples(value["texts"]))


def _example(value: Sequence[Any]) -> Example:
    group, context, pos, repeated, start, tokens, fired, effects = value
    return Example(group, context, pos, bool(repeated), start, tokens, _turns(fired), _turns(effects))


def _turns(flat: Sequence[Any]) -> list[tuple[int, float]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _histogram(value: Mapping[str, Any] | None) -> Histogram | None:
    return None if value is None else Histogram(value["counts"], value["edges"])


def _tuples(pairs: Sequence[Sequence[Any]]) -> list[tuple[Any, float]]:
    return [(key, value) for key, value in pairs]
