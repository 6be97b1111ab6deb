"""The table of rounds and the figures on a small real run; Snakemake's report of it in a real browser."""

import base64
import contextlib
import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import browser
import numpy as np
import pytest
import yaml
from PIL import Image
from places import ROOT, TINY

from hawp_core.commands import cli
from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.evaluation.results import (
    ComparedPair,
    CountScores,
    DetectorRepeatability,
    Evaluation,
    LabelledMetrics,
    MatchedScores,
    MeanScores,
    PairScores,
)
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report import charts, galleries, pages
from hawp_core.report.agreement import agreement
from hawp_core.report.costs import Cost, costs
from hawp_core.report.drawing import LINE_COLOUR
from hawp_core.report.finished import finished
from hawp_core.report.table import COLUMNS, Row, as_text, readable, rows
from hawp_core.report.taken_in import own_key, taken_in
from hawp_core.report.verdicts import verdicts
from hawp_core.workflow import settings
from hawp_core.workflow.chain import report_recipe
from hawp_core.workflow.paths import artifact, own_labels, report_folder
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import Recipe

PAGES = {"rounds", "chain", "metrics", "losses", "validation", "gallery-best", "gallery-worst", "shapes", "cost"}


def carry_out(recipe: Recipe) -> None:
    """Do by hand what the workflow would do for a recipe."""
    places = recipe.as_file.places
    words = {
        "synthesize": ["synthesize", "--config", recipe.file],
        "train": ["train", "--datacfg", places.get("data"), "--modelcfg", recipe.file],
        "export": ["homoadp", "--datacfg", recipe.file, "--ckpt", places.get("model")],
        "evaluate": ["evaluate", "--config", recipe.file, "--ckpt", places.get("model")],
        "import": ["import-labels", places.get("files")],
    }[recipe.stage]
    if places.get("labels"):
        words += ["--labels", places["labels"]]
    if recipe.stage in ("export", "evaluate", "import"):
        words += ["--images", places["folder"], "--manifest", places["manifest"]]
    if recipe.stage not in ("synthesize", "import"):
        words += ["--device", "cpu", "--threads", "1"]
    assert cli.main([str(word) for word in [*words, "--expect", recipe.key]]) == 0


def draw_own_labels(folder: Path, photographs: Path) -> None:
    """Labels of three photographs in two layouts; one line leaves its photograph, and one shape is no line."""
    folder.mkdir()
    sizes = {name: Image.open(photographs / name).size for name in ("a.jpg", "b.png", "f.png")}
    lines = {"a.jpg": [[1, 2, 60, 40], [5, 50, 5, 90]], "b.png": [[5, 5, 900, 5]]}
    listed = [
        {"filename": name, "width": sizes[name][0], "height": sizes[name][1], "lines": drawn}
        for name, drawn in lines.items()
    ]
    (folder / "annotations.json").write_text(json.dumps(listed))
    corners = [[3, 3], [40, 3], [40, 30]]
    shapes = [{"points": corners, "shape_type": kind} for kind in ("linestrip", "polygon")]
    size = dict(zip(("imageWidth", "imageHeight"), sizes["f.png"], strict=True))
    (folder / "f.json").write_text(json.dumps({"shapes": shapes, "imagePath": "f.png", **size}))


