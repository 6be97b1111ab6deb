"""From the network's maps to wireframes: junctions, the proposals that bind to them, verification, heatmap scores.

Everything is batched: images differ only by an index in flat lists, and the host waits for the device where the number
of lines must be known, not once an image. Source: HAWPv3 (arXiv 2210.12971), inference with the line heatmap.

Shape legend: B images, H x W input pixels, h x w grid, K junction slots, P proposals, L lines in a flat list.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from hawp_core.field import decode
from hawp_core.network import STRIDE, Prediction, WireframeNetwork
from hawp_core.wireframe import Wireframe

# Heatmap score (method of SOLD2, arXiv 2104.03362): samples along a line, radius of the searched disc in pixels, and
# its least and length-dependent reach.
_SAMPLES = 64
_DISC_RADIUS = 3
_LEAST_REACH = 0.5 * 2**0.5
_REACH_PER_DIAGONAL = 2.0
# The heatmap is divided by the mean of this share of its values above this floor.
_BRIGHTEST_SHARE = 0.2
_DARK = 0.1
# Elements of the largest temporary: what a core's cache holds, or what keeps a GPU busy.
_ELEMENTS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 25}
_VERIFIED_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in one image; tensors on the host, coordinates in input pixels.

    Attributes:
        junctions: (N, 2) x, y of every junction, also of those that no line uses.
        junction_scores: (N,) probability, descending.
        lines: (M, 4) x1, y1, x2, y2.
        edges: (M, 2) int64, the junctions of each line, the smaller first, no pair twice.
        scores: (M,) in [0, 1].
        input_size: width and height of the network's input.
    """

    junctions: torch.Tensor
    junction_scores: torch.Tensor
    lines: torch.Tensor
    edges: torch.Tensor
    scores: torch.Tensor
    input_size: tuple[int, int]

    def to_wireframe(self, width: int, height: int) -> Wireframe:
        """The wireframe in the original image of `width` x `height` pixels, without junctions that no line uses.

        Junctions beyond the image's edge (at most half a grid cell) move onto it.
        """
        found = Wireframe(
            self.junctions.numpy(), self.edges.numpy(), self.scores.numpy(), *self.input_size
        ).without_lone_junctions()
        scaled = found.resized(width, height)
        inside = np.clip(scaled.junctions, -0.5, (width - 0.5, height - 0.5))
        return Wireframe(inside, scaled.edges, scaled.scores, width, height)


@torch.no_grad()
def detect(
    network: WireframeNetwork,
    images: torch.Tensor,
    *,
    prediction: Prediction | None = None,
    heatmap: torch.Tensor | None = None,
    junction_map: torch.Tensor | None = None,
    min_score: float = 0.75,
) -> list[Detection]:
    """Wireframes of a batch of images, each independent of the others.

    Args:
        network: in evaluation mode; a folded copy gives the same results faster.
        images: (B, 1, H, W) in [0, 1].
        prediction: the network's for `images`, where it is known already.
        heatmap: (B, H, W) line probabilities, for instance averaged over warped views; the network's own by default.
        junction_map: (B, 1, h, w) junction probabilities, for instance averaged too; the network's own by default.
        min_score: keep lines with sqrt(verification * heatmap score) above this.
    """
    architecture = network.architecture
    prediction = prediction or network(images)
    if heatmap is None:
        heatmap = network.heatmap_logits(prediction.features).float().softmax(dim=1)[:, 1]
    heatmap = refine_heatmap(heatmap)
    junctions, junction_scores, valid = _junctions(network, prediction, architecture.max_junctions, junction_map)
    proposals = _proposals(network, prediction, residual=architecture.residual)
    image_index, pair, proposal = bind(proposals, junctions, valid, architecture.binding_distance2)

    # A verification score is at most 1, so what the heatmap alone rules out needs no verification.
    heat = heatmap_scores(heatmap, image_index, _lines(junctions, image_index, pair) * STRIDE)
    kept = (heat.sqrt() > min_score).nonzero().squeeze(1)
    image_index, pair, proposal, heat = image_index[kept], pair[kept], proposal[kept], heat[kept]

    adjusted, initial = _lines(junctions, image_index, pair), proposals[image_index, proposal]
    scores = (_verification(network, prediction, adjusted, initial, image_index) * heat).sqrt()
    kept = (scores > min_score).nonzero().squeeze(1)
    size = (images.shape[3], images.shape[2])
    return _split(junctions, junction_scores, valid, image_index[kept], pair[kept], scores[kept], size)


