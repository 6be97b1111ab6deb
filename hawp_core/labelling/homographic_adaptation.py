"""Homographic adaptation: many warped views of an image vote for its lines (HAWP section 4.4, SuperPoint section 5).

Shape legend: B images, V views, S x S network input.
"""

import numpy as np
import torch
from kornia.morphology import erosion

from hawp_core.geometry.homography import name_number, sample_views
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.warping import invert, warp_images
from hawp_core.labelling.recurrence import recurring
from hawp_core.model.architecture import STRIDE
from hawp_core.model.backbone import Prediction
from hawp_core.model.detection import Detection, detect, detect_votes
from hawp_core.model.looks import Look
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.views import look_at_views, unite
from hawp_core.runtime.setting_types import ExportSettings

# Names of `export.border`, as `warp_images` knows them.
PADDING = {"replicate": "border", "black": "zeros"}

# Where the first grid cell's centre lies, pixels.
CELL_CENTRE = (STRIDE - 1) / 2


def view_homographies(name: str, size: int, adaptation: ExportSettings, seed: int) -> np.ndarray:
    """The warped views of one image: (V, 3, 3) float64, image -> view, pixels.

    Each view follows from (seed, image name, view number) alone, so that neither the division into jobs nor the
    order of images nor the number of views changes it.
    """
    image_number = name_number(name)
    return sample_views(
        [[seed, image_number, number] for number in range(adaptation.views)],
        size,
        enlarge=adaptation.zoom == "both",
        patch_ratio=adaptation.patch_ratio,
        perspective=adaptation.perspective,
        scale=adaptation.scale,
        max_angle=adaptation.max_angle,
    )


def erode(mask: torch.Tensor, margin: int) -> torch.Tensor:
    """Shrink the ones of a (B, 1, S, S) mask by `margin` pixels; the frame's own border erodes nothing."""
    side = mask.new_ones(2 * margin + 1, 1)
    # A square erodes as its two sides do one after the other, at a fraction of the work.
    return erosion(erosion(mask, side), side.T)


@torch.no_grad()
def aggregate_views(
    network: WireframeNetwork,
    images: torch.Tensor,
    prediction: Prediction,
    homographies: torch.Tensor,
    adaptation: ExportSettings,
    *,
    chunk: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Mean line heatmap of the views, brought back to the images' frame.

    A sum and a count are kept and views pass by in chunks, so memory does not grow with their number.

    Args:
        images: (B, 1, S, S) float32 in [0, 1].
        prediction: the network's for `images`; with `identity` they are a view like the others.
        homographies: (B, V, 3, 3) image -> view, pixels.
        chunk: forward passes take at most this many warped images, but at least one of each image.

    Returns:
        heatmap (B, S, S), 0 where fewer than `min_counts` views look; count (B, S, S); and the mean junction
        probability (B, 1, S/4, S/4), or None unless `junction_views`.
    """
    b, _, s, _ = images.shape
    cells = s // STRIDE
    total, count = images.new_zeros(b, s, s), images.new_zeros(b, s, s)
    junction_total, junction_count = images.new_zeros(b, 1, cells, cells), images.new_zeros(b, 1, cells, cells)
    if adaptation.identity:
        total += _heatmap(network, prediction)
        count += 1
        junction_total += prediction.scores.junction_probability()
        junction_count += 1
    padding = PADDING[adaptation.border]
    step = max(1, chunk // b)
    for start in range(0, homographies.shape[1], step):
        there = homographies[:, start : start + step].reshape(-1, 3, 3).to(finest_float(homographies.device))
        back = invert(there)
        v = len(there) // b
        source = images.repeat_interleave(v, dim=0)
        views = warp_images(source, there, padding=padding)
        seen = erode(warp_images(torch.ones_like(source), there, mode="nearest"), adaptation.border_margin)
        seen_back = warp_images(seen, back, mode="nearest")
        if adaptation.junction_views:
            seen_by_view = network(views)
            heat, location = _heatmap(network, seen_by_view), seen_by_view.scores.junction_probability()
            cell_back = _in_cells(back)
            # The pixel that is nearest to each cell's centre, or left of and above it.
            centres = slice(int(CELL_CENTRE), None, STRIDE)
            cell_seen = warp_images(seen[:, :, centres, centres], cell_back, mode="nearest")
            junction_total += (warp_images(location, cell_back) * cell_seen).reshape(b, v, 1, cells, cells).sum(1)
            junction_count += cell_seen.reshape(b, v, 1, cells, cells).sum(1)
        else:
            heat = network.line_heatmap(views)
        heat_back = warp_images(heat[:, None], back)
        if adaptation.border_margin:
            heat_back = heat_back * seen_back
        total += heat_back.reshape(b, v, s, s).sum(1)
        count += seen_back.reshape(b, v, s, s).sum(1)
    heatmap = torch.where(count >= adaptation.min_counts, total / count.clamp_min(1), 0.0)
    return heatmap, count, junction_total / junction_count.clamp_min(1) if adaptation.junction_views else None


def _heatmap(network: WireframeNetwork, prediction: Prediction) -> torch.Tensor:
    return network.heatmap_logits(prediction.features).float().softmax(1)[:, 1]


def _in_cells(homographies: torch.Tensor) -> torch.Tensor:
    """Homographies (B, 3, 3) between pixels as homographies between grid cells; cell 0 is centred on `CELL_CENTRE`."""
    # Pixel = STRIDE * cell + CELL_CENTRE, put in by columns and taken out by rows: nothing has to go to the device.
    x, y, w = homographies.unbind(2)
    x, y, w = torch.stack((STRIDE * x, STRIDE * y, CELL_CENTRE * (x + y) + w), 2).unbind(1)
    return torch.stack(((x - CELL_CENTRE * w) / STRIDE, (y - CELL_CENTRE * w) / STRIDE, w), 1)


@torch.no_grad()
def label_images(
    network: WireframeNetwork,
    images: torch.Tensor,
    homographies: torch.Tensor,
    adaptation: ExportSettings,
    *,
    chunk: int,
) -> list[Detection]:
    """Wireframes of images by homographic adaptation: by averaged heatmaps, of lines that recur or that all views agree on, or by votes in one pass.

    Args: as `aggregate_views`.

    Returns: one detection an image, in network input pixels.
    """
    if adaptation.labels == "votes":
        return detect_votes(network, images, adaptation.min_votes)
    look = Look(adaptation.scales, whole=adaptation.labels == "whole")
    if adaptation.labels == "recurring":
        return recurring(
            network,
            images,
            homographies,
            view_score=adaptation.view_score,
            min_score=adaptation.min_score,
            min_counts=adaptation.min_counts,
            padding=PADDING[adaptation.border],
            chunk=chunk,
            look=look,
        )
    if adaptation.labels in ("united", "whole"):
        padding = PADDING[adaptation.border]
        seen = look_at_views(network, images, homographies, adaptation.view_score, padding, chunk, look)
        return [unite([itself, *others], adaptation.min_score) for itself, others in seen]
    # The one pass over the images themselves serves as their identity view and for the detection.
    prediction = network(images)
    heatmap, _, junctions = aggregate_views(network, images, prediction, homographies, adaptation, chunk=chunk)
    return detect(
        network,
        images,
        prediction=prediction,
        heatmap=heatmap,
        min_score=adaptation.min_score,
        junction_map=junctions,
    )
