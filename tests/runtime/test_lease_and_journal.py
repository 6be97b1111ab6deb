"""Journals, leases and stop signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hawp_core.errors import Interrupted, UserError
from hawp_core.runtime.files import replacing
from hawp_core.runtime.journal import Journal
from hawp_core.runtime.lease import lease
from hawp_core.runtime.signals import stop_on_signal


def test_a_journal_keeps_what_was_appended(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.extend([{"index": 0, "name": "a\nb ü"}])
    journal.extend([{"index": 1}])
    journal.close()
    assert Journal(tmp_path / "j.jsonl").records == [{"index": 0, "name": "a\nb ü"}, {"index": 1}]


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.integers(0, 400), st.booleans())
def test_a_cut_or_flipped_journal_keeps_the_whole_lines_before(tmp_path_factory, position, flip):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    journal = Journal(path)
    for index in range(8):
        journal.extend([{"index": index, "junctions": [[0.1 * index, 2.0]]}])
    journal.close()
    data = path.read_bytes()
    position = min(position, len(data) - 1)
    path.write_bytes(data[:position] + (bytes([data[position] ^ 1]) + data[position + 1 :] if flip else b""))
    kept = Journal(path)
    whole = data[:position].count(b"\n")
    assert [record["index"] for record in kept.records] == list(range(whole))
    kept.extend([{"index": 99}])
    kept.close()
    assert [record["index"] for record in Journal(path).records] == [*range(whole), 99]


HOLD = """
import sys, time
from pathlib import Path
from hawp_core.runtime.lease import lease
with lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_waits_and_takes_over_from_a_killed_one(tmp_path):
    holder = hold(tmp_path)
    said, entered = [], threading.Event()

    def second():
        with lease(tmp_path, say=said.append, poll=0.05):
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.5)
    assert not entered.is_set()
    assert f"process {holder.pid}" in said[0]
    holder.kill()
    holder.wait()
    assert entered.wait(10)
    thread.join()
    assert not (tmp_path / "lease.json").exists()


def test_a_journal_settles_at_most_once_a_second_and_a_kill_loses_nothing(tmp_path):
    code = f"""
import itertools, os, signal, time
from pathlib import Path
from hawp_core.runtime.journal import Journal
clock, settled = itertools.count(100, 0.4), []
time.monotonic = lambda: next(clock)
os.fsync = settled.append
journal = Journal(Path({str(tmp_path / "j.jsonl")!r}))
for index in range(9):
    journal.extend([{{"index": index}}])
assert 3 <= len(settled) <= 5, settled
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [record["index"] for record in Journal(tmp_path / "j.jsonl").records] == list(range(9))


@pytest.mark.parametrize(
    ("holder", "age", "free"),
    [
        ({"host": "elsewhere", "pid": 1, "started": "1", "slurm_job": None}, 0, False),
        ({"host": "elsewhere", "pid": 1, "started": "1", "slurm_job": None}, 3600, True),
        ({"host": os.uname().nodename, "pid": os.getpid() ^ 1, "started": "never", "slurm_job": None}, 0, True),
        ({"host": os.uname().nodename, "pid": 1, "started": None, "slurm_job": None}, 0, True),
    ],
    ids=["another machine, alive", "another machine, silent", "number reused", "unknown start"],
)
def test_when_a_holder_counts_as_dead(tmp_path, holder, age, free):
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(holder))
    os.utime(path, (time.time() - age,) * 2)
    with stop_on_signal() as stop:
        if not free:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
            with pytest.raises(Interrupted, match="SIGTERM"), lease(tmp_path, stop=stop, poll=0.05):
                pass
        else:
            with lease(tmp_path, stop=stop, poll=0.05):
                assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_damaged_lease_is_taken_over(tmp_path):
    (tmp_path / "lease.json").write_text("{")
    with lease(tmp_path):
        assert json.loads((tmp_path / "lease.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
def test_signals_become_requests(number):
    before = signal.signal(number, signal.SIG_DFL)  # these tests may run under nohup
    with stop_on_signal() as stop:
        stop.check("all")
        os.kill(os.getpid(), number)
        assert stop
        with pytest.raises(Interrupted, match=r"3 of 9; .* carries on|3 of 9 are done"):
            stop.check("3 of 9 are done")
    assert signal.signal(number, before) == signal.SIG_DFL


def test_work_that_shall_outlive_its_terminal_heeds_no_hangup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop
    assert signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written"), replacing(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_journal_of_ours_is_not_cut(tmp_path, kind):
    theirs, path = tmp_path / "thesis.txt", tmp_path / "a.jsonl"
    theirs.write_text("mine\n")
    {"link": lambda: path.symlink_to(theirs), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(UserError, match=r"a\.jsonl is no regular file"):
        Journal(path)
    assert theirs.read_text() == "mine\n"
