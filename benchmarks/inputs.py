"""What both sides get: weights, photographs, views, a batch of shapes."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import clock
import numpy as np
import torch

from hawp_core.data.batch import Batch
from hawp_core.data.loader import Loader
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.data.shapes.drawing import synthesize
from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.setting_types import ExportSettings
from hawp_core.workflow.settings import complete

# The published labelling: no view of the image itself, black borders, no erosion, a bare mean.
PUBLISHED = replace(
    complete({}).export, min_score=0.75, identity=False, border="black", border_margin=0, min_counts=1, zoom="out"
)
BATCH = 6
# Encodings of a batch that are timed together: one takes less than a millisecond on a GPU.
ENCODINGS = 10
# The smallest sizes, for a check that a benchmark runs.
TINY = {"image_size": 64, "width": 16, "depth": 2, "stacks": 1, "junction_features": 8, "verification_width": 16}
# What a laptop trains: one stack, at half the published size.
COMPACT = {"image_size": 256, "width": 64, "depth": 4, "stacks": 1, "junction_features": 64, "verification_width": 256}
COMPACT_BATCH = 4
TINY_CANVAS = (240, 320)


def network(options: dict) -> WireframeNetwork:
    """The model that was given, or the published network with weights that need no file."""
    if options["ckpt"]:
        return load_checkpoint(options["ckpt"], options["device"])[0].eval()
    sys.path.insert(0, str(clock.HERE.parent / "tests" / "support"))
    from golden.weights import fill

    made = WireframeNetwork(Architecture.from_dict(TINY if options["tiny"] else {"image_size": options["size"]}))
    fill(made, seed=1)
    return made.to(options["device"]).eval()


def photographs(count: int, size: int) -> np.ndarray:
    """(count, S, S) uint8: the bundled photographs, over and over."""
    files = [bundled_folder() / name for name in BUNDLED]
    return np.stack([read_gray(files[i % len(files)], size=size)[0] for i in range(count)])


def views(count: int, size: int, adaptation: ExportSettings = PUBLISHED) -> np.ndarray:
    """(count, V, 3, 3) image -> view."""
    return np.stack([view_homographies(f"{i}", size, adaptation, 0) for i in range(count)])


def shapes(folder: Path, count: int, size: int, tiny: bool) -> ShapeSet:
    """Synthetic shapes, in a file of the folder."""
    from hawp_core.data.shapes.drawing import CANVAS

    path = folder / f"shapes-{count}.h5"
    canvas = TINY_CANVAS if tiny else CANVAS
    synthesize(path, seed=0, split="train", first=0, count=count, image_size=size, canvas=canvas)
    return ShapeSet([path])


def segments(count: int, size: int, device: torch.device) -> torch.Tensor:
    """(6, count, 4) random line segments in the units of the grid."""
    made = torch.rand(BATCH, count, 4, generator=torch.Generator().manual_seed(0)) * (size // 4 - 1)
    return made.to(device)


def batch(size: int, tiny: bool, device: torch.device, count: int = BATCH) -> Batch:
    """Six shapes, or another count, as training sees them."""
    with tempfile.TemporaryDirectory() as folder:
        return next(iter(Loader(shapes(Path(folder), 8, size, tiny), count).epoch(0))).to_batch(device)
