"""Ctrl-C is no traceback, whenever it comes."""

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest
from places import TINY

from hawp_core.commands import cli


@pytest.fixture
def as_a_program(monkeypatch):
    """`hawp settings`, with the signals of a program; those of the tests come back."""
    monkeypatch.setattr("sys.argv", ["hawp", "settings"])
    # A run in the background is told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_before_the_command_is_known(as_a_program, monkeypatch, capsys):
    def pressed() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli, "build_parser", pressed)
    assert cli.main() == cli.STOPPED
    assert capsys.readouterr().err == "hawp: interrupted\n"


def test_after_its_work_a_program_ends_at_once(as_a_program):
    assert cli.main() == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_a_training_whose_terminal_is_closed_saves_its_state(workplace, shapes):
    """As the line of a remote shell breaks: all processes of the terminal get SIGHUP, and what is printed has no place to go."""

    def in_a_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup

    words = [
        "train",
        "--datacfg",
        shapes,
        "--modelcfg",
        TINY,
        "--name",
        "closed",
        "--epochs",
        "2000",
        "--threads",
        "1",
        "--num-workers",
        "1",
    ]
    ours, theirs = pty.openpty()
    training = subprocess.Popen(
        [sys.executable, "-m", "hawp_core.commands.cli", *map(str, words)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=in_a_terminal,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"epoch 8 of" not in said and training.poll() is None:
        with contextlib.suppress(OSError):  # nobody writes any more
            said += os.read(ours, 4096)
    os.close(ours)
    assert training.wait(60) == cli.STOPPED, said.decode()
    assert list(workplace.glob("exp-ssl/closed/*/resume.pth")), said.decode()
