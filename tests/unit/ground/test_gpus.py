import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replication import compute, gpus
from replication.config import Compute, UserError
from replication.progress import Progress
from tests.four_gpus import JOB, UUIDS, make, shared, spans


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Path:
    """A machine of four GPUs, as far as its nvidia-smi says; returns the folder of its programs."""
    programs = make(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(gpus, "FOLDER", str(tmp_path / "locks"))
    monkeypatch.setattr(gpus, "RETRY_S", 0.02)
    monkeypatch.setattr(gpus, "_held", [])
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    monkeypatch.setenv(gpus.CLAIMED, "")
    return programs


@pytest.fixture
def job():
    """`job(count, seconds, **environment)` starts a process that claims so many GPUs and keeps them so long."""
    started: list[subprocess.Popen] = []

    def start(count: int, seconds: float, **environment: str) -> subprocess.Popen:
        started.append(subprocess.Popen([sys.executable, "-c", JOB, str(count), str(seconds)], env=os.environ | environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kept(processes) -> list[tuple[str, float, float]]:
    """GPU, from and to, for each GPU of each process."""
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return spans([out for out, _ in said])


def test_eight_jobs_on_four_gpus_never_share_one(machine, job):
    held = kept([job(1, 0.2) for _ in range(8)])
    assert len(held) == 8 and shared(held) == []


def test_jobs_of_several_gpus_take_all_or_none_and_never_block_one_another(machine, job):
    held = kept([job(count, 0.05) for count in (3, 3, 4, 2, 2, 1, 3)])
    assert len(held) == 18 and shared(held) == []


def test_four_jobs_have_four_gpus_a_fifth_waits_and_says_so_until_one_is_killed(machine, job):
    four = [job(1, 60) for _ in range(4)]
    had = [process.stdout.readline().split()[1] for process in four]
    assert sorted(had) == UUIDS
    fifth = job(1, 0)
    assert "[job] waits for 1 of 4 GPUs, of which 0 are free" in fifth.stderr.readline()
    four[2].send_signal(signal.SIGKILL)
    assert kept([fifth])[0][0] == had[2]


def test_what_slurm_or_a_user_has_chosen_is_respected(machine, job):
    assert {name for name, _, _ in kept([job(1, 0.1, CUDA_VISIBLE_DEVICES="2,3") for _ in range(4)])} == {UUIDS[2], UUIDS[3]}


@pytest.mark.parametrize(("chosen", "expected"), [
    ("", []), ("-1", []), ("NoDevFiles", []), ("4", []), ("0", [0]), ("3,1", [3, 1]), ("1,7,2", [1]), ("2, 0", [2, 0]), ("0,0", [0]),
    (UUIDS[1], [1]), ("GPU-33,GPU-00", [3, 0]), ("GPU-", []), ("GPU-9", [])])
def test_entries_are_read_as_cuda_reads_them(machine, monkeypatch, chosen, expected):
    monkeypatch.setenv(gpus.VISIBLE, chosen)
    assert gpus.visible() == [UUIDS[index] for index in expected]


def test_a_mig_instance_is_a_slot_of_its_own(machine, monkeypatch):
    monkeypatch.setenv(gpus.VISIBLE, "MIG-a,MIG-b")
    assert gpus.claim() == ["MIG-a"] and os.environ[gpus.VISIBLE] == "MIG-a"


def test_a_process_that_a_job_starts_uses_what_the_job_holds(machine, monkeypatch, job):
    assert gpus.claim(2) == UUIDS[:2] == gpus.claim(1)
    [(name, _, _)] = kept([job(1, 0, CUDA_VISIBLE_DEVICES=UUIDS[1])])  # a rank that was given one of them
    assert name == UUIDS[1]
    with pytest.raises(UserError, match=f"needs 3 GPUs but holds 2: {UUIDS[0]}, {UUIDS[1]}; run it where there are more"):
        gpus.claim(3)


def test_too_few_gpus_are_refused_at_once(machine):
    with pytest.raises(UserError, match="this job needs 5 GPUs but sees 4"):
        gpus.claim(5)
    assert gpus.VISIBLE not in os.environ


@pytest.mark.parametrize("put", [lambda path: path.symlink_to(path.parent), Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_folder_of_this_user_is_refused(machine, tmp_path, put):
    put(tmp_path / "locks")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'locks'}, where GPUs are reserved, is not this user's folder")):
        gpus.claim()


def test_a_warning_of_nvidia_smi_is_no_gpu(machine):
    (machine / "nvidia-smi").write_text(f"#!/bin/sh\necho WARNING: infoROM is corrupted at gpu 0000:01:00.0\necho {UUIDS[0]}\n")
    assert gpus.visible() == UUIDS[:1]


def test_without_a_gpu_nothing_is_claimed(machine, monkeypatch):
    monkeypatch.setenv(gpus.VISIBLE, "")
    assert gpus.claim(2) == []
    (machine / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    monkeypatch.delenv(gpus.VISIBLE)
    assert gpus.claim() == []


def test_a_computation_claims_a_gpu_only_where_torch_could_use_it(machine, monkeypatch):
    claimed = []
    monkeypatch.setattr(gpus, "claim", lambda count, progress: claimed.append((count, progress)))
    progress = Progress()
    for built, device in ((False, "auto"), (True, "cpu"), (True, "auto")):
        monkeypatch.setattr("torch.backends.cuda.is_built", lambda built=built: built)
        assert compute.device(Compute(device=device), progress).type == "cpu"
    assert claimed == [(1, progress)]
