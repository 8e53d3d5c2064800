"""The source `installed`: text of packages that the lock pins, so that every machine has the same corpus and no network is asked.

Files are found through the packages' metadata; no package is imported. Measured for the committed reference: 297 MB in 18,000
files of Python, C++ headers, tables, stylesheets, certificates and prose. Source: ours.
"""

import base64
import fnmatch
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from replication import artifacts
from replication.config import Corpus
from replication.corpus.sources import Position, Text
from replication.progress import Progress

REFERENCE = Path(__file__).with_name("installed_reference.json")

# Distributions that the project itself needs, in the lock on every platform; none that only its developers need.
PACKAGES = (
    "accelerate", "anyio", "attrs", "beartype", "certifi", "click", "cloudpickle", "config2py", "contourpy", "cycler", "datasets", "dill",
    "docstring-parser", "docutils", "dol", "einops", "fonttools", "formulaic", "fsspec", "gitpython", "h11", "httpcore", "httpx", "huggingface-hub",
    "humanfriendly", "i2", "idna", "jaxtyping", "jinja2", "joblib", "jsonschema", "kiwisolver", "llvmlite", "markdown-it-py", "matplotlib", "mpmath",
    "narwhals", "nbformat", "networkx", "nltk", "numba", "numpy", "packaging", "pandas", "patsy", "pillow", "plotly", "protobuf",
    "psutil", "pulp", "py2store", "pyarrow", "pydantic", "pygments", "pynndescent", "pyparsing", "python-dateutil", "pyyaml", "regex", "requests",
    "rich", "sae-lens", "safetensors", "scikit-learn", "scipy", "simple-parsing", "smart-open", "snakemake", "sqlalchemy", "statsmodels", "sympy",
    "threadpoolctl", "tokenizers", "torch", "tqdm", "traitlets", "transformer-lens", "transformers", "typeguard", "typer", "typing-extensions",
    "umap-learn", "urllib3", "wandb", "wrapt",
)
SUFFIXES = frozenset((
    ".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".hpp", ".cuh", ".cc", ".cpp", ".cu", ".f90", ".m", ".R", ".do", ".js", ".css", ".html", ".svg", ".xsl",
    ".jinja", ".in", ".tp", ".tex", ".rst", ".md", ".txt", ".doctest", ".yaml", ".toml", ".mplstyle", ".proto", ".csv", ".pem",
))
LICENCES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")
# What differs between builds of one version. Compared file by file: the CPU and the CUDA wheel of torch 2.13.0, and the
# wheels of 23 compiled packages for Python 3.11, 3.12 and 64-bit ARM, differ in these files and in no other that is taken.
BUILDS = (
    "*/version.py", "*/_version.py", "*/__config__.py", "*/_build_config.py", "*/_distributor_init*.py", "*[cC]onfig.h", "*/config_*.h", "*cmake_macros.h",
    "*/lib_api.h", "numpy/distutils/*",
    "torch/include/THC/*", "torch/include/tensorpipe/*", "torch/include/caffe2/core/macros.h",
    # the wheels of these carry the licences of other people's libraries, and those go by platform
    "numpy-*.dist-info/*", "scipy-*.dist-info/*", "pyarrow-*.dist-info/*", "pillow-*.dist-info/*",
)
# Repetitive text by the megabyte (bindings of plotly, dispatch tables of torch, copied models of transformers) says so at its top.
GENERATED = re.compile(
    rb"(?im)@generated|auto-?\s?generated|automatically generated|machine[- ]generated|do not edit|^\W*(this file (is|was) )?generated (by|from|with)")
GENERATED_WITHIN = 1500
MINIFIED, MINIFIED_LINE = frozenset((".js", ".css", ".html", ".svg")), 300
# The longest files are tables; their first lines show what the rest is like.
FILE_BYTES = 400_000
# So that no package is more than a tenth of what is available: torch has 70 MB, transformers 35 MB, no other 30 MB.
PACKAGE_BYTES = 30_000_000


class File(NamedTuple):
    """A file of a package that counts as text: its path inside site-packages, content and hash."""

    source: str
    content: str
    digest: bytes


def texts(corpus: Corpus, position: Position, skipped: Counter[str], progress: Progress) -> Iterator[Text]:
    """Texts of all installed packages of the list, package by package, in content-hash order within one.

    Of a package with more than PACKAGE_BYTES, files are taken in the order of their hash, a uniform random sample.
    """
    for name in progress.over(PACKAGES, len(PACKAGES)):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            skipped["packages_absent"] += 1
            continue
        taken = 0
        for file in sorted(_files(distribution, skipped), key=lambda file: file.digest):
            size = len(file.content.encode())
            if taken + size > PACKAGE_BYTES:
                skipped["over_package_share"] += 1
                continue
            taken += size
            yield Text(file.source, file.content)


