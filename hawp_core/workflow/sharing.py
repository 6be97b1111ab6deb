"""Artifacts that another name of the run's folder holds already: linked under this one, not made again.

An address says what an artifact is made from, and a name where it lies. So what lies whole under another name, as its lineage
record and its digests say, is what would be made here. What names places is written anew, the rest are hard links.
"""

from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import link, read_json, sha256, write_json, write_text
from hawp_core.runtime.journal import work_folder
from hawp_core.runtime.lease import worker
from hawp_core.runtime.names import inside
from hawp_core.runtime.progress import log
from hawp_core.workflow.label_notes import notes
from hawp_core.workflow.paths import artifact, label_shards
from hawp_core.workflow.recipe import EvaluateRecipe, ExportRecipe, Step, TrainRecipe
from hawp_core.workflow.record import Record, read_record, record_file, repeat_record


def take_over(recipe: Step) -> Path | None:
    """Let a recipe's artifact appear under its name, where another name holds it; nobody else may be making it.

    Returns: the artifact under the other name; None where no other name has it as it was written.

    Raises:
        UserError: the files cannot be written.
    """
    mine = artifact(recipe)
    root, _, *rest = mine.parts
    for theirs in sorted(Path(root).glob(f"*/{'/'.join(rest)}")):
        if theirs != mine and (record := _whole(theirs, recipe)):
            if isinstance(recipe, TrainRecipe):
                _model(recipe, record, theirs, mine)
            elif isinstance(recipe, ExportRecipe):
                _labels(recipe, record, theirs, mine)
            elif isinstance(recipe, EvaluateRecipe):
                _measurement(recipe, theirs, mine)
            return theirs
    return None


def take_over_idle(recipe: Step) -> Path | None:
    """The same before work is planned: not of what is there, nor of what somebody works on."""
    mine = artifact(recipe)
    if mine.is_file():
        return None
    places = (
        [work_folder(shard) for shard in label_shards(recipe)] if isinstance(recipe, ExportRecipe) else [mine.parent]
    )
    return None if any(worker(place) for place in places) else take_over(recipe)


def _whole(artifact: Path, recipe: Step) -> Record | None:
    """The lineage record of another name's artifact, if it is this recipe's and every file is as it was written."""
    try:
        record = read_record(record_file(artifact))
    except UserError:
        return None
    if (record.stage, record.key) != (recipe.stage, recipe.key) or artifact.name not in record.outputs:
        return None
    files = {inside(artifact.parent, name): expected for name, expected in record.outputs.items()}
    if all(file.is_file() and sha256(file) == expected for file, expected in files.items()):
        return record
    log.warning("%s is not as it was written, and not taken over: say `hawp verify`", artifact)
    return None


def _model(recipe: TrainRecipe, record: Record, theirs: Path, mine: Path) -> None:
    from hawp_core.training.place import TrainingPlace

    place = TrainingPlace(mine, recipe.key)
    curves = [str(file.relative_to(theirs.parent)) for file in theirs.parent.glob("tensorboard/events.*")]
    for name in (*record.outputs, *curves):
        if name != theirs.name:
            link(inside(theirs.parent, name), inside(mine.parent, name))
    link(theirs, place.kept_model)
    repeat_record(theirs, mine, recipe, {})
    # Last of all: who needs the model waits for it.
    link(theirs, mine)
    place.state_file.unlink(missing_ok=True)


def _labels(recipe: ExportRecipe, record: Record, theirs: Path, mine: Path) -> None:
    texts = notes(recipe, record.counts, f"# the same as {theirs}: linked")
    for name in record.outputs.keys() - {path.name for path in texts}:
        link(inside(theirs.parent, name), inside(mine.parent, name))
    repeat_record(theirs, mine, recipe, {path.name: text.encode() for path, text in texts.items()})
    for path, text in texts.items():
        write_text(path, text)


def _measurement(recipe: EvaluateRecipe, theirs: Path, mine: Path) -> None:
    write_json(mine, read_json(theirs) | {"model": str(recipe.places.model), "photographs": recipe.places.folder})
    repeat_record(theirs, mine, recipe, {mine.name: mine})
