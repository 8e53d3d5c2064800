"""A Slurm of one node on this machine: munged, slurmctld and slurmd as plain processes with a generated configuration, without a database of accounts."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

SBIN = "/usr/sbin"  # where Debian has daemons; it is not in the PATH of every user
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
START_S, STOP_S = 60, 15

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MinJobAge=3600
KillWait=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Which programs are not installed, as a sentence, or None."""
    absent = [name for name in (*DAEMONS, *CLIENTS) if not _found(name)]
    return f"{', '.join(absent)} not found: apt-get install slurmctld slurmd slurm-client munge" if absent else None


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], SBIN]))


@contextmanager
def one_node(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """An environment in which `sbatch` and its kin talk to a Slurm of one node, which runs until the block is left, however it is left."""
    with ExitStack() as stack:
        # not pytest's folder, which is closed to others: munged wants a socket that every user can reach
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        configuration = _configured(folder)
        environment = {**environment, "SLURM_CONF": str(configuration), "PATH": f"{folder}/bin{os.pathsep}{environment['PATH']}"}
        munge = folder / "munge"
        stack.enter_context(_running(
            folder, "munged", "--foreground", f"--socket={munge}/socket", f"--key-file={munge}/key", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
            f"--seed-file={munge}/seed", environment=environment, until=lambda: (munge / "socket").exists()))
        stack.enter_context(_running(
            folder, "slurmctld", "-D", "-i", environment=environment, until=lambda: "UP" in asked(environment, "scontrol", "ping")))
        stack.enter_context(_running(
            folder, "slurmd", "-D", environment=environment, until=lambda: "idle" in asked(environment, "sinfo", "--noheader", "--format=%T")))
        stack.callback(_cancel_all, environment)
        yield environment


def asked(environment: Mapping[str, str], *command: str) -> str:
    """What a client of Slurm answers."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _cancel_all(environment: Mapping[str, str]) -> None:
    """Jobs would outlive the daemons."""
    asked(environment, "scancel", f"--user={getpass.getuser()}")
    deadline = time.monotonic() + STOP_S
    while asked(environment, "squeue", "--noheader") and time.monotonic() < deadline:
        time.sleep(0.2)


def _configured(folder: Path) -> Path:
    """Keys, folders and configuration; returns the path of slurm.conf."""
    for name in ("munge", "state", "spool", "bin"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    path = folder / "slurm.conf"
    # the plugin starts srun without any variable of Slurm's, and on a cluster that finds its configuration in /etc
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={path} exec {_found("srun")} "$@"\n')
    srun.chmod(0o755)
    path.write_text(SLURM_CONF.format(host=socket.gethostname().partition(".")[0], folder=folder, user=getpass.getuser(), ports=_free_ports(2), cpus=os.cpu_count(),
                                      memory_mb=memory_mb))
    return path


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(folder: Path, program: str, *arguments: str, environment: Mapping[str, str], until: Callable[[], bool]) -> Iterator[None]:
    """A daemon that has come up; it is stopped, and killed if it will not stop, when the block is left."""
    log = folder / f"{program}.log"
    with log.open("wb") as output:
        # setpriv: should this process be killed, its daemons end too
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", str(_found(program)), *arguments], env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while not until():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{program} did not come up:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