@pytest.fixture(scope="module")
def run(tmp_path_factory, photographs):
    """A working folder with a finished run of one real round, which learned from own labels too, and its chain."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("Snakefile", "rules", "config", "profiles", "envs", "report"):
        (folder / name).symlink_to(ROOT / name)
    chosen = yaml.safe_load(TINY.read_text()) | {"photographs": {"folder": str(photographs)}, "rounds": 1}
    chosen["labels"] = {"files": "mine"}
    draw_own_labels(folder / "mine", photographs)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(chosen))
    with contextlib.chdir(folder):
        chain = plan_run(settings.load(folder / "tiny.yaml"), write=True)
        for recipe in chain.recipes:
            carry_out(recipe)
    return folder, chain


@pytest.fixture
def here(run, monkeypatch):
    """The finished run, from inside its folder."""
    monkeypatch.chdir(run[0])
    return run[1]


def test_the_table_has_a_row_for_each_round_and_one_for_lsd(here, hawp):
    rounds = finished(here.rounds)
    table = rows(rounds)
    assert [row.round for row in table] == ["0", "1", "LSD"]
    for row, each in zip(table, rounds, strict=False):
        measured = each.evaluation.repeatability["model"]
        assert row.training == each.train.key
        assert row.sAP10 == each.evaluation.shapes.sAP10
        assert row.structural_rep5 == measured.structural.repeatability
        assert row.lines_per_image == measured.lines_per_image
        assert row.rep5_at_50 == measured.at(50).nearest.structural.repeatability
        assert row.paired_rep5_at_100 == measured.at(100).one_to_one.structural.repeatability
        assert row.lsd_rep5_as_many == each.measured("LSD").at(None).nearest.structural.repeatability
        labels = LabelFile(artifact(each.export))
        assert row.label_lines_per_image == labels.line_count / len(labels)
    assert {each.precision for each in rounds} in ({"float32"}, {"bfloat16"})  # what the processor has, in both
    assert table[0].agreement is None and table[0].train_seconds > 0
    assert table[1].agreement == pytest.approx(np.mean(list(rounds[1].agreement.values())))
    assert table[2].sAP10 is None
    assert table[2].orthogonal_loc5 == rounds[1].measured("LSD").orthogonal.localisation
    assert table[2].rep5_at_25 == rounds[1].measured("LSD").at(25).nearest.structural.repeatability
    code, printed = hawp("report", "--table", "--config", "tiny.yaml")
    assert code == 0 and as_text(table) in printed and "sAP10 on photographs" not in printed
    assert all(sentence in printed for sentence in verdicts(rounds))
    assert not Path("reports").exists()


def repeating(round_, **values):
    """A finished round whose model and LSD repeat so much of 50 lines in each of four photographs."""
    names = [f"{name}.jpg#0" for name in "abcd"]
    none = PairScores(None, None)
    undefined = MeanScores(None, None, 4, 4)
    found = {}
    for who, each in values.items():
        held = MatchedScores(replace(undefined, repeatability=float(np.mean(each))), undefined)
        found[who] = DetectorRepeatability(
            4, 5.0, 50.0, undefined, undefined, tuple(ComparedPair(name, (50, 50), none, none) for name in names),
            (CountScores(50, 50.0, held, held, tuple(each)),),
        )  # fmt: skip
    return replace(round_, evaluation=replace(round_.evaluation, repeatability=found))


def test_each_round_is_told_better_or_worse_than_the_last_and_than_lsd(here):
    first, second = finished(here.rounds)
    lsd = (0.43, 0.45, 0.42, 0.46)
    rounds = [
        repeating(first, model=(0.4, 0.42, 0.41, 0.41), LSD=lsd),
        repeating(second, model=(0.5, 0.52, 0.5, 0.52), LSD=lsd),
    ]
    assert verdicts(rounds) == [
        "Round 0 is worse than LSD: Rep-5 at 50 lines 0.410 against 0.440 (-0.030 ± 0.016).",
        "Round 1 is better than round 0: Rep-5 at 50 lines 0.510 against 0.410 (+0.100 ± 0.008); it is better than LSD, "
        "0.440 (+0.070 ± 0.008).",
    ]
    wavering = repeating(second, model=(0.5, 0.32, 0.31, 0.51), LSD=lsd)
    assert verdicts([rounds[0], wavering])[1].startswith("Round 1 is neither better nor worse than round 0: ")
    mixed = [replace(rounds[0], precision="float32"), replace(rounds[1], precision="bfloat16")]
    assert verdicts(mixed)[:2] == verdicts(rounds)
    assert verdicts(mixed)[2].startswith("Rounds were trained in different precisions (0: float32, 1: bfloat16), ")
    alone = repeating(second, model=(0.5, 0.5, 0.5, 0.5))
    assert verdicts([alone]) == ["Round 1: Rep-5 at 50 lines 0.500."]


def test_labelled_photographs_stand_in_the_table_beside_lsd(here):
    (first, *_) = finished(here.rounds)
    labelled = {
        "model": LabelledMetrics(1.0, 2.5, 3.0, None, 40.0, 50.0, 60.0),
        "LSD": LabelledMetrics(4.0, 5.5, 6.0, None, 41.0, 51.0, 61.0),
    }
    heads, lines = readable(rows([replace(first, evaluation=replace(first.evaluation, labelled=labelled))]))
    assert [line[heads.index("sAP10 on photographs")] for line in lines] == ["2.5", "5.5"]
    assert [line[heads.index("AP^H")] for line in lines] == ["40.0", "41.0"]


def test_rounds_that_an_earlier_version_measured_are_shown_as_they_were(here):
    rounds = []
    for each in finished(here.rounds):
        file = artifact(each.evaluate)
        content = json.loads(file.read_text())
        del content["conditions"]
        for measured in content["repeatability"].values():
            del measured["at_counts"]
        Path("earlier.json").write_text(json.dumps(content))
        rounds.append(replace(each, evaluation=Evaluation.read("earlier.json")))
    table = rows(rounds)
    heads, _ = readable(table)
    assert verdicts(rounds) == [] and "Rep-5" in heads and "Rep-5 at 50" not in heads
    assert "<svg" in charts.metrics(table).svg()


def test_own_labels_are_told_with_their_files_and_what_became_of_their_lines(here, hawp):
    rounds = finished(here.rounds)
    (own,) = taken_in(rounds)
    assert own.said == (
        "Round 1 learns from own labels too, a share of 0.25: 5 lines on 3 photographs, from mine.",
        "Lines that leave their photograph, and are cut at its border: 1.",
        "Shapes that are no lines, left out: 1.",
    )
    assert own.rows == (("json", "1", "2", "3"), ("labelme", "1", "1", "2"))
    assert taken_in(rounds[:1]) == []
    _, printed = hawp("report", "--table", "--config", "tiny.yaml")
    assert all(sentence in printed for sentence in own.said)
    _, printed = hawp("lineage", "--config", "tiny.yaml")
    assert "5 lines on 3 photographs (json, labelme)" in printed
    assert hawp("report", "--config", "tiny.yaml", "--dest", "own")[0] == 0
    page = Path("own/rounds.html").read_text()
    assert "<h2>Own labels</h2>" in page and all(html.escape(sentence) in page for sentence in own.said)
    assert '<th scope="row">labelme</th><td>1</td><td>1</td><td>2</td>' in page
    # A round that learns from nothing else.
    key = own_key(rounds[1].train)
    places = replace(rounds[1].train.places, data=own_labels(key, ".yaml"), labels=None)
    alone = replace(rounds[1].train, places=places, inputs={**rounds[1].train.inputs, "data": key, "labels": None})
    (said,) = taken_in([replace(rounds[1], train=alone)])
    assert said.said[0].startswith("Round 1 learns from own labels alone: 5 lines ")


def test_the_command_writes_every_figure_with_a_text_alternative(here, hawp):
    recipe = report_recipe(here, 1)
    recipe.write()
    code, printed = hawp("report", "--config", recipe.file, "--expect", recipe.key, "--dest", "drawn")
    assert code == 0, printed
    drawn = Path("drawn")
    assert {path.stem for path in drawn.glob("*.html")} == PAGES
    for sentence in verdicts(finished(here.rounds)):
        assert all(html.escape(sentence) in (drawn / name).read_text() for name in ("rounds.html", "metrics.html"))
    for path in drawn.glob("*.svg"):
        text = path.read_text()
        assert 'role="img"' in text and "<desc" in text
        assert not re.search(r"""(href|src)=["']http|url\(.?http""", text)
        assert text[text.index("<svg") :] in path.with_suffix(".html").read_text()
    for path in drawn.glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 10
        assert '<img alt="' in path.with_suffix(".html").read_text()
    with open(drawn / "rounds.csv", newline="") as stream:
        assert [row["round"] for row in csv.DictReader(stream)] == ["0", "1", "LSD"]
    # At its own place it is the same, and `hawp verify` knows each of its files.
    assert hawp("report", "--config", "tiny.yaml")[0] == 0
    place = report_folder(recipe)
    try:
        assert all((place / path.name).read_bytes() == path.read_bytes() for path in drawn.iterdir())
        assert hawp("verify")[0] == 0
        for name in ("cost.svg", "rounds.lineage.json"):
            content = (place / name).read_bytes()
            (place / name).write_bytes(content.replace(b"1", b"2", 1))
            code, printed = hawp("verify")
            assert code == 2 and name in printed
            (place / name).write_bytes(content)
        (place / "cost.svg").unlink()
        code, printed = hawp("verify")
        assert code == 2 and "cost.svg is missing" in printed
    finally:
        shutil.rmtree("reports")


