"""What lies beside a label file and names places: the data config of the next training, and the note of how it was made."""

from collections.abc import Mapping
from pathlib import Path

from hawp_core.data.data_config import PhotographData
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import label_file
from hawp_core.workflow.recipe import ExportRecipe


def notes(recipe: ExportRecipe, counts: Mapping[str, object], made_by: str) -> dict[Path, str]:
    """File -> text, the data config last: the next training waits for it.

    Args:
        counts: as in the record.
        made_by: the command, or what was done instead.
    """
    labels, config, note = (
        label_file(recipe.name, recipe.key, recipe.places.epoch, suffix) for suffix in (".h5", ".yaml", ".log")
    )
    folder, photographs = recipe.places.folder, recipe.consumed("photographs")
    data = PhotographData(recipe.key, labels, folder, photographs, recipe.places.shapes)
    lines = [
        f"# {labels.name}: {counts['images']} photographs, {counts['lines']} line segments, {counts['junctions']} junctions",
        f"# {counts['rejected']} photographs rejected; model {shown(recipe.places.model)}; photographs {shown(folder)} ({photographs[:16]})",
        f"# full record: {labels.with_suffix('.lineage.json').name}",
        made_by,
    ]
    return {note: "\n".join(lines) + "\n", config: data.as_yaml()}
