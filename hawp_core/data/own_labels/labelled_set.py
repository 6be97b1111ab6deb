"""A set of labelled photographs that models are measured on: annotations, and a folder that holds what they name."""

from pathlib import Path

from hawp_core.data.own_labels.wireframe_json import read_annotations
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe


def read_labelled_set(annotations: Path | str, folder: Path | str) -> list[tuple[str, Wireframe]]:
    """Names of photographs of `folder` and their true lines, once all are known to be there: measuring takes long.

    Raises:
        UserError: as `read_annotations`; no image, no line in any, or a photograph is not in the folder.
    """
    found = read_annotations(annotations)
    if not any(len(wireframe.edges) for _, wireframe in found):
        what = "a line in none of its images" if found else "no image"
        raise UserError(f"{annotations} has {what}: give annotations of at least one photograph with lines.")
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
