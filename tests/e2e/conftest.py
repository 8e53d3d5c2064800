"""One `smoke` run for all end-to-end tests: the real command line, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PARTS = ("Snakefile", "replication", "rules", "config", "profiles", "paper", "results/reference", "results/bench", "CITATION.cff")


class Workspace:
    """A copy of the project with results of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            source, target = PROJECT / part, folder / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self.environment = os.environ | {
            "PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / ".cache")}

    @property
    def results(self) -> Path:
        return self.folder / "results" / "smoke"

    def snakemake(self, *arguments: str, config: str = "config/smoke.yaml", check: bool = True, **options) -> subprocess.CompletedProcess:
        return self.run("snakemake", "--cores", "2", "--configfile", config, *arguments, check=check, **options)

    def python(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "-m", "replication", *arguments, check=check)

    def run(self, *command: str, check: bool, timeout: float = 3600) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done

    def jobs(self, *arguments: str, config: str = "config/smoke.yaml") -> dict[str, int]:
        """What a dry run would do: rule -> number of jobs."""
        said = self.snakemake("-n", *arguments, config=config)
        text = said.stdout + said.stderr
        if "Nothing to be done" in text:
            return {}
        table = re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1], re.MULTILINE)
        return {name: int(count) for name, count in table if name not in ("total", "all")}


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Workspace:
    """A finished smoke run. Tests that edit files must take `edited`."""
    workspace = Workspace(tmp_path_factory.mktemp("smoke"))
    workspace.snakemake("--quiet", "rules")
    return workspace


@pytest.fixture
def edited(smoke):
    """The smoke run's workspace; files that a test changed through `write` are put back."""

    class Edited:
        def __init__(self) -> None:
            self.before: dict[Path, str] = {}

        def write(self, path: str, change) -> None:
            file = smoke.folder / path
            self.before.setdefault(file, file.read_text())
            file.write_text(change(file.read_text()))

    editor = Edited()
    yield editor
    for file, text in editor.before.items():
        file.write_text(text)
