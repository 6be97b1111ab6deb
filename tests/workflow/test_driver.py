"""One living driver, and nothing left of dead ones. What needs a Slurm is in tests/slurm/test_rounds.py."""

import asyncio
import base64
import errno
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from checkouts import checkout, configure, snakemake

from hawp_core.errors import UserError
from hawp_core.workflow import driver

CLAIM = """
import sys
from pathlib import Path
from hawp_core.workflow.driver import claim
print(claim(Path(".snakemake")), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder in which a driver has set Snakemake's lock."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").write_text("data.yaml\n")
    return tmp_path


@pytest.fixture
def start(folder):
    """Start drivers, each of which says what it has cleared and then lives on."""
    started = []

    def start_one() -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def locks(folder: Path) -> list[str]:
    return [path.name for path in (folder / ".snakemake" / "locks").iterdir()]


def set_lock(folder: Path) -> None:
    (folder / ".snakemake" / "locks" / "0.output.lock").write_text("model.pth\n")


def test_the_lock_of_a_killed_driver_is_removed(folder, start):
    first, _ = start()
    set_lock(folder)
    first.kill()
    first.wait()
    _, said = start()
    assert said == "['its lock is removed']"
    assert locks(folder) == []


def test_the_lock_of_a_living_driver_stays(folder, start):
    start()
    set_lock(folder)
    _, said = start()
    assert said == "[]"
    assert locks(folder) == ["0.output.lock"]


def test_a_driver_that_came_second_is_respected_when_the_first_has_ended(folder, start):
    first, _ = start()
    start()
    set_lock(folder)
    first.kill()
    first.wait()
    _, said = start()
    assert said == "[]"
    assert locks(folder) == ["0.output.lock"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        driver.claim(tmp_path / "file" / ".snakemake")


def test_every_end_is_one_that_the_plugin_knows():
    said = {"1": "PREEMPTED", "2": "NODE_FAIL", "3": "CANCELLED by 1000", "4": "PENDING", "5": "COMPLETED", "6": ""}

    async def query_job_status(command, logger):
        return (said, 0.1) if command == "squeue" else (None, None)

    plugin = ModuleType("plugin")
    plugin.query_job_status = query_job_status
    driver.understand_every_end(plugin)
    found, seconds = asyncio.run(plugin.query_job_status("squeue", None))
    assert found == {"1": "CANCELLED", "2": "FAILED", "3": "CANCELLED", "4": "PENDING", "5": "COMPLETED", "6": ""}
    assert seconds == 0.1
    assert asyncio.run(plugin.query_job_status("sacct", None)) == (None, None)


def test_without_the_plugin_nothing_happens(monkeypatch):
    monkeypatch.delitem(sys.modules, "snakemake_executor_plugin_slurm", raising=False)
    driver.understand_every_end()
    driver.understand_every_end(ModuleType("another version"))


def test_the_plugin_still_asks_for_states_by_that_name():
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    assert asyncio.iscoroutinefunction(plugin.query_job_status)
    assert "query_job_status" in plugin.Executor.check_active_jobs.__code__.co_names


def test_the_executor_is_known_before_the_work_begins():
    order = []
    execute = driver.before_execution(
        lambda **settings: order.append(settings) or "done", lambda plugin, settings: order.append((plugin, settings))
    )
    plugin, settings = SimpleNamespace(), SimpleNamespace()
    assert execute(executor_plugin=plugin, executor_settings=settings, scheduler_plugin=1) == "done"
    assert order[0] == (plugin, settings)
    assert order[1] == {"executor_plugin": plugin, "executor_settings": settings, "scheduler_plugin": 1}


def test_what_the_machine_refuses_snakemake_is_one_sentence(tmp_path):
    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "logs/a.log")

    execute = driver.before_execution(refused, lambda *_: None)
    with pytest.raises(UserError, match=r"^logs/a\.log cannot be used \(Read-only file system\): mend that"):
        execute(executor_plugin=None, executor_settings=None)


def test_a_dry_run_touches_neither_lock_nor_jobs(tmp_path, photographs):
    folder = checkout(tmp_path / "run")
    configure(folder, photographs)
    (folder / ".snakemake" / "locks").mkdir(parents=True)
    set_lock(folder)
    for words in (["-n"], ["-nq"]):
        run = snakemake(folder, "rounds=0", *words)
        assert run.returncode == 0, run.stderr
        assert "the last run was killed" not in run.stderr
        assert locks(folder) == ["0.output.lock"]
        assert not os.path.exists(folder / ".snakemake" / "driver.lock")


def test_what_a_killed_driver_left_unfinished_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = "data-ssl/" + "n" * 200 + "/a.h5"
    for name in ("data-ssl/b c.h5", long):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("half noted")
        encoded = base64.urlsafe_b64encode(name.encode()).decode()
        parts = [encoded[i : i + 254] for i in range(0, len(encoded), 254)]
        marker = Path(".snakemake/incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1])
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("{}")
    Path("data-ssl/other.h5").write_text("finished")
    driver.claim(Path(".snakemake"))
    assert [path.name for path in Path("data-ssl").rglob("*.h5")] == ["other.h5"]
