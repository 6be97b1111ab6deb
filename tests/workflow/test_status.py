"""Watching a run from outside: what works, how far it is, how fast."""

import json
from pathlib import Path

import pytest
from places import PHOTOGRAPHS, TINY

from hawp_core.runtime.files import tail
from hawp_core.runtime.journal import Journal
from hawp_core.runtime.lease import lease, worker
from hawp_core.training.history import History
from hawp_core.training.metrics import StepRow, ValidationRow, read_metrics
from hawp_core.workflow.chain import plan
from hawp_core.workflow.paths import artifact
from hawp_core.workflow.status import Activity, activities, speed, state

TRAINING = {"loss": 2.5, "images_per_second": 4.0, "epoch": 1, "step": 3, "of": 8, "lr": 0.1}
VALIDATION = {"sAP10": 12.34, "epoch": 1, "step": 4, "of": 8, "lines": 3.0}


@pytest.fixture
def chain(tiny, workplace):
    """The plan of one real round, of which nothing is there."""
    return plan(tiny, "0" * 64, PHOTOGRAPHS, 1)


def of(chain, stage: str, number: int | None = 0) -> Activity:
    """The activity of one step."""
    return next(each for each in activities(chain) if (each.recipe.stage, each.round) == (stage, number))


def write_rows(path: Path, *rows: dict) -> None:
    """Write a metrics file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_nothing_is_begun(chain):
    assert {each.word for each in activities(chain)} == {"waiting"}
    assert len(list(activities(chain))) == 7


def test_a_training_at_work(chain):
    folder = artifact(chain.rounds[0].train).parent
    write_rows(folder / "metrics.jsonl", TRAINING, VALIDATION)
    with lease(folder):
        found = of(chain, "train")
        assert (found.word, found.done, found.total, found.rate) == ("running", 16, 32, 4.0)
        assert found.seconds_left == 4.0
        assert found.last == "loss 2.500 in epoch 1, sAP10 12.3 after epoch 1"
        assert "process" in found.worker
    left = of(chain, "train")
    assert (left.word, left.rate, left.seconds_left, left.worker) == ("stopped", None, None, "")


FOREIGN = ["[1, 2]", '{"step": "5"}', '{"step": 1}', '{"step": 3, "epoch": 1, "of": 8, "loss": "x"}', "null", "\0\0"]


def test_foreign_lines_among_the_metrics_are_passed_over(chain):
    file = artifact(chain.rounds[0].train).parent / "metrics.jsonl"
    write_rows(file, TRAINING, VALIDATION)
    with open(file, "ab") as stream:
        stream.write("".join(f"{line}\n" for line in FOREIGN).encode() + b"\xff\n")
    rows = read_metrics(file)
    assert [type(row) for row in rows] == [StepRow, ValidationRow]
    assert [row.to_dict() for row in rows] == [TRAINING, VALIDATION]
    assert of(chain, "train").done == 16
    assert state(chain.rounds[0].train).detail == "4/8 steps"
    History(file).forget_after(3, 0)
    assert file.read_text().splitlines() == [json.dumps(TRAINING)]


def test_a_lease_of_a_dead_process_counts_for_nothing(chain):
    folder = artifact(chain.rounds[0].train).parent
    write_rows(folder / "metrics.jsonl", VALIDATION)
    with lease(folder):
        kept = json.loads((folder / "lease.json").read_text())
    (folder / "lease.json").write_text(json.dumps(kept | {"started": "1"}))
    assert worker(folder) is None
    assert of(chain, "train").word == "stopped"
    (folder / "lease.json").write_text("{")
    assert worker(folder) is None and worker(folder / "nowhere") is None


def test_labelling_counts_finished_shards_and_journals(chain):
    recipe = chain.rounds[0].export
    folder = Path("data-ssl", recipe.name, f"{recipe.key}-shards")
    work = folder / "00001-of-00002.h5.work"
    journal = Journal(work / f"{recipe.key}.jsonl")
    for at in (100.0, 100.0, 104.0):
        journal.extend([{"index": 5, "edges": [[0, 1], [1, 2]], "at": at}])
    journal.close()
    (folder / "00000-of-00002.h5").touch()
    stopped = of(chain, "export")
    assert (stopped.word, stopped.done, stopped.total, stopped.rate) == ("stopped", 8, 10, None)
    with lease(work):
        found = of(chain, "export")
    assert (found.word, found.done, found.rate, found.seconds_left) == ("running", 8, 0.25, 8.0)
    assert found.last == "2.0 lines an image of late"
    (folder / "00001-of-00002.h5").touch()
    ready = of(chain, "export")
    assert (ready.word, ready.done, ready.last) == ("begun", 10, "all labelled, not yet gathered")


def test_speed_is_that_after_the_first_batch():
    assert speed([]) == speed([{"at": 1.0}, {"at": 1.0}]) == speed([{"name": "an older journal"}]) == 0.0
    assert speed([{"at": 10.0}, {"at": 10.0}, {"at": 12.0}, {"at": 14.0}]) == 0.5


def test_steps_without_a_lease_are_begun_by_their_log(chain):
    recipe = chain.rounds[0].evaluate
    log = Path("logs", recipe.name, f"evaluate-{recipe.inputs['model']}-{recipe.key}.log")
    log.parent.mkdir(parents=True)
    log.touch()
    assert of(chain, "evaluate").word == "begun" and str(log) in of(chain, "evaluate").last
    assert of(chain, "evaluate", 1).word == "waiting"


def test_shapes_are_counted_by_shards(chain):
    shapes = chain.shapes
    Path("logs", shapes.name).mkdir(parents=True)
    Path("logs", shapes.name, f"{shapes.key}-train-00000-of-00002.log").touch()
    drawn = Path("data-ssl", shapes.name, shapes.key, "train-00000-of-00002.h5")
    drawn.parent.mkdir(parents=True)
    drawn.touch()
    found = of(chain, "synthesize", None)
    assert (found.word, found.done, found.total) == ("begun", 8, 24)


def test_rows_cut_short_are_left_out(tmp_path):
    (tmp_path / "rows").write_bytes(b'{"a": 1}\n0badc0de {"a": 2}\n{"a": ')
    assert tail(tmp_path / "rows") == [{"a": 1}, {"a": 2}]
    assert tail(tmp_path / "nothing") == []


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    (tmp_path / "rows").write_text("".join(f'{{"a": {i}}}\n' for i in range(20000)))
    rows = tail(tmp_path / "rows")
    assert rows[-1] == {"a": 19999} and len(rows) < 20000


def test_the_command_watches_until_all_is_done(chain, photographs, hawp, monkeypatch, tmp_path):
    import yaml
    from places import TINY

    from hawp_core.commands import status

    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(TINY.read_text()) | {"photographs": {"folder": str(photographs)}})
    )
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    code, printed = hawp("status", "rounds=1", "--config", "mine.yaml", "--watch", "3")
    assert code == 0 and looks == [3.0, 3.0]
    assert printed.count("0 of 7 steps are done") == 2
    assert not list(Path().glob("recipes/*/*.json")), "watching plans nothing"


@pytest.mark.parametrize("command", ["status", "lineage", "plan"])
def test_a_run_is_looked_at_where_nothing_can_be_written(hawp, workplace, photographs, command):
    """A folder that takes no file, such as one of a full or a read-only disk; root may write in any other."""
    Path("recipes").write_text("")
    code, printed = hawp(command, "--config", TINY, f"photographs={{folder: {photographs}}}")
    assert code == 0 and "digests of photographs are not kept for the next time" in printed, printed
