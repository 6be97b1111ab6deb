"""The whole workflow, as a user runs it: rounds, nothing to do twice, and labels that no division of the work changes."""

import re
import shutil
from pathlib import Path

import pytest
from checkouts import checkout, configure, labels, snakemake


@pytest.fixture(scope="module")
def finished(tmp_path_factory, photographs) -> Path:
    """A run of two real rounds."""
    folder = checkout(tmp_path_factory.mktemp("run"))
    configure(folder, photographs)
    run = snakemake(folder, "rounds=2")
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.mark.slow
def test_two_rounds_leave_models_labels_and_measurements(finished):
    for n in range(3):
        assert len(list(finished.glob(f"exp-ssl/tiny-round{n}/*/model-*.pth"))) == 1
        assert len(list(finished.glob(f"exp-ssl/tiny-round{n}/*/evaluation-????????????????.json"))) == 1
        for suffix in ("h5", "yaml", "log"):
            assert len(list(finished.glob(f"data-ssl/tiny-round{n}/*-model-*.{suffix}"))) == 1
    assert all(len(rows) == 6 for rows in labels(finished).values())
    assert not list(finished.glob("data-ssl/*/*-shards/*"))


@pytest.mark.slow
def test_the_second_run_has_nothing_to_do(finished):
    for words in (["rounds=2"], []):
        run = snakemake(finished, *words)
        assert run.returncode == 0, run.stderr
        assert "Nothing to be done" in run.stderr + run.stdout


@pytest.mark.slow
def test_rounds_as_a_setting_means_the_same(finished):
    def planned(*words: str) -> set[str]:
        run = snakemake(finished, "-n", *words)
        assert run.returncode == 0, run.stdout + run.stderr
        return set(re.findall(r"^([a-z_]+) +\d+$", run.stdout + run.stderr, re.MULTILINE)) - {"all", "total"}

    # Of the run of one round, only its own report is missing.
    assert planned("--config", "rounds=1") == planned("rounds=1") == {"report"}
    assert (
        planned("--config", "rounds=3")
        == planned("rounds=3")
        == {"train", "export_shard", "export", "evaluate", "report"}
    )


@pytest.mark.slow
def test_a_run_of_another_name_on_other_photographs_does_not_train_round_0_again(finished, photographs, tmp_path):
    shutil.copytree(photographs / "sub", tmp_path / "others")
    run = snakemake(
        finished, "-n", "rounds=0", "--config", "name=other", f"photographs={{folder: {tmp_path / 'others'}}}"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    jobs = dict(re.findall(r"^([a-z_]+) +(\d+)$", run.stdout, re.MULTILINE))
    assert {name: jobs.get(name) for name in ("synthesize", "train", "export_shard", "evaluate")} == {
        "synthesize": None, "train": None, "export_shard": "1", "evaluate": "1",
    }  # fmt: skip
    [model], [other] = (list(finished.glob(f"exp-ssl/{name}-round0/*/model-*.pth")) for name in ("tiny", "other"))
    assert other.samefile(model)


@pytest.mark.slow
def test_other_shards_and_batches_give_the_same_labels(finished, tmp_path, photographs):
    folder = checkout(tmp_path / "again")
    shutil.copytree(photographs, tmp_path / "moved")
    changed = {"shard_size": 2, "export_batch": 3, "shape_shard_size": 5, "workers": 1}
    configure(folder, tmp_path / "moved", compute=changed, rounds=1)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    again, before = labels(folder), labels(finished)
    assert len(again) == 2
    assert all(before[name] == rows for name, rows in again.items())


@pytest.mark.slow
def test_a_mistake_in_the_configuration_is_one_sentence(tmp_path, photographs):
    folder = checkout(tmp_path / "bad")
    configure(folder, photographs, export={"veiws": 3})
    run = snakemake(folder, "-n")
    assert run.returncode != 0
    assert "export.veiws is not a setting" in run.stderr
    assert "Traceback" not in run.stderr
