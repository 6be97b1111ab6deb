"""Random choices that follow from numbers alone: the same on every device, for any number of processes, and without waiting.

A generator would keep a state on the device and could not be fused by torch.compile. Here each image brings a seed, and
a number's place in its row is hashed with it.

Shape legend: B images, C choices of each, X things to choose from.
"""

import torch
from torch import Tensor

_WORD = (1 << 32) - 1
# An odd factor with well-mixing bits, small enough that a 32-bit word times it stays below 2**63.
_FACTOR = 0x45D9F3B
_BITS = 24  # of a drawn number: exact in float32


def _mixed(words: Tensor) -> Tensor:
    """Words (int64 in [0, 2**32)) whose every bit hangs on every bit of the given ones."""
    for _ in range(2):
        words = ((words >> 16) ^ words) * _FACTOR & _WORD
    return (words >> 16) ^ words


def image_seeds(seed: int, step: int, first: int, stride: int, count: int, device: torch.device) -> Tensor:
    """(B,) seeds of the images at places first, first + stride, ... of a step's whole batch."""
    start = (seed * 0x9E3779B1 + step * 0x85EBCA6B) & _WORD
    places = torch.arange(first, first + stride * count, stride, device=device)
    return _mixed(_mixed(places) ^ start)


def numbers(seeds: Tensor, count: int) -> Tensor:
    """(B, count) integers, even in [0, 2**24), from the seeds (B,) of the images."""
    places = _mixed(torch.arange(1, count + 1, device=seeds.device))
    return _mixed(seeds[:, None] ^ places) >> (32 - _BITS)


def spread(seeds: Tensor, count: int, total: int) -> Tensor:
    """(B, C) indices below `total`, one at random from each of C equal parts: each index is as probable as any other.

    Args:
        seeds: (B,).
        count: C, or `total` where that is smaller, and then every index once.
        total: X.
    """
    count = min(count, total)
    part = torch.arange(count, device=seeds.device) << _BITS
    return (part + numbers(seeds, count)) * total // (count << _BITS)


def subset(seeds: Tensor, present: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """At most `limit` of what each image has, every one as probable as any other.

    Args:
        seeds: (B,).
        present: (B, X) bool, what there is.
        limit: most choices of an image.

    Returns:
        index (B, C), C being `limit` or X if that is smaller, and weight (B, C) float32: for how many each choice stands,
        0 where an image has fewer than C. The weighted sum of any value over the choices has the sum over all that is
        present for its expectation, and equals it where all of them are chosen.
    """
    if present.shape[1] <= limit:
        return torch.arange(present.shape[1], device=present.device).expand_as(present), present.float()
    key, index = torch.where(present, numbers(seeds, present.shape[1]).float(), -1.0).topk(limit, dim=1)
    count = present.sum(1, keepdim=True)
    return index, (key >= 0) * (count / count.clamp(1, limit))
