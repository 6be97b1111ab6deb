"""Signals that ask to stop: noted when they come, looked at between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from hawp_core.errors import Interrupted

# Signals that schedulers send before they kill: Slurm at the time limit, on preemption and on scancel.
# Windows knows no SIGUSR1.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGINT") if hasattr(signal, name))


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
        request.ask(number)

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