def test_galleries_show_different_photographs_in_order_of_agreement(here):
    rounds = finished(here.rounds)
    labels = [LabelFile(artifact(each.export)) for each in rounds]
    ranked = galleries.ranking(rounds, labels)
    values = [rounds[1].agreement[name] for name in ranked.order]
    assert values == sorted(values, reverse=True)
    best, worst = galleries.galleries(rounds)
    shown = [{name for name in ranked.order if f"{name}, " in picture.about} for picture in (best, worst)]
    assert shown[0] and not shown[0] & shown[1]
    assert ranked.order[0] in shown[0]
    if len(ranked.order) > 1:
        assert ranked.order[-1] in shown[1]


def test_galleries_of_round_0_rank_by_lines(here):
    rounds = finished(here.rounds[:1])
    labels = [LabelFile(artifact(rounds[0].export))]
    ranked = galleries.ranking(rounds, labels)
    counts = [len(labels[0][name].edges) for name in ranked.order]
    assert len(counts) == len(labels[0]) and counts == sorted(counts, reverse=True)
    assert ranked.best == "Most lines"


def test_a_vanished_photograph_is_left_out_of_the_gallery(here, monkeypatch):
    rounds = finished(here.rounds)
    gone = galleries.ranking(rounds, [LabelFile(artifact(each.export)) for each in rounds]).order[0]

    def absent(folder, name):
        return resolve(folder, "no such file.png" if name == gone else name)

    monkeypatch.setattr(galleries, "resolve", absent)
    best, _ = galleries.galleries(rounds)
    assert gone not in best.about and best.png.startswith(b"\x89PNG")


