"""What an evaluation has to say: its numbers, the JSON file that keeps them, and how they read in a terminal.

The fields have the names that papers and the file give the numbers; docs/formats.md describes the file. None stands
for what is not defined, such as the repeatability of a detector that finds no line.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed

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
class MatchedScores:
    """The means over the pairs by one way of matching lines, by distance."""

    structural: MeanScores
    orthogonal: MeanScores


@dataclass(frozen=True)
class CountScores:
    """Repeatability of the same number of lines of every detector.

    Attributes:
        lines: how many of the best of each image were compared: the model's best-scored, LSD's longest. None stands
            for all that the model finds above the least score, and for as many of LSD's in each image.
        lines_per_image: how many there were, mean over images and copies; less than `lines` where some have fewer.
        nearest: every line has its nearest partner, which may be another's too (SOLD2, HAWP).
        one_to_one: no line is the partner of two, and lines are cut to what both images show (DeepLSD).
        each: `nearest.structural.repeatability` of each pair, in the order of the pairs.
    """

    lines: int | None
    lines_per_image: float | None
    nearest: MatchedScores
    one_to_one: MatchedScores
    each: tuple[float | None, ...]


@dataclass(frozen=True)
class DetectorRepeatability:
    """Whether a detector finds the same lines again.

    Attributes:
        pairs: how many images were compared with a copy.
        threshold: pixels.
        lines_per_image: mean over images and copies.
        structural, orthogonal: by distance, of all lines, each with its nearest partner.
        images: the pairs one by one.
        at_counts: the same at equal line counts; empty in files of earlier versions.
    """

    pairs: int
    threshold: float
    lines_per_image: float | None
    structural: MeanScores
    orthogonal: MeanScores
    images: tuple[ComparedPair, ...]
    at_counts: tuple[CountScores, ...] = ()

    def at(self, lines: int | None) -> CountScores | None:
        """The scores of so many lines; None where they were not measured."""
        return next((each for each in self.at_counts if each.lines == lines), None)


@dataclass(frozen=True)
class Conditions:
    """What photographs are measured under.

    Attributes:
        size: side of the square that they are brought to, which the 5 pixels are counted in.
        max_junctions: most junctions that the model may find in one.
        rotation: largest rotation of a warped copy, degrees.
        pairs: copies of each photograph.
        min_score: the model's lines above it are all its lines.
        views: by which the model finds lines, besides the photograph itself.
        whole_lines: looked for, as `hawp predict --whole-lines` does.
        scales: at which the model looks, relative to `size`.
    """

    size: int
    max_junctions: int
    rotation: float
    pairs: int
    min_score: float
    views: int = 0
    whole_lines: bool = False
    scales: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Evaluation:
    """Everything that `hawp evaluate` measures; what was not measured is None, or empty.

    Attributes:
        model: the checkpoint's file.
        photographs: the folder.
        epoch: of the model; None where its checkpoint names none.
        repeatability, labelled: by detector, "model" and "LSD".
        conditions: of both; None in files of earlier versions, which measured at the network's own size.
    """

    model: str
    photographs: str
    epoch: int | None
    shapes: ShapeMetrics | None = None
    repeatability: dict[str, DetectorRepeatability] = field(default_factory=dict)
    labelled: dict[str, LabelledMetrics] = field(default_factory=dict)
    conditions: Conditions | None = None

    def write(self, path: Path | str) -> None:
        """Write as JSON, whole or not at all; what was not measured is left out.

        Raises:
            UserError: the file cannot be written.
        """
        content = dataclasses.asdict(self)
        for name in ("shapes", "repeatability", "labelled", "conditions"):
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
            return typed(cls, content)
        except ValueError as error:
            raise UserError(
                f"{shown(path)} is no evaluation of this version ({error}): delete it, and measure the model again."
            ) from error
