"""A set of labelled photographs that models are measured on: annotations, and a folder that holds what they name."""

from collections import Counter
from pathlib import Path

import numpy as np

from hawp_core.data.own_labels.wireframe_json import read_annotations
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe

# How far beside its image a drawn line may end, as a share of the longer side; people draw a little over the edge.
MOST_BESIDE = 0.1


def read_labelled_set(annotations: Path | str, folder: Path | str) -> list[tuple[str, Wireframe]]:
    """Names of photographs of `folder` and their true lines, once all are known to be there: measuring takes long.

    Raises:
        UserError: as `read_annotations`; no image, no line in any, an image twice, lines far beside their image, or a
            photograph is not in the folder.
    """
    found = read_annotations(annotations)
    if not any(len(wireframe.edges) for _, wireframe in found):
        what = "a line in none of its images" if found else "no image"
        raise UserError(f"{annotations} has {what}: give annotations of at least one photograph with lines.")
    name, times = Counter(name for name, _ in found).most_common(1)[0]
    if times > 1:
        raise UserError(
            f"{annotations} has {times} entries of {name}, which would count {times} times: leave one of them."
        )
    for name, wireframe in found:
        if (beside := _beside(wireframe)) > MOST_BESIDE * max(wireframe.width, wireframe.height):
            raise UserError(
                f"{annotations}: a line of {name} ends {beside:.0f} pixels beside its image of {wireframe.width} x "
                f"{wireframe.height}: give width and height of the image that was drawn on, and lines as x1 y1 x2 y2."
            )
    try:
        missing = [name for name, _ in found if not resolve(folder, name).is_file()]
    except UserError as error:
        raise UserError(f"{annotations}: {error}") from error
    if missing:
        raise UserError(
            f"{annotations} names {len(missing)} of {len(found)} photographs that {folder} does not hold, such as "
            f"{missing[0]}: name their folder with --truth-images, in a configuration with evaluate.truth_images."
        )
    return found


def _beside(wireframe: Wireframe) -> float:
    """How far the outermost junction lies beside the image, pixels; 0 where all lie in it."""
    low = -wireframe.junctions
    high = wireframe.junctions - np.array([wireframe.width - 1, wireframe.height - 1])
    return float(max(0.0, low.max(initial=0.0), high.max(initial=0.0)))
