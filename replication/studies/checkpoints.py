"""Dictionaries along the training of the main one's model, and in models of more layers: found by their settings, not by their names."""

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from replication.config import Model, Sae, model_of, place
from replication.studies.replicates import groups, without_seed

Models: TypeAlias = Mapping[str, Model]
Dictionaries: TypeAlias = Mapping[str, Sae]


def fresh(main: str, models: Models, dictionaries: Dictionaries) -> dict[float, list[str]]:
    """Dictionaries with a start of their own, with replicates, by the share of training after which their model stopped; the main one is at 1.

    They have the site, size and l1 of the main one. Empty where no model stops early.
    """
    found = dict[float, list[str]]()
    for group, members in groups(dictionaries).items():
        share = _share(model_of(group), main, models)
        if share is not None and share < 1 and not dictionaries[group].warm_start and _comparable(dictionaries[group], dictionaries[main]):
            found.setdefault(share, members)
    return dict(sorted(found.items())) | {1.0: groups(dictionaries)[main]} if found else {}


def chain(main: str, models: Models, dictionaries: Dictionaries) -> dict[float, list[str]]:
    """Dictionaries each of which starts from the one before, by share of training, from the first, which has a start of its own, to the end.

    Empty where no dictionary of the main one's model starts from one of an earlier point, or there are no fresh ones beside it.
    """
    beside = fresh(main, models, dictionaries)
    for group, members in groups(dictionaries).items():
        if model_of(group) == model_of(main) and _comparable(dictionaries[group], dictionaries[main]):
            back = [links(name, dictionaries) for name in members]
            shares = [_share(model_of(name), main, models) for name in back[0]]
            if beside and None not in shares and len(set(shares)) == len(shares) > 1 and len(set(map(len, back))) == 1:
                return dict(sorted((share, list(names)) for share, *names in zip(shares, *back, strict=True) if share is not None))
    return {}


def by_layer(main: str, models: Models, dictionaries: Dictionaries) -> dict[int, list[str]]:
    """Dictionaries of the main one's kind of site and size in models of more layers with else the same settings but for the seed; one a model and layer."""
    found: dict[int, dict[str, str]] = {}
    for name, sae in dictionaries.items():
        of, own = models[model_of(name)], models[model_of(main)]
        kind, layer = place(sae.site, of.n_layers)
        wanted = place(dictionaries[main].site, own.n_layers)[0], dictionaries[main].d_sae
        same = without_seed(of, "n_layers", "stream") == without_seed(own, "n_layers", "stream")
        if of.n_layers > own.n_layers and same and (kind, sae.d_sae) == wanted:
            found.setdefault(layer, {}).setdefault(model_of(name), name)
    return {layer: list(names.values()) for layer, names in sorted(found.items())}


def links(name: str, dictionaries: Dictionaries) -> list[str]:
    """A dictionary, the one that it starts from, the one that this starts from, and so on, as far as they are known."""
    found = [name]
    while (before := dictionaries[found[-1]].warm_start) in dictionaries:
        found.append(before)
    return found


def _share(model: str, main: str, models: Models) -> float | None:
    """The share of training after which a model stopped, if it is the main one's model but for that."""
    own = models[model_of(main)]
    return models[model].until if dataclasses.replace(models[model], until=own.until) == own else None


def _comparable(sae: Sae, main: Sae) -> bool:
    return (sae.site, sae.d_sae, sae.l1) == (main.site, main.d_sae, main.l1)
