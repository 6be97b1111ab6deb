"""How work is divided into shards: the one place that knows the arithmetic."""

import math


def shard_count(total: int, size: int) -> int:
    """How many shards of at most `size` hold `total` items; at least one."""
    return max(1, math.ceil(total / size))


def shard_range(total: int, shard: int, of: int) -> range:
    """The items of the `shard`-th of `of` shards of `total` items: all shards together hold each item once."""
    return range(total * shard // of, total * (shard + 1) // of)


def shard_name(shard: int, of: int) -> str:
    """Name of a shard's file, which the rules' wildcards read back."""
    return f"{shard:05d}-of-{of:05d}.h5"
