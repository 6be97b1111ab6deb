"""Own labels that the rounds of a run learn from: what came in, from which files, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hawp_core.data.own_labels.placing import remarks
from hawp_core.data.own_labels.reading import OfLayout
from hawp_core.errors import UserError
from hawp_core.report.finished import Finished
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed
from hawp_core.workflow.paths import own_labels
from hawp_core.workflow.recipe import OWN_NAME, ImportRecipe, TrainRecipe, read_recipe_of
from hawp_core.workflow.recipe_file import recipe_file
from hawp_core.workflow.record import read_record, record_file

HEADS = ("layout", "files", "photographs", "lines as drawn")


@dataclass(frozen=True)
class TakenIn:
    """Own labels of a run.

    Attributes:
        said: a sentence on what rounds learn from them, then one for each kind of line that was not taken as it stands.
        rows: of a table with `HEADS`, one a layout.
    """

    said: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Counts:
    layouts: dict[str, OfLayout] = field(default_factory=dict)


def taken_in(rounds: Sequence[Finished]) -> list[TakenIn]:
    """The own labels of these rounds; none where none is learned from.

    Raises:
        UserError: their recipe or record is damaged.
    """
    learned: dict[str, list[Finished]] = {}
    for each in rounds:
        if key := own_key(each.train):
            learned.setdefault(key, []).append(each)
    return [_told(key, by) for key, by in learned.items()]


def own_key(train: TrainRecipe) -> str | None:
    """The key of the own labels that a training learns from, mixed with others or alone; None for none."""
    if mixed := train.inputs.get("labels"):
        return mixed
    data = train.consumed("data")
    return data if train.places.data == own_labels(data, ".yaml") else None


def _told(key: str, by: Sequence[Finished]) -> TakenIn:
    first, last = by[0].number, by[-1].number
    rounds = f"Round {first} learns" if first == last else f"Rounds {first} to {last} learn"
    mixed = by[0].train.inputs.get("labels") is not None
    how = f"too, a share of {by[0].train.completed.labels.share:g}" if mixed else "alone"
    recipe = recipe_file(ImportRecipe.stage, OWN_NAME, key)
    # Those that were taken in by hand have none.
    place = f", from {shown(read_recipe_of(ImportRecipe, recipe).places.files)}" if recipe.is_file() else ""
    file = record_file(own_labels(key, ".yaml"))
    if not file.is_file():
        return TakenIn((f"{rounds} from own labels {how}{place}.",), ())
    record = read_record(file)
    try:
        layouts = typed(_Counts, record.counts).layouts
    except ValueError as error:
        raise UserError(
            f"{shown(file)} is no record of own labels ({error}): remove it with what lies beside it, and run the workflow again."
        ) from error
    came = f"{record.count('lines'):.0f} lines on {record.count('images'):.0f} photographs"
    rows = ((name, str(of.files), str(of.images), str(of.lines)) for name, of in sorted(layouts.items()))
    told = (f"{remark[0].upper()}{remark[1:]}." for remark in remarks(record.counts))
    return TakenIn((f"{rounds} from own labels {how}: {came}{place}.", *told), tuple(rows))
