"""The notebook of the quickstart, cell by cell as a new user runs it, on the smallest settings: it ends with lines drawn."""

import json
from pathlib import Path

import nbformat
import pytest
import yaml
from checkouts import checkout, labels
from nbclient import NotebookClient
from PIL import Image, ImageChops
from places import ROOT, TINY

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
MOST_BYTES = 300_000


def tiny_settings(photographs: Path) -> dict:
    """The tiny recipe over the small default, whose weights, pieces and labels are for its own network."""
    tiny = yaml.safe_load(TINY.read_text())
    tiny["train"]["synthetic"] |= {"start": "scratch", "crop": 0}
    tiny["train"]["real"] |= {"crop": 0}
    tiny["export"] |= {"labels": "heatmap"}
    tiny["evaluate"] |= {"size": 0, "max_junctions": 0}
    return tiny | {"name": "quickstart", "photographs": {"folder": str(photographs)}}


@pytest.mark.slow
def test_the_notebook_trains_two_rounds_and_ends_with_lines_drawn(tmp_path, photographs):
    folder = checkout(tmp_path)
    (folder / "docs").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (chosen,) = (cell for cell in notebook.cells if "settings" in cell.metadata.get("tags", []))
    *_, written = chosen.source.splitlines()
    assert written.startswith("_ = Path(")
    photo = photographs / "a.jpg"
    settings = tiny_settings(photographs)
    chosen.source = f"photo, threshold, settings = Path({str(photo)!r}), 0, {settings!r}\n{written}"
    NotebookClient(notebook, timeout=550, resources={"metadata": {"path": folder / "docs"}}).execute()

    for n in range(3):
        assert len(list(folder.glob(f"exp-ssl/quickstart-round{n}/*/model-*.pth"))) == 1
    # Of each of three rounds; what the last two learned from had lines.
    assert len(labels(folder)) == 3 and all(any(edges for _, _, edges, _ in rows) for rows in labels(folder).values())
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if output.output_type == "execute_result"]
    assert len([data for data in shown if "image/jpeg" in data]) == 2, "the gallery, and the photograph with its lines"
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    drawn = json.loads((folder / "wireframes" / "a.jpg.json").read_text())
    assert len(drawn["edges"]) > 0 and f"{len(drawn['edges'])} lines; x1" in said
    with Image.open(photo) as before, Image.open(folder / "wireframes" / "a.jpg.png") as after:
        assert before.size == after.size and ImageChops.difference(before, after.convert("RGB")).getbbox()


def test_the_notebook_is_small_names_no_machine_and_is_as_it_was_run():
    text = NOTEBOOK.read_text()
    assert len(text) < MOST_BYTES
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for machine in ("/home/", "/root/", "/work/", "/tmp/", "site-packages"):
        assert machine not in text
    numbers = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert numbers in ([None] * len(numbers), list(range(1, len(numbers) + 1)))
