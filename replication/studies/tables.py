"""How a study reads what it needs and writes what it found: `data.csv`, `numbers.json` and their metadata."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

import replication
from replication import artifacts
from replication.artifacts import ArtifactError, Layout
from replication.config import Settings, UserError
from replication.features.matrix import EvaluationMatrix
from replication.provenance import Stopwatch, written
from replication.studies.intervals import Estimate

if TYPE_CHECKING:
    from replication.features.vocabulary import Vocabulary
    from replication.model.transformer import Transformer
    from replication.sae.dictionary import Dictionary


@dataclass(frozen=True)
class Number:
    """One headline number. `n` is the sample size and `over` what it counts; the rest is left out where unknown."""

    value: float
    unit: str
    n: int
    over: str
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    replicates: int | None = None


def number(estimate: Estimate, *, unit: str, n: int, over: str) -> Number:
    """An estimate as a number."""
    return Number(estimate.value, unit, n, over, estimate.sd, estimate.low, estimate.high, estimate.replicates)


class Reader:
    """Reads files of the run after comparing their checksums, and remembers them as inputs of the study."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.inputs: dict[str, Path] = {}

    def features(self, name: str, *columns: str) -> pd.DataFrame:
        """Columns of the feature table of a dictionary or of neurons (`A/neurons`)."""
        return artifacts.read_table(self._checked(self.layout.features(name), artifacts.FEATURES), columns)

    def losses(self, name: str) -> pd.DataFrame:
        """Sums of losses per evaluation context, and the text that it is of (`source`)."""
        return artifacts.read_table(self._checked(self.layout.features(name), artifacts.LOSSES)).assign(source=self.sources())

    def evaluation(self, name: str) -> dict[str, Any]:
        """The evaluation of a dictionary as a whole."""
        found: dict[str, Any] = artifacts.read_json(self._checked(self.layout.features(name), artifacts.EVALUATION))
        return found

    def training_log(self, name: str) -> pd.DataFrame:
        """The training log of a dictionary."""
        return artifacts.read_table(self._checked(self.layout.sae(name), artifacts.TRAINING_LOG))

    def weights(self, name: str) -> dict[str, np.ndarray]:
        """`W_enc` [d_in, d_sae], `b_enc`, `W_dec` [d_sae, d_in], `b_dec` of a dictionary, without torch."""
        return self._tensors(self._checked(self.layout.sae(name), artifacts.SAE_WEIGHTS))

    def matrix(self, name: str) -> EvaluationMatrix:
        """The evaluation matrix of a dictionary or of neurons."""
        return EvaluationMatrix(self._checked(self.layout.features(name), artifacts.MATRIX))

    def matches(self) -> pd.DataFrame:
        """Best matches between dictionaries and neurons."""
        return artifacts.read_table(self._checked(self.layout.evaluation(), artifacts.MATCHES, artifacts.MATCHES_META))

    def examples(self, name: str, *columns: str) -> pd.DataFrame:
        """Columns of the examples of a dictionary or of neurons, see `features.examples.table`."""
        return artifacts.read_table(self._checked(self.layout.features(name), artifacts.EXAMPLES), columns or None)

    def ablation(self, name: str) -> pd.DataFrame:
        """Effects of ablating every feature of a dictionary: context, pos, feature, activation, effect (see `features.ablation`)."""
        return artifacts.read_table(self._checked(self.layout.features(name), artifacts.ABLATION, artifacts.ABLATION_META))

    def start(self, name: str) -> dict[str, np.ndarray]:
        """Directions in which the features of a dictionary were last started: `W_dec` [d_sae, d_in], and `resampled` [d_sae]."""
        return self._tensors(self._checked(self.layout.sae(name), artifacts.SAE_START))

    def watch(self, name: str) -> dict[str, np.ndarray]:
        """What was counted through the training of a watched dictionary, see `replication.sae.watch`; and `left` [d_sae]."""
        return self._tensors(self._checked(self.layout.sae(name), artifacts.WATCH))

    def units(self, name: str, *columns: str) -> pd.DataFrame:
        """Columns of the units of a table that were drawn to be explained."""
        return artifacts.read_table(self._checked(self.layout.interpretability(name), artifacts.UNITS), columns)

    def windows(self, name: str, *columns: str) -> pd.DataFrame:
        """Columns of the windows from which units are explained, and of those that are predicted."""
        return artifacts.read_table(self._checked(self.layout.interpretability(name), artifacts.WINDOWS), columns)

    def scores(self, name: str, kind: str, *columns: str) -> pd.DataFrame:
        """Columns of the scores of a table's units by explainers of one kind, `offline` or `llm`."""
        return artifacts.read_table(self._checked(self.layout.interpretability(name, kind), artifacts.SCORES), columns)

    def tokens(self) -> np.ndarray:
        """The evaluation tokens, int32 [context, n_ctx]."""
        tokens: np.ndarray = self._tensors(self._checked(self.layout.evaluation(), artifacts.EVALUATION_TOKENS, artifacts.TOKENS_META))["tokens"]
        return tokens

    def sources(self) -> np.ndarray:
        """Which text each evaluation context is of, int64 [context]: contexts of one text are not independent (see `intervals.by_text`)."""
        sources: np.ndarray = self._tensors(self._checked(self.layout.evaluation(), artifacts.EVALUATION_SOURCES, artifacts.TOKENS_META))["sources"]
        return sources

    def proxies(self) -> dict[str, np.ndarray]:
        """Scores of the evaluation tokens by context, float32 [token]; a context is on where they are above zero."""
        return {key: value for key, value in self._proxies().items() if "/" not in key}

    def members(self) -> dict[str, np.ndarray]:
        """Which tokens of the vocabulary are a context's own, bool [d_vocab], by context."""
        return {key.removesuffix("/member"): value for key, value in self._proxies().items() if key.endswith("/member")}

    def context_features(self) -> pd.DataFrame:
        """Which features follow which context: dictionary, context, feature, rank, correlation_chosen, correlation."""
        return artifacts.read_table(self._checked(self.layout.evaluation(), artifacts.CONTEXTS, artifacts.CONTEXTS_META))

    def text_tokens(self) -> pd.DataFrame:
        """The fixed texts: text, title, pos, token."""
        return artifacts.read_table(self._checked(self.layout.evaluation(), artifacts.TEXT_TOKENS, artifacts.TEXTS_META))

    def texts(self, name: str) -> pd.DataFrame:
        """What is on on the tokens of the fixed texts, of one dictionary or of neurons: text, pos, feature, activation, effect."""
        table = artifacts.read_table(self._checked(self.layout.evaluation(), artifacts.TEXTS, artifacts.TEXTS_META))
        return table[table["dictionary"] == name].drop(columns="dictionary").reset_index(drop=True)

    def vocabulary(self) -> "Vocabulary":
        """The text of every token, and its count in the training text."""
        from replication.features.vocabulary import Vocabulary

        for file, meta in ((artifacts.TOKENIZER, artifacts.TOKENIZER_META), (artifacts.UNIGRAMS, artifacts.TOKENS_META)):
            self._checked(self.layout.corpus(), file, meta)
        return Vocabulary.read(self.layout.corpus())

    def model(self, name: str) -> "Transformer":
        """A transformer, such as `A`, on the CPU."""
        from replication.model.store import load

        self._checked(self.layout.model(name), artifacts.WEIGHTS)
        return load(self.layout.model(name))

    def sae(self, name: str) -> "Dictionary":
        """A dictionary, such as `A/1`, on the CPU, as torch tensors."""
        from replication.sae import load

        self._checked(self.layout.sae(name), artifacts.SAE_WEIGHTS)
        return load(self.layout.sae(name))

    def corpus(self) -> dict[str, Any]:
        """What the text was."""
        found: dict[str, Any] = artifacts.read_json(self._checked(self.layout.corpus(), artifacts.CORPUS))
        return found

    def written(self, *parts: str) -> Path:
        """A file of the project, such as `results/bench/scaling.csv`."""
        self.inputs["/".join(parts)] = path = Path(written(*parts))
        return path

    def _proxies(self) -> dict[str, np.ndarray]:
        return self._tensors(self._checked(self.layout.evaluation(), artifacts.PROXIES, artifacts.CONTEXTS_META))

    @staticmethod
    def _tensors(path: Path) -> dict[str, np.ndarray]:
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ArtifactError(f"{path} is truncated or not safetensors ({error}); delete it and run `snakemake --cores all`") from None

    def _checked(self, folder: Path, file: str, meta: str = artifacts.META) -> Path:
        role = str((folder / file).relative_to(self.layout.root))
        if role not in self.inputs:  # a large file's checksum takes longer than reading it
            artifacts.check(folder, file, name=meta)
            self.inputs[role] = folder / file
        return folder / file


