"""Signals that ask to stop: noted when they come, looked at between two steps."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from hawp_core.errors import Interrupted

# Signals that schedulers send before they kill (Slurm at the time limit, on preemption and on scancel), Ctrl-C, and that the terminal
# was closed. Windows knows no SIGUSR1 and no SIGHUP.
_NAMES = ("SIGTERM", "SIGUSR1", "SIGINT", "SIGHUP")
STOP_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
HANGUP = getattr(signal, "SIGHUP", None)


class StopRequest:
    """Whether a signal has asked this process to save its state and stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, number: int) -> None:
        """Ask to stop, by a signal's number."""
        self.signal = number

    def check(self, saved: str) -> None:
        """Raise `Interrupted` once a signal came; `saved` says what the next run carries on from."""
        if self.signal is not None:
            raise interruption(self.signal, saved)


def interruption(number: int, saved: str) -> Interrupted:
    """The error of work that a signal stopped; `saved` says what the next run carries on from."""
    return Interrupted(f"stopped by {signal.Signals(number).name}; {saved}: the same command carries on from there.")


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the stop signals into a request that the work looks at between two steps."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: object) -> None:
        if number == HANGUP:
            _leave_terminal()
        request.ask(number)

    # nohup asks for work that outlives its terminal.
    heeded = [number for number in STOP_SIGNALS if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, note) for number in heeded}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Print no more to a terminal that is closed: each line would be an error in the midst of the work."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError):  # a stream that was closed
            if stream is not None and os.isatty(number := stream.fileno()):
                os.dup2(nowhere, number)
    os.close(nowhere)
