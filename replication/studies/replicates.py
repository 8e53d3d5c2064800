"""Dictionaries that differ in the seed only: `A/1`, `A/1-r1`, `A/1-r2` are three replicates of A/1."""

import dataclasses
import re
from collections.abc import Mapping

from replication.config import Model, Sae, model_of

NO_TWIN = "the run has no second model to look for the same features in (studies.twin is of the main dictionary's model)"
SUFFIX = re.compile(r"-r[1-9]\d*$")


def base(name: str, dictionaries: Mapping[str, Sae]) -> str:
    """The dictionary that `name` replicates, or `name` itself: same model, same settings but the seed."""
    stem = SUFFIX.sub("", name)
    return stem if stem != name and stem in dictionaries and alike(name, stem, dictionaries) else name


def groups(dictionaries: Mapping[str, Sae]) -> dict[str, list[str]]:
    """Replicates by the dictionary that they replicate, in the order of the config."""
    found: dict[str, list[str]] = {}
    for name in dictionaries:
        found.setdefault(base(name, dictionaries), []).append(name)
    return found


def sibling(main: str, short: str) -> str:
    """Another dictionary of the same model: `A/0` for `A/1` and `0`."""
    return f"{model_of(main)}/{short}"


def ladder(main: str) -> dict[str, tuple[str, str]]:
    """Neighbours in size among the paper's dictionaries: `0_1` is A/0 and A/1 for a main dictionary of A."""
    return {f"{small}_{large}": (sibling(main, small), sibling(main, large)) for small, large in (("0", "1"), ("1", "2"))}


def lacking(main: str, dictionaries: Mapping[str, Sae], *keys: str) -> dict[str, str]:
    """Why a number that compares neighbours in size (`growth` of `growth_0_1`) cannot be given by this run."""
    return {f"{key}_{step}": f"the run has no {name}" for key in keys for step, pair in ladder(main).items()
            for name in pair if name not in dictionaries}


def without_seed(settings: Model | Sae, *but: str) -> dict[str, object]:
    """The settings of a model or dictionary, but for its seed and those named."""
    return {key: value for key, value in vars(settings).items() if key not in {"seed", "replicates", *but}}


def alike(name: str, main: str, dictionaries: Mapping[str, Sae], *but: str) -> bool:
    """Whether a dictionary has the model and the settings of `main`, but for its seed and the settings named.

    Replicates that start from replicates of one dictionary start alike.
    """
    def rest(sae: Sae) -> dict[str, object]:
        return without_seed(dataclasses.replace(sae, warm_start=SUFFIX.sub("", sae.warm_start)), *but)

    return model_of(name) == model_of(main) and rest(dictionaries[name]) == rest(dictionaries[main])


def elsewhere(main: str, models: Mapping[str, Model], dictionaries: Mapping[str, Sae], model_setting: str, *but: str) -> list[str]:
    """The main dictionary, and one a model on models that differ from its own in seed, stream and one setting only.

    It has the settings of `main` but for the seed and those of `but`; of several the one with its id, else the first.
    """
    def like(model: str) -> list[str]:
        return [name for name, sae in dictionaries.items() if model_of(name) == model and without_seed(sae, *but) == without_seed(dictionaries[main], *but)]

    own, found = without_seed(models[model_of(main)], "stream", model_setting), [main]
    for model, settings in models.items():
        if model != model_of(main) and without_seed(settings, "stream", model_setting) == own and (names := like(model)):
            same = f"{model}/{main.partition('/')[2]}"
            found.append(same if same in names else names[0])
    return found
