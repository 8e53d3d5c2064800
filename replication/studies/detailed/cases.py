"""What the families of the detailed investigations share: the contexts that the text holds, and the feature of each.

The feature examined is found and not named: the one of the main dictionary with the highest correlation with the binary proxy
on half 0 of the evaluation tokens (ours; the paper takes the feature most active in the context). It is reported on half 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from replication.config import Settings, model_of
from replication.features import NEURONS
from replication.features.matrix import HALVES, EvaluationMatrix
from replication.provenance import Stopwatch
from replication.studies.tables import Number, Reader
from replication.studies.tables import write as write_study

FEWEST, FEWEST_TEXTS = 100, 5  # tokens of a context on each half, and texts that hold them: a feature found on one text is a feature of that text


@dataclass(frozen=True)
class Case:
    """One context: its proxy's score of each evaluation token [token], where it is `on`, which tokens of the vocabulary are its own
    (`vocabulary` [d_vocab]), the `feature` and the `neuron` chosen on half 0, and the `half` of each token.
    """

    context: str
    label: str
    proxy: np.ndarray
    on: np.ndarray
    vocabulary: np.ndarray
    feature: int
    neuron: int
    half: np.ndarray


def cases(reader: Reader, settings: Settings) -> tuple[list[Case], dict[str, str]]:
    """The contexts of a run that its text holds, in the config's order; and of the others why not."""
    assert settings.contexts is not None and settings.studies
    proxies, members, found = reader.proxies(), reader.members(), reader.context_features()
    n_ctx = reader.tokens().shape[1]
    source = np.repeat(reader.sources(), n_ctx)
    main = settings.studies.main
    first = found[found["rank"] == 0].set_index(["dictionary", "context"])["feature"]
    present, absent = [], {}
    for name, context in settings.contexts.items():
        score = proxies[name]
        half, on = (np.arange(len(score)) // n_ctx % len(HALVES)).astype(np.int8), score > 0
        places = [(main, name), (f"{model_of(main)}/{NEURONS}", name)]
        held = [(int((on & (half == which)).sum()), len(np.unique(source[on & (half == which)]))) for which in HALVES]
        if any(tokens < FEWEST or texts < FEWEST_TEXTS for tokens, texts in held) or not all(place in first.index for place in places):
            seen = " and ".join(f"{tokens:,} tokens of {texts:,} texts" for tokens, texts in held)
            absent[name] = f"the text holds too little {context.label}: {seen} on the halves of {len(on):,} evaluation tokens"
            continue
        feature, neuron = (int(first.loc[place]) for place in places)
        present.append(Case(name, context.label, score, on, members[name], feature, neuron, half))
    return present, absent


def columns(reader: Reader, name: str, features: Sequence[int]) -> np.ndarray:
    """Activations of a few features of a dictionary, or of neurons, on all evaluation tokens: float32 [token, feature]."""
    matrix: EvaluationMatrix = reader.matrix(name)
    found = np.empty((matrix.tokens, len(features)), np.float32)
    start = 0
    for shard in matrix:
        part = shard[:, list(features)]
        found[start : start + part.shape[0]] = part if isinstance(part, np.ndarray) else part.toarray()
        start += part.shape[0]
    return found


def write(*, out: Path, study: str, rows: Mapping[str, pd.DataFrame], numbers: Mapping[str, Mapping[str, Number]], keys: Sequence[str],
          absent: Mapping[str, str], settings: Settings, reader: Reader, stopwatch: Stopwatch,
          missing: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """A family's folder: `data.csv` with the column `context`, numbers with the prefix `<context>_`.

    An absent context has no rows; each of `keys` is missing for its reason. `numbers.json` says of every context its label and, if
    so, why it is absent.
    """
    assert settings.contexts is not None
    parts = [table.assign(context=name) for name, table in rows.items()]
    data = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"context": list(absent)})
    flat = {f"{name}_{key}": value for name, found in numbers.items() for key, value in found.items()}
    why = {f"{name}_{key}": reason for name, reason in absent.items() for key in keys}
    why |= {f"{name}_{key}": reason for name, reasons in (missing or {}).items() for key, reason in reasons.items()}
    about = {name: {"label": context.label, "absent": absent.get(name, "")} for name, context in settings.contexts.items()}
    write_study(out=out, study=study, data=data, numbers=flat, settings=settings, reader=reader, stopwatch=stopwatch, missing=why,
                contexts=about)
