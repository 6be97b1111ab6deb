"""Detection with fixed shapes: one image to as many lines as there is room for, for runtimes that know no lists.

What `detection` does with lists of what was found is done here with the candidates that most grid points vote for, and what is
no line is set to zero at the end. The result is that of `detection.detect` as long as the candidates find room.

Shape legend: H x W input pixels, K junction slots, P proposals, L candidates that find room.
"""

import torch
from torch import nn

from hawp_core.geometry.resize import GREY_WEIGHTS
from hawp_core.model.architecture import STRIDE
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import first_proposals, pair_codes, pair_votes
from hawp_core.model.detection import find_junctions, least_votes, score_of_votes, verification_scores
from hawp_core.model.line_scores import final_scores, heatmap_scores, refine_heatmap
from hawp_core.model.network import WireframeNetwork

# Most candidates on 41 of the measured photographs at 512 x 512 were 7,229 (benchmarks/RESULTS.md).
CANDIDATES = 8192


# What is returned, of one image, the best line first, then zeros.
#   lines: (L, 4) float32 x1, y1, x2, y2 in pixels of the given image.
#   scores: (L,) float32 in [0, 1], descending.
#   count: () int64, how many of the rows are lines.
#   left_out: () int64, candidates for which there was no room: those that the fewest grid points vote for.
FOUND = ("lines", "scores", "count", "left_out")


class FixedDetection(nn.Module):
    """A network and the reading of its maps as one function of an image.

    Args:
        network: in evaluation mode; read as its architecture says, by heatmap and verification or by votes.
        min_score: lines above this are kept.
        candidates: room for so many junction pairs.
    """

    def __init__(self, network: WireframeNetwork, min_score: float, candidates: int = CANDIDATES) -> None:
        super().__init__()
        self.network, self.min_score, self.candidates = network, min_score, candidates

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """`FOUND` in an image, uint8 (H, W) grey or (H, W, 3) RGB, sides in multiples of `architecture.multiple`."""
        architecture = self.network.architecture
        images = grey_levels(image)[None, None] / 255
        prediction = self.network(images)
        junctions, _, valid = find_junctions(self.network, prediction, architecture.max_junctions)
        residual = architecture.residual and not architecture.votes
        proposals = prediction.scores.field().proposals(architecture.distance_threshold, residual=residual)
        codes = pair_codes(proposals, junctions, valid, architecture.binding_distance2)
        slots = junctions.shape[1]
        all_votes = pair_votes(codes, slots)
        votes, code = all_votes[0].topk(min(self.candidates, slots**2))
        lines = junctions[0, torch.stack((code // slots, code % slots), dim=1)].flatten(1)
        if architecture.votes:
            scores = score_of_votes(votes, architecture.votes)
            kept = votes >= least_votes(architecture.votes, self.min_score)
        else:
            first = first_proposals(codes, slots)[0, code].clamp(max=proposals.shape[1] - 1)
            scores = self._scores(prediction, lines, proposals[0, first])
            kept = (votes > 0) & (scores > self.min_score)
        scores, order = torch.where(kept, scores, 0).topk(len(scores))
        kept, lines = kept[order], lines[order] * STRIDE
        height, width = images.shape[2:]
        inside = torch.minimum(lines.clamp(min=-0.5), lines.new_tensor((width, height) * 2) - 0.5)
        left_out = (all_votes > 0).sum() - (votes > 0).sum()
        return torch.where(kept[:, None], inside, 0), scores, kept.sum(), left_out

    def _scores(self, prediction: Prediction, adjusted: torch.Tensor, initial: torch.Tensor) -> torch.Tensor:
        """(L,) scores of candidates (L, 4) between junctions, with the proposals (L, 4) that bound to those."""
        heatmap = refine_heatmap(self.network.heatmap_logits(prediction.features).float().softmax(dim=1)[:, 1])
        image_index = torch.zeros(len(adjusted), dtype=torch.int64, device=adjusted.device)
        heat = heatmap_scores(heatmap, image_index, adjusted * STRIDE)
        verification = verification_scores(self.network, prediction, adjusted, initial, image_index)
        return final_scores(verification, heat, self.network.architecture.heat_weight)


def grey_levels(image: torch.Tensor) -> torch.Tensor:
    """(H, W) float32 grey levels of a uint8 image, (H, W) or (H, W, 3) RGB: what `geometry.resize.to_grey` gives."""
    levels = image.float()
    return levels if image.dim() == 2 else (levels @ torch.from_numpy(GREY_WEIGHTS) + 0.5).floor()
