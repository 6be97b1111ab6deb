"""A real Slurm cluster on one machine: two nodes with a fake GPU each, accounting in MariaDB, preemption.

Everything lives in one folder and on free ports, and every process carries the folder's `SLURM_CONF` in its
environment, jobs included. That mark is how the cluster is taken down to the last process, also after a test run
that was killed. Needs root and Debian's packages (`tests/slurm/install.sh`).

    with Cluster(new_folder()) as cluster:
        job = cluster.sbatch("hostname", "--gpus=1")
        cluster.wait(job, "COMPLETED")
        cluster.record(job)[-1]["AllocTRES"]
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from configuration import COMMAND, DATABASE, GRES_CONF, SLURM_CONF, SLURMDBD_CONF

NODES = ("node1", "node2")
PREFIX = "hawp-slurm-"
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "sbatch", "sacct", "mariadbd", "mariadb-install-db")
FIELDS = ("JobID", "JobName", "State", "ExitCode", "AllocTRES", "NodeList", "Start", "End")
PATH = os.environ["PATH"] + ":/usr/sbin"


def missing_programs() -> list[str]:
    """The daemons and commands that the cluster needs and the machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


def new_folder() -> Path:
    """An empty folder for a cluster, after what killed test runs left behind was stopped and deleted.

    Its path is short: a Unix socket's may have 107 characters.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{_owner(left)}").exists():
            _kill_processes_of(left)
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    folder.chmod(0o755)
    return folder


class Cluster:
    """Starts the daemons on entering and kills all that belongs to them, jobs included, on leaving.

    Attributes:
        folder: state, logs and sockets; deleted on leaving.
        env: the environment in which `sbatch`, `squeue` or Snakemake talk to this cluster.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        # Without what a surrounding Slurm would have set.
        outer = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH_", "SRUN_"))
        }
        self.env = outer | {"PATH": f"{folder}/bin:{PATH}", "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        try:
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill every process of the cluster and delete its folder."""
        _kill_processes_of(self.folder)
        for daemon in self._daemons.values():
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What a test asks of it

    def run(self, *command: str) -> str:
        """The standard output of a command such as `squeue`; raises RuntimeError with what it said when it fails."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def sbatch(self, script: str, *options: str) -> str:
        """Submit a shell script; returns its job id. Its output is read with `output`."""
        log = self.folder / "jobs" / "%j.log"
        return self.run("sbatch", "--parsable", f"--output={log}", *options, "--wrap", script).strip()

    def output(self, job: str) -> str:
        """What a job of `sbatch` has printed so far."""
        log = self.folder / "jobs" / f"{job}.log"
        return log.read_text() if log.exists() else ""

    def state(self, job: str) -> str:
        """The job's state as the scheduler knows it now, such as PENDING or RUNNING."""
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()

    def wait(self, job: str, *states: str, seconds: float = 30) -> str:
        """Wait until the job is in one of `states`; returns the state it is in."""
        wait_until(lambda: self.state(job) in states, f"job {job} to be {' or '.join(states)}", seconds)
        return self.state(job)

    def sacct(self, *options: str) -> list[dict[str, str]]:
        """Accounting's rows of all jobs, or of those that sacct's `options` select, in the order of their starts.

        Each has the keys of `FIELDS`. A requeued job keeps its number and has one row a run.
        """
        text = self.run(
            "sacct", "--noheader", "--allocations", "--parsable2", "--duplicates", "--starttime=now-1days",
            f"--format={','.join(FIELDS)}", *options,
        )  # fmt: skip
        return [dict(zip(FIELDS, line.split("|"), strict=True)) for line in text.splitlines()]

    def record(self, job: str, seconds: float = 15) -> list[dict[str, str]]:
        """Accounting's rows of one job, one a run, once the last has ended: a moment after `squeue` says so."""

        def ended() -> bool:
            rows = self.sacct(f"--jobs={job}")
            return bool(rows) and rows[-1]["State"] not in ("PENDING", "RUNNING", "REQUEUED")

        wait_until(ended, f"the end of job {job} in sacct", seconds)
        return self.sacct(f"--jobs={job}")

    def set_node(self, node: str, state: str) -> None:
        """Set a node `down` (its jobs are lost and, if they allow it, requeued) or `resume` it."""
        self.run("scontrol", "update", f"NodeName={node}", f"State={state}", "Reason=test")

    def lose_node(self, node: str) -> None:
        """As when the network to a node is cut: Slurm starts its jobs elsewhere, and there they go on running too."""
        self._daemons[node].kill()
        self._daemons[node].wait()
        self.set_node(node, "down")

    def return_node(self, node: str) -> None:
        """Bring a lost node back; what still runs there and was started elsewhere meanwhile is then ended by Slurm."""
        self._daemon(node, "slurmd", "-D", "-N", node)
        self.set_node(node, "resume")
        wait_until(lambda: self.nodes()[node] == "idle", f"{node} to be idle again", 60)

    def nodes(self) -> dict[str, str]:
        """Each node's state, such as idle, mixed or down."""
        lines = self.run("sinfo", "--noheader", "--Node", "--partition=gpu", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    # How it starts

    def _configure(self) -> None:
        for name in ("bin", "state", "spool", "log", "jobs", "munge", "mysql"):
            (self.folder / name).mkdir()
        ports = dict(zip(("ctld", "dbd", "mysql", *NODES), _free_ports(3 + len(NODES)), strict=True))
        values = {"folder": self.folder, "host": socket.gethostname().partition(".")[0], **ports}
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
        (self.folder / "gres.conf").write_text(GRES_CONF)
        (self.folder / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(**values))
        (self.folder / "slurmdbd.conf").chmod(0o600)  # it holds a password; slurmdbd insists
        for name in ("srun", "squeue", "scontrol", "scancel"):
            command = self.folder / "bin" / name
            command.write_text(COMMAND.format(conf=self.env["SLURM_CONF"], program=shutil.which(name, path=PATH)))
            command.chmod(0o755)
        (self.folder / "munge" / "key").write_bytes(os.urandom(128))
        (self.folder / "munge" / "key").chmod(0o600)
        (self.folder / "database.sql").write_text(DATABASE)
        self._ports = ports

    def _start(self) -> None:
        munge, mysql, log = self.folder / "munge", self.folder / "mysql", self.folder / "log"
        self._daemon(
            "munged", "munged", "--foreground", "--num-threads=2", f"--key-file={munge}/key", f"--socket={munge}/socket",
            f"--pid-file={munge}/pid", f"--log-file={log}/munged.log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        # Small and careless: these tables need not outlive the power cord.
        database = ("--no-defaults", "--user=root", f"--datadir={mysql}", "--innodb-flush-log-at-trx-commit=0")
        self.run("mariadb-install-db", *database, "--skip-test-db")
        self._daemon(
            "mariadbd", "mariadbd", *database, f"--socket={mysql}/socket", f"--port={self._ports['mysql']}",
            "--bind-address=127.0.0.1", f"--pid-file={mysql}/pid", f"--init-file={self.folder}/database.sql",
            f"--log-error={log}/mariadbd.log",
        )  # fmt: skip
        self._until_listening("mysql")
        wait_until((munge / "socket").exists, "munged's socket")
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._until_listening("dbd")
        self.run("sacctmgr", "--immediate", "add", "cluster", "test")
        self._daemon("slurmctld", "slurmctld", "-D")
        self._until_listening("ctld")
        for node in NODES:
            self._daemon(node, "slurmd", "-D", "-N", node)
        wait_until(lambda: self.nodes() == dict.fromkeys(NODES, "idle"), "both nodes to be idle", 60)

    def _daemon(self, name: str, program: str, *options: str) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the tests only, which then stop the daemons.
        with open(self.folder / "log" / f"{name}.out", "ab") as out:
            self._daemons[name] = subprocess.Popen(
                [str(shutil.which(program, path=PATH)), *options],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def _until_listening(self, port: str) -> None:
        def listening() -> bool:
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    raise RuntimeError(f"{name} ended with {daemon.returncode}:\n{self._logs()}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._ports[port])) == 0

        wait_until(listening, f"{port} to listen", 60)

    def _logs(self) -> str:
        logs = sorted((self.folder / "log").iterdir())
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-800:]}" for log in logs)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Poll a condition until it holds; raises TimeoutError, naming what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _owner(folder: Path) -> str:
    """The id of the process that made the folder, which is part of its name."""
    return folder.name.removeprefix(PREFIX).partition("-")[0]


def _kill_processes_of(folder: Path) -> None:
    """Kill every process with the folder's mark in its environment, until none is left."""
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    # Again and again: what is killed may have started another in the meantime.
    for _ in range(20):
        marked = [process for process in Path("/proc").glob("[0-9]*") if _has_mark(process, mark)]
        if not marked:
            return
        for process in marked:
            try:
                os.kill(int(process.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def _has_mark(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0") and int(process.name) != os.getpid()
    except OSError:
        return False
