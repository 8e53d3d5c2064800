"""What the numbers were measured on: without it they mean nothing."""

import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from replication import provenance

# the instructions that decide how fast a product is
FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
PACKAGES = ("torch", "numpy", "numba", "llvmlite", "triton", "sae-lens", "transformer-lens", "dictionary-learning", "datasets")
ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "OMP_WAIT_POLICY", "MALLOC_ARENA_MAX")


def describe(threads: int) -> dict[str, Any]:
    """Processor, memory, versions, source commit and date; a GPU where torch sees one."""
    import torch

    processor = _fields(Path("/proc/cpuinfo"))
    flags = set((processor.get("flags") or processor.get("Features") or "").split())
    blas = re.search(r"Math Kernel Library Version ([\d.]+)", torch.__config__.show())
    found: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "commit": provenance.commit(), **provenance.machine(),
        "family_model_stepping": " ".join(processor.get(name, "?") for name in ("cpu family", "model", "stepping")),
        "cores_allowed": cores(), "threads": threads, "flags": [name for name in FLAGS if name in flags], "caches": _caches(),
        "memory_gib": _gib(_fields(Path("/proc/meminfo")).get("MemTotal", "")), "load": load(),
        "kernel": platform.release(), "python": platform.python_version(), "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": blas.group(1) if blas else None, "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "packages": {name: version for name in PACKAGES if (version := _version(name))}}
    found["packages"]["torch"] = torch.__version__  # with the build, such as +cpu
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        found |= {"gpu": device.name, "gpu_memory_gib": round(device.total_memory / 2**30, 1), "gpu_capability": f"{device.major}.{device.minor}",
                  "cuda": torch.version.cuda}
    return found


def in_words(found: dict[str, Any]) -> str:
    """One line for above the table."""
    gpu = f", {found['gpu']}" if "gpu" in found else ""
    return (f"{found['cpu']}, {found['threads']} threads on {found['cores_allowed']} cores{gpu}; {', '.join(found['flags'])}; {found['memory_gib']} GiB; "
            f"torch {found['packages']['torch']}, MKL {found['mkl']}; load {found['load'][0]} before; commit {found['commit']}, {found['date']}")


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def load() -> list[float]:
    """Processes that wanted to run over the last 1, 5 and 15 minutes: above 0 before a bench, someone else was computing."""
    return [round(value, 2) for value in os.getloadavg()]


class Neighbours:
    """How much of the processor others took since it was made: the rest is this process and its children."""

    def __init__(self) -> None:
        self.started = self._read()

    def share(self) -> float | None:
        """Share of all cores' time that others used; None where the system does not say."""
        now = self._read()
        if now is None or self.started is None or now[0] == self.started[0]:
            return None
        total, busy, own = (after - before for after, before in zip(now, self.started, strict=True))
        return round(max(0.0, busy - own) / total, 3)

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """Seconds over all cores: of the clock, busy, and busy with this process and its finished children."""
        try:
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        except (OSError, ValueError):
            return None
        ticks, own = os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])
        busy = user + nice + system + irq + softirq + steal
        return (busy + idle + iowait) / ticks, busy / ticks, own


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fields(path: Path) -> dict[str, str]:
    """`name: value` lines; of several processors, the first."""
    found: dict[str, str] = {}
    try:
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return found


def _caches() -> dict[str, str]:
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{level} {kind.lower()}"] = size
    return found


def _gib(text: str) -> float | None:
    return round(int(text.split()[0]) / 2**20, 1) if text else None
