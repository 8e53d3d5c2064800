"""Shards: small classic scripts that hand a value to the page, which load from disk where fetch and modules fail.

Everything outside of ASCII and every <, > and & is escaped in the file, so that no text in it can be read as markup or end a script.
"""

import base64
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from replication import artifacts
from replication.config import UserError

BUDGET = 300_000  # bytes of a shard; only a table's index may be larger
TARGET = 200_000  # bytes at which a shard of many parts is closed
T = TypeVar("T")


def script(path: str, value: Any) -> str:
    """The script of a shard: `shard("A/1/index", {...})`."""
    return f"shard({encoded(path)},{encoded(value)});\n"


def encoded(value: Any) -> str:
    """JSON that is safe inside a script. Raises ValueError on NaN, which JSON does not have."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write(folder: Path, path: str, value: Any, *, budget: float = BUDGET) -> None:
    """Write a shard as `<folder>/<path>.js`. Raises UserError when it is larger than the budget."""
    write_encoded(folder, path, encoded(value), budget=budget)


def write_encoded(folder: Path, path: str, value: str, *, budget: float = BUDGET) -> None:
    """As `write`, of a value that is encoded already."""
    text = f"shard({encoded(path)},{value});\n"
    if len(text) > budget:
        raise UserError(f"{folder / path}.js would have {len(text):,} bytes, but a shard has at most {budget:,.0f}; what it shows is too long, such as "
                        "what an explainer said")
    artifacts.write_text(folder / f"{path}.js", text)


def packed(array: NDArray[Any]) -> str:
    """Numbers as base64, little-endian."""
    return base64.b64encode(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def token_type(size: int) -> type[np.uint16] | type[np.uint32]:
    """The type in which token ids are packed: its two largest values are no tokens, and end windows and features."""
    return np.uint16 if size <= np.iinfo(np.uint16).max - 1 else np.uint32


class Series(Generic[T]):
    """Shards `<path>/0`, `<path>/1`, ... of items in order; one is closed before it exceeds TARGET bytes, and a larger item is alone.

    `encode` makes a shard's value of its items. `firsts` holds the key of the first item of each shard.
    """

    def __init__(self, folder: Path, path: str, encode: Callable[[list[T]], str]) -> None:
        self.folder, self.path, self.encode = folder, path, encode
        self.firsts: list[int] = []
        self._items: list[T] = []
        self._extent = 0

    def add(self, key: int, item: T, extent: int) -> None:
        """One more item, which takes `extent` bytes."""
        if self._items and self._extent + extent > TARGET:
            self._write()
        if not self._items:
            self.firsts.append(key)
        self._items.append(item)
        self._extent += extent

    def close(self) -> list[int]:
        """Write what is left; returns `firsts`."""
        if self._items:
            self._write()
        return self.firsts

    def _write(self) -> None:
        write_encoded(self.folder, f"{self.path}/{len(self.firsts) - 1}", self.encode(self._items))
        self._items, self._extent = [], 0


def together(items: list[str]) -> str:
    """Encoded values as one encoded list."""
    return f"[{','.join(items)}]"


def rounded(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """Numbers with so many significant digits, None for what is not finite: what a card needs of a float, in a third of its bytes."""
    form = f"%.{digits}g"
    found: list[float | None] = []
    for value in values:  # most lists are short, where an array would only cost time
        if value is None or not math.isfinite(value):
            found.append(None)
        else:
            near = float(form % value)
            found.append(int(near) if near.is_integer() else near)
    return found
