"""The losses of HAWPv3 (Holistically-Attracted Wireframe Parsing, arXiv 2210.12971, sections 3.2, 3.3 and 4.3), over a whole batch.

Every loss is computed for each image and then averaged over the images, so it does not depend on which images
share a batch; an image without lines contributes zero to the losses of lines, and nothing divides by it.

Shape legend: B images, h x w grid cells.
"""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hawp_core.data.batch import Batch
from hawp_core.model import attraction_field
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.score_maps import FieldMaps, ScoreMaps
from hawp_core.training import line_losses
from hawp_core.training.targets import Targets, make_targets, nearest_line_distance2

FIELD_NAMES = ("md", "dis", "res", "jloc", "joff", "aux")
NAMES = (*FIELD_NAMES[:5], *line_losses.NAMES, "aux", "heatmap")

DECODED_DISTANCE2 = 1.0  # squared grid cells within which a decoded target is trusted
MASK_EPSILON = 1e-6


def _per_image(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask of each image; zero where the mask is empty."""
    return _per_image(values * mask) / (_per_image(mask) + MASK_EPSILON)


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


def compute_losses(
    network: WireframeNetwork, batch: Batch, names: Collection[str] = NAMES, sampled: line_losses.Sampled | None = None
) -> dict[str, Tensor]:
    """Every loss of one training step, unweighted: name -> scalar, averaged over the images.

    The score maps of every stack share the field losses, which are summed over the stacks.

    Args:
        names: the losses that are wanted; what only others need is not computed.
        sampled: how many candidates the losses of lines draw from each image, and with which seeds; all of them if None.
    """
    targets = make_targets(batch, network.architecture.distance_threshold)
    prediction = network(batch.images)
    totals: dict[str, Tensor] = {}
    for heads in prediction.heads:
        for name, value in field_losses(ScoreMaps(heads).float(), targets, network).items():
            totals[name] = totals.get(name, 0) + value
    totals |= line_losses.compute_line_losses(network, prediction, batch, targets, names, sampled)
    if "heatmap" in names:
        logits = network.heatmap_logits(prediction.features).float()
        totals["heatmap"] = _per_image(F.cross_entropy(logits, batch.heatmap.long(), reduction="none") * batch.valid)
    return {name: totals[name].mean() for name in NAMES if name in names}


def unreached(network: WireframeNetwork, names: Collection[str] = NAMES) -> list[nn.Module]:
    """The parts of the network that get no gradient from the losses of these names."""
    verification: list[nn.Module] = [network.fc2, network.fc2_res, network.fc2_head]
    parts: list[nn.Module] = [network.regional_head]
    parts += [] if "heatmap" in names else [network.heatmap_decoder]
    parts += [] if "lineness" in names else [network.line_mlp]
    parts += [] if set(names) & set(line_losses.VERIFICATION) else verification
    parts += [] if set(names) & set(line_losses.NAMES) else [network.fc1, network.fc3, network.fc4]
    return parts
