"""Values that a person wrote, checked: the type, the bounds, the spelling, and one sentence when something is wrong."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Literal

ZERO_OR_MORE, ABOVE_ZERO = (0, None), (1e-300, None)


class UserError(Exception):
    """A mistake in what was given to the program: one sentence that names the thing and the remedy."""


class ConfigError(UserError):
    """A config that cannot be run."""


def setting(doc: str, *, default: Any = dataclasses.MISSING, within: tuple[float | None, float | None] | None = None, where: bool = False) -> Any:
    """A config field with its sentence and, for numbers, the closed interval of allowed values; `where`: it says where a result is computed, not which."""
    return field(default=default, metadata={"doc": doc, "within": within, "where": where})


def nearest(word: str, allowed: typing.Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest allowed one, or all of them."""
    choices = sorted(allowed)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"allowed: {', '.join(choices)}"


def build(section: type, raw: Any, where: str) -> Any:
    """A dataclass from a mapping. Raises ConfigError that names the key, the value and what is allowed."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a mapping of settings, but is {raw!r}")
    known = {f.name: f for f in fields(section)}
    for key in raw:
        if key not in known:
            raise ConfigError(f"{where}.{key} is not a setting; {nearest(str(key), known)}")
    hints = typing.get_type_hints(section)
    values = {key: checked(raw[key], hints[key], known[key].metadata.get("within"), f"{where}.{key}") for key in raw}
    for name, f in known.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}.{name} is missing: {f.metadata['doc']}")
    return section(**values)


def checked(value: Any, hint: Any, within: tuple[float | None, float | None] | None, where: str) -> Any:
    """One value of the right type and inside its bounds, or a ConfigError."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{where} is {value!r}; {nearest(str(value), choices)}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{where} is {value!r}, but must be a list of texts")
        return tuple(value)
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as a text, and 1.0e-3 as a number
        try:
            value = float(value)
        except ValueError:
            pass
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise ConfigError(f"{where} is {value!r}, but must be {names[hint]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value!r}, but must be a finite number")
    if within is not None:
        low, high = within
        if (low is not None and value < low) or (high is not None and value > high):
            limits = " and ".join(text for text in (
                "" if low is None else ("above 0" if within is ABOVE_ZERO else f"at least {low:g}"), "" if high is None else f"at most {high:g}") if text)
            raise ConfigError(f"{where} is {value!r}, but must be {limits}")
    return value


def mapping(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of what was read, empty where there is none. Raises ConfigError when it is something else."""
    value = raw.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a mapping of settings, but is {value!r}")
    return value
