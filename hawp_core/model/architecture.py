"""What a network is, as plain values: its sizes and the constants with which its output is read.

Knows nothing of PyTorch, so that recipes and file headers can be compared where it is not installed.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping

from hawp_core.errors import UserError

STRIDE = 4
# Pixels: the side of the tiles that an image is cut into which is looked at in its own size. Smaller tiles find more of
# the long lines, which the field cannot reach across (docs/learning.md).
TILE = 128

# The largest of each size that a network is built with, beyond any in use: a damaged or hostile file asks for more
# memory than a machine has, and is told so before anything is built. The schema of the settings states the same.
LARGEST = {
    "image_size": 4096, "width": 2048, "depth": 6, "stacks": 8, "line_points": 256, "junction_features": 4096,
    "line_features": 256, "verification_width": 16384, "lineness_widths": 16384, "max_junctions": 4096, "votes": 65536,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What the network is and how its output is read; the defaults are the published ones (`hawpv3.yaml`).

    Attributes:
        image_size: side of the square input, pixels.
        width: feature channels; the hourglasses, heads and heatmap decoder scale with it.
        depth: poolings in an hourglass.
        stacks: hourglasses one after the other.
        line_points: points along a line, the two ends included, that verification reads.
        junction_features, line_features: channels read at junctions and along lines.
        verification_width: hidden units of the verification layers.
        lineness_widths: hidden units of the lineness layers.
        distance_threshold: reach of the attraction field, grid units.
        residual: decode three distance hypotheses a grid point instead of one.
        max_junctions: most junctions of an image.
        junction_threshold: least junction probability.
        binding_distance2: squared distance, grid units, under which a proposal's end binds to a junction.
        votes: votes of the field that give a line the score 0.5, where they score lines; 0 scores them by heatmap and
            verification.
        heat_weight: exponent of the heatmap score in a line's score; that of verification is what is missing to 1.
    """

    image_size: int = 512
    width: int = 256
    depth: int = 4
    stacks: int = 2
    line_points: int = 32
    junction_features: int = 128
    line_features: int = 4
    verification_width: int = 1024
    lineness_widths: tuple[int, int] = (128, 32)
    distance_threshold: float = 2.0
    residual: bool = True
    max_junctions: int = 300
    junction_threshold: float = 0.008
    binding_distance2: float = 10.0
    votes: int = 0
    heat_weight: float = 0.5

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Architecture":
        """The architecture with the given fields, published defaults for the rest.

        Raises:
            UserError: an unknown field or a value that makes no network.
        """
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise UserError(f"model.{name} is not a setting of the network: use one of {', '.join(known)}.")
            if not _acceptable(name, value, known[name]):
                raise UserError(
                    f"model.{name} is {value!r}, which makes no network: give {_wanted(name, known[name])}."
                )
        make: Callable[..., Architecture] = cls  # of the fields' types, as was just checked value by value
        made = make(**{name: _cast(value, known[name]) for name, value in values.items()})
        if made.image_size % made.multiple:
            raise UserError(
                f"model.image_size is {made.image_size}, which is no multiple of {made.multiple} (4 * 2^depth): "
                f"set it to {max(1, round(made.image_size / made.multiple)) * made.multiple} or lower model.depth."
            )
        return made

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON; `from_dict` reads them back."""
        return {**dataclasses.asdict(self), "lineness_widths": list(self.lineness_widths)}

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this many pixels: the stride times the hourglass's poolings."""
        return STRIDE * 2**self.depth


def _acceptable(name: str, value: object, default: object) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or len(value) != len(default):
            return False
        return all(isinstance(v, int) and not isinstance(v, bool) and 0 < v <= LARGEST[name] for v in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if isinstance(default, float):
        if name == "heat_weight":
            return 0 <= value <= 1
        return abs(value) <= sys.float_info.max and (value >= 0 if name == "junction_threshold" else value > 0)
    least = {"width": 16, "line_points": 3, "votes": 0}.get(name, 1)
    return isinstance(value, int) and least <= value <= LARGEST[name] and (name != "width" or value % 16 == 0)


def _wanted(name: str, default: object) -> str:
    special = {
        "width": "a positive multiple of 16",
        "line_points": "a whole number from 3 on",
        "votes": "a whole number, 0 or more",
        "heat_weight": "a number from 0 to 1",
    }
    kinds = {bool: "true or false", tuple: "two positive whole numbers", float: "a positive number"}
    most = f" up to {LARGEST[name]}" if name in LARGEST else ""
    return f"{special.get(name) or kinds.get(type(default), 'a positive whole number')}{most}, for instance {default!r}"


def _cast(value: object, default: object) -> object:
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    return tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value
