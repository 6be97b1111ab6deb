"""A program that only runs a model loads PyTorch and NumPy, and nothing of training, drawing or files of labels."""

import subprocess
import sys

USE = """
import sys

import numpy as np
import torch

from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork

tiny = Architecture(
    image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16,
    max_junctions=40,
)
torch.manual_seed(0)
save_checkpoint(sys.argv[1], WireframeNetwork(tiny), epoch=1, recipe={})

from hawp_core import load

model = load(sys.argv[1], device="cpu", threshold=0.0)
for image in (np.random.default_rng(0).integers(0, 256, shape, np.uint8) for shape in ((100, 40), (50, 90, 3))):
    wireframe = model(image)
    assert (wireframe.height, wireframe.width) == image.shape[:2]
print(*sys.modules)
"""

HEAVY = {
    "PIL", "cv2", "h5py", "jsonschema", "kornia", "matplotlib", "scipy", "skimage", "snakemake", "tensorboard",
    "torchvision", "tqdm", "yaml",
}  # fmt: skip

ROOMS = ("hawp_core.errors", "hawp_core.geometry", "hawp_core.model", "hawp_core.runtime.files")


def modules_after(code: str, *words: object) -> set[str]:
    """Names of the modules that a fresh Python holds after running `code`, which prints them."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_loaded_model_needs_torch_and_numpy_alone(tmp_path):
    loaded = modules_after(USE, tmp_path / "model.pth")
    assert {"torch", "numpy", "hawp_core.model.parser"} <= loaded
    # PyTorch itself loads tqdm where it is installed.
    assert sorted(HEAVY & loaded - modules_after("import sys, torch\nprint(*sys.modules)")) == []
    own = {name for name in loaded if name.startswith("hawp_core.")} - {"hawp_core.runtime"}
    assert [name for name in sorted(own) if not any(f"{name}.".startswith(f"{room}.") for room in ROOMS)] == []


def test_drawing_shapes_needs_no_torch():
    loaded = modules_after("import sys, hawp_core.data.shapes.drawing\nprint(*sys.modules)")
    assert "cv2" in loaded and "torch" not in loaded
