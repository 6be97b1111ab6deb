"""What a training learns from, as the data configs say: shapes, or labelled photographs with own labels and shapes mixed in."""

from pathlib import Path
from typing import TYPE_CHECKING

from hawp_core.data.data_config import PhotographData, ShapeData, read_data_config, read_validation_shapes
from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.paths import (
    FINGERPRINT_CACHE,
    OWN_FINGERPRINT_CACHE,
    manifest_file,
    own_labels,
    photograph_cache,
)

if TYPE_CHECKING:
    from hawp_core.data.label_file import LabelFile
    from hawp_core.data.mixture import Mixture
    from hawp_core.data.photographs.dataset import PhotographSet
    from hawp_core.data.shapes.dataset import ShapeSet


def own_data(path: Path) -> PhotographData:
    """The data config of own labels.

    Raises:
        UserError: not a data config, or one of shapes.
    """
    data = read_data_config(path)
    if not isinstance(data, PhotographData):
        raise UserError(
            f"{path} names shapes where own labels are expected: give a file written by hawp import-labels."
        )
    return data


def training_data(
    settings: Settings, config: Path, data: ShapeData | PhotographData, own_config: Path | None
) -> tuple["ShapeSet | PhotographSet | Mixture", "ShapeSet"]:
    """What is learned from, and the shapes that the model is validated on.

    Args:
        config, data: a data config, and what it says.
        own_config: data config of own labels that are mixed in; None for none.

    Raises:
        UserError: a file is missing, damaged or of another kind, or photographs changed since they were labelled.
    """
    from hawp_core.data.photographs.labelled import in_both
    from hawp_core.data.shapes.dataset import ShapeSet
    from hawp_core.training.assembly import mixed

    shapes = read_validation_shapes(config, data)
    validation = ShapeSet(shapes.validation)
    if isinstance(data, ShapeData):
        return ShapeSet(data.train), validation
    photographs, own = _photographs(config, settings, data), None
    if own_config:
        corrected = own_data(own_config)
        own = _photographs(own_config, settings, corrected), settings.labels.share
        # What was corrected is not learned as it was before as well.
        photographs = photographs.without(
            in_both(manifest_file(data.photographs), manifest_file(corrected.photographs))
        )
    share = settings.train.real.shapes
    return mixed(photographs, own, (ShapeSet(shapes.train), share) if share else None), validation


def _photographs(config: Path, settings: Settings, data: PhotographData) -> "PhotographSet":
    """The photographs of a data config, which was read from `config`."""
    from hawp_core.data.photographs.labelled import check_labelled
    from hawp_core.training.assembly import labelled_photographs

    size, real = settings.model.image_size, settings.train.real
    is_own = data.labels == own_labels(data.key)

    def check(labels: "LabelFile") -> None:
        listing = manifest_file(data.photographs)
        # A cache knows one folder; own labels may have another than the run's.
        known = OWN_FINGERPRINT_CACHE if is_own else FINGERPRINT_CACHE
        check_labelled(data.folder, labels.names, data.photographs, listing, known, config)

    cache = photograph_cache(data.photographs, size)
    soft = real.soft and not is_own
    return labelled_photographs(data.labels, data.key, data.folder, size, real.flips, cache, check, soft=soft)