@torch.no_grad()
def detect_votes(
    network: WireframeNetwork, images: torch.Tensor, *, min_votes: int = 10, max_junctions: int = 512
) -> list[Detection]:
    """Wireframes by counting: a junction pair's support is the number of grid points whose line binds to it.

    One pass, without heatmap and verification. Source: ScaleLSD (arXiv 2506.09369).

    Args:
        network: in evaluation mode.
        images: (B, 1, H, W) in [0, 1].
        min_votes: least support of a line.
        max_junctions: most junctions of an image.

    Returns:
        One detection an image; a line with v votes has the score v / (v + min_votes), so the least one has 0.5.
    """
    prediction = network(images)
    junctions, junction_scores, valid = _junctions(network, prediction, max_junctions)
    proposals = _proposals(network, prediction, residual=False)
    codes = _pair_codes(proposals, junctions, valid, network.architecture.binding_distance2)
    slots = junctions.shape[1]
    votes = codes.new_zeros(len(images), slots**2 + 1).scatter_add(1, codes, torch.ones_like(codes))[:, :-1]
    image_index, code = (votes >= max(1, min_votes)).nonzero().unbind(1)
    found = votes[image_index, code].to(junctions.dtype)
    pair = torch.stack((code // slots, code % slots), dim=1)
    size = (images.shape[3], images.shape[2])
    return _split(junctions, junction_scores, valid, image_index, pair, found / (found + min_votes), size)


def propose_junctions(
    location: torch.Tensor, offset: torch.Tensor, limit: int, threshold: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The most probable local maxima of the junction map.

    Args:
        location: (B, 1, h, w) junction probability.
        offset: (B, 2, h, w) x, y from the cell's centre, in [-0.5, 0.5].
        limit: most junctions of an image.
        threshold: least probability, exclusive.

    Returns:
        junctions (B, K, 2) x, y in grid units, the most probable first; scores (B, K); valid (B, K) bool, true for the
        first ones of each image. K is `limit`, or the number of cells if that is smaller.
    """
    height, width = location.shape[-2:]
    is_peak = location == F.max_pool2d(location, 3, stride=1, padding=1)
    scores, place = (location * is_peak).flatten(1).topk(min(limit, height * width), dim=1)
    dx, dy = offset.flatten(2).gather(2, place[:, None].expand(-1, 2, -1)).unbind(1)
    junctions = torch.stack((place % width + dx + 0.5, place // width + dy + 0.5), dim=-1)
    return junctions, scores, scores > threshold


def nearest_junctions(
    points: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distance (B, Q) and index (B, Q) of the junction nearest to each of `points` (B, Q, 2).

    Images without a valid junction give infinity and index 0.
    """
    x, y = junctions.masked_fill(~valid[:, :, None], torch.inf)[:, None].unbind(-1)
    budget = _ELEMENTS_AT_ONCE["cuda" if points.is_cuda else "cpu"]
    distances, indices = [], []
    for chunk in points.split(max(1, budget // max(1, x.numel())), dim=1):
        squared = (chunk[..., :1] - x).square_().add_((chunk[..., 1:] - y).square_())
        distance, index = squared.min(dim=2)
        distances.append(distance)
        indices.append(index)
    return torch.cat(distances, dim=1), torch.cat(indices, dim=1)


def _pair_codes(proposals: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, radius2: float) -> torch.Tensor:
    """(B, P) i * K + j of the junctions i < j that each proposal's ends bind to, K * K where they bind to none."""
    slots, count = junctions.shape[1], proposals.shape[1]
    distance, index = nearest_junctions(proposals.reshape(len(proposals), -1, 2), junctions, valid)
    near = (distance < radius2).reshape(-1, count, 2).all(-1)
    first, second = index.reshape(-1, count, 2).unbind(-1)
    code = torch.minimum(first, second) * slots + torch.maximum(first, second)
    return torch.where(near & (first != second), code, slots * slots)


def bind(
    proposals: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, radius2: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Junction pairs that at least one proposal connects, with the first such proposal.

    Args:
        proposals: (B, P, 4) lines in grid units.
        junctions: (B, K, 2) in grid units.
        valid: (B, K) bool.
        radius2: squared distance below which an end binds to its nearest junction.

    Returns:
        Flat lists ordered by image and pair: image_index (L,), pair (L, 2) junction indices i < j, and the index of
        the proposal (L,) within its image.
    """
    slots, count = junctions.shape[1], proposals.shape[1]
    codes = _pair_codes(proposals, junctions, valid, radius2)
    order = torch.arange(count, device=codes.device).expand_as(codes)
    first = codes.new_full((len(codes), slots**2 + 1), count).scatter_reduce(1, codes, order, "amin")[:, :-1]
    image_index, code = (first < count).nonzero().unbind(1)
    return image_index, torch.stack((code // slots, code % slots), dim=1), first[image_index, code]


def refine_heatmap(heatmap: torch.Tensor) -> torch.Tensor:
    """Heatmaps (B, H, W) divided by the mean of their brightest values, clamped to [0, 1].

    The brightest are a fifth of the values above 0.1; a heatmap without any stays as it is.
    """
    values = heatmap.flatten(1).sort(dim=1, descending=True).values
    bright = (values > _DARK).sum(dim=1, dtype=torch.float64)
    count = (bright * _BRIGHTEST_SHARE).ceil()
    rank = torch.arange(values.shape[1], device=values.device)
    total = torch.where(rank < count[:, None], values, 0).sum(dim=1, dtype=torch.float64)
    scale = torch.where(count > 0, total / count.clamp(min=1), 1).to(heatmap.dtype)
    return (heatmap / scale[:, None, None]).clamp(0, 1)


def heatmap_scores(heatmap: torch.Tensor, image_index: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """(L,) mean over 64 points of the largest heatmap value near each.

    Near are pixels in a disc around the rounded point that are closer to the point itself than a reach that grows
    with the line's length.

    Args:
        heatmap: (B, H, W), refined, in [0, 1].
        image_index: (L,) int64.
        lines: (L, 4) in input pixels.
    """
    y, x = torch.meshgrid(*[torch.arange(-_DISC_RADIUS, _DISC_RADIUS + 1, device=lines.device)] * 2, indexing="ij")
    disc = x.square() + y.square() <= _DISC_RADIUS**2
    x, y = x[disc].to(lines.dtype), y[disc].to(lines.dtype)
    step = max(1, _ELEMENTS_AT_ONCE["cuda" if lines.is_cuda else "cpu"] // (_SAMPLES * len(x)))
    parts = zip(lines.split(step), image_index.split(step), strict=True)
    return torch.cat([_scores_of_chunk(heatmap, index, chunk, x, y) for chunk, index in parts])


def _scores_of_chunk(
    heatmap: torch.Tensor, image_index: torch.Tensor, lines: torch.Tensor, disc_x: torch.Tensor, disc_y: torch.Tensor
) -> torch.Tensor:
    height, width = heatmap.shape[1:]
    length = (lines[:, :2] - lines[:, 2:]).square().sum(1).sqrt()
    reach = (_LEAST_REACH + _REACH_PER_DIAGONAL * (length / (height**2 + width**2) ** 0.5))[:, None, None]
    t = torch.linspace(0, 1, _SAMPLES, device=lines.device, dtype=lines.dtype)
    x = (lines[:, 0:1] * t + lines[:, 2:3] * (1 - t)).clamp_(0, width - 1)[..., None]
    y = (lines[:, 1:2] * t + lines[:, 3:4] * (1 - t)).clamp_(0, height - 1)[..., None]
    column, row = x.round() + disc_x, y.round() + disc_y
    near = (x - column).square_().add_((y - row).square_()).sqrt_() < reach
    place = row.clamp_(0, height - 1).mul_(width).add_(column.clamp_(0, width - 1)).long()
    place += image_index[:, None, None] * (height * width)
    return (heatmap.reshape(-1).take(place) * near).amax(-1).mean(-1)


def _junctions(
    network: WireframeNetwork, prediction: Prediction, limit: int, location: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    scores = prediction.heads[-1].float()
    if location is None:
        location = scores[:, 5:7].softmax(dim=1)[:, 1:]
    return propose_junctions(location, scores[:, 7:9].sigmoid() - 0.5, limit, network.architecture.junction_threshold)


def _proposals(network: WireframeNetwork, prediction: Prediction, *, residual: bool) -> torch.Tensor:
    """(B, P, 4) lines in grid units."""
    angles, distance, uncertainty = prediction.heads[-1][:, :5].float().sigmoid().split((3, 1, 1), dim=1)
    threshold = network.architecture.distance_threshold
    return decode(angles, distance, uncertainty if residual else None, threshold).flatten(1, 3)


def _lines(junctions: torch.Tensor, image_index: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """(L, 4) lines between the junctions of each pair."""
    return junctions[image_index[:, None], pair].flatten(1)


def _verification(
    network: WireframeNetwork,
    prediction: Prediction,
    adjusted: torch.Tensor,
    initial: torch.Tensor,
    image_index: torch.Tensor,
) -> torch.Tensor:
    """(L,) probability that each line is one, in parts so that the hidden layers stay small."""
    maps = network.line_features(prediction.features)
    parts = zip(*(v.split(_VERIFIED_AT_ONCE) for v in (adjusted, initial, image_index)), strict=True)
    return torch.cat([network.verify(maps, *part) for part in parts]).float().softmax(dim=1)[:, 1]


def _split(
    junctions: torch.Tensor,
    junction_scores: torch.Tensor,
    valid: torch.Tensor,
    image_index: torch.Tensor,
    pair: torch.Tensor,
    scores: torch.Tensor,
    input_size: tuple[int, int],
) -> list[Detection]:
    """Flat lists, ordered by image, to one detection an image, on the host."""
    lines = _lines(junctions, image_index, pair) * STRIDE
    line_counts = torch.bincount(image_index, minlength=len(junctions)).tolist()
    lines, pair, scores = lines.cpu().split(line_counts), pair.cpu().split(line_counts), scores.cpu().split(line_counts)
    points, junction_scores, counts = (junctions * STRIDE).cpu(), junction_scores.cpu(), valid.sum(1).tolist()
    return [
        Detection(points[i, :n], junction_scores[i, :n], lines[i], pair[i], scores[i], input_size)
        for i, n in enumerate(counts)
    ]
