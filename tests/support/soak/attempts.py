"""A command at work in a folder: how it is started, watched and ended, and what is said of its end."""

import atexit
import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil
from places import ROOT

from hawp_core.commands import cli

# How a command ends.
WENT_ON, KILLED, STOPPED, SENTENCE = "went on", "killed", "stopped, saved", "one sentence"
TRACEBACK, HUNG = "a traceback", "no end"
# Folders whose sitecustomize goes with a variable of a command's environment.
ASIDE = {"HAWP_SOAK_SLOW": Path(__file__).with_name("slow"), "DONT_FAKE_MONOTONIC": Path(__file__).with_name("clock")}
STOPS = {signal.SIGTERM, signal.SIGINT}


@dataclass(frozen=True)
class Command:
    """What a user types.

    Attributes:
        title: of the table and the journal.
        words: of the line.
        seconds: that it usually takes; of a step, of the processor's time, so that a busy machine hits the same places.
        patience: seconds after which it is taken to have lost its way.
    """

    title: str
    words: tuple[str, ...]
    seconds: float = 0.0
    patience: float = 600.0

    @property
    def whole(self) -> bool:
        """Whether it is a whole run of the workflow, not one of its steps."""
        return self.words[0] == "snakemake"

    @property
    def reads_photographs(self) -> bool:
        """Whether photographs are read on the way."""
        return self.whole or "--images" in self.words or "real" in self.title


class Attempt:
    """A command that was started.

    A step is a fork of this process, which has imported PyTorch already: a start costs a twentieth of a second instead of
    three. What needs an environment of its own (another clock), and the workflow, are processes that begin anew.
    """

    def __init__(
        self, command: Command, place: Path, said: Path, extra: Mapping[str, str] | None = None, anew: bool = False
    ) -> None:
        self.command, self._said, self.anew = command, said, anew or command.whole
        self._offset = said.stat().st_size if said.exists() else 0
        self._code: int | None = None
        self.worked = 0.0  # seconds of the processor, once it has ended
        sys.stdout.flush()
        sys.stderr.flush()
        # Met in the middle of a fork, a signal is lost, or is told as an exception that is ignored.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        self.pid = os.fork()
        if not self.pid:
            _become(command, place, said, extra or {}, self.anew)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most."""
        end = time.monotonic() + seconds
        while self._code is None:
            found, status, used = os.wait4(self.pid, os.WNOHANG)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
                self.worked = used.ru_utime + used.ru_stime
            elif time.monotonic() > end:
                return False
            else:
                time.sleep(0.005)
        return True

    def works(self, seconds: float) -> bool:
        """Let it work for so many seconds of the kind that `Command.seconds` has; whether it is at work still.

        One that waits, for another process or a slow folder, is left alone after half a minute.
        """
        if self.command.whole:
            return not self.wait(seconds)
        end = time.monotonic() + 30
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            while not self.wait(0.005) and time.monotonic() < end:
                times = process.cpu_times()
                if times.user + times.system >= seconds:
                    break
        return self._code is None

    def outcome(self) -> str:
        """Wait for the end; what it was."""
        if not self.wait(self.command.patience):
            self.end()
            return HUNG
        code = self._code or 0
        if "Traceback" in self._complaints():
            return TRACEBACK
        if code == 0:
            return WENT_ON
        if code < 0:
            return KILLED
        return STOPPED if code == cli.STOPPED else SENTENCE

    def end(self) -> None:
        """Kill it, if it is still at work."""
        if not self.wait(0):
            self.send(signal.SIGKILL, self.family())
            self.wait(60)

    @property
    def said(self) -> str:
        """What was printed by this attempt."""
        with open(self._said, "rb") as stream:
            stream.seek(self._offset)
            return stream.read().decode(errors="replace")

    def _complaints(self) -> str:
        """What was said, without Python's own way to say that Ctrl-C came before a program began."""
        if not self.anew:
            return self.said
        return re.sub(
            r"(?ms)^ *Traceback \(most recent call last\):\n(?:(?!Traceback).)*?^ *KeyboardInterrupt\b", "", self.said
        )

    def family(self) -> list[int]:
        """The process and all that came from it; empty where it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return []
            return [self.pid, *(child.pid for child in process.children(recursive=True))]
        return []

    def send(self, number: signal.Signals, pids: list[int]) -> bool:
        """Send a signal; whether somebody was there to get it."""
        got = False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                got = True
        return got


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Of a command that begins anew: this very code, whatever is installed."""
    aside = [str(folder) for variable, folder in ASIDE.items() if variable in extra]
    paths = [str(ROOT), *aside]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Bytecode is kept: whatever says otherwise here would have each of them compile the whole package.
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return rest | {"PATH": path, "PYTHONPATH": os.pathsep.join(paths)} | extra


def _become(command: Command, place: Path, said: Path, extra: Mapping[str, str], anew: bool) -> NoReturn:
    """Turn this fork into the command."""
    code = cli.DEFECT
    try:
        os.setsid()
        with open(said, "ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        os.chdir(place)
        if anew:
            os.execvpe(command.words[0], command.words, environment(extra))
        os.environ.update(extra)
        if "HAWP_SOAK_SLOW" in extra:
            from soak.slow import sitecustomize  # noqa: F401
        sys.argv = list(command.words)
        try:
            code = cli.main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else cli.MISTAKE
        # As at the end of an interpreter.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = cli.STOPPED  # before the program began
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def in_a_fork(work: Callable[[], object]) -> object:
    """The result of a function that shall leave no trace in this process, nor threads: it passes through JSON."""
    source, sink = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            answer = json.dumps(work())
        except BaseException as error:
            answer = json.dumps({"failed": f"{type(error).__name__}: {error}"})
        with os.fdopen(sink, "w") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as stream:
        answer = stream.read()
    os.waitpid(pid, 0)
    return json.loads(answer)
