"""Ctrl-C is no traceback, whenever it comes."""

import signal

import pytest

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
