"""Every path and file name, and how a result is written and read: atomically, with metadata and checksums.

An artifact is a folder with files and a `meta.json` that says how they came about and what their checksums are.
Nothing is ever unpickled.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication import provenance
from replication.config import Settings, UserError, to_dict

if TYPE_CHECKING:
    import pandas as pd
    import torch

META = "meta.json"
# of folders with several artifacts
REVISION_META = "revision.meta.json"
TOKENIZER_META, TOKENS_META, MATCHES_META, CONTEXTS_META, ABLATION_META = (
    "tokenizer.meta.json", "tokens.meta.json", "matches.meta.json", "contexts.meta.json", "ablation.meta.json")
EFFECTS_META, RELATIONS_META, TEXTS_META = "effects.meta.json", "relations.meta.json", "texts.meta.json"
# corpus
REVISION, DOCUMENTS, CORPUS, TOKENIZER = "revision.json", "documents.parquet", "corpus.json", "tokenizer.json"
TRAIN_TOKENS, HELD_OUT_TOKENS, UNIGRAMS = "train.safetensors", "held_out.safetensors", "unigrams.safetensors"
HELD_OUT_SOURCES = "held_out_sources.safetensors"
# model
WEIGHTS, ARCHITECTURE, TRAINING_LOG = "weights.safetensors", "architecture.json", "log.csv"
# activations
BLOCKS, STATISTICS = "blocks", "statistics.json"
# sae: the first two are SAELens's names
SAE_WEIGHTS, SAE_CONFIG, SAE_START, WATCH = "sae_weights.safetensors", "cfg.json", "start.safetensors", "watch.safetensors"
# features
EVALUATION_TOKENS, MATRIX, FEATURES, EXAMPLES, EVALUATION, MATCHES = (
    "tokens.safetensors", "matrix.safetensors", "features.parquet", "examples.parquet", "evaluation.json", "matches.parquet")
EVALUATION_SOURCES, LOSSES, SITE_MEAN = "sources.safetensors", "losses.parquet", "site_mean.safetensors"
PROXIES, CONTEXTS, ABLATION = "proxies.safetensors", "contexts.parquet", "ablation.parquet"
EFFECTS, RELATIONS, TEXTS, TEXT_TOKENS = "effects.parquet", "relations.parquet", "texts.parquet", "text_tokens.parquet"
# interpretability
UNITS, WINDOWS, SCORES, PREDICTIONS = "units.parquet", "windows.parquet", "scores.parquet", "predictions.parquet"
# studies, claims
DATA, NUMBERS = "data.csv", "numbers.json"
CLAIMS, CLAIMS_TEXT, CLAIMS_PAGE = "claims.csv", "claims.md", "claims.html"
REPORT, REPORT_PDF, MACROS, REFERENCES = "report.html", "report.pdf", "numbers.tex", "references.bib"
CLAIMS_META, REPORT_META, CITATION_META = "claims.meta.json", "report.meta.json", "citation.meta.json"
# browser
PAGE, APP, STYLE, RUN, SHARDS, SHARED_META = "index.html", "browser.js", "browser.css", "run.js", "data", "shared.meta.json"
CHECKPOINT = "checkpoint.safetensors"


class ArtifactError(UserError):
    """A file that is missing, broken, or not what its place says."""


@dataclass(frozen=True)
class Layout:
    """Paths of one run. The path is the name: dictionary A/1 lies in `sae/A/1`."""

    root: Path

    def corpus(self) -> Path:
        """Documents, tokenizer, tokens, unigram counts."""
        return self.root / "corpus"

    def part(self, number: int | str) -> Path:
        """One of the parts in which the corpus is collected and encoded."""
        return self.corpus() / "parts" / str(number)

    def model(self, name: str) -> Path:
        """A transformer, such as `A`."""
        return self.root / "model" / name

    def activations(self, name: str) -> Path:
        """Activation vectors of a model's site, such as `A/mlp_act`."""
        return self.root / "activations" / name

    def sae(self, name: str) -> Path:
        """A dictionary, such as `A/1`."""
        return self.root / "sae" / name

    def evaluation(self) -> Path:
        """The evaluation tokens that the whole run shares."""
        return self.root / "features"

    def features(self, name: str) -> Path:
        """What every feature of a dictionary (`A/1`) or every neuron of a model (`A/neurons`) does; or a site without any (`A/mlp_act`)."""
        return self.root / "features" / name

    def interpretability(self, name: str, explainers: str = "") -> Path:
        """Units and windows of a table (`A/1`, `A/neurons`) that are scored, and in `offline` or `llm` what explainers of that kind made of them."""
        return self.root.joinpath("interpretability", *filter(None, (name, explainers)))

    def study(self, name: str) -> Path:
        """The small table of one exhibit."""
        return self.root / "studies" / name

    def exhibits(self) -> Path:
        """Figures and tables."""
        return self.root / "exhibits"

    def claims(self) -> Path:
        """The ledger."""
        return self.root / CLAIMS

    def report(self) -> Path:
        """The report, one self-contained page."""
        return self.root / REPORT

    def macros(self) -> Path:
        """A LaTeX macro for each number."""
        return self.root / MACROS

    def references(self) -> Path:
        """What a paper about the run cites, as BibTeX."""
        return self.root / REFERENCES

    def browser(self) -> Path:
        """The feature browser, a folder that any static host serves and that opens from disk."""
        return self.root / "browser"

    def log(self, path: str) -> Path:
        """What a job said."""
        return self.root / "logs" / path

    def benchmark(self, path: str) -> Path:
        """Snakemake's own measurement of a job."""
        return self.root / "benchmarks" / path

    def state(self, *parts: str) -> Path:
        """Training state between checkpoints; outside every declared output, because a failed job's outputs are deleted."""
        return self.root.joinpath("state", *parts)


def digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recorded(path: Path, name: str = META) -> str:
    """The SHA-256 that a file had when its artifact was written, without reading it: tokens of the paper's scale take minutes. Raises ArtifactError."""
    try:
        return str(read_json(path.parent / name)["files"][path.name])
    except (KeyError, TypeError):
        raise ArtifactError(f"{path.parent / name} says nothing of {path.name}; delete both and run `snakemake --cores all`") from None


@contextlib.contextmanager
def atomic(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    What a killed writer of the same path left goes first, which may be many gigabytes; unless the path is `shared` by several
    writers, because one of them may be alive.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not shared:
        for leftover in _leftovers(path):
            leftover.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _leftovers(path: Path) -> list[Path]:
    """Temporary files of this path and of no other: `mkstemp` draws eight of these characters."""
    name = re.compile(re.escape(f".{path.stem}-") + "[a-z0-9_]{8}" + re.escape(path.suffix))
    return [one for one in path.parent.iterdir() if name.fullmatch(one.name)]


def write_json(path: Path, value: Any) -> None:
    """JSON that a person can read, in the order given."""
    write_text(path, json.dumps(to_dict(value), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """A text in UTF-8; several may write one path at once, as they do replies of a language model."""
    with atomic(path, shared=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises ArtifactError when missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ArtifactError(f"{path} is not JSON any more; delete it and run `snakemake --cores all`") from None


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """A table as csv or parquet, by the suffix. Floats in a csv keep nine significant digits, enough for float32."""
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")


def read_table(path: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """A table, or the named columns of a parquet one. Raises ArtifactError when missing or unreadable."""
    import pandas as pd

    try:
        return pd.read_parquet(path, columns=None if columns is None else list(columns)) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it") from None
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read ({type(error).__name__}); delete it and run `snakemake --cores all`") from None


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A csv of rows with the same keys, without pandas, for stages that must run on a bare GPU image; several may write one path at once."""
    import csv

    with atomic(path, shared=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.9g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows)


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, str] | None = None) -> None:
    """Tensors by name as safetensors."""
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, metadata=dict(metadata or {}))


def read_tensors(path: Path, device: str = "cpu") -> dict[str, "torch.Tensor"]:
    """All tensors of a file. Raises ArtifactError when missing or truncated."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=device)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes it") from None
    except SafetensorError as error:
        raise ArtifactError(f"{path} is truncated or not safetensors ({error}); delete it and run `snakemake --cores all`") from None


def write_meta(folder: Path, *, stage: str, settings: Settings, files: Mapping[str, Path], inputs: Mapping[str, Path],
               stopwatch: provenance.Stopwatch, name: str = META, commits: Sequence[str] = (), digests: Mapping[str, str] | None = None,
               **extra: Any) -> None:
    """Write the metadata of an artifact last, when its files are complete.

    `files` and `inputs` map a role to a path; outputs get a SHA-256 each, inputs the one that they had when read: `digests` by role, where it was taken then.
    `commit` is the source's now; `commits` are those that a training ran under, said where there were several.
    """
    write_json(folder / name, {
        "stage": stage, "settings": json.loads(settings.json()), "config_hash": settings.hash(), "seed": settings.seed,
        "files": {str(path.relative_to(folder)): digest(path) for path in files.values()},
        "inputs": {role: {"path": os.path.relpath(path, folder), "sha256": (digests or {}).get(role) or digest(path)} for role, path in inputs.items()},
        "versions": provenance.versions(), "commit": provenance.commit(), "machine": provenance.machine(), **stopwatch.read(),
        **({"commits": list(commits)} if len(commits) > 1 else {}), **extra,
    })


def check(folder: Path, *files: str, name: str = META) -> dict[str, Any]:
    """The metadata of an artifact after its files (all, or those named) were compared with their checksums.

    Raises ArtifactError that says which file is wrong and how to make it again.
    """
    meta: dict[str, Any] = read_json(folder / name)
    if not isinstance(meta, dict) or not isinstance(meta.get("files"), dict):
        raise ArtifactError(f"{folder / name} is not what was written; delete it and run `snakemake --cores all`")
    for relative, expected in meta["files"].items():
        if files and relative not in files:
            continue
        path, output = folder / relative, folder / Path(relative).parts[0]
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; delete {output} if it is there and run `snakemake --cores all`")
        if digest(path) != expected:
            raise ArtifactError(f"{path} is not what was written (its checksum differs); delete {output} and run `snakemake --cores all`")
    return meta


def verify(run: Path) -> Iterator[tuple[Path, str]]:
    """Every metadata file of a run with `""` or the sentence that says what is wrong with its artifact."""
    for path in sorted(run.rglob("*meta.json")):
        if "state" in path.relative_to(run).parts:
            continue
        try:
            check(path.parent, name=path.name)
        except ArtifactError as error:
            yield path, str(error)
        else:
            yield path, ""
