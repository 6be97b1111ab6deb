"""The losses of HAWPv3 (method: Holistically-Attracted Wireframe Parsing, sections 3.2, 3.3 and 4.3), over a whole batch.

Every loss is computed for each image and then averaged over the images, so it does not depend on which images
share a batch; an image without lines contributes zero to the losses of lines, and nothing divides by it.

Shape legend: B images, N junctions and M edges (padded), h x w grid cells, P proposals (hypotheses x h x w),
K junction candidates, L candidate lines of all images together.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hawp_core.data.batch import Batch
from hawp_core.model import attraction_field
from hawp_core.model.architecture import STRIDE
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import bind, propose_junctions
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.score_maps import FieldMaps, ScoreMaps

NAMES = ("md", "dis", "res", "jloc", "joff", "pos", "neg", "lineness", "aux", "heatmap")

JUNCTION_MATCH = 1.5  # grid cells between a candidate and the junction that it stands for (JMATCH_THRESHOLD)
LINENESS_DISTANCE2 = 15.0  # squared grid cells, both ends together, of a proposal that counts as a line
DECODED_DISTANCE2 = 1.0  # squared grid cells within which a decoded target is trusted
MASK_EPSILON = 1e-6
PROPOSAL_CHUNK = 8192  # proposals compared with all lines at a time: bounds the distance matrix


@dataclass
class Targets:
    """Ground truth on the grid.

    Attributes:
        junctions: (B, N, 2) grid cells.
        lines: (B, M, 4) grid cells, padded with zeros.
        line_count: (B,).
        field: attraction field of the lines.
        location: (B, 1, h, w) 1 in the cell of a junction.
        offset: (B, 2, h, w) in [-0.5, 0.5].
    """

    junctions: Tensor
    lines: Tensor
    line_count: Tensor
    field: attraction_field.Field
    location: Tensor
    offset: Tensor


def make_targets(batch: Batch, threshold: float) -> Targets:
    """Encode the wireframes of a batch (method section 3)."""
    height, width = (side // STRIDE for side in batch.images.shape[-2:])
    junctions = batch.junctions / STRIDE
    lines = torch.take_along_dim(junctions, batch.edges.reshape(len(batch), -1, 1), dim=1).reshape(len(batch), -1, 4)
    location, offset = attraction_field.encode_junctions(junctions, batch.junction_count, height, width)
    encoded = attraction_field.encode(lines, batch.edge_count, height, width, threshold)
    return Targets(junctions, lines, batch.edge_count, encoded, location, offset)


def _per_image(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask of each image; zero where the mask is empty."""
    return _per_image(values * mask) / (_per_image(mask) + MASK_EPSILON)


def nearest_line_distance2(proposals: Tensor, lines: Tensor, count: Tensor, *, either_way: bool) -> Tensor:
    """Squared 4-vector distance from each proposal to its nearest line: (B, P), infinite where there is no line.

    Args:
        proposals: (B, P, 4).
        lines: (B, M, 4).
        count: (B,) lines of each image.
        either_way: a line may also be compared with its ends swapped.
    """
    # Centred coordinates keep the expansion |p|^2 - 2 p.q + |q|^2 precise in float32.
    centre = lines.abs().amax().clamp_min(1) / 2
    proposals, lines = proposals - centre, lines - centre
    length2 = (lines**2).sum(-1)
    padding = torch.arange(lines.shape[1], device=lines.device) >= count[:, None]
    length2 = length2.masked_fill(padding, torch.inf)[:, None]
    orders = [lines, lines[..., [2, 3, 0, 1]]] if either_way else [lines]
    nearest = []
    for part in proposals.split(PROPOSAL_CHUNK, dim=1):
        best = [torch.baddbmm(length2, part, order.transpose(1, 2), alpha=-2).amin(2) for order in orders]
        nearest.append(torch.stack(best).amin(0) + (part**2).sum(-1))
    return torch.cat(nearest, 1)


def field_losses(scores: ScoreMaps, targets: Targets, network: WireframeNetwork) -> dict[str, Tensor]:
    """Losses of one stack's score maps: angles, distance, residual, junctions, decoded lines (B,) each."""
    truth = targets.field
    constants = network.architecture
    field = FieldMaps(scores.angles.sigmoid(), scores.distance.sigmoid(), scores.residual.sigmoid())
    distance_error = (field.distance - truth.distance).abs()
    losses = {
        "md": _masked((field.angles - truth.angles).abs().mean(1, keepdim=True), truth.mask),
        "dis": _masked(distance_error, truth.mask),
        "res": _masked((field.residual - distance_error).abs(), truth.mask),
    }
    log_p = scores.junction.log_softmax(1)
    losses["jloc"] = _per_image(-torch.where(targets.location > 0, log_p[:, 1:], log_p[:, :1]))
    share = targets.location.mean((2, 3), keepdim=True)
    weight = targets.location / torch.where(share > 0, share, 1.0)
    losses["joff"] = _per_image((scores.junction_offset() - targets.offset).abs() * weight)

    wanted = attraction_field.decode(truth.angles, truth.distance, None, constants.distance_threshold)
    near = nearest_line_distance2(wanted.flatten(1, 3), targets.lines, targets.line_count, either_way=False)
    near = (near < DECODED_DISTANCE2).reshape(wanted.shape[:-1])
    length2 = ((wanted[..., :2] - wanted[..., 2:]) ** 2).sum(-1)
    decoded = field.lines(constants.distance_threshold, residual=constants.residual)
    error = (decoded - wanted).abs().mean(-1) * near / length2.clamp_min(1)
    losses["aux"] = _per_image(error) / _per_image(truth.mask).clamp_min(MASK_EPSILON)
    return losses


