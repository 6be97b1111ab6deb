"""What could be computed by hand or by kornia and torchvision, both ways: milliseconds, and whether the results agree.

    python benchmarks/libraries.py

Milliseconds are of one CPU thread (processor time, the middle of a few tries), so that other work on the machine hardly
shows. What is chosen, and why, stands in docs/architecture.md.
"""

import io
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import cv2
import kornia
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from tabulate import tabulate

from hawp_core.data.photographs.folder import bundled_folder
from hawp_core.data.photometry import Photometry, change_levels
from hawp_core.geometry.homography import sample_homography, warp_points
from hawp_core.geometry.warping import warp_images
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.labelling.homographic_adaptation import erode
from hawp_core.report.drawing import GUTTER, LINE_COLOUR, contact_sheet, overlay

SIDE, VIEWS, TRIES = 512, 10, 7
VIEW = {"patch_ratio": 0.85, "perspective": 0.2, "scale": 0.2}
Row = tuple[str, float, float, str]


def seconds(work: Callable[[], object]) -> float:
    """Processor time of `work`."""
    tries = []
    work()
    for _ in range(TRIES):
        began = time.process_time()
        work()
        tries.append(time.process_time() - began)
    return statistics.median(tries)


def compared(what: str, by_hand: Callable[[], object], by_library: Callable[[], object], says: str) -> Row:
    """A row of the table."""
    return what, seconds(by_hand), seconds(by_library), says


def warping(images: torch.Tensor, homographies: torch.Tensor) -> Row:
    """Views of an image; the judge is the same warp in double precision."""
    ours = lambda: warp_images(images, homographies)  # noqa: E731
    theirs = lambda: kornia.geometry.warp_perspective(images, homographies.float(), (SIDE, SIDE), align_corners=True)  # noqa: E731
    true = warp_images(images.double(), homographies)
    errors = [float((found() - true).abs().max()) for found in (ours, theirs)]
    return compared("warp an image", ours, theirs, "largest error {:.0e} and {:.0e}".format(*errors))


def points(homographies: torch.Tensor) -> Row:
    """Points under a homography."""
    homography = homographies[0].numpy()
    some = np.random.default_rng(0).uniform(0, SIDE, (1000, 2))
    ours = lambda: warp_points(homography, some)  # noqa: E731
    theirs = lambda: kornia.geometry.transform_points(homographies[:1], torch.from_numpy(some)[None])[0]  # noqa: E731
    difference = float(np.abs(ours() - theirs().numpy()).max())
    behind = np.array([[1.0, 0, 0], [0, 1, 0], [-1 / 40, 0, 1]])
    shown = kornia.geometry.transform_points(torch.from_numpy(behind)[None], torch.tensor([[[60.0, 5.0]]]).double())
    says = f"agree to {difference:.0e}; a point behind the camera: none, and {shown[0, 0].tolist()}"
    return compared("1,000 points", ours, theirs, says)


def homography_from_points() -> Row:
    """The whole draw of a view here, beside the solution from four points alone there."""
    corners = torch.tensor([[[0.0, 0], [0, 1], [1, 1], [1, 0]]], dtype=torch.float64)
    ours = lambda: sample_homography(np.random.default_rng(0), SIDE, SIDE, **VIEW)  # noqa: E731
    theirs = lambda: kornia.geometry.get_perspective_transform(corners, corners * 2)  # noqa: E731
    return compared("draw a homography; solve four points", ours, theirs, "NumPy, stored to the bit")


def eroding() -> Row:
    """The masks of what ten views show, 3 pixels narrower: by pooling, and as it is done."""
    mask = (torch.rand(VIEWS, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) > 0.02).float()
    by_hand = lambda: -F.max_pool2d(-mask, 7, stride=1, padding=3)  # noqa: E731
    equal = torch.equal(by_hand(), erode(mask, 3))
    return compared("erode ten masks by 3", by_hand, lambda: erode(mask, 3), "equal" if equal else "not equal")


