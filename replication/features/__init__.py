"""What every feature of a dictionary and every neuron of a model does, measured in one pass over shared evaluation tokens."""

from collections.abc import Iterator

from replication.config import Config

NEURONS = "neurons"  # the id of a model's neurons among its dictionaries: A/neurons/32


def pairs(config: Config) -> list[tuple[str, str]]:
    """Which tables are matched with which: (whose features, where their matches are looked for), in a fixed order.

    With A and B the models of `studies.main` and `studies.twin`: each dictionary id that both have, in both directions;
    each of these features of A against A's own neurons; A's neurons against B's; and the dictionaries of shuffled copies
    of A against A's of the same id. Source: paper, "Are features universal?"; the last is ours.
    """
    return list(dict.fromkeys(_pairs(config)))


def tables(config: Config) -> list[str]:
    """The tables that `pairs` names, each once: dictionaries such as A/1, and neurons such as A/neurons."""
    return list(dict.fromkeys(name for pair in pairs(config) for name in pair))


def _pairs(config: Config) -> Iterator[tuple[str, str]]:
    main, twin = config.studies.main, config.studies.twin
    here, there = main.partition("/")[0], twin.partition("/")[0]
    if main != twin:
        yield from ((main, twin), (twin, main))
    ids = [name.partition("/")[2] for name in config.dictionaries if name.startswith(f"{here}/")]
    if here != there:
        for short in ids:
            if f"{there}/{short}" in config.dictionaries:
                yield from ((f"{here}/{short}", f"{there}/{short}"), (f"{there}/{short}", f"{here}/{short}"))
                yield f"{here}/{short}", f"{here}/{NEURONS}"
        yield f"{here}/{NEURONS}", f"{there}/{NEURONS}"
    yield main, f"{here}/{NEURONS}"
    for model, settings in config.models.items():
        if settings.shuffle_of == here:
            yield from ((f"{model}/{short}", f"{here}/{short}") for short in ids if f"{model}/{short}" in config.dictionaries)
