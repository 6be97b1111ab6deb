"""The page of `hawp explore`: what its server gives, and to whom; and how it behaves in a real browser, a run beside it."""

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import browser
import driven
import numpy as np
import pytest
import yaml
from PIL import Image
from places import ROOT, TINY

from hawp_core.data.data_config import PhotographData
from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.data.predicted import JSON_LINES
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.agreement import agreement
from hawp_core.report.explore.label_sets import Shelf, runs
from hawp_core.report.explore.server import application, listen, server
from hawp_core.report.formats import save, to_json
from hawp_core.report.json_lines import JsonLines
from hawp_core.runtime.files import replacing
from hawp_core.workflow import settings
from hawp_core.workflow.paths import artifact, label_file
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.record import write_record

SECRET = "known-to-the-tests"
# Any of these would change the title, if a page took it for HTML.
HOSTILE = ["<img src=x onerror=document.title='owned'>.jpg", "\"'><svg onload=document.title='owned'>.png"]
LINES = 8  # on each photograph, of the scores 0.15, 0.25, ... 0.85
KEPT = 5  # of these, which round 1 finds again


@pytest.fixture(scope="module")
def pictures(photographs, tmp_path_factory) -> Path:
    """Photographs, of which two have names that are no names for HTML, and one lies on its side."""
    folder = tmp_path_factory.mktemp("pictures")
    shutil.copy(photographs / "a.jpg", folder / HOSTILE[0])
    shutil.copy(photographs / "b.png", folder / HOSTILE[1])
    (folder / "sub").mkdir()
    shutil.copy(photographs / "f.png", folder / "sub" / "plain.png")
    turned = Image.Exif()
    turned[274] = 6
    with Image.open(photographs / "sub" / "deep" / "e.JPG") as image:
        image.crop((0, 0, 120, 80)).save(folder / "turned.jpg", exif=turned)
    return folder


@pytest.fixture
def run(workplace, pictures):
    """A run of two real rounds, of which round 0 has labelled; `label` does what another round would leave."""
    (workplace / "tiny.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(TINY.read_text()) | {"photographs": {"folder": str(pictures)}})
    )
    chain = plan_run(settings.load(workplace / "tiny.yaml"))
    names = sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*") if path.is_file())

    def label(number: int, moved: float = 0.0) -> Path:
        each = chain.rounds[number]
        before = [artifact(chain.rounds[number - 1].export)] if number else []
        write_record(artifact(each.train), each.train, outputs={}, upstream=before, seconds=1, device="CPU", counts={})
        labels = artifact(each.export)
        found = [drawn(pictures / name, moved, number) for name in names]
        write_labels(labels, names, found)
        counts = {"images": len(names), "lines": LINES * len(names)}
        write_record(
            labels, each.export, outputs={labels.name: labels}, upstream=[artifact(each.train)], seconds=1, device="CPU", counts=counts
        )  # fmt: skip
        config = label_file(each.export.name, each.export.key, each.export.places.epoch, ".yaml")
        text = PhotographData(
            each.export.key, labels, str(pictures), each.export.consumed("photographs"), None
        ).as_yaml()
        with replacing(config) as temporary:
            temporary.write_text(text)
        return labels

    label(0)
    return SimpleNamespace(folder=workplace, chain=chain, names=names, label=label)


def drawn(path: Path, moved: float, number: int) -> Wireframe:
    """Level lines across a photograph; of another round the first `KEPT` in the same places."""
    with Image.open(path) as image:
        width, height = image.size if path.name != "turned.jpg" else image.size[::-1]
    y = (np.arange(LINES) + 1) * height / (LINES + 1) + moved
    left, right = np.full(LINES, 0.1 * width), np.full(LINES, 0.9 * width)
    if number:
        left[KEPT:], right[KEPT:] = 0.4 * width, 0.5 * width
    return Wireframe.from_lines(np.stack([left, y, right, y], axis=1), width, height, 0.15 + 0.1 * np.arange(LINES))


