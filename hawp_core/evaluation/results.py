"""What an evaluation has to say: its numbers, the JSON file that keeps them, and how they read in a terminal.

The fields have the names that papers and the file give the numbers; docs/formats.md describes the file. None stands
for what is not defined, such as the repeatability of a detector that finds no line.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.text import shown

# The detectors that are compared, by the names that they have in the file.
MODEL, BASELINE = "model", "LSD"


@dataclass(frozen=True)
class ShapeMetrics:
    """How well a model does on held-out shapes: points; a share in [0, 1]; lines over 0.5 in an image, mean."""

    sAP5: float
    sAP10: float
    sAP15: float
    mAPJ: float
    junction_recall: float
    lines: float


@dataclass(frozen=True)
class LabelledMetrics:
    """How well a detector does on labelled photographs: points, None without a true line; lines in an image, mean."""

    sAP5: float | None
    sAP10: float | None
    sAP15: float | None
    mAPJ: float | None
    APH: float | None
    FH: float | None
    lines: float


@dataclass(frozen=True)
class PairScores:
    """By one distance, of one pair: repeatability in [0, 1], and localisation error in pixels."""

    repeatability: float | None
    localisation: float | None


@dataclass(frozen=True)
class MeanScores(PairScores):
    """The means over the pairs where they are defined, and how many pairs each leaves out."""

    undefined_repeatability: int
    undefined_localisation: int


@dataclass(frozen=True)
class ComparedPair:
    """An image and its warped copy: lines in either, and how far they agree."""

    name: str
    lines: tuple[int, int]
    structural: PairScores
    orthogonal: PairScores


@dataclass(frozen=True)
class DetectorRepeatability:
    """Whether a detector finds the same lines again.

    Attributes:
        pairs: how many images were compared with a copy.
        threshold: pixels.
        lines_per_image: mean over images and copies.
        structural, orthogonal: by distance.
        images: the pairs one by one.
    """

    pairs: int
    threshold: float
    lines_per_image: float | None
    structural: MeanScores
    orthogonal: MeanScores
    images: tuple[ComparedPair, ...]


@dataclass(frozen=True)
class Evaluation:
    """Everything that `hawp evaluate` measures; what was not measured is None, or empty.

    Attributes:
        model: the checkpoint's file.
        photographs: the folder.
        epoch: of the model; None where its checkpoint names none.
        repeatability, labelled: by detector, "model" and "LSD".
    """

    model: str
    photographs: str
    epoch: int | None
    shapes: ShapeMetrics | None = None
    repeatability: dict[str, DetectorRepeatability] = field(default_factory=dict)
    labelled: dict[str, LabelledMetrics] = field(default_factory=dict)

    def write(self, path: Path | str) -> None:
        """Write as JSON, whole or not at all; what was not measured is left out.

        Raises:
            UserError: the file cannot be written.
        """
        content = dataclasses.asdict(self)
        for name in ("shapes", "repeatability", "labelled"):
            if not content[name]:
                del content[name]
        write_json(path, content)

    @classmethod
    def read(cls, path: Path | str) -> "Evaluation":
        """Read what `write` wrote; fields that this version does not know are left alone.

        Raises:
            UserError: no such file, not JSON, or a number is missing or no number.
        """
        content = read_json(path)
        try:
            return cast(Evaluation, _typed(cls, content, ""))
        except ValueError as error:
            raise UserError(
                f"{shown(path)} is no evaluation of this version ({error}): delete it, and measure the model again."
            ) from error

    @property
    def headline(self) -> str:
        """One line for the table of steps."""
        parts = []
        if self.shapes:
            parts.append(f"sAP10 {self.shapes.sAP10:.1f}")
        if MODEL in self.repeatability:
            found = self.repeatability[MODEL]
            value = found.structural.repeatability
            lines = "" if found.lines_per_image is None else f" at {found.lines_per_image:.0f} lines"
            parts.append(f"Rep-5 {'none' if value is None else f'{value:.3f}'}{lines}")
        return ", ".join(parts)

    def as_text(self) -> str:
        """The numbers as tables for a terminal."""
        from tabulate import tabulate

        parts = []
        if self.repeatability:
            heads = ["repeatability, 5 px", "lines/image", "struct. Rep-5", "Loc-5 (px)", "orth. Rep-5", "Loc-5 (px)"]
            rows = [
                [
                    title, found.lines_per_image, found.structural.repeatability, found.structural.localisation,
                    found.orthogonal.repeatability, found.orthogonal.localisation,
                ]
                for title, found in self.repeatability.items()
            ]  # fmt: skip
            parts.append(tabulate(rows, heads, floatfmt=".3f", missingval="none"))
        with_truth: dict[str, ShapeMetrics | LabelledMetrics] = {}
        if self.shapes:
            with_truth["model, held-out shapes"] = self.shapes
        with_truth |= self.labelled
        if with_truth:
            numbers = {title: dataclasses.asdict(found) for title, found in with_truth.items()}
            names = list(dict.fromkeys(name for values in numbers.values() for name in values))
            rows = [[title, *(values.get(name) for name in names)] for title, values in numbers.items()]
            parts.append(tabulate(rows, ["with truth", *names], floatfmt=".2f", missingval=""))
        return "\n\n".join(parts)


def _typed(kind: object, value: object, place: str) -> object:
    """A value of a JSON file as `kind`: a dataclass, dict, tuple, optional or plain type of the classes above.

    Raises:
        ValueError: it is of another kind; the text names the `place`, such as 'shapes.sAP10'.
    """
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{place} is {_named(value)}")
        hints = typing.get_type_hints(kind)
        fields = {}
        for each in dataclasses.fields(kind):
            inside = f"{place}.{each.name}".lstrip(".")
            if each.name in value:
                fields[each.name] = _typed(hints[each.name], value[each.name], inside)
            elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                raise ValueError(f"it lacks {inside}")
        return cast(Callable[..., object], kind)(**fields)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _typed(inner[0], value, place)
    if origin is dict and isinstance(value, dict):
        return {name: _typed(inner[1], each, f"{place}.{name}") for name, each in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_typed(k, each, f"{place}[{i}]") for i, (k, each) in enumerate(zip(kinds, value, strict=True)))
    # To Python a truth value is a number.
    elif isinstance(value, bool):
        pass
    elif isinstance(kind, type) and isinstance(value, (int, float) if kind is float else kind):
        return kind(value)
    raise ValueError(f"{place} is {_named(value)}")


def _named(value: object) -> str:
    """A value of JSON in a few words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    return shown(repr(value))[:60]