def _mean_of_images(values: Tensor, image: Tensor, chosen: Tensor, images: int) -> Tensor:
    """Mean of the chosen values of each image: (B,), zero where an image has none."""
    weights = chosen.to(values.dtype)
    total = values.new_zeros(images).index_add(0, image, values * weights)
    return total / values.new_zeros(images).index_add(0, image, weights).clamp_min(1)


def _positive_pairs(batch: Batch, targets: Targets, candidates: Tensor, image: Tensor, pair: Tensor) -> Tensor:
    """Which candidate lines (L,) join two candidates that stand for the ends of a true edge."""
    distance = torch.cdist(candidates, targets.junctions, compute_mode="donot_use_mm_for_euclid_dist")
    slots = targets.junctions.shape[1]
    absent = torch.arange(slots, device=distance.device) >= batch.junction_count[:, None]
    nearest, match = distance.masked_fill(absent[:, None], torch.inf).min(2)
    match = torch.where(nearest <= JUNCTION_MATCH, match, slots)
    # Row and column `slots` of the table stand for "no junction" and are never joined.
    joined = torch.zeros(len(batch), slots + 1, slots + 1, dtype=torch.bool, device=match.device)
    rows = torch.arange(len(batch), device=match.device)[:, None].expand(batch.edges.shape[:2])
    real = torch.arange(batch.edges.shape[1], device=match.device) < batch.edge_count[:, None]
    first, second = batch.edges[..., 0], batch.edges[..., 1]
    joined[rows, first, second] |= real
    joined[rows, second, first] |= real
    ends = match[image[:, None], pair]
    return joined[image, ends[:, 0], ends[:, 1]]


def line_losses(network: WireframeNetwork, prediction: Prediction, batch: Batch, targets: Targets) -> dict[str, Tensor]:
    """Verification and lineness (method section 5: pos, neg, lineness): (B,) each; zero for images without lines."""
    constants = network.architecture
    scores = prediction.scores.float()
    proposals = scores.field().proposals(constants.distance_threshold, residual=constants.residual).detach()
    has_lines = (batch.edge_count > 0).float()
    features = network.line_features(prediction.features)

    b = len(batch)
    near = nearest_line_distance2(proposals, targets.lines, targets.line_count, either_way=True) < LINENESS_DISTANCE2
    lineness = network.lineness(features, proposals).float()
    losses = {
        "lineness": F.binary_cross_entropy_with_logits(lineness, near.float(), reduction="none").mean(1) * has_lines
    }

    wanted = (2 * batch.junction_count + 2).clamp_max(constants.max_junctions)
    candidates, _, valid = propose_junctions(
        scores.junction_probability(), scores.junction_offset(), limit=constants.max_junctions, threshold=0.0
    )
    valid = valid & (torch.arange(candidates.shape[1], device=valid.device) < wanted[:, None])
    candidates = candidates.detach()
    image, pair, initial = bind(proposals, candidates, valid, constants.binding_distance2)
    positive = _positive_pairs(batch, targets, candidates, image, pair)
    adjusted = candidates[image[:, None], pair].reshape(-1, 4)

    true_image, true_row = torch.nonzero(
        torch.arange(batch.edges.shape[1], device=image.device) < batch.edge_count[:, None], as_tuple=True
    )
    true_lines = targets.lines[true_image, true_row]
    image = torch.cat([image, true_image])
    adjusted = torch.cat([adjusted, true_lines])
    initial_lines = torch.cat([proposals[image[: len(initial)], initial], true_lines])
    logits = network.verify(features, adjusted, initial_lines, image)
    positive = torch.cat([positive, torch.ones_like(true_image, dtype=torch.bool)])
    loss = F.cross_entropy(logits.float(), positive.long(), reduction="none")
    losses["pos"] = _mean_of_images(loss, image, positive, b) * has_lines
    losses["neg"] = _mean_of_images(loss, image, ~positive, b) * has_lines
    return losses


def compute(network: WireframeNetwork, batch: Batch) -> dict[str, Tensor]:
    """Every loss of one training step (method section 5), unweighted: name -> scalar, averaged over the images.

    The score maps of every stack share the field losses, which are summed over the stacks.
    """
    targets = make_targets(batch, network.architecture.distance_threshold)
    prediction = network(batch.images)
    totals: dict[str, Tensor] = {}
    for heads in prediction.heads:
        for name, value in field_losses(ScoreMaps(heads).float(), targets, network).items():
            totals[name] = totals.get(name, 0) + value
    totals |= line_losses(network, prediction, batch, targets)
    logits = network.heatmap_logits(prediction.features).float()
    totals["heatmap"] = _per_image(F.cross_entropy(logits, batch.heatmap.long(), reduction="none") * batch.valid)
    return {name: totals[name].mean() for name in NAMES}
