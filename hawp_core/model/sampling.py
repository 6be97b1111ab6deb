"""Reading maps between cells: at points of lines, and for every proposal of the grid at once.

Shape legend: B images, h x w grid, C channels, L lines in a flat list, P lines of each image, T points along a line.
"""

import torch
import torch.nn.functional as F


def sample(features: torch.Tensor, image_index: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Bilinear values of feature maps at the points of a flat list of lines.

    Neighbours are clamped to the map but the weights keep the point's own position, as in the published network: left
    of and above the outermost cells values are extrapolated, from the last column or row on they are zero.

    Args:
        features: (B, C, h, w).
        image_index: (L,) int64, the image of each line.
        points: (L, T, 2) x, y in cells (a grid point minus 0.5).

    Returns:
        (L, C, T), differentiable in `features`.
    """
    batch, channels, height, width = features.shape
    x, y = points.unbind(-1)
    x0, y0 = x.floor().clamp(0, width - 1), y.floor().clamp(0, height - 1)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    first = image_index[:, None] * (height * width)
    rows = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)

    columns, others = torch.stack((x0, x0, x1, x1)).long(), torch.stack((y0, y1, y0, y1)).long()
    weights = torch.stack(((y1 - y) * (x1 - x), (y - y0) * (x1 - x), (y1 - y) * (x - x0), (y - y0) * (x - x0)))
    # The four neighbours in one reading: its gradient fills one map of zeros and not four.
    places = (first + others * width + columns).flatten()
    values = rows.index_select(0, places).reshape(4, -1, channels) * weights.reshape(4, -1, 1)
    # Added in the order of the published network, whatever the order of a sum would be. Taken apart at once, because the gradient of each
    # single one would be a tensor of zeros for all four.
    one, two, three, four = values.unbind()
    return (one + two + three + four).reshape(*x.shape, channels).transpose(1, 2)


def sample_dense(features: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """`sample` for the same number of lines in every image: one fused kernel, for many lines and few channels.

    Args:
        features: (B, C, h, w).
        points: (B, P, T, 2) x, y in cells, at least -1.

    Returns:
        (B, C, P, T), differentiable in `features`; equals `sample` up to the rounding of normalised coordinates
        (about 1e-5 cells).
    """
    height, width = features.shape[-2:]
    # One extrapolated column and row in front make ordinary interpolation do what `sample` does there.
    column = 2 * features[..., :1] - features[..., 1:2]
    features = torch.cat((column, features), dim=-1)
    row = 2 * features[..., :1, :] - features[..., 1:2, :]
    features = torch.cat((row, features), dim=-2)
    # Column by column: numbers in a tensor would have to go to the device, which the host would wait for.
    x, y = points.unbind(-1)
    grid = torch.stack(((x + 1) * (2 / width) - 1, (y + 1) * (2 / height) - 1), -1)
    values = F.grid_sample(features, grid, padding_mode="border", align_corners=True)
    inside = (x < width - 1) & (y < height - 1)
    return values * inside[:, None]
