"""What a round is measured on: held-out shapes with their truth, and the repeatability on photographs without any."""

import copy
import dataclasses
import hashlib
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypedDict, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from hawp_core.data.photographs.decoding import Unreadable, read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.evaluation.equal_counts import at_counts, lines_above
from hawp_core.evaluation.heatmap_ap import heatmap_ap
from hawp_core.evaluation.lsd import lsd
from hawp_core.evaluation.repeatability import FoundPair, by_length, by_score, compare_pairs, find_pairs
from hawp_core.evaluation.results import (
    BASELINE,
    MODEL,
    Conditions,
    DetectorRepeatability,
    LabelledMetrics,
    ShapeMetrics,
)
from hawp_core.evaluation.structural_ap import junction_ap, junction_recall, structural_ap
from hawp_core.geometry.homography import name_number, sample_homography
from hawp_core.geometry.resize import to_square
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.detection import Detection
from hawp_core.model.looks import PLAIN, Look
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.views import detect_by_views
from hawp_core.runtime.progress import bar
from hawp_core.runtime.setting_types import EvaluateSettings

SAP_THRESHOLDS = (5, 10, 15)  # squared pixels of the 128-pixel grid (L-CNN)
LEAST_SCORE = 0.05  # lines below it change the area under a precision-recall curve by nothing that shows

COUNTED_SCORE = 0.5  # lines above it are counted

JUNCTION_RADIUS = 2.0  # pixels of the 128-pixel grid within which a junction counts as found
BATCH = 8

Item = TypeVar("Item")
Detector = Callable[[np.ndarray], Wireframe]  # from a grey image (H, W) uint8 to its lines, in its pixels


class PairView(TypedDict):
    """How far a copy departs from its photograph, as `sample_homography` takes it."""

    patch_ratio: float
    perspective: float
    scale: float


# The copies that repeatability is measured between, as the published program draws them, but for their rotation.
PAIR_VIEW: PairView = {"patch_ratio": 0.85, "perspective": 0.2, "scale": 0.2}


def find_lines(
    network: WireframeNetwork, images: Sequence[np.ndarray], min_score: float, views: int = 0, look: Look = PLAIN
) -> list[Detection]:
    """Detections in square grey images (S, S) uint8 of the network's size, as `detect_by_views` finds them."""
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.stack(images[start : start + BATCH]))[:, None].to(device).float() / 255
        found += detect_by_views(network, batch, views=views, look=look, min_score=min_score)
    return found


def measure_on_shapes(network: WireframeNetwork, shapes: ShapeSet) -> ShapeMetrics:
    """Structural AP, mAP^J and junction recall on labelled shapes."""
    network.eval()
    samples = [shapes.item(i) for i in range(len(shapes))]
    found = find_lines(network, [sample.image for sample in samples], LEAST_SCORE)
    # With the junctions that no line uses: recall asks for all of them.
    predictions = [detection.in_input() for detection in found]
    truths = [sample.wireframe for sample in samples]
    sAP5, sAP10, sAP15 = (float(structural_ap(predictions, truths, threshold).ap) for threshold in SAP_THRESHOLDS)
    return ShapeMetrics(
        sAP5,
        sAP10,
        sAP15,
        mAPJ=float(junction_ap(predictions, truths)),
        junction_recall=float(junction_recall(predictions, truths, JUNCTION_RADIUS)),
        lines=sum(int((p.scores > COUNTED_SCORE).sum()) for p in predictions) / len(predictions),
    )


def network_detector(network: WireframeNetwork, about: Conditions) -> Detector:
    """A function from a grey image of any size to its wireframe in that image's pixels, found as the conditions say.

    It remembers what it found: photographs that are measured both by their copies and by their labels are looked at once.
    """
    network = under(network, about)
    size = network.architecture.image_size
    network.eval()
    look = Look(about.scales, about.whole_lines)
    # The best lines are looked for among more than those that stand for all.
    least = min(LEAST_SCORE, about.min_score)
    known: dict[bytes, Detection] = {}

    def found(image: np.ndarray) -> Wireframe:
        height, width = image.shape
        square = to_square(image, size)
        digest = hashlib.sha256(square.tobytes()).digest()
        if digest not in known:
            (known[digest],) = find_lines(network, [square], least, about.views, look)
        return known[digest].to_wireframe(width, height)

    return found


def pair_homography(name: str, width: int, height: int, seed: int, rotation: float) -> np.ndarray:
    """The homography of a photograph's copy, from (seed, name) alone; turned by at most `rotation` degrees."""
    rng = np.random.default_rng([seed, name_number(name)])
    return sample_homography(rng, width, height, artifacts=True, max_angle=math.radians(rotation), **PAIR_VIEW)