def test_agreement_is_the_share_of_common_lines(tmp_path):
    lines = np.array([[10, 10, 50, 10], [10, 20, 50, 20], [10, 40, 50, 40]], float)
    moved = lines + np.array([[0, 1, 0, 1], [0, 1, 0, 1], [0, 16, 0, 16]])
    for name, found in (("first", [lines, lines[:0]]), ("second", [moved, lines[:0]])):
        write_labels(tmp_path / f"{name}.h5", ["a", "b"], [Wireframe.from_lines(f, 64, 64) for f in found])
    first, second = LabelFile(tmp_path / "first.h5"), LabelFile(tmp_path / "second.h5")
    assert agreement(first, second, 64) == {"a": pytest.approx(4 / 6)}
    assert agreement(first, first, 64) == {"a": 1.0}
    # At twice the size the same lines are 2 and 32 pixels apart from their partners, by each end.
    assert agreement(first, second, 320) == {"a": 0.0}


def test_costs_come_from_benchmark_files_and_else_from_the_record(here, tmp_path, monkeypatch):
    rounds = finished(here.rounds)
    recorded = {cost.title: cost for cost in costs(here.shapes, rounds)}
    assert recorded["train, round 1"].seconds == rounds[1].train_seconds
    assert recorded["train, round 1"].jobs is None
    assert recorded["label, round 0"].seconds > 0
    folder = Path("logs", rounds[0].export.name)
    folder.mkdir(parents=True, exist_ok=True)
    for i, memory in enumerate(("120.5", "NA")):
        file = folder / f"export-{rounds[0].export.key}-0000{i}-of-00002.benchmark.tsv"
        file.write_text(f"s\th:m:s\tmax_rss\tmean_load\n{10 + i}.5\t0:00:10\t{memory}\t99\n")
    try:
        measured = {cost.title: cost for cost in costs(here.shapes, rounds)}["label, round 0"]
    finally:
        for file in folder.glob("*.benchmark.tsv"):
            file.unlink()
    assert measured == Cost("export", 0, 2, 22.0, 11.5, 120.5)


