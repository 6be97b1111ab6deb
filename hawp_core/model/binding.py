"""From dense maps to candidates: junctions by non-maximum suppression, and proposals bound to their nearest two.

Shape legend: B images, h x w grid, K junction slots, P proposals, L lines in a flat list.
"""

import torch
import torch.nn.functional as F

# Elements of the largest temporary: what a core's cache holds, or what keeps a GPU busy.
ELEMENTS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 25}


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
    budget = ELEMENTS_AT_ONCE["cuda" if points.is_cuda else "cpu"]
    distances, indices = [], []
    for chunk in points.split(max(1, budget // max(1, x.numel())), dim=1):
        squared = (chunk[..., :1] - x).square_().add_((chunk[..., 1:] - y).square_())
        distance, index = squared.min(dim=2)
        distances.append(distance)
        indices.append(index)
    return torch.cat(distances, dim=1), torch.cat(indices, dim=1)


def pair_codes(proposals: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, radius2: float) -> torch.Tensor:
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
    slots = junctions.shape[1]
    codes = pair_codes(proposals, junctions, valid, radius2)
    first = _first_proposals(codes, slots)[:, :-1]
    image_index, code = (first < proposals.shape[1]).nonzero().unbind(1)
    return image_index, torch.stack((code // slots, code % slots), dim=1), first[image_index, code]


def _first_proposals(codes: torch.Tensor, slots: int) -> torch.Tensor:
    """(B, K * K + 1) index of the first proposal of each code; P where there is none."""
    count = codes.shape[1]
    order = torch.arange(count, device=codes.device).expand_as(codes)
    return codes.new_full((len(codes), slots**2 + 1), count).scatter_reduce(1, codes, order, "amin")


def first_of_pair(codes: torch.Tensor, slots: int) -> torch.Tensor:
    """(B, P) whether a proposal is the first one that connects its pair: what `bind` lists, without waiting for a count.

    Args:
        codes: from `pair_codes`.
        slots: K.
    """
    order = torch.arange(codes.shape[1], device=codes.device)
    return (_first_proposals(codes, slots).gather(1, codes) == order) & (codes < slots**2)
