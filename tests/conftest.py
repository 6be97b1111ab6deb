"""What the tests share: one thread, or OMP_NUM_THREADS, photographs, and the command line run in a folder of its own."""

import contextlib
import os
import shutil
import tempfile

from places import ROOT, TINY

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hawp_core.commands import cli
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow import settings

# PyTorch's cache of compiled networks does not know of ATEN_CPU_CAPABILITY: a process that finds what another capability left
# crashes.
os.environ.setdefault(
    "TORCHINDUCTOR_CACHE_DIR",
    f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}_{torch.backends.cpu.get_cpu_capability()}",
)
THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
cv2.setNumThreads(THREADS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: `make test` deals out whole files, and none shall begin when the others have ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def threads_of_the_run():
    """Commands set the threads of this process to what their settings say: the next test has its own again."""
    torch.set_num_threads(THREADS)


@pytest.fixture
def tiny() -> Settings:
    """The settings of the smallest run."""
    return settings.load(TINY)


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """An empty working folder with the configuration in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    return tmp_path


@pytest.fixture
def hawp(capsys, monkeypatch):
    """Run a command in this process: returns its exit code and what it printed."""

    def run(*words: object) -> tuple[int, str]:
        # Records keep the line that was typed.
        monkeypatch.setattr("sys.argv", ["hawp", *map(str, words)])
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """A folder with six small real photographs, in two levels, in several formats."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    names = ["a.jpg", "b.png", "sub/ü c.webp", "sub/d.tif", "sub/deep/e.JPG", "f.png"]
    for name, source in zip(names, BUNDLED, strict=False):
        with Image.open(bundled_folder() / source) as image:
            small = image.convert("L" if name == "f.png" else "RGB")
            small.thumbnail((160, 160))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        small.save(folder / name)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A small untrained model: it finds lines, though no true ones."""
    torch.manual_seed(0)
    network = WireframeNetwork(
        Architecture(
            image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16,
            max_junctions=40,
        )
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.pth"
    save_checkpoint(path, network, epoch=1, recipe={})
    return path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A working folder with the tiny run's shapes, drawn by the command."""
    place = tmp_path_factory.mktemp("drawn")
    with contextlib.chdir(place):
        assert cli.main(["synthesize", "--config", str(TINY)]) == 0
    return place


@pytest.fixture
def shapes(workplace, drawn) -> Path:
    """The tiny run's shapes, copied into the working folder: their data config."""
    shutil.copytree(drawn, workplace, dirs_exist_ok=True)
    return next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, drawn) -> Path:
    """The folder of a training of the tiny run, from its shapes to its end: exp-ssl/whole/KEY in a working folder."""
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(drawn, place, dirs_exist_ok=True)
    with contextlib.chdir(place):
        config = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
        assert cli.main(["train", "--datacfg", str(config), "--modelcfg", str(TINY), "--name", "whole"]) == 0
    return next((place / "exp-ssl" / "whole").iterdir())


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(0)
