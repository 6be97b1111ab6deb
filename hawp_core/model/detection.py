"""From the network's maps to wireframes: candidates are verified, scored and sorted.

Everything is batched: images differ only by an index in flat lists, and the host waits for the device where the number
of lines must be known, not once an image. Source: HAWPv3 (arXiv 2210.12971), inference with the line heatmap.

Shape legend: B images, H x W input pixels, h x w grid, K junction slots, P proposals, L lines in a flat list.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.architecture import STRIDE
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import bind, pair_codes, pair_votes, propose_junctions
from hawp_core.model.bright_pairs import bright_pairs
from hawp_core.model.line_scores import final_scores, heatmap_scores, refine_heatmap, worth_verifying
from hawp_core.model.network import WireframeNetwork

_VERIFIED_AT_ONCE = 8192
_NEVER = 2**62  # votes that no line gets


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

    def in_input(self) -> Wireframe:
        """The wireframe in input pixels, with the junctions that no line uses."""
        return Wireframe(self.junctions.numpy(), self.edges.numpy(), self.scores.numpy(), *self.input_size)

    def to_wireframe(self, width: int, height: int) -> Wireframe:
        """The wireframe in the original image of `width` x `height` pixels, without junctions that no line uses.

        Junctions beyond the image's edge (at most half a grid cell) move onto it.
        """
        scaled = self.in_input().without_lone_junctions().resized(width, height)
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
    pairs: int = 0,
) -> list[Detection]:
    """Wireframes of a batch of images, each independent of the others.

    Args:
        network: in evaluation mode; a folded copy gives the same results faster.
        images: (B, 1, H, W) in [0, 1].
        prediction: the network's for `images`, where it is known already.
        heatmap: (B, H, W) line probabilities, for instance averaged over warped views; the network's own by default.
        junction_map: (B, 1, h, w) junction probabilities, for instance averaged too; the network's own by default.
        min_score: keep lines with sqrt(verification * heatmap score) above this, or with such a score by votes where the
            architecture says so (`detect_votes`).
        pairs: of junctions of an image that are candidates too because the heatmap is bright between them (`bright_pairs`);
            none where lines are found by votes.
    """
    architecture = network.architecture
    if architecture.votes:
        limit = architecture.max_junctions
        return detect_votes(network, images, architecture.votes, max_junctions=limit, min_score=min_score)
    prediction = prediction or network(images)
    if heatmap is None:
        heatmap = network.heatmap_logits(prediction.features).float().softmax(dim=1)[:, 1]
    heatmap = refine_heatmap(heatmap)
    junctions, junction_scores, valid = find_junctions(network, prediction, architecture.max_junctions, junction_map)
    proposals = prediction.scores.field().proposals(architecture.distance_threshold, residual=architecture.residual)
    if pairs:
        proposals = torch.cat((proposals, bright_pairs(heatmap, junctions, valid, pairs)), dim=1)
    image_index, pair, proposal = bind(proposals, junctions, valid, architecture.binding_distance2)

    heat = heatmap_scores(heatmap, image_index, _lines(junctions, image_index, pair) * STRIDE)
    if not heat.is_cuda:
        # A card verifies all of them sooner than the host has waited for how many these are.
        kept = worth_verifying(heat, architecture.heat_weight, min_score).nonzero().squeeze(1)
        image_index, pair, proposal, heat = image_index[kept], pair[kept], proposal[kept], heat[kept]

    adjusted, initial = _lines(junctions, image_index, pair), proposals[image_index, proposal]
    verification = verification_scores(network, prediction, adjusted, initial, image_index)
    scores = final_scores(verification, heat, architecture.heat_weight)
    size = (images.shape[3], images.shape[2])
    return _split(junctions, junction_scores, valid, image_index, pair, scores, size, min_score)


@torch.no_grad()
def detect_votes(
    network: WireframeNetwork,
    images: torch.Tensor,
    min_votes: int = 10,
    *,
    max_junctions: int = 512,
    min_score: float = 0.5,
) -> list[Detection]:
    """Wireframes by counting: a junction pair's support is the number of grid points whose line binds to it.

    One pass, without heatmap and verification. Source: ScaleLSD (arXiv 2506.09369).

    Args:
        network: in evaluation mode.
        images: (B, 1, H, W) in [0, 1].
        min_votes: support of a line whose score is 0.5.
        max_junctions: most junctions of an image.
        min_score: least score of a line.

    Returns:
        One detection an image; a line with v votes has the score v / (v + min_votes).
    """
    architecture = network.architecture
    prediction = network(images)
    junctions, junction_scores, valid = find_junctions(network, prediction, max_junctions)
    proposals = prediction.scores.field().proposals(architecture.distance_threshold, residual=False)
    codes = pair_codes(proposals, junctions, valid, architecture.binding_distance2)
    slots = junctions.shape[1]
    votes = pair_votes(codes, slots)
    image_index, code = (votes >= least_votes(min_votes, min_score)).nonzero().unbind(1)
    scores = score_of_votes(votes[image_index, code], min_votes)
    pair = torch.stack((code // slots, code % slots), dim=1)
    size = (images.shape[3], images.shape[2])
    return _split(junctions, junction_scores, valid, image_index, pair, scores, size)


def least_votes(min_votes: int, min_score: float) -> int:
    """How many votes a line needs for a score of at least `min_score`; at least one."""
    if min_score >= 1:
        return _NEVER
    # votes / (votes + min_votes) >= min_score, solved for the votes.
    return max(1, math.ceil(min_votes * min_score / (1 - min_score)))


def score_of_votes(votes: torch.Tensor, min_votes: int) -> torch.Tensor:
    """Float32 v / (v + `min_votes`) of v votes."""
    votes = votes.float()
    return votes / (votes + min_votes)


def find_junctions(
    network: WireframeNetwork, prediction: Prediction, limit: int, location: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    scores = prediction.scores.float()
    if location is None:
        location = scores.junction_probability()
    return propose_junctions(location, scores.junction_offset(), limit, network.architecture.junction_threshold)


def _lines(junctions: torch.Tensor, image_index: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """(L, 4) lines between the junctions of each pair."""
    return junctions[image_index[:, None], pair].flatten(1)


def verification_scores(
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
    above: float = -1.0,
) -> list[Detection]:
    """Flat lists, ordered by image, to one detection an image, on the host, of lines with scores above `above`."""
    at_slots = torch.cat((junctions * STRIDE, junction_scores[..., None], valid[..., None]), 2)
    of_lines = torch.cat((image_index[:, None], pair, scores[:, None]), 1)
    # In one copy, for which the host waits once; float32 holds these indices exactly.
    fetched = torch.cat((at_slots.flatten(), of_lines.flatten())).cpu()
    at_slots = fetched[: at_slots.numel()].reshape(at_slots.shape)
    of_lines = fetched[at_slots.numel() :].reshape(of_lines.shape)
    of_lines = of_lines[of_lines[:, 3] > above]
    line_counts = torch.bincount(of_lines[:, 0].long(), minlength=len(at_slots)).tolist()
    detections = []
    for own, mine in zip(at_slots, of_lines.split(line_counts), strict=True):
        own, edges = own[: int(own[:, 3].sum())], mine[:, 1:3].long()
        points = own[:, :2].contiguous()
        lines = points[edges].flatten(1)
        detections.append(Detection(points, own[:, 2].contiguous(), lines, edges, mine[:, 3].contiguous(), input_size))
    return detections
