"""The wheel, installed away from the checkout, carries all that its commands need."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from places import ROOT, TINY

from hawp_core.data.photographs.folder import BUNDLED, bundled_folder

SOURCES = ("hawp_core", "config", "pyproject.toml", "README.md", "LICENSE")
# What Python and tools leave in a work tree.
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


def uv(*words: object) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the sources: building writes nothing into the checkout, and finds nothing of earlier builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source) -> Path:
    """Built from the source distribution, so that it is whole as well."""
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", source / "dist", source)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel, which finds other libraries where the tests' own environment has them."""
    folder = tmp_path_factory.mktemp("installed")
    uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    uv("pip", "install", "--quiet", "--no-deps", "--python", folder / "venv", wheel)
    packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    # A line in a .pth file adds a folder, and does not read that folder's own .pth files: the checkout stays unseen.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


@pytest.fixture(scope="module")
def place(photographs, tmp_path_factory) -> Path:
    """A working folder away from the checkout: real photographs and the tiny settings."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(photographs, folder / "photos")
    shutil.copy(TINY, folder / "tiny.yaml")
    return folder


@pytest.fixture
def run(installed, place):
    """Run a program of the fresh environment in the working folder: returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(program: str, *words: object) -> str:
        done = subprocess.run(
            [installed / "bin" / program, *map(str, words)],
            cwd=place, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {words}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


def test_it_says_its_version(run, wheel):
    assert run("hawp", "--version") == f"hawp-rounds {wheel.name.split('-')[1]}\n"


def test_every_file_of_the_package_is_in_the_wheel(source, wheel):
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hawp_core/")}
    files = {path.relative_to(source).as_posix() for path in (source / "hawp_core").rglob("*") if path.is_file()}
    presets = {f"hawp_core/workflow/presets/{path.name}" for path in (source / "config").glob("*.yaml")}
    assert {"hawp_core/workflow/schema.yaml", "hawp_core/workflow/rates.json"} < files and len(presets) > 1
    assert carried == {name for name in files if "/presets/" not in name} | presets


def test_the_fresh_environment_does_not_see_the_checkout(run, installed):
    say = "import hawp_core, sys; print(hawp_core.__file__, *sys.path, sep='\\n')"
    module, *folders = run("python", "-P", "-c", say).splitlines()
    assert Path(module).is_relative_to(installed)
    assert not [folder for folder in folders if (Path(folder) / "hawp_core").resolve() == ROOT / "hawp_core"]


def test_settings_presets_and_costs_are_known(run):
    assert "photographs.folder" in run("hawp", "settings")
    assert "name: hawpv3" in run("hawp", "settings", "config/hawpv3.yaml")
    assert "GPU" in run("hawp", "plan", "--config", "photographs={folder: photos}")


def test_the_first_call_needs_nothing_but_photographs(run, place):
    for name in BUNDLED:
        with Image.open(bundled_folder() / name) as image:
            image.thumbnail((320, 320))
            image.save(place / Path(name).with_suffix(".png").name)
    printed = run("hawp", "predict", "*.png", "--saveto", "first", "--ext", "json")
    assert "10 images" in printed, printed
    found = [json.loads(path.read_text()) for path in (place / "first").glob("*.json")]
    assert len(found) == 10 and sum(len(each["edges"]) for each in found) > 100
    assert "lines" in run("python", "-P", "-c", "from hawp_core import load\nprint('lines', load().info.epoch)")


def test_a_round_by_hand_on_real_photographs(run, place):
    run("hawp", "synthesize", "--config", "tiny.yaml")
    (shapes,) = (place / "data-ssl" / "synthetic-shapes").glob("*.yaml")
    run("hawp", "train", "--datacfg", shapes, "--modelcfg", "tiny.yaml", "--name", "tiny-round0")
    (model,) = (place / "exp-ssl" / "tiny-round0").glob("*/model-00002.pth")
    run("hawp", "homoadp", "--datacfg", "tiny.yaml", "--images", "photos", "--workdir", "exp-ssl/tiny-round0")
    (labels,) = (place / "data-ssl" / "tiny-round0").glob("*.h5")
    assert labels.stat().st_size and labels.with_suffix(".yaml").is_file()
    printed = run(
        "hawp", "predict", "photos", "--ckpt", model, "--threshold", "0", "--ext", "png", "svg", "json", "npz"
    )
    assert "6 images" in printed, printed
    assert len([path for path in (place / "wireframes").rglob("*") if path.is_file()]) == 24
