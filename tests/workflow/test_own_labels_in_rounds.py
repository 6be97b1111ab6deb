"""Own labels in a run: five corrected files make another round, which learns from them and says why."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from places import TINY

from hawp_core.data.data_config import read_data_config
from hawp_core.data.label_file import LabelFile
from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import Settings
from hawp_core.training.metrics import StepRow, read_metrics
from hawp_core.workflow.chain import Chain
from hawp_core.workflow.cost import estimate
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import TrainRecipe
from hawp_core.workflow.settings import changed
from hawp_core.workflow.snakemake import import_options, place, read_once, training_options
from hawp_core.workflow.status import activities, state
from hawp_core.workflow.training_data import training_data

CORRECTED = 5


def entries(folder: Path, *lines: list) -> list:
    from hawp_core.data.photographs.decoding import read_size

    return [
        {
            "filename": name,
            "lines": [list(line)],
            **dict(zip(("width", "height"), read_size(folder / name)[0], strict=True)),
        }
        for name, line in zip(("a.jpg", "b.png"), lines, strict=False)
    ]


@pytest.fixture
def settings(tiny, photographs, workplace) -> Settings:
    """The tiny run with own labels of two photographs."""
    Path("mine.json").write_text(json.dumps(entries(photographs, [1, 2, 30, 40], [5, 5, 60, 5])))
    return changed(tiny, {"photographs": {"folder": str(photographs)}, "labels": {"files": "mine.json"}}, "")


def planned(settings: Settings, **labels: object) -> Chain:
    read_once.cache_clear()
    return plan_run(changed(settings, {"labels": labels}, ""), 2, write=True)


def test_every_real_round_consumes_own_labels_and_no_other_step_does(settings):
    chain, without = planned(settings), planned(settings, files="")
    assert chain.own is not None and without.own is None
    assert chain.rounds[0] == without.rounds[0]
    for each in chain.rounds[1:]:
        assert each.train.inputs["labels"] == chain.own.key
        (number,) = [number for number, other in enumerate(chain.rounds) if other is each]
        assert each.train.key != without.rounds[number].train.key
        assert place(TrainRecipe, "labels")(each.train) == f"data-ssl/own-labels/{chain.own.key}.yaml"
        assert training_options(each.train).endswith(f" --labels data-ssl/own-labels/{chain.own.key}.yaml")
    assert import_options(chain.own).startswith("mine.json --images ")
    # Their share is part of the address where there are some, and of nothing else.
    other = planned(settings, share=0.5)
    assert other.own == chain.own and other.rounds[1].train.key != chain.rounds[1].train.key
    assert planned(settings, files="", share=0.5).recipes == without.recipes
    assert planned(settings, join=2.0).own.key != chain.own.key
    assert [state(recipe).word for recipe in chain.recipes].count("missing") == len(chain.recipes)
    assert [each.recipe for each in activities(chain)] == chain.recipes
    alone = planned(settings, share=1)
    assert alone.rounds[1].train.inputs["data"] == chain.own.key and "labels" not in alone.rounds[1].train.inputs
    assert " --shapes data-ssl/synthetic-shapes/" in training_options(alone.rounds[1].train)
    # A round of 6 photographs sees 2 more of 8, and with own labels alone 2.
    first = estimate(settings, planned(settings, files="")).trained
    assert estimate(settings, chain).trained - first == 2 * (8 - 6)
    assert estimate(settings, alone).trained - first == 2 * (2 - 6)


def test_why_names_the_photographs_whose_lines_differ(settings, photographs, hawp):
    one, without = planned(settings), planned(settings, files="")
    content = entries(photographs, [1, 2, 30, 41])
    content[0]["lines"].append([3, 4, 50, 60])
    Path("mine.json").write_text(json.dumps(content))
    other = planned(settings)

    def why(first: Chain, second: Chain) -> list[str]:
        code, printed = hawp("lineage", "--why", first.rounds[1].train.key, second.rounds[1].train.key)
        assert code == 0, printed
        return printed.splitlines()

    assert why(one, other) == [
        "labels: 'b.png' is not labelled any more",
        "labels: 'a.jpg' has other lines (1 before, 2 now)",
        "photographs: 'b.png' was removed",
    ]
    assert why(without, one) == [f"train: labels (none) -> {one.own.key}"]
    assert hawp("verify")[0] == 0
    # Written in another way they are the same.
    Path("mine.json").write_text(json.dumps(content, indent=3))
    assert planned(settings).own == other.own


def test_photographs_of_another_folder_may_be_labelled(settings, tmp_path, photographs):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "x.jpg").write_bytes((photographs / "a.jpg").read_bytes())
    content = entries(photographs, [1, 2, 30, 40])
    content[0]["filename"] = "x.jpg"
    Path("mine.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"x\.jpg, which is not among the photographs of"):
        planned(settings)
    assert " --images more " in import_options(planned(settings, images="more").own)


def test_five_corrected_files_come_back_and_are_learned_from(settings, photographs, model, hawp):
    def run(*words: object) -> str:
        code, printed = hawp(*words)
        assert code == 0, printed
        return printed

    run("synthesize", "--config", TINY)
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    run("homoadp", "--datacfg", TINY, "--images", photographs, "--ckpt", model, "--device", "cpu")
    pseudo = next(Path("data-ssl/model").glob("*.yaml"))
    names = LabelFile(pseudo.with_suffix(".h5")).names
    run("export-labels", pseudo, "--saveto", "corrected", "--photographs", *names[:CORRECTED])
    assert "is there already" in hawp("export-labels", pseudo, "--saveto", "corrected")[1]
    files = sorted(Path("corrected").rglob("*.json"))
    assert len(files) == CORRECTED
    # Nothing is corrected yet: the labels are those of the round.
    run("import-labels", "corrected", "--images", photographs)
    as_they_were = next(Path("data-ssl/own-labels").glob("*.yaml"))
    for name in names[:CORRECTED]:
        there, back = LabelFile(pseudo.with_suffix(".h5"))[name], LabelFile(as_they_were.with_suffix(".h5"))[name]
        assert len(there.edges) == len(back.edges) and (there.scores == back.scores).all()
    before = planned(settings, files="corrected")
    # By hand: every second line was wrong.
    for file in files:
        content = json.loads(file.read_text())
        content["shapes"] = content["shapes"][::2]
        file.write_text(json.dumps(content))
    printed = run("import-labels", "corrected", "--images", photographs)
    (own,) = {*Path("data-ssl/own-labels").glob("*.yaml")} - {as_they_were}
    assert f"{own}: " in printed and f"on {CORRECTED} photographs" in printed
    assert "nothing to do" in run("import-labels", "corrected", "--images", photographs)
    after = planned(settings, files="corrected")
    assert (before.own.key, after.own.key) == (as_they_were.stem, own.stem)
    why = run("lineage", "--why", before.rounds[1].train.key, after.rounds[1].train.key).splitlines()
    assert all(re.fullmatch(r"labels: '.+' has other lines \(\d+ before, \d+ now\)", each) for each in why)
    assert len(why) == CORRECTED
    words = ("--modelcfg", TINY, "--shapes", shapes, "--device", "cpu", "--num-workers", 0)
    mixed = [*words, "--datacfg", pseudo, "--labels", own]
    keys = {hawp("train", *each, "--name", "mixed", "--expect", "0" * 16)[1].split()[6] for each in
            (mixed, [*mixed[:-1], as_they_were], mixed[:-2])}  # fmt: skip
    # The lists of the photographs are made anew where they are gone.
    for file in Path("recipes").glob("photographs-*.jsonl"):
        file.unlink()
    run("train", *mixed, "--name", "mixed")
    run("train", "--datacfg", own, *words, "--name", "own", "--epochs", 6)
    found = {name: next(Path("exp-ssl", name).iterdir()) for name in ("mixed", "own")}
    assert found["mixed"].name + "," in keys and len(keys) == 3
    records = {name: json.loads((folder / "lineage.json").read_text()) for name, folder in found.items()}
    # Six photographs have pseudo labels; five of them have own ones: one is left, and a quarter more.
    assert {name: record["counts"]["images"] for name, record in records.items()} == {"mixed": 2, "own": 5}
    key = own.stem
    assert records["mixed"]["inputs"]["labels"] == records["own"]["inputs"]["data"] == key
    assert key in records["mixed"]["ancestry"] and yaml.safe_load(own.read_text())["key"] == key
    losses = [row.loss for row in read_metrics(found["own"] / "metrics.jsonl") if isinstance(row, StepRow)]
    assert losses[-1] < losses[0]
    # How sure the model was is learned of its labels, and of those that a person saw nothing but that they are lines.
    soft = changed(settings, {"train": {"real": {"soft": True}}}, "")
    learned, _ = training_data(soft, pseudo, replace(read_data_config(pseudo), shapes=shapes), own)
    samples = [learned.item(index) for index in range(len(learned))]
    assert {sample.name in names[:CORRECTED] for sample in samples} == {True, False}
    for sample in samples:
        given = (
            np.ones(1) if sample.name in names[:CORRECTED] else LabelFile(pseudo.with_suffix(".h5"))[sample.name].scores
        )
        np.testing.assert_allclose(*np.broadcast_arrays(sample.wireframe.scores, np.sqrt(given)), rtol=1e-6)
    assert hawp("verify")[0] == 0
    assert "leave them out" in hawp("train", "--datacfg", shapes, *words, "--name", "x", "--labels", own)[1]
    assert (
        "names shapes where own labels"
        in hawp("train", "--datacfg", pseudo, *words, "--name", "x", "--labels", shapes)[1]
    )