def test_unfinished_rounds_are_left_out_and_none_at_all_is_a_mistake(here, hawp, workplace):
    # In an empty folder the same recipes have no results.
    with pytest.raises(UserError, match="no round of tiny is finished"):
        finished(here.rounds)


def test_a_planned_but_unfinished_round_is_named(here, hawp):
    code, printed = hawp("report", "rounds=2", "--table", "--config", "tiny.yaml")
    assert code == 0 and "2 of 3 rounds are finished" in printed


def test_status_knows_what_is_done_and_what_waits(here, hawp):
    code, printed = hawp("status", "rounds=2", "--config", "tiny.yaml")
    assert code == 0
    assert "8 of 11 steps are done" in printed and "waiting" in printed


def test_pages_escape_what_they_show():
    drawn = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(drawn, format="PNG")
    page = pages.page(
        "a < b", "c & d", pages.table(["<i>"], [["<b>", "&"]]), pages.picture(drawn.getvalue(), 'say "<hi>"')
    )
    assert "<i>" not in page and "<b>" not in page and "<hi>" not in page and "&quot;" in page


def test_pages_hold_pictures_in_little():
    noise = np.random.default_rng(1).integers(100, 150, (400, 400, 3)).astype(np.uint8)
    noise[200:202] = LINE_COLOUR
    drawn = io.BytesIO()
    Image.fromarray(noise).save(drawn, format="PNG")
    shown = pages.picture(drawn.getvalue(), "noise")
    kind, content = re.search(r"data:image/(\w+);base64,([^\"]+)", shown).groups()
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.format.lower() == kind and picture.size == (400, 400)
    assert len(shown) < len(drawn.getvalue()) / 2
    line = np.asarray(picture)[200:202].mean(axis=(0, 1))
    assert np.abs(line - LINE_COLOUR).max() < 40


def test_the_table_of_a_terminal_is_narrow_however_many_numbers_it_has():
    every = {field.name: 1.0 for field in fields(Row) if field.name not in ("round", "training", "size")}
    text = as_text([Row(str(number), "", **every) for number in range(4)] + [Row("LSD", "", **every)])
    drawn = text.split("\n\n")[0].splitlines()
    assert drawn[0].split() == ["round", "0", "round", "1", "round", "2", "round", "3", "LSD"]
    assert max(map(len, drawn)) < 80 and len(drawn) == 2 + len(COLUMNS)
    assert drawn[2].split()[-5:] == ["1.0"] * 5


def test_a_chart_without_a_defined_number_is_drawn(here):
    table = rows(finished(here.rounds))
    empty = [Row(row.round, row.training) for row in table]
    assert "<svg" in charts.metrics(empty).svg()


@pytest.mark.skipif(browser.CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
def test_snakemakes_report_in_a_browser(here, tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def snakemake(*words: str) -> None:
        done = subprocess.run(
            ["snakemake", "--profile", "profiles/local", "--configfile", "tiny.yaml", *words],
            env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    snakemake()
    snakemake("--report", str(tmp_path / "report.html"))
    page = browser.watched(tmp_path / "report.html")
    seen = browser.examine(page, tmp_path)
    assert seen["errors"] == [] and seen["requests"] == []
    assert set(seen["results"]) == {f"{name}.html" for name in PAGES}
    for name, result in seen["results"].items():
        assert result["heading"], name
        assert all(width > 200 for width in result["widths"])
        assert all(result["alternatives"]) and all(result["drawings"])
        assert result["widths"] or result["drawings"] or result["tables"], name
    shots = Path(os.environ.get("HAWP_SCREENSHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    for name in ("", "rounds.html", "metrics.html", "gallery-best.html"):
        picture = shots / f"report-{Path(name).stem or 'start'}.png"
        browser.screenshot(page, name, picture, tmp_path)
        assert len(np.unique(np.asarray(Image.open(picture).convert("L")))) > 20