def grey_levels(images: torch.Tensor) -> list[Row]:
    """The operators of augmentation, in place on grey levels here, on new images in [0, 1] there."""
    levels, taps = images[0, 0] * 255, [1 / 11] * 11
    kernel = torch.diag(torch.tensor(taps))[None]
    theirs = {
        "brightness": lambda: kornia.enhance.adjust_brightness_accumulative(images, 1.1),
        "contrast": lambda: kornia.enhance.adjust_contrast_with_mean_subtraction(images, 1.1),
        "blur": lambda: kornia.filters.filter2d(images, kernel),
    }
    generator, rows = torch.Generator(), []
    for name, operator in theirs.items():
        change = Photometry((name,), 1.1, 1.1, 1.0, 0.0, 0.0, np.zeros((64, 64), np.float32), ((1, 1), taps), 0)

        def ours(change: Photometry = change) -> torch.Tensor:
            level = levels.clone()
            change_levels(level, change, generator)
            return level

        difference = float((ours() / 255 - operator()[0, 0]).abs().max())
        rows.append(compared(f"{name} of an image", ours, operator, f"differ by {difference:.0e} of white"))
    return rows


def drawing() -> list[Row]:
    """Lines over an image, and pictures on a sheet."""
    lines = np.random.default_rng(0).uniform(0, SIDE, (100, 4))
    wireframe, grey = Wireframe.from_lines(lines, SIDE, SIDE), np.full((SIDE, SIDE), 128, np.uint8)
    canvas, colour = torch.full((3, SIDE, SIDE), 128.0), torch.tensor(LINE_COLOUR).float()
    ends = torch.from_numpy(lines).long()

    def by_kornia() -> None:
        for line in ends:
            kornia.image.draw_line(canvas, line[:2], line[2:], colour)

    tiles = [np.full((120, 160, 3), 10 * k, np.uint8) for k in range(16)]
    stack = torch.from_numpy(np.stack(tiles)).movedim(-1, 1)
    theirs = lambda: torchvision.utils.make_grid(stack, 4, GUTTER, pad_value=255).movedim(0, -1).numpy()  # noqa: E731
    ours = lambda: contact_sheet(tiles, 4)  # noqa: E731
    equal = "equal" if np.array_equal(ours(), theirs()) else "not equal"
    return [
        compared("100 lines over an image", lambda: overlay(grey, wireframe), by_kornia, "smooth between pixels; whole pixels"),
        compared("a sheet of 16 pictures", ours, theirs, f"{equal}; titles, and pictures of several sizes, by hand only"),
    ]  # fmt: skip


def decoding() -> list[Row]:
    """Photographs of each format as luma, by Pillow and by torchvision, whose own luma is another."""
    with Image.open(bundled_folder() / "coffee.png") as image:
        picture = image.convert("RGB").resize((2048, 1536))
    rows = []
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        stream = io.BytesIO()
        picture.save(stream, kind)
        data = torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)

        def by_hand(stream: io.BytesIO = stream) -> np.ndarray:
            return np.asarray(Image.open(stream).convert("L"))

        def by_library(data: torch.Tensor = data) -> np.ndarray:
            rgb = torchvision.io.decode_image(data, torchvision.io.ImageReadMode.RGB).movedim(0, -1)
            return np.asarray(Image.fromarray(rgb.contiguous().numpy()).convert("L"))

        what = f"decode {kind}, 3 megapixels"
        try:
            equal = np.array_equal(by_hand(), by_library())
            rows.append(compared(what, by_hand, by_library, "equal" if equal else "not equal"))
        except RuntimeError:
            rows.append((what, seconds(by_hand), math.nan, "torchvision cannot"))
    return rows


def start(module: str) -> float:
    """Processor time of importing a module once torch and NumPy are there."""
    code = f"import time, numpy, torch; t = time.process_time(); import {module}; print(time.process_time() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    drawn = sample_homography(np.random.default_rng(0), SIDE, SIDE, **VIEW)
    homographies = torch.from_numpy(drawn)[None]
    rows = [warping(images, homographies), points(homographies), homography_from_points(), eroding()]
    rows += [*grey_levels(images), *drawing(), *decoding()]
    rows += [
        (f"start: import {module}", math.nan, start(module), "once a process") for module in ("kornia", "torchvision")
    ]
    table = [(what, 1e3 * ours, 1e3 * theirs, says) for what, ours, theirs, says in rows]
    print(tabulate(table, ("work", "by hand", "library", "results"), floatfmt=".2f"))


if __name__ == "__main__":
    main()