def provenance(settings: Settings, corpus: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in small print on an exhibit."""
    return {"run": settings.run, "config_hash": settings.hash(), "corpus_hash": str(corpus["manifest_sha256"])[:12],
            "corpus_matches_reference": corpus.get("matches_reference"), "version": replication.__version__}


def write(*, out: Path, study: str, data: pd.DataFrame, numbers: Mapping[str, Number], settings: Settings, reader: Reader,
          stopwatch: Stopwatch, missing: Mapping[str, str] | None = None, **extra: Any) -> None:
    """Write a study's folder; in a table by dictionary the column `main` marks the one that stands for the paper's A/1.

    A number that is not finite is left out; `missing` says of such keys why, in a few words. `extra` goes into `numbers.json` as it is.
    """
    if data.empty:
        raise UserError(f"study {study} found nothing to tell in {reader.layout.root}; the run lacks the dictionaries that it compares")
    if settings.studies and "group" in data:
        data = data.assign(main=data["group"] == settings.studies.main)
    artifacts.write_table(out / artifacts.DATA, data)
    finite = {key: plain(value) for key, value in numbers.items() if math.isfinite(value.value)}
    why = {key: reason for key, reason in (missing or {}).items() if key not in finite}
    artifacts.write_json(out / artifacts.NUMBERS, {"provenance": provenance(settings, reader.corpus()), "numbers": finite, "missing": why, **extra})
    files = {name: out / name for name in (artifacts.DATA, artifacts.NUMBERS)}
    artifacts.write_meta(out, stage="studies", settings=settings, files=files, inputs=reader.inputs, stopwatch=stopwatch, study=study)


def plain(number: Number) -> dict[str, Any]:
    """The fields that are known, floats with nine significant digits so that last bits do not matter."""
    def known(value: object) -> bool:
        return value is not None and not (isinstance(value, float) and not math.isfinite(value))

    found = {name: value for name, value in dataclasses.asdict(number).items() if known(value)}
    return {name: float(f"{value:.9g}") if isinstance(value, float) else value for name, value in found.items()}