@contextlib.contextmanager
def served(folder: Path, images: Path | None = None):
    """Serve a working folder, or results, while the block runs: its port."""
    listening = listen(0)
    answering = server(application(Shelf(folder, images), SECRET))
    thread = threading.Thread(target=answering.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        answering.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def port(run):
    """Of a server of the run."""
    with served(run.folder) as found:
        yield found


def ask(port: int, path: str, secret: str = SECRET, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """An answer of the server, its body in `content`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, f"/{secret}/{path}", headers=headers)
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def told(port: int, path: str) -> dict:
    """What the server says of something, from JSON."""
    answer = ask(port, path)
    assert answer.status == 200, answer.content
    return json.loads(answer.content)


def newest(port: int) -> int:
    """The number of the last labelling of the newest run."""
    return told(port, "runs")["runs"][0][-1]


@pytest.fixture
def predicted(tmp_path, pictures) -> SimpleNamespace:
    """What `hawp predict` leaves of two of three photographs, as JSON lines and as JSON; `add` does the third."""
    folder = tmp_path / "wireframes"
    names = [HOSTILE[0], "sub/plain.png", "turned.jpg"]
    found = [drawn(pictures / name, 0.0, 0) for name in names]
    lines = JsonLines(folder / JSON_LINES, lambda _: None)

    def add(*rows: int) -> None:
        lines.add([to_json(names[row], found[row], "0" * 16) for row in rows])

    add(0, 1)
    save(inside_of(folder, "sub/plain.png.json"), names[1], None, found[1], "0" * 16)
    (folder / "others.json").write_text("{}")
    yield SimpleNamespace(folder=tmp_path, lines=folder / JSON_LINES, names=names, found=found, add=add)
    lines.close()


def inside_of(folder: Path, name: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return folder / name


# Who gets an answer


def test_only_who_knows_the_address_gets_an_answer(port):
    refused = [
        ask(port, "", secret="guessed"), ask(port, "runs", secret=SECRET[:-1]), ask(port, "runs", secret=""), ask(port, "", secret="%C3%BC"),
        # A page elsewhere whose name was made to point here.
        ask(port, "runs", Host="evil.example"), ask(port, "runs", Host=f"evil.example:{port}"),
        ask(port, "runs", method="POST"), ask(port, "", method="PUT"),
    ]  # fmt: skip
    assert [answer.status for answer in refused] == [404, 404, 404, 404, 400, 400, 405, 405]
    answered = [ask(port, ""), ask(port, "runs"), ask(port, "page.js", Host=f"localhost:{port}")]
    assert [answer.status for answer in answered] == [200, 200, 200]
    for answer in refused + answered:
        policy = answer.getheader("Content-Security-Policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize(
    "path",
    ["../config/config.yaml", "sets/0/picture/../../../tiny.yaml", "..%2f..%2fetc%2fpasswd", "page.js/../../tiny.yaml", "//etc/passwd", "sets/-1", "sets/0/lines/x",
     f"sets/{'9' * 5000}", f"sets/0/picture/0/{'9' * 5000}"],
)  # fmt: skip
def test_no_path_leads_to_a_file(port, path):
    answer = ask(port, path)
    assert answer.status == 404 and b"root" not in answer.content and b"name: tiny" not in answer.content


def test_it_listens_on_the_loopback_alone():
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


# What it says


def test_rounds_stand_in_the_order_in_which_they_learned(run, port):
    run.label(1, moved=0.5)
    found = told(port, "runs")
    ((first, second),) = found["runs"]
    assert [found["sets"][str(number)]["title"] for number in (first, second)] == ["round 0", "round 1"]
    assert found["sets"][str(second)]["key"] == run.chain.rounds[1].export.key and found["faults"] == []
    listing = told(port, f"sets/{second}")
    assert (
        listing["names"] == run.names and listing["lines"] == [LINES] * len(run.names) and listing["previous"] == first
    )
    # The numbers are the report's.
    labels = [LabelFile(artifact(each.export)) for each in run.chain.rounds[:2]]
    expected = agreement(*labels, run.chain.rounds[1].train.completed.model.image_size)
    assert told(port, f"sets/{second}/agreement")["agreement"] == pytest.approx([expected[name] for name in run.names])
    assert told(port, f"sets/{first}/agreement")["agreement"] == [None] * len(run.names)


def test_lines_say_what_the_round_before_has(run, port):
    run.label(1, moved=0.5)
    first, second = told(port, "runs")["runs"][0]
    row = run.names.index("sub/plain.png")
    before, after = (told(port, f"sets/{number}/lines/{row}") for number in (first, second))
    labels = LabelFile(artifact(run.chain.rounds[1].export))
    assert np.allclose(after["lines"], labels[row].lines, atol=0.01) and np.allclose(
        after["scores"], labels[row].scores
    )
    assert "kept" not in before and after["kept"] == [True] * KEPT + [False] * (LINES - KEPT)
    assert after["gone"]["lines"] == before["lines"][KEPT:]


def test_a_picture_is_upright_and_no_larger_than_it_is_shown(run, port):
    row, number = run.names.index("turned.jpg"), newest(port)
    for side, size in ((40, (27, 40)), (4000, (80, 120))):
        answer = ask(port, f"sets/{number}/picture/{row}/{side}")
        assert answer.getheader("Content-Type") == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == size


def test_what_cannot_be_shown_is_a_sentence(run, port, pictures, tmp_path):
    number, row = newest(port), run.names.index("sub/plain.png")
    photograph, kept = pictures / "sub/plain.png", tmp_path / "kept.png"
    shutil.copy(photograph, kept)
    try:
        Image.new("L", (64, 64)).save(photograph)
        other = ask(port, f"sets/{number}/picture/{row}/99")
        photograph.unlink()
        gone = ask(port, f"sets/{number}/picture/{row}/99")
    finally:
        shutil.copy(kept, photograph)
    beyond = ask(port, f"sets/{number}/lines/99")
    assert [other.status, gone.status, beyond.status] == [404, 404, 404]
    assert "another picture now" in json.loads(other.content)["error"]
    assert "plain.png" in json.loads(gone.content)["error"] and "photographs" in json.loads(beyond.content)["error"]


def test_labels_that_are_replaced_get_another_number_and_damaged_ones_hide_no_others(run, port):
    before = newest(port)
    labels = run.label(0, moved=2.0)
    after = newest(port)
    assert after != before and ask(port, f"sets/{before}").status == 404
    assert told(port, f"sets/{after}/lines/0")["lines"][0][1] > 2
    file = run.label(1)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    found = told(port, "runs")
    second = found["runs"][0][-1]
    assert b"delete it and make it again" in ask(port, f"sets/{second}").content
    assert told(port, f"sets/{after}")["lines"] == [LINES] * len(run.names)
    labels.with_suffix(".lineage.json").write_text("{}")
    found = told(port, "runs")
    assert len(found["faults"]) == 1 and "no lineage record" in found["faults"][0]


def test_runs_by_hand_have_rounds_too_and_a_circle_ends(tmp_path):
    from hawp_core.report.explore.label_sets import LabelSet

    def made(number: int, name: str, key: str, learned_from: str | None) -> LabelSet:
        return LabelSet(number, name, key, Path(key), "photos", float(number), learned_from=learned_from)

    first, second, other = (
        made(0, "first", "a" * 8, None),
        made(1, "better", "b" * 8, "a" * 8),
        made(2, "x", "c" * 8, "gone"),
    )
    assert runs([first, second, other]) == [[other], [first, second]]
    # Two runs hold the same labels: each goes on from its own.
    ours, theirs = made(3, "m-round0", "d" * 8, None), made(4, "n-round0", "d" * 8, None)
    mine, others = made(5, "m-round1", "e" * 8, "d" * 8), made(6, "n-round1", "f" * 8, "d" * 8)
    assert runs([ours, theirs, mine, others]) == [[theirs, others], [ours, mine]]
    around, back = made(7, "p", "1" * 8, "2" * 8), made(8, "q", "2" * 8, "1" * 8)
    assert runs([around, back, made(9, "r", "3" * 8, "1" * 8)])[0][-1].name == "r"


def test_what_predict_found_is_shown_as_json_and_as_json_lines(predicted, pictures):
    with served(predicted.folder, pictures) as port:
        found = told(port, "runs")
        sets = {each["name"]: (int(number), each) for number, each in found["sets"].items()}
        assert sets.keys() == {"wireframes", JSON_LINES} and found["faults"] == []
        number, about = sets[JSON_LINES]
        assert (about["images"], about["lines"]) == (2, 2 * LINES)
        listing = told(port, f"sets/{number}")
        assert listing["names"] == predicted.names[:2] and listing["lines"] == [LINES] * 2
        told_lines = told(port, f"sets/{number}/lines/1")
        assert np.allclose(told_lines["lines"], predicted.found[1].lines, atol=0.01) and "kept" not in told_lines
        assert told(port, f"sets/{number}/agreement")["agreement"] == [None] * 2
        assert ask(port, f"sets/{number}/picture/0/99").getheader("Content-Type") == "image/jpeg"
        assert told(port, f"sets/{sets['wireframes'][0]}")["names"] == ["sub/plain.png"]
        # A row that is added changes no number; a file that is written anew does.
        predicted.add(2)
        assert (
            told(port, "runs")["sets"][str(number)]["images"] == 3 and len(told(port, f"sets/{number}")["names"]) == 3
        )
        content = predicted.lines.read_bytes().splitlines(keepends=True)
        with replacing(predicted.lines) as temporary:
            temporary.write_bytes(content[2] + content[0])
        told(port, "runs")
        assert b"look at the list again" in ask(port, f"sets/{number}").content
    with served(predicted.lines) as port:
        number = newest(port)
        assert told(port, f"sets/{number}")["names"] == predicted.names[::-2]
        assert b"--images" in ask(port, f"sets/{number}/picture/0/99").content


# In a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests."""
    if browser.CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with driven.page(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def page(chromium, run, port):
    """The page of a run whose two rounds have labelled."""
    run.label(1, moved=0.5)
    return opened(chromium, port)


def opened(chromium: driven.Page, port: int) -> driven.Page:
    chromium.window(1200, 800)
    chromium.open("about:blank")
    chromium.requests.clear()
    chromium.errors.clear()
    chromium.open(f"http://127.0.0.1:{port}/{SECRET}/")
    chromium.wait("document.querySelector('#drawn')?.textContent.includes(' of ')")
    return chromium


def coloured(page: driven.Page, picture: Path) -> int:
    """Pixels of the photograph that show the colour of lines."""
    page.screenshot(picture)
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)[60:690, 330:]
    return int((np.abs(pixels - [213, 94, 0]).sum(axis=2) < 40).sum())


def names(page: driven.Page) -> list[str]:
    return page.value("[...document.querySelectorAll('.row .name')].map((each) => each.textContent)")


def test_the_page_shows_photographs_and_the_slider_leaves_lines_out(page, run, port, tmp_path):
    shots = Path(os.environ.get("HAWP_SCREENSHOTS", tmp_path))
    assert names(page) == run.names and page.text("#title") == run.names[0]
    assert page.text("#drawn") == f"{LINES} of {LINES} lines"
    assert [page.text(f"#{name}-count") for name in ("kept", "new", "gone")] == ["5", "3", "3"]
    page.wait("document.querySelector('.row .share').textContent.includes('%')")
    # More than lines alone: the photograph.
    every = coloured(page, shots / "explore.png")
    assert every > 500 and len(np.unique(np.asarray(Image.open(shots / "explore.png").convert("L"))[60:690, 330:])) > 50
    page.write("#score", "0.4")
    assert page.text("#drawn") == f"5 of {LINES} lines" and page.text("#score-value") == "0.40"
    fewer = coloured(page, tmp_path / "fewer.png")
    assert 0 < fewer < every
    page.press(" ")
    assert coloured(page, tmp_path / "none.png") < fewer / 10
    page.press(" ")
    page.click("#show-gone")
    page.window(1200, 800, "dark")
    page.screenshot(shots / "explore-dark.png")
    assert np.asarray(Image.open(shots / "explore-dark.png").convert("L"))[400:690, :300].mean() < 60
    assert page.errors == [] and page.requests
    assert {address.split(SECRET)[0] for address in page.requests} == {f"http://127.0.0.1:{port}/"}


def test_keys_walk_photographs_and_rounds_and_the_address_keeps_the_place(page, run):
    page.press("ArrowDown")
    page.wait(f"document.querySelector('#title').textContent === {json.dumps(run.names[1])}")
    page.press("ArrowLeft")
    page.wait("document.querySelector('#rounds [aria-current=true]').textContent.startsWith('round 0')")
    page.wait("document.querySelector('.compared').hidden")
    assert page.text("#title") == run.names[1] and page.text("#drawn") == f"{LINES} of {LINES} lines"
    page.wait("location.hash.includes('round0')")
    page.press("+")
    assert page.text("#score-value") == "0.05"
    page.tell("Page.reload")
    page.wait(f"document.querySelector('#title')?.textContent === {json.dumps(run.names[1])}")
    assert page.text("#rounds [aria-current=true]").startswith("round 0") and page.text("#score-value") == "0.05"
    page.press("k")
    page.wait(f"document.querySelector('#title').textContent === {json.dumps(run.names[0])}")
    assert page.errors == []


def test_filters_and_columns_choose_and_sort(page, run):
    page.press("/")
    page.write("#name", "PLAIN")
    assert names(page) == ["sub/plain.png"] and page.text("#counted").startswith("1 of 4 photographs")
    page.press("Escape")
    page.press("ArrowDown")
    page.wait("document.querySelector('#title').textContent === 'sub/plain.png'")
    page.write("#name", "")
    page.write("#lines-from", str(LINES + 1))
    assert names(page) == []
    page.write("#lines-from", "")
    page.wait("document.querySelector('.row .share').textContent.includes('%')")
    page.write("#agreement-from", "99")
    assert names(page) == []
    page.write("#agreement-from", "10")
    assert names(page) == run.names
    page.click("[data-sort=name]")
    assert names(page) == run.names[::-1]
    assert page.errors == []


def test_names_are_text_whatever_they_hold(page, run):
    for row, name in enumerate(run.names):
        if row:
            page.press("ArrowDown")
        page.wait(f"document.querySelector('#title').textContent === {json.dumps(name)}")
    assert set(HOSTILE) < set(names(page))
    assert (
        page.value("document.title") == "hawp explore" and page.value("document.querySelectorAll('script').length") == 1
    )
    assert page.value("document.querySelectorAll('img').length") == 0 and page.errors == []


def test_a_round_that_ends_meanwhile_appears_and_nothing_else_moves(chromium, run, port):
    page = opened(chromium, port)
    page.press("ArrowDown")
    page.wait(f"document.querySelector('#title').textContent === {json.dumps(run.names[1])}")
    assert page.value("document.querySelectorAll('#rounds button').length") == 1
    run.label(1, moved=0.5)
    page.wait("document.querySelectorAll('#rounds button').length === 2")
    assert page.text("#title") == run.names[1] and page.text("#rounds [aria-current=true]").startswith("round 0")
    # And labels that are made anew are shown in the place of the old ones.
    page.press("ArrowRight")
    page.wait("document.querySelector('#kept-count').textContent === '5'")
    run.label(1, moved=9)
    page.wait("document.querySelector('#kept-count').textContent === '0'")
    assert page.text("#title") == run.names[1]
    assert page.errors == []


def test_a_folder_without_labels_says_so_until_there_are_some(chromium, run):
    hidden = run.folder / "data-ssl"
    hidden.rename(run.folder / "later")
    with served(run.folder) as port:
        chromium.open(f"http://127.0.0.1:{port}/{SECRET}/")
        chromium.wait("document.querySelector('#message')?.textContent.startsWith('No photographs are labelled yet')")
        (run.folder / "later").rename(hidden)
        chromium.wait("document.querySelector('#drawn').textContent.includes(' of ')")
        assert chromium.value("document.querySelector('#message').hidden")


def test_the_page_shows_what_predict_finds_while_it_works(chromium, predicted, pictures, tmp_path):
    with served(predicted.lines, pictures) as port:
        page = opened(chromium, port)
        page.press("ArrowDown")
        page.wait(f"document.querySelector('#title').textContent === {json.dumps(predicted.names[1])}")
        assert page.text("#rounds [aria-current=true]").startswith("hawp predict")
        assert coloured(page, Path(os.environ.get("HAWP_SCREENSHOTS", tmp_path)) / "explore-predict.png") > 500
        predicted.add(2)
        page.wait("document.querySelector('#counted').textContent.startsWith('3 of 3')")
        assert page.text("#title") == predicted.names[1] and page.errors == []


# The command


def test_ctrl_c_ends_it(run):
    process = subprocess.Popen(
        [sys.executable, "-m", "hawp_core.commands.cli", "explore", str(run.folder), "--no-browser"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = process.stdout.readline().strip()
    port, _, secret = address.removeprefix("http://127.0.0.1:").rstrip("/").partition("/")
    assert len(secret) > 20 and ask(int(port), "runs", secret=secret).status == 200
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and said.splitlines() == ["Ctrl-C ends it", "ended"]


def test_a_port_in_use_and_a_folder_that_is_none_are_one_sentence(workplace, hawp):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, printed = hawp("explore", "--port", port, "--no-browser")
    assert code == 2 and f"port {port} cannot be opened" in printed and "--port" in printed.splitlines()[-1]
    code, printed = hawp("explore", "nowhere")
    assert code == 2 and "nowhere does not exist" in printed and len(printed.splitlines()) == 1
    assert hawp("explore", "--port", "65536")[0] == 2
