"""How specific the features of contexts are: of the tokens on which a context's feature fires, the share inside the context.

A dictionary's feature of a context is the one with the highest correlation with the binary proxy on half 0 of the evaluation
tokens; the share is of half 1. Its mean over contexts says how sharp a dictionary is (ours; the paper looked at features).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replication.config import Settings
from replication.features.matrix import CHOOSING, REPORTING
from replication.studies import intervals
from replication.studies.detailed.cases import FEWEST, columns
from replication.studies.tables import Reader


@dataclass(frozen=True)
class Sharpness:
    """Mean specificity [dictionary], its draws over texts [dictionary, resample], and the number of contexts."""

    values: np.ndarray
    draws: np.ndarray
    contexts: int


def sharpness(reader: Reader, names: Sequence[str], settings: Settings) -> Sharpness | None:
    """The specificity of each dictionary's features of contexts; None where the text holds none of the run's contexts."""
    assert settings.studies
    proxies, ranked = reader.proxies(), reader.context_features()
    best = ranked[ranked["rank"] == 0].set_index(["dictionary", "context"])["feature"]
    named = [context for context in proxies if all((name, context) in best.index for name in names)]
    if not names or not named:
        return None
    n_ctx = reader.matrix(names[0]).n_ctx
    on = np.stack([proxies[context].reshape(-1, n_ctx) > 0 for context in named], axis=2)
    halves = np.arange(len(on)) % 2
    present = [index for index in range(len(named)) if min(on[halves == half, :, index].sum() for half in (CHOOSING, REPORTING)) >= FEWEST]
    if not present:
        return None
    inside = on[halves == REPORTING][:, :, present]
    found = []
    for name in names:
        features = [int(best[name, named[index]]) for index in present]
        fires = columns(reader, name, features).reshape(-1, n_ctx, len(present))[halves == REPORTING] > 0
        found.append(np.stack([(fires & inside).sum(1), fires.sum(1)], axis=1))  # [text, inside or all, context]
    counts = np.stack(found)  # [dictionary, text, inside or all, context]
    sums = intervals.by_text(counts.swapaxes(0, 1).reshape(counts.shape[1], -1).astype(float), reader.sources()[REPORTING::2])
    sums = intervals.resampled_sums(sums, settings.studies.bootstrap, intervals.random(settings, "sharpness"))
    return Sharpness(share(counts.sum(1)), share(sums.reshape(len(sums), *counts.shape[:1], *counts.shape[2:])).T, len(present))


def share(counts: np.ndarray) -> np.ndarray:
    """The mean over contexts of tokens inside by all tokens, from `counts` [..., inside or all, context]; a feature that never fires has 0."""
    inside, fired = counts[..., 0, :], counts[..., 1, :]
    means: np.ndarray = np.divide(inside, fired, out=np.zeros(fired.shape), where=fired > 0).mean(-1)
    return means
