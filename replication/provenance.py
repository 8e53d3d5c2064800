"""What a result depends on: source files, versions, machine, time and memory."""

import ast
import functools
import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import replication

PACKAGE = Path(replication.__file__).parent
# Their effect on a result enters by a rule's params, or not at all, so an edit to them must not rerun everything.
OUTSIDE_THE_CLOSURE = frozenset({
    "replication", "replication.config", "replication.artifacts", "replication.provenance", "replication.progress", "replication.gpus",
    "replication.studies", "replication.exhibits"})
VERSIONED = (
    "torch", "numpy", "scipy", "pandas", "safetensors", "tokenizers", "datasets", "matplotlib", "scikit-learn", "snakemake", "sae-lens", "transformer-lens")


def code(module: str) -> list[str]:
    """Source files of a module's import closure inside the package, relative to the working directory.

    Rules take them as inputs (`code=`), so that an edit reruns what it can change and nothing else. Imports inside
    functions count; config, artifacts, the registries and other modules of the ground floor do not. Source: ours.
    """
    return sorted(os.path.relpath(_source(name)) for name in _closure(module))


def written(*parts: str) -> str:
    """A file that people wrote, such as `paper/captions/tradeoff.md`, relative to the working directory. Source: ours."""
    return os.path.relpath(PACKAGE.parent.joinpath(*parts))


@functools.cache
def _closure(module: str) -> frozenset[str]:
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen or name in OUTSIDE_THE_CLOSURE:
            continue
        seen.add(name)
        queue += _imports(name)
    return frozenset(seen)


@functools.cache
def _imports(module: str) -> frozenset[str]:
    """The package's own modules that one of them names; each file is parsed once, however many closures hold it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_source(module).read_text(encoding="utf-8"))):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # a module taken from its package needs the package's lazy exports as little as it needs its siblings
            targets = [inner if _exists(inner) else node.module for inner in (f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {target for target in targets if target.split(".")[0] == "replication" and _exists(target)}
    return frozenset(found)


def _source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _source(module).is_file()


def versions() -> dict[str, str]:
    """Version of Python, of this package, and of each library that can change a number and is installed."""
    found = {"python": platform.python_version(), "replication": replication.__version__}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Source commit, with `+edits` where the working tree differs from it; `unknown` outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return "unknown"
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+edits" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Processor, cores and, where torch is loaded and sees one, GPU."""
    found: dict[str, Any] = {"system": platform.system(), "cpu": _processor(), "cores": os.cpu_count()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class Stopwatch:
    """Wall and CPU seconds since it was made, and what its process had taken until then and at most."""

    def __init__(self) -> None:
        self.started, self.startup = time.time(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """`wall_seconds` and `cpu_seconds` since it was made, `startup_seconds` (CPU of the process before), `peak_memory_mb` (largest resident set)."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"wall_seconds": round(time.time() - self.started, 2), "cpu_seconds": round(cpu_seconds() - self.startup, 2),
                "startup_seconds": round(self.startup, 2), "peak_memory_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)}


def cpu_seconds() -> float:
    """CPU seconds of this process so far, all its threads and ended children: what stays nearly the same beside other work, unlike wall time."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