def conditions(chosen: EvaluateSettings, network: WireframeNetwork) -> Conditions:
    """What the section `evaluate` of the settings means for a network.

    Raises:
        UserError: the network cannot read squares of that size.
    """
    own = network.architecture
    size = chosen.size or own.image_size
    if size % own.multiple:
        raise UserError(
            f"evaluate.size is {size}, which is no multiple of {own.multiple}, what this model's input must be: set it "
            f"to {round(size / own.multiple) * own.multiple or own.multiple}, or to 0, the model's own {own.image_size}."
        )
    junctions = chosen.max_junctions or own.max_junctions
    return Conditions(
        size,
        junctions,
        chosen.rotation,
        chosen.pairs,
        chosen.min_score,
        chosen.views,
        chosen.whole_lines,
        chosen.scales,
    )


def under(network: WireframeNetwork, about: Conditions) -> WireframeNetwork:
    """The same network, weights shared, that reads squares of another size and finds more junctions, or fewer.

    It is convolutional: lines look at another size as they do in photographs of another resolution.
    """
    changed = copy.copy(network)
    changed.architecture = dataclasses.replace(
        network.architecture, image_size=about.size, max_junctions=about.max_junctions
    )
    return changed


def choose(manifest: Manifest, count: int) -> list[str]:
    """The photographs to measure on: the first ones by digest of their content, so the choice is stable and mixed."""
    return [entry.name for entry in heapq.nsmallest(count, manifest.entries, key=lambda e: (e.sha256, e.name))]


def measure_repeatability(
    detector: Detector, folder: Path | str, names: list[str], about: Conditions, seed: int
) -> dict[str, DetectorRepeatability]:
    """Repeatability and localisation error (5 pixels) of a model's detector and of LSD on the same pairs.

    Photographs are compared at one size, so that 5 pixels mean the same for every photograph. Those that cannot be read
    are left out. Beside all lines stand the best ones, as many of either detector.

    Args:
        names: photographs of `folder`.
        seed: of the copies.
    """
    images: list[tuple[str, np.ndarray]] = []
    for name in names:
        try:
            gray, _ = read_gray(resolve(folder, name), size=about.size)
        except Unreadable:
            continue
        images += [(f"{name}#{number}", gray) for number in range(about.pairs)]

    def found(title: str, detector: Detector, rank: Callable[[Wireframe], np.ndarray]) -> list[FoundPair]:
        with bar(f"repeatability of {title}", len(images), "pair") as shown:
            return find_pairs(
                detector,
                _counted(images, shown),
                lambda name, width, height: pair_homography(name, width, height, seed, about.rotation),
                rank,
            )

    model = found(MODEL, detector, by_score)
    baseline = found(BASELINE, lsd, by_length)
    whole = [lines_above(pair, about.min_score) for pair in model]
    return {
        MODEL: dataclasses.replace(compare_pairs(model, whole), at_counts=at_counts(model, whole)),
        BASELINE: dataclasses.replace(compare_pairs(baseline), at_counts=at_counts(baseline, whole)),
    }


def measure_on_labelled(
    detector: Detector, folder: Path | str, annotations: Sequence[tuple[str, Wireframe]]
) -> dict[str, LabelledMetrics]:
    """Structural AP and heatmap metrics of a model's detector and of LSD on annotated photographs; of the model's lines all above .05 count.

    Args:
        annotations: names of photographs of `folder` and their true lines, as `read_annotations` gives them.

    Raises:
        UserError: no annotation, or a photograph cannot be read.
    """
    if not annotations:
        raise UserError("the annotations name no photograph: give a file with at least one.")
    truths = [wireframe for _, wireframe in annotations]
    measured = {}

    def above_least(image: np.ndarray) -> Wireframe:
        # Whatever lines repeatability is measured of.
        found = detector(image)
        kept = found.scores > LEAST_SCORE
        return dataclasses.replace(found, edges=found.edges[kept], scores=found.scores[kept]).without_lone_junctions()

    for title, detect in {MODEL: above_least, BASELINE: lsd}.items():
        with bar(f"detect with {title}", len(annotations), "image") as shown:
            found = [detect(read_gray(resolve(folder, name))[0]) for name, _ in _counted(annotations, shown)]
        heat = heatmap_ap(found, truths)
        sAP5, sAP10, sAP15 = (_defined(structural_ap(found, truths, threshold).ap) for threshold in SAP_THRESHOLDS)
        measured[title] = LabelledMetrics(
            sAP5,
            sAP10,
            sAP15,
            mAPJ=_defined(junction_ap(found, truths)),
            APH=_defined(heat.ap),
            FH=_defined(heat.f),
            lines=sum(len(wireframe.edges) for wireframe in found) / len(found),
        )
    return measured


def _counted(items: Sequence[Item], shown: "tqdm[NoReturn]") -> Iterator[Item]:
    """The items one by one; the bar moves when the next is asked for."""
    for item in items:
        yield item
        shown.update()


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