def versions() -> dict[str, str]:
    """Public version (without a build such as `+cpu`) of each package of the list; empty where it is absent."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def reference() -> dict[str, Any]:
    """The committed manifest: `manifest_sha256`, `documents`, `bytes`, and `packages` with the versions that it holds for."""
    content: dict[str, Any] = artifacts.read_json(REFERENCE)
    return content


def compare(manifest: str, progress: Progress) -> dict[str, Any]:
    """Whether the text is the reference's; says what is installed in another version when it is not."""
    expected, packages = reference(), versions()
    matches = manifest == expected["manifest_sha256"]
    if not matches:
        names = [f"{name} {version or 'absent'} (reference {expected['packages'].get(name) or 'absent'})"
                 for name, version in packages.items() if version != expected["packages"].get(name)] or ["same versions, other files"]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        progress.say(f"the installed text is not the reference's, so comparisons will be marked `different corpus`: {', '.join(names[:5])}{more}")
    return {"reference_sha256": expected["manifest_sha256"], "matches_reference": matches, "packages": packages}


def marks(corpus: Corpus) -> list[str]:
    """The versions of all packages of the list."""
    return [f"{name} {version}" for name, version in versions().items()]


def write_reference() -> dict[str, Any]:
    """Take what is installed now as the reference, after the lock changed a package of the list.

    ``python -c "from replication.corpus.installed import write_reference; write_reference()"``, and commit the file.
    """
    from replication.corpus.documents import documents_of, manifest

    found = (documents_of(text, holdout=0.0) for text in texts(Corpus(), Position(), Counter(), Progress()))
    documents = {document.id: document.bytes for pieces in found for document in pieces}
    content = {"manifest_sha256": manifest(documents), "documents": len(documents), "bytes": sum(documents.values()), "packages": versions()}
    artifacts.write_json(REFERENCE, content)
    return content


def _files(distribution: metadata.Distribution, skipped: Counter[str]) -> Iterator[File]:
    for path in sorted(distribution.files or (), key=lambda path: path.as_posix()):
        if not wanted(path.as_posix()):
            continue
        try:
            data = Path(str(path.locate())).read_bytes()
        except OSError:
            skipped["unreadable"] += 1
            continue
        data = shipped(data, path)
        if reason := refused(data, path.suffix):
            skipped[reason] += 1
            continue
        data = head(data)
        yield File(_shorten(path.as_posix()), data.decode(), hashlib.sha256(data).digest())


def shipped(data: bytes, path: metadata.PackagePath) -> bytes:
    """A file as its package recorded it where something was appended since, such as a proxy's certificate to the list in certifi; else as it is."""
    if path.size is None or len(data) <= path.size or path.hash is None or path.hash.mode != "sha256":
        return data
    digest = base64.urlsafe_b64encode(hashlib.sha256(data[:path.size]).digest()).rstrip(b"=").decode()
    return data[:path.size] if digest == path.hash.value else data


def wanted(path: str) -> bool:
    """Whether the path of a file inside site-packages says that its text is the same on every machine."""
    parts = path.split("/")
    first, last = parts[0], parts[-1]
    if ".." in parts or any(fnmatch.fnmatchcase(path, pattern) for pattern in BUILDS):
        return False
    if first.endswith((".dist-info", ".egg-info")):
        return any(fnmatch.fnmatchcase(last, pattern) for pattern in LICENCES)
    return Path(last).suffix in SUFFIXES and not last.endswith("_pb2.py")


def refused(data: bytes, suffix: str) -> str:
    """Why the content of a file is not taken: `empty`, `not_utf8`, `generated`, `minified`; or nothing."""
    if not data.strip():
        return "empty"
    if GENERATED.search(data[:GENERATED_WITHIN]):
        return "generated"
    if suffix in MINIFIED and len(data) > MINIFIED_LINE * max(1, data.count(b"\n")):
        return "minified"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return "not_utf8" if b"\0" in data else ""


def head(data: bytes) -> bytes:
    """At most the first FILE_BYTES bytes of UTF-8, up to a line end where there is one."""
    if len(data) <= FILE_BYTES:
        return data
    end = data.rfind(b"\n", 0, FILE_BYTES) + 1
    return data[:end] if end else data[:FILE_BYTES].decode(errors="ignore").encode()


def _shorten(path: str) -> str:
    """Without the version in the name of a metadata folder, which differs by build (`+cpu`)."""
    return re.sub(r"^([^/]+)-[^-/]+\.(dist|egg)-info/", r"\1.\2-info/", path)
