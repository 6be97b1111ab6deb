"""From dense maps to candidates: junctions by non-maximum suppression, and proposals bound to their nearest two.

Shape legend: B images, h x w grid, K junction slots, P proposals, L lines in a flat list.
"""

import torch
import torch.nn.functional as F

# Elements of the largest temporary: what a core's cache holds, or what keeps a GPU busy. An exported graph repeats its nodes
# for every part: it gets few.
_ELEMENTS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 25, "export": 1 << 22}
# Points whose nearest junctions are looked for together, in a band of the image.
_POINTS_OF_BAND = 2048
_FAR2 = 1e9  # squared grid cells: beyond every distance on a grid, and finite


def rows_at_once(elements: int, device: torch.device) -> int:
    """In parts of how many rows to work where each takes temporaries of so many `elements`; at least one."""
    budget = _ELEMENTS_AT_ONCE.get("export" if torch.compiler.is_exporting() else device.type, _ELEMENTS_AT_ONCE["cpu"])
    return max(1, budget // max(1, elements))


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
    distances, indices = [], []
    for chunk in points.split(rows_at_once(x.numel(), x.device), dim=1):
        squared = (chunk[..., :1] - x).square_().add_((chunk[..., 1:] - y).square_())
        distance, index = squared.min(dim=2)
        distances.append(distance)
        indices.append(index)
    return torch.cat(distances, dim=1), torch.cat(indices, dim=1)


def junctions_within(
    points: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, radius2: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """`nearest_junctions` of the points that have a junction within `radius2`, in a fraction of its time; others are farther than that.

    Points are taken in the order of their x, so many at a time as share a narrow band, and of the junctions only those of the band are
    asked. The host looks at every band: for its own tensors.
    """
    reach = radius2**0.5 * 1.001
    distance, index = points.new_full(points.shape[:2], torch.inf), valid.new_zeros(points.shape[:2], dtype=torch.int64)
    for image, own in enumerate(points):
        across, order = own[:, 0].sort()
        slots = valid[image].nonzero().squeeze(1)
        by_x, place = junctions[image, slots, 0].sort()
        starts = torch.arange(0, len(order), _POINTS_OF_BAND, device=points.device)
        low = torch.searchsorted(by_x, across[starts] - reach)
        ends = (starts + _POINTS_OF_BAND - 1).clamp(max=len(order) - 1)
        high = torch.searchsorted(by_x, across[ends] + reach, right=True)
        for start, first, last in torch.stack((starts, low, high), 1).tolist():
            if first >= last:
                continue
            # In the order of their slots: of two that are as near, the first is taken, as ever.
            asked = slots[place[first:last].sort().values]
            rows = order[start : start + _POINTS_OF_BAND]
            x, y = junctions[image, asked].unbind(-1)
            squared = (own[rows, :1] - x).square_().add_((own[rows, 1:] - y).square_())
            nearest, which = squared.min(1)
            distance[image, rows], index[image, rows] = nearest, asked[which]
    return distance, index


def about_nearest_junctions(
    points: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`nearest_junctions` in a third of its time: of junctions whose distances differ by a hundredth, any.

    Squared distances come from one matrix product; the last bits of each give way to the index of its junction, so that the
    smallest number says both. As integers, positive floats have the same order.
    """
    slots = junctions.shape[1]
    index_bits = (1 << max(1, slots - 1).bit_length()) - 1
    x, y = junctions.unbind(-1)
    # One is added, for rounding may take a distance of nothing below zero; what is not valid lies beyond the grid.
    apart = torch.where(valid, x * x + y * y + 1, _FAR2)
    columns = torch.stack((-2 * x, -2 * y, apart, torch.ones_like(x)), 1)
    rows = torch.cat((points, torch.ones_like(points[..., :1]), points.square().sum(-1, keepdim=True)), -1)
    place = torch.arange(slots, dtype=torch.int32, device=points.device)
    step = rows_at_once(x.numel(), x.device)
    with torch.autocast(points.device.type, enabled=False):
        smallest = [
            torch.bmm(chunk, columns)
            .to(torch.float32)
            .view(torch.int32)
            .bitwise_and_(~index_bits)
            .bitwise_or_(place)
            .amin(2)
            for chunk in rows.split(step, dim=1)
        ]
    index = (torch.cat(smallest, 1) & index_bits).long()
    near = torch.take_along_dim(junctions, index[..., None], 1)
    there = valid.gather(1, index)
    return (points - near).square().sum(-1).masked_fill(~there, torch.inf), torch.where(there, index, 0)


def pair_codes(
    proposals: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, radius2: float, *, exact: bool = True
) -> torch.Tensor:
    """(B, P) i * K + j of the junctions i < j that each proposal's ends bind to, K * K where they bind to none.

    Args:
        exact: False lets an end that is as far from two junctions, but for a hundredth, bind to either, which is faster.
    """
    slots, count = junctions.shape[1], proposals.shape[1]
    ends = proposals.reshape(len(proposals), -1, 2)
    if not exact:
        distance, index = about_nearest_junctions(ends, junctions, valid)
    elif ends.device.type == "cpu" and not torch.compiler.is_compiling():
        distance, index = junctions_within(ends, junctions, valid, radius2)
    else:
        distance, index = nearest_junctions(ends, junctions, valid)
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
    first = first_proposals(codes, slots)[:, :-1]
    image_index, code = (first < proposals.shape[1]).nonzero().unbind(1)
    return image_index, torch.stack((code // slots, code % slots), dim=1), first[image_index, code]


def pair_votes(codes: torch.Tensor, slots: int) -> torch.Tensor:
    """(B, K * K) int64, how many proposals bind to each pair, from `pair_codes`."""
    votes = codes.new_zeros(len(codes), slots**2 + 1)
    return votes.scatter_add(1, codes, torch.ones_like(codes))[:, :-1]


def first_proposals(codes: torch.Tensor, slots: int) -> torch.Tensor:
    """(B, K * K + 1) index of the first proposal of each code, from `pair_codes`; P where there is none."""
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
    return (first_proposals(codes, slots).gather(1, codes) == order) & (codes < slots**2)
