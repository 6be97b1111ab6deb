"""The losses of lines: verification and lineness (Holistically-Attracted Wireframe Parsing, arXiv 2210.12971).

The published way looks at every proposal of the grid and at every pair of junctions that they connect. Most of them
teach nothing new; `Sampled` looks at as many as it is told, drawn so that each loss keeps its expectation. Its
shapes hang on the batch's alone: nothing waits for a GPU to say how many there are, and torch.compile takes it whole.

Shape legend: B images, N junctions and M edges (padded), P proposals (hypotheses x h x w), K junction candidates,
L candidate lines of all images together, S sampled ones of each image.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hawp_core.data.batch import Batch
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import bind, first_of_pair, pair_codes, propose_junctions
from hawp_core.model.network import LineFeatures, WireframeNetwork
from hawp_core.model.score_maps import ScoreMaps
from hawp_core.training import draws
from hawp_core.training.targets import Targets, nearest_line_distance2

VERIFICATION = ("pos", "neg")
NAMES = (*VERIFICATION, "lineness")

JUNCTION_MATCH = 1.5  # grid cells between a candidate and the junction that it stands for (JMATCH_THRESHOLD)
LINENESS_DISTANCE2 = 15.0  # squared grid cells, both ends together, of a proposal that counts as a line
# What is xored to an image's seed, so that its draws have nothing to do with each other.
_PROPOSALS, _PAIRS, _TRUE_LINES = 0x1, 0x2, 0x4


@dataclass(frozen=True)
class Sampled:
    """How the losses of lines draw their candidates.

    Attributes:
        count: S: proposals that lineness reads, pairs of junctions that verification reads, and true lines, of each image;
            where an image has fewer, all of them.
        seeds: (B,) int64 of the images, from `draws.image_seeds`.
    """

    count: int
    seeds: Tensor


@dataclass
class _Candidates:
    """What the losses of lines choose from, without gradients: proposals (B, P, 4), junctions (B, K, 2), valid (B, K)."""

    proposals: Tensor
    junctions: Tensor
    valid: Tensor


def compute_line_losses(
    network: WireframeNetwork,
    prediction: Prediction,
    batch: Batch,
    targets: Targets,
    names: Collection[str] = NAMES,
    sampled: Sampled | None = None,
) -> dict[str, Tensor]:
    """The wanted ones of pos, neg and lineness: (B,) each; zero for images without lines."""
    if not set(names) & set(NAMES):
        return {}
    candidates = _candidates(network, ScoreMaps(prediction.heads[-1].detach()).float(), batch, targets)
    features = network.line_features(prediction.features)
    losses: dict[str, Tensor] = {}
    if "lineness" in names:
        losses["lineness"] = _lineness(network, features, candidates.proposals, targets, sampled)
    if set(names) & set(VERIFICATION):
        losses |= (
            _sampled_verification(network, features, candidates, batch, targets, sampled)
            if sampled
            else _verification(network, features, candidates, batch, targets)
        )
    has_lines = (batch.edge_count > 0).float()
    return {name: value * has_lines for name, value in losses.items() if name in names}


def _candidates(network: WireframeNetwork, scores: ScoreMaps, batch: Batch, targets: Targets) -> _Candidates:
    constants = network.architecture
    proposals = scores.field().proposals(constants.distance_threshold, residual=constants.residual)
    junctions, _, valid = propose_junctions(
        scores.junction_probability(), scores.junction_offset(), limit=constants.max_junctions, threshold=0.0
    )
    # No image of the batch wants more: those beyond would be compared with every proposal, in vain.
    most = 2 * targets.junctions.shape[1] + 2
    junctions, valid = junctions[:, :most], valid[:, :most]
    wanted = (2 * batch.junction_count + 2).clamp_max(constants.max_junctions)
    valid = valid & (torch.arange(valid.shape[1], device=valid.device) < wanted[:, None])
    return _Candidates(proposals, junctions, valid)


def _lineness(
    network: WireframeNetwork, features: LineFeatures, proposals: Tensor, targets: Targets, sampled: Sampled | None
) -> Tensor:
    if sampled:
        index = draws.spread(sampled.seeds ^ _PROPOSALS, sampled.count, proposals.shape[1])
        proposals = torch.take_along_dim(proposals, index[..., None], 1)
    near = nearest_line_distance2(proposals, targets.lines, targets.line_count, either_way=True) < LINENESS_DISTANCE2
    logits = network.lineness(features, proposals).float()
    return F.binary_cross_entropy_with_logits(logits, near.float(), reduction="none").mean(1)


def _verification(
    network: WireframeNetwork,
    features: LineFeatures,
    candidates: _Candidates,
    batch: Batch,
    targets: Targets,
) -> dict[str, Tensor]:
    """Of every pair that a proposal connects, and of every true line."""
    proposals, junctions, valid = candidates.proposals, candidates.junctions, candidates.valid
    image, pair, initial = bind(proposals, junctions, valid, network.architecture.binding_distance2)
    sure = _sureness(batch, targets, junctions, image, pair)
    adjusted = junctions[image[:, None], pair].reshape(-1, 4)

    true_image, true_row = torch.nonzero(
        torch.arange(batch.edges.shape[1], device=image.device) < batch.edge_count[:, None], as_tuple=True
    )
    true_lines = targets.lines[true_image, true_row]
    image = torch.cat([image, true_image])
    adjusted = torch.cat([adjusted, true_lines])
    initial_lines = torch.cat([proposals[image[: len(initial)], initial], true_lines])
    logits = network.verify(features, adjusted, initial_lines, image)
    sure = torch.cat([sure, batch.scores[true_image, true_row]])
    loss, positive = _verification_loss(logits, sure)
    return {
        "pos": _mean_of_images(loss, image, positive, len(batch)),
        "neg": _mean_of_images(loss, image, ~positive, len(batch)),
    }


def _mean_of_images(values: Tensor, image: Tensor, chosen: Tensor, images: int) -> Tensor:
    """Mean of the chosen values of each image: (B,), zero where an image has none."""
    weights = chosen.to(values.dtype)
    total = values.new_zeros(images).index_add(0, image, values * weights)
    return total / values.new_zeros(images).index_add(0, image, weights).clamp_min(1)


def _sampled_verification(
    network: WireframeNetwork,
    features: LineFeatures,
    candidates: _Candidates,
    batch: Batch,
    targets: Targets,
    sampled: Sampled,
) -> dict[str, Tensor]:
    """Of S of these pairs and S of the true lines of each image, weighted by how many each stands for."""
    proposals, junctions, b = candidates.proposals, candidates.junctions, len(batch)
    slots = junctions.shape[1]
    codes = pair_codes(proposals, junctions, candidates.valid, network.architecture.binding_distance2, exact=False)
    index, weight = draws.subset(sampled.seeds ^ _PAIRS, first_of_pair(codes, slots), sampled.count)
    # A choice that stands for nothing may carry the code of no pair.
    code = torch.where(weight > 0, codes.gather(1, index), 0).flatten()
    pair = torch.stack((code // slots, code % slots), 1)
    image = torch.arange(b, device=index.device)[:, None].expand_as(index).flatten()
    sure = _sureness(batch, targets, junctions, image, pair).reshape_as(weight)
    adjusted = junctions[image[:, None], pair].reshape(b, -1, 4)
    initial = torch.take_along_dim(proposals, index[..., None], 1)

    real = torch.arange(batch.edges.shape[1], device=index.device) < batch.edge_count[:, None]
    row, true_weight = draws.subset(sampled.seeds ^ _TRUE_LINES, real, sampled.count)
    true_lines = torch.take_along_dim(targets.lines, row[..., None], 1)
    adjusted, initial = torch.cat((adjusted, true_lines), 1), torch.cat((initial, true_lines), 1)
    weight = torch.cat((weight, true_weight), 1)
    sure = torch.cat((sure, batch.scores.gather(1, row)), 1)
    logits = network.verify_dense(features, adjusted, initial)
    loss, positive = (found.reshape_as(weight) for found in _verification_loss(logits.flatten(0, 1), sure.flatten()))

    def mean(of: Tensor) -> Tensor:
        return (loss * weight * of).sum(1) / (weight * of).sum(1).clamp_min(1)

    return {"pos": mean(positive), "neg": mean(~positive)}


def _verification_loss(logits: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """(L,) cross-entropy of logits (L, 2) with how sure each line is, and which lines are true ones.

    A true line that is unsure stays among the true ones: between these, `pos` teaches the scores themselves, however
    many false lines there are for each.
    """
    positive = sure >= 0
    wanted = sure.clamp_min(0)
    target = torch.stack((1 - wanted, wanted), 1)
    return F.cross_entropy(logits.float(), target, reduction="none"), positive


def _sureness(batch: Batch, targets: Targets, candidates: Tensor, image: Tensor, pair: Tensor) -> Tensor:
    """(L,) scores of the true edges whose ends the two candidates of each line stand for; -1 where there is none."""
    distance = torch.cdist(candidates, targets.junctions, compute_mode="donot_use_mm_for_euclid_dist")
    slots = targets.junctions.shape[1]
    absent = torch.arange(slots, device=distance.device) >= batch.junction_count[:, None]
    nearest, match = distance.masked_fill(absent[:, None], torch.inf).min(2)
    match = torch.where(nearest <= JUNCTION_MATCH, match, slots)
    # Row and column `slots` of the table stand for "no junction" and are never joined.
    joined = torch.full((len(batch), slots + 1, slots + 1), -1.0, device=match.device)
    rows = torch.arange(len(batch), device=match.device)[:, None].expand(batch.edges.shape[:2])
    real = torch.arange(batch.edges.shape[1], device=match.device) < batch.edge_count[:, None]
    first, second = batch.edges[..., 0], batch.edges[..., 1]
    scores = torch.where(real, batch.scores, -1.0)
    joined[rows, first, second] = scores
    joined[rows, second, first] = scores
    ends = match[image[:, None], pair]
    return joined[image, ends[:, 0], ends[:, 1]]
