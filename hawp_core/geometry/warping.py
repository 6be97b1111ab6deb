"""Homographies applied to pixels, on any device. What a homography is stands in `homography`.

Shape legend: B images, H x W pixels.
"""

import math

import torch
import torch.nn.functional as F

from hawp_core.geometry.homography import MIN_W, TOLERANCE
from hawp_core.geometry.precision import finest_float


def warp_images(
    images: torch.Tensor, homographies: torch.Tensor, *, padding: str = "zeros", mode: str = "bilinear"
) -> torch.Tensor:
    """Warp images (B, C, H, W) by homographies (B, 3, 3), image to warped image, on the images' device.

    Own sampling grid instead of `kornia.geometry.transform.warp_perspective`: that one has no notion of w <= 0,
    inverts in single precision, and takes about twice the time on one core.

    Args:
        padding: what lies beyond the border: "zeros", "border" (replicated) or "reflection".
        mode: "bilinear" or "nearest".
    """
    height, width = images.shape[-2:]
    # Pixels to [-1, 1], row by row: a matrix made here would have to go to the device, which the host would wait for.
    x, y, w = invert(homographies).unbind(1)
    inverse = torch.stack((2.0 / max(width - 1, 1) * x - w, 2.0 / max(height - 1, 1) * y - w, w), 1)
    # Half precision cannot tell neighbouring pixels apart in coordinates.
    dtype = torch.promote_types(images.dtype, torch.float32)
    mapped = _affine_map(inverse.to(images.device, dtype), height, width)
    # Points behind the camera are thrown far out, beyond any border.
    grid = mapped[:, :2].div_(mapped[:, 2:].clamp_(min=MIN_W)).movedim(1, -1)
    warped = F.grid_sample(images.to(dtype), grid, mode=mode, padding_mode=padding, align_corners=True)
    return warped.to(images.dtype)


def warp_validity(homographies: torch.Tensor, height: int, width: int, margin: float = 0.0) -> torch.Tensor:
    """Which pixels of the warped images show the image: (B, H, W) bool, on the homographies' device.

    A warped pixel is valid where its centre comes from between the outermost pixel centres, so that bilinear
    sampling reads image pixels only. The visible part is a convex polygon, each of its four sides the image of a
    border; `margin` pixels (of the warped image) are eroded from it, exactly: the distance to all sides.

    Args:
        homographies: (B, 3, 3) image to warped image.
    """
    x, y, w = invert(homographies).unbind(1)
    # x / w >= 0, x / w <= width - 1, ... multiplied by w; together they imply w >= 0.
    sides = torch.stack([x, (width - 1) * w - x, y, (height - 1) * w - y], dim=1)
    normal = torch.linalg.vector_norm(sides[..., :2], dim=-1, keepdim=True).clamp(min=1e-12)
    # A row of a convex polygon is an interval: each side bounds it from the left, from the right, or wholly.
    a, b, c = (sides / normal)[..., None].unbind(2)
    rest = b * torch.arange(height, device=sides.device) + c - (margin - TOLERANCE)
    bound = torch.where(a == 0.0, torch.where(rest < 0.0, math.inf, -math.inf), -rest / a)
    left = torch.where(a >= 0.0, bound, -math.inf).amax(dim=1)[..., None].float()
    right = torch.where(a < 0.0, bound, math.inf).amin(dim=1)[..., None].float()
    columns = torch.arange(width, device=sides.device, dtype=torch.float32)
    return (columns >= left) & (columns <= right)


def invert(homographies: torch.Tensor) -> torch.Tensor:
    """Inverses of (B, 3, 3) matrices in the finest precision of the device, by cofactors: no synchronisation on CUDA, and the sign kept."""
    columns = homographies.to(finest_float(homographies.device)).unbind(-1)
    cofactors = torch.stack([torch.linalg.cross(columns[(i + 1) % 3], columns[(i + 2) % 3]) for i in range(3)], dim=-2)
    determinant = (cofactors[..., 0, :] * columns[0]).sum(-1)
    return cofactors / determinant[..., None, None]


def _affine_map(coefficients: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """a x + b y + c at every pixel, (B, K, H, W), for coefficients (B, K, 3)."""
    x = torch.arange(width, device=coefficients.device, dtype=coefficients.dtype)
    y = torch.arange(height, device=coefficients.device, dtype=coefficients.dtype)
    a, b, c = coefficients[..., None].unbind(2)
    return (b * y + c)[..., :, None] + (a * x)[..., None, :]
