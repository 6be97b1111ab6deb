"""A command in several processes, of this machine or of several: torchrun starts them, and this process speaks for them.

The process that the user started stays: it hands on signals to the main one of the others, and raises what stopped
them as if it had happened here, so that exit codes and messages are those of a single process. When it is killed,
the others notice, save and stop. On several nodes of a Slurm job `srun` starts a torchrun on each; process 0 runs where
this one does, on the first.
"""

import argparse
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from hawp_core.errors import Interrupted, UserError
from hawp_core.runtime.signals import STOP_SIGNALS, StopRequest, stop_on_signal

# Names the pipe by which signals come from the process that the user started.
LIFELINE = "HAWP_LIFELINE"
LOOK_SECONDS = 0.2  # between two looks at whether a signal came
STANDARD_ERROR = 2


def inside() -> bool:
    """Whether this process is already one of several that torchrun (or a scheduler in its manner) started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def run_in_processes(args: argparse.Namespace, count: int, nodes: int, meeting: Path) -> None:
    """Carry out `args.run(args)` in `count` processes on each of `nodes` nodes.

    Args:
        meeting: a folder that all nodes see.

    Raises:
        Interrupted: a signal came and the state is saved; or a process was killed.
        UserError: several nodes without a Slurm job, or a system without named pipes; or what stopped one of the processes.
        OSError, RuntimeError: what stopped one of the processes.
    """
    if nodes > 1 and not ("SLURM_JOB_ID" in os.environ and shutil.which("srun")):
        raise UserError(
            f"--nodes {nodes} was asked for outside of a Slurm job: run it in one of {nodes} nodes (sbatch --nodes={nodes}), "
            "or use --nodes 1."
        )
    if not hasattr(os, "mkfifo"):
        raise UserError("several processes need named pipes, which this system has not: train in one, without --gpus.")
    if nodes > 1:
        meeting.mkdir(parents=True, exist_ok=True)
    shared = meeting.absolute() if nodes > 1 else None
    with tempfile.TemporaryDirectory(prefix=".hawp-", dir=shared) as place, stop_on_signal() as stop:
        folder = Path(place)
        (folder / "args").write_bytes(pickle.dumps(args))
        os.mkfifo(folder / "lifeline")
        # Open for reading too, so that it opens before anybody reads; no child inherits it.
        lifeline = os.open(folder / "lifeline", os.O_RDWR)
        try:
            with open(folder / "torchrun", "wb") as said:
                torchrun = _start(folder, count, nodes, said)
                _wait(torchrun, lifeline, stop)
        finally:
            os.close(lifeline)
        if torchrun.returncode:
            raise _cause(folder, torchrun.returncode, nodes)


def _start(folder: Path, count: int, nodes: int, said: BinaryIO) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if nodes == 1:
        command = [*torchrun, "--standalone", "--local-addr", "127.0.0.1"]
    else:
        command = [*_on_each_node(nodes), *torchrun, *_where_they_meet(), "--nnodes", str(nodes)]
    # It would answer the usual stop signals by killing the processes half a minute later, saved or not.
    command += ["--signals-to-handle", "SIGQUIT", "--nproc-per-node", str(count)]
    return subprocess.Popen(
        [*command, "-m", "hawp_core.training.launch", str(folder)],
        env={**(dict(os.environ) if nodes == 1 else _of_the_job()), LIFELINE: str(folder / "lifeline")},
        stdin=subprocess.DEVNULL,
        # torchrun's reports of failures are kept apart; the processes take up standard output as standard error.
        stdout=STANDARD_ERROR,
        stderr=said,
        start_new_session=True,
        preexec_fn=_ignore_stop_signals,
    )


def _on_each_node(nodes: int) -> list[str]:
    """The words before a command that start it once on each node of this Slurm job, with the node's number."""
    # --overlap: this process is a step of the job itself, and holds what the job was given.
    srun = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    ignored = " ".join(number.name.removeprefix("SIG") for number in STOP_SIGNALS)
    return [
        *srun,
        "--cpu-bind=none",
        "sh",
        "-c",
        f"trap '' {ignored}; exec env PET_NODE_RANK=$SLURM_PROCID \"$@\"",
        "sh",
    ]


def _of_the_job() -> dict[str, str]:
    """The environment without what srun says of this step, which another srun would take for its own: one node, one task."""
    of_steps = ("SLURM_", "SRUN_", "SBATCH_")
    kept = ("SLURM_JOB_ID", "SLURM_CONF")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(of_steps)}


def _where_they_meet() -> list[str]:
    """torchrun's options that name this machine, the first node, and a port that is free here."""
    with socket.socket() as free:
        free.bind(("", 0))
        return ["--master-addr", socket.gethostname(), "--master-port", str(free.getsockname()[1])]


def _ignore_stop_signals() -> None:
    # A cluster signals every process of a job: torchrun must outlive that, and the others until they can obey.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _wait(torchrun: subprocess.Popen[bytes], lifeline: int, stop: StopRequest) -> None:
    """Wait for the end, and hand on the first signal that comes."""
    told = False
    while True:
        try:
            torchrun.wait(LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            if stop.signal is not None and not told:
                os.write(lifeline, bytes([stop.signal]))
                told = True


def _cause(folder: Path, code: int, nodes: int) -> Exception:
    """The error that explains best why the processes stopped."""
    errors = [pickle.loads(file.read_bytes()) for file in sorted(folder.glob("error-*"))]
    for kind in (UserError, OSError, Interrupted, Exception):
        for error in errors:
            if isinstance(error, kind):
                return error
    said = (folder / "torchrun").read_text(errors="replace")
    if code < 0 or re.search(r"exitcode\s*:\s*-\d", said):
        return Interrupted(
            "one of the processes was killed from outside, as happens when memory is short: "
            "the same command carries on from the last saved state."
        )
    if nodes > 1 and (lost := re.search(r"(?m)^srun: error: .*", said)):
        return Interrupted(
            f"{nodes} nodes no longer work together ({lost[0]}): the same command carries on from the last saved state, "
            "also on fewer nodes."
        )
    return RuntimeError(said)


def follow_starter(stop: StopRequest) -> None:
    """Take signals from the process that the user started, if there is one; when it is gone, stop."""
    if LIFELINE not in os.environ or os.environ["RANK"] != "0":
        return
    # Without waiting for a writer: it may be gone already.
    lifeline = os.open(os.environ[LIFELINE], os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(lifeline, True)

    def listen() -> None:
        told = os.read(lifeline, 1)
        stop.ask(told[0] if told else signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()


def _work(folder: Path) -> int:
    """One of the processes: do the work, and leave the error that stopped it for the one that speaks."""
    from hawp_core.runtime.progress import start_logging
    from hawp_core.training.distributed import lost_peer

    os.dup2(sys.stdout.fileno(), STANDARD_ERROR)
    rank = os.environ["RANK"]
    args = pickle.loads((folder / "args").read_bytes())
    try:
        start_logging(args.log if rank == "0" else None)
        args.run(args)
    except Exception as error:
        if not lost_peer(error):
            known = isinstance(error, (UserError, Interrupted, OSError))
            kept = error if known else RuntimeError(traceback.format_exc())
            (folder / f"error-{int(rank):05d}").write_bytes(pickle.dumps(kept))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_work(Path(sys.argv[1])))
