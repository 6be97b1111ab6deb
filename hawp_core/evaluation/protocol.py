"""What a round is measured on: held-out shapes with their truth, and the repeatability on photographs without any."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from hawp_core.data.photographs.decoding import Unreadable, read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.evaluation.heatmap_ap import heatmap_ap
from hawp_core.evaluation.lsd import lsd
from hawp_core.evaluation.repeatability import evaluate_repeatability
from hawp_core.evaluation.results import BASELINE, MODEL, DetectorRepeatability, LabelledMetrics, ShapeMetrics
from hawp_core.evaluation.structural_ap import junction_ap, junction_recall, structural_ap
from hawp_core.geometry.homography import name_number, sample_homography
from hawp_core.geometry.resize import to_square
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.detection import Detection, detect
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.progress import bar

SAP_THRESHOLDS = (5, 10, 15)  # squared pixels of the 128-pixel grid (L-CNN)
LEAST_SCORE = 0.05  # lines below it change the area under a precision-recall curve by nothing that shows

COUNTED_SCORE = 0.5  # lines above it are counted

JUNCTION_RADIUS = 2.0  # pixels of the 128-pixel grid within which a junction counts as found
BATCH = 8

Item = TypeVar("Item")

# The copies that repeatability is measured between; gentle enough that most of the image stays in view (SOLD2, 4.1).
PAIR_VIEW = {"patch_ratio": 0.85, "perspective": 0.2, "scale": 0.2, "max_angle": np.pi / 4}


def find_lines(network: WireframeNetwork, images: Sequence[np.ndarray], min_score: float) -> list[Detection]:
    """Detections in square grey images (S, S) uint8 of the network's size."""
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.stack(images[start : start + BATCH]))[:, None].to(device).float() / 255
        found += detect(network, batch, min_score=min_score)
    return found


def measure_on_shapes(network: WireframeNetwork, shapes: ShapeSet) -> ShapeMetrics:
    """Structural AP, mAP^J and junction recall on labelled shapes."""
    network.eval()
    samples = [shapes.item(i) for i in range(len(shapes))]
    found = find_lines(network, [sample.image for sample in samples], LEAST_SCORE)
    # With the junctions that no line uses: recall asks for all of them.
    predictions = [Wireframe(d.junctions, d.edges, d.scores, *d.input_size) for d in found]
    truths = [sample.wireframe for sample in samples]
    return ShapeMetrics(
        *(float(structural_ap(predictions, truths, threshold).ap) for threshold in SAP_THRESHOLDS),
        mAPJ=float(junction_ap(predictions, truths)),
        junction_recall=float(junction_recall(predictions, truths, JUNCTION_RADIUS)),
        lines=sum(int((p.scores > COUNTED_SCORE).sum()) for p in predictions) / len(predictions),
    )


def network_detector(network: WireframeNetwork, min_score: float) -> Callable[[np.ndarray], Wireframe]:
    """A function from a grey image of any size to its wireframe in that image's pixels."""
    size = network.architecture.image_size
    network.eval()

    def found(image: np.ndarray) -> Wireframe:
        height, width = image.shape
        return find_lines(network, [to_square(image, size)], min_score)[0].to_wireframe(width, height)

    return found


def pair_homography(name: str, width: int, height: int, seed: int) -> np.ndarray:
    """The homography of a photograph's copy, from (seed, name) alone."""
    return sample_homography(
        np.random.default_rng([seed, name_number(name)]), width, height, artifacts=True, **PAIR_VIEW
    )


def choose(manifest: Manifest, count: int) -> list[str]:
    """The photographs to measure on: the first ones by digest of their content, so the choice is stable and mixed."""
    return [entry.name for entry in sorted(manifest.entries, key=lambda e: (e.sha256, e.name))[:count]]


def measure_repeatability(
    network: WireframeNetwork, folder: Path | str, names: list[str], *, pairs: int, min_score: float, seed: int
) -> dict[str, DetectorRepeatability]:
    """Repeatability and localisation error (5 pixels) of the network and of LSD on the same pairs.

    Photographs are compared at the network's own size, so that 5 pixels mean the same for every photograph. Those that
    cannot be read are left out.

    Args:
        names: photographs of `folder`.
        pairs: warped copies of each.
        min_score: of the network's lines that are compared.
        seed: of the copies.
    """
    size = network.architecture.image_size
    images: list[tuple[str, np.ndarray]] = []
    for name in names:
        try:
            gray, _ = read_gray(resolve(folder, name), size=size)
        except Unreadable:
            continue
        images += [(f"{name}#{number}", gray) for number in range(pairs)]
    results = {}
    for title, detector in _detectors(network, min_score).items():
        with bar(f"repeatability of {title}", len(images), "pair") as shown:
            results[title] = evaluate_repeatability(
                detector,
                _counted(images, shown),
                lambda name, width, height: pair_homography(name, width, height, seed),
            )
    return results


def measure_on_labelled(
    network: WireframeNetwork, folder: Path | str, annotations: Sequence[tuple[str, Wireframe]]
) -> dict[str, LabelledMetrics]:
    """Structural AP and heatmap metrics of the network and of LSD on annotated photographs.

    Args:
        annotations: names of photographs of `folder` and their true lines, as `read_annotations` gives them.

    Raises:
        UserError: no annotation, or a photograph cannot be read.
    """
    if not annotations:
        raise UserError("the annotations name no photograph: give a file with at least one.")
    truths = [wireframe for _, wireframe in annotations]
    measured = {}
    for title, detector in _detectors(network, LEAST_SCORE).items():
        with bar(f"detect with {title}", len(annotations), "image") as shown:
            found = [detector(read_gray(resolve(folder, name))[0]) for name, _ in _counted(annotations, shown)]
        heat = heatmap_ap(found, truths)
        measured[title] = LabelledMetrics(
            *(_defined(structural_ap(found, truths, threshold).ap) for threshold in SAP_THRESHOLDS),
            mAPJ=_defined(junction_ap(found, truths)),
            APH=_defined(heat.ap),
            FH=_defined(heat.f),
            lines=sum(len(wireframe.edges) for wireframe in found) / len(found),
        )
    return measured


def _detectors(network: WireframeNetwork, min_score: float) -> dict[str, Callable[[np.ndarray], Wireframe]]:
    return {MODEL: network_detector(network, min_score), BASELINE: lsd}


def _counted(items: Sequence[Item], shown: tqdm) -> Iterator[Item]:
    """The items one by one; the bar moves when the next is asked for."""
    for item in items:
        yield item
        shown.update()


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
