"""The GPUs of a machine as slots: a job holds the lock files of those that it uses, so that no two jobs share one by accident.

Snakemake counts GPUs (`--resources gpu=4`) but tells no job which one is its own. So a job takes a free one among those
that it may see and narrows CUDA_VISIBLE_DEVICES to it; what Slurm or a user has chosen with that variable is respected.
Locks go by UUID, because an index may mean another GPU in another job (Slurm with cgroups counts from 0 in each). They lie
in a folder of this machine and this user, and the kernel drops them when the process ends, however it ends. Source: ours.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from replication.config import UserError
from replication.progress import Progress

VISIBLE = "CUDA_VISIBLE_DEVICES"
CLAIMED = "REPLICATION_CLAIMED_GPUS"  # tells the processes that a job starts that its GPUs are theirs
FOLDER = "/tmp/replication-gpus-{user}"  # not TMPDIR, which may differ between two jobs or lie on a network
RETRY_S = 1.0  # between two looks for a free GPU
REPEAT_S = 60.0  # between two lines that say that the job waits

_held: list[int] = []  # descriptors of this process's locks, open until it ends


def claim(count: int = 1, progress: Progress | None = None) -> list[str]:
    """Reserve `count` GPUs for this process and those that it starts, all or none; returns their UUIDs.

    Must run before CUDA starts. Where no GPU is visible it reserves none and returns none: whether that is an error is for
    the caller to say. While too few are free it waits, and says so every minute. A second call, here or in a process that
    this one started, returns what is held. Two jobs never wait for each other's GPUs; but small jobs may overtake one that
    wants several, unless a scheduler counts GPUs. Raises UserError when fewer than `count` are visible, or held already.
    """
    names = visible()
    if not names:
        return []
    held = set(names) <= set(os.environ.get(CLAIMED, "").split(","))
    if len(names) < count:
        raise UserError(f"this job needs {count} GPUs but {'holds' if held else 'sees'} {len(names)}: {', '.join(names)}; run it where there are more, "
                        f"or name more in {VISIBLE}")
    if held:
        return names
    names = _wait(names, count, progress or Progress())
    os.environ[VISIBLE] = os.environ[CLAIMED] = ",".join(names)
    return names


def visible() -> list[str]:
    """UUIDs of the GPUs that this process may use, in their order: all that nvidia-smi lists, or those that CUDA_VISIBLE_DEVICES names.

    An entry of that variable is an index in nvidia-smi's order, a UUID or its first characters, or the UUID of a MIG
    instance. As in CUDA, an entry that names nothing ends the list.
    """
    machine = _machine()
    chosen = os.environ.get(VISIBLE)
    if chosen is None or not machine:
        return machine
    names: list[str] = []
    for entry in map(str.strip, chosen.split(",")):
        if entry.startswith("MIG-"):
            found = [entry]
        elif entry.isdigit():
            found = machine[int(entry) :][:1]
        else:
            found = [uuid for uuid in machine if entry and uuid.startswith(entry)]
        if len(found) != 1:
            break
        names += found
    return list(dict.fromkeys(names))


def _machine() -> list[str]:
    """UUIDs of all GPUs, by index; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, check=False)
    # it may warn on the same stream
    return [line.strip() for line in done.stdout.splitlines() if line.startswith("GPU-")] if done.returncode == 0 else []


def _wait(names: list[str], count: int, progress: Progress) -> list[str]:
    """Lock `count` of the GPUs as soon as so many are free at once."""
    folder, said = _folder(), float("-inf")
    while True:
        with _turn(folder):
            locks = {name: lock for name in names if (lock := _lock(folder / name)) is not None}
            taken = list(locks)[:count] if len(locks) >= count else []
            for name, lock in locks.items():
                _held.append(lock) if name in taken else os.close(lock)
        if taken:
            return taken
        if time.monotonic() - said >= REPEAT_S:
            said = time.monotonic()
            progress.say(f"waits for {count} of {len(names)} GPUs, of which {len(locks)} are free; their locks lie in {folder}")
        time.sleep(RETRY_S)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One job looks at a time, so that two never hold a part each of what both want."""
    descriptor = os.open(folder / "turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int | None:
    """The descriptor of a lock that was free, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _folder() -> Path:
    """The folder of locks. Raises UserError when something else lies in its place, or another user's folder."""
    folder = Path(FOLDER.format(user=os.getuid()))
    with contextlib.suppress(FileExistsError):  # also for a file: what lies there is looked at next
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(f"{folder}, where GPUs are reserved, is not this user's folder; have it removed")
    return folder
