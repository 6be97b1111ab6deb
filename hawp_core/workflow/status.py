"""What there is of a run, and what works on it right now.

Read from what the steps write while they work: leases, metrics, journals, logs. Nothing is asked of the working processes
and nothing is written, so that watching cannot disturb a run.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hawp_core.runtime.journal import last_records, work_folder
from hawp_core.runtime.lease import worker
from hawp_core.runtime.text import shown
from hawp_core.training.metrics import StepRow, ValidationRow
from hawp_core.workflow.chain import Chain
from hawp_core.workflow.paths import artifact, logs
from hawp_core.workflow.progress import latest_metrics, progress, shards
from hawp_core.workflow.recipe import ExportRecipe, ImportRecipe, Step, SynthesizeRecipe, TrainRecipe
from hawp_core.workflow.record import Record, read_record, record_file


@dataclass(frozen=True)
class State:
    """What there is of an artifact.

    Attributes:
        word: done, partial or missing.
        detail: how far a partial one is.
        finished: ISO time.
        seconds: how long it took.
        metric: its headline number.
    """

    word: str
    detail: str = ""
    finished: str = ""
    seconds: float | None = None
    metric: str = ""


def state(recipe: Step) -> State:
    """Whether a recipe's result is there, and what is known of it."""
    path = artifact(recipe)
    if path.is_file():
        if not record_file(path).is_file():
            return State("done")
        record = read_record(record_file(path))
        return State("done", "", shown(record.finished), record.seconds, _headline(recipe, record))
    detail = str(progress(recipe))
    return State("partial", detail) if detail else State("missing")


def _headline(recipe: Step, record: Record) -> str:
    count = record.count
    if isinstance(recipe, TrainRecipe):
        return f"sAP10 {count('sAP10'):.1f} on shapes"
    if isinstance(recipe, ExportRecipe):
        return f"{count('lines') / max(1, count('images')):.1f} lines an image, {count('rejected'):.0f} rejected"
    if isinstance(recipe, ImportRecipe):
        layouts = record.counts.get("layouts")
        named = f" ({', '.join(map(shown, layouts))})" if isinstance(layouts, dict) and layouts else ""
        return f"{count('lines'):.0f} lines on {count('images'):.0f} photographs{named}"
    if isinstance(recipe, SynthesizeRecipe):
        return f"{count('train'):.0f} + {count('validation'):.0f} images"
    return shown(str(record.counts.get("headline", "")))


RECENT = 64  # journal records that the speed of labelling is measured over


@dataclass(frozen=True)
class Activity:
    """Where one step stands.

    Attributes:
        word: done, running, stopped (begun, and nobody works on it), begun (by its log) or waiting.
        done, total: images; None where the step does not count them.
        rate: images a second.
        last: latest metrics, or how the step ended.
        worker: who works on it.
    """

    round: int | None
    recipe: Step
    word: str
    done: int | None = None
    total: int | None = None
    rate: float | None = None
    last: str = ""
    worker: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the present speed; None where it is not known."""
        return None if not self.rate or self.total is None else (self.total - (self.done or 0)) / self.rate


def activities(chain: Chain) -> Iterator[Activity]:
    """Every step of a chain, upstream first."""
    yield _look(chain.shapes, None)
    if chain.own:
        yield _look(chain.own, None)
    for each in chain.rounds:
        for recipe in each.steps:
            yield _look(recipe, each.number)


def _look(recipe: Step, number: int | None) -> Activity:
    if artifact(recipe).is_file():
        found = state(recipe)
        return Activity(number, recipe, "done", last=found.metric)
    if isinstance(recipe, TrainRecipe):
        return _training(recipe, number)
    return _labelling(recipe, number) if isinstance(recipe, ExportRecipe) else _other(recipe, number)


def _training(recipe: TrainRecipe, number: int | None) -> Activity:
    holder = worker(artifact(recipe).parent) or ""
    rows, at = latest_metrics(recipe), progress(recipe)
    word = "running" if holder else "stopped" if rows else "waiting"
    if at.done is None or at.total is None:
        return Activity(number, recipe, word, worker=holder)
    batch = recipe.training.batch_size
    steps = [row for row in rows if isinstance(row, StepRow)]
    validated = [row for row in rows if isinstance(row, ValidationRow)]
    said = [f"loss {steps[-1].loss:.3f} in epoch {steps[-1].epoch}"] if steps else []
    said += [f"sAP10 {validated[-1].sAP10:.1f} after epoch {validated[-1].epoch}"] if validated else []
    rate = steps[-1].images_per_second if steps and holder else None
    return Activity(number, recipe, word, at.done * batch, at.total * batch, rate, ", ".join(said), holder)


def _labelling(recipe: ExportRecipe, number: int | None) -> Activity:
    total = recipe.places.photographs
    done, lines, rate, workers = 0, 0.0, 0.0, []
    for shard in shards(recipe):
        done += shard.done
        if not shard.finished and shard.done:
            records = last_records(shard.journal)[-RECENT:]
            edges = [found for record in records if isinstance(found := record.get("edges"), list)]
            lines = sum(map(len, edges)) / max(1, len(records))
            if holder := worker(work_folder(shard.file)):
                workers.append(holder)
                rate += speed(records)
    word = "running" if workers else "stopped" if done else "waiting"
    last = f"{lines:.1f} lines an image of late" if lines else ""
    if done == total and not workers:
        word, last = "begun", "all labelled, not yet gathered"
    return Activity(number, recipe, word, done, total, rate or None, last, "; ".join(workers))


def _other(recipe: Step, number: int | None) -> Activity:
    """Steps that hold no lease: begun when their log is there."""
    files = sorted(logs(recipe), key=lambda path: path.stat().st_mtime)
    if not files:
        return Activity(number, recipe, "waiting")
    since = datetime.datetime.fromtimestamp(files[-1].stat().st_mtime).strftime("%H:%M")
    at = progress(recipe)
    return Activity(number, recipe, "begun", at.done, at.total, last=f"at {since}; see {files[-1]}")


def speed(records: Sequence[Mapping[str, object]]) -> float:
    """Images a second over journal records; those of the first batch only mark the beginning."""
    times = [at for record in records if isinstance(at := record.get("at"), float)]
    if not times or times[-1] <= times[0]:
        return 0.0
    return sum(time > times[0] for time in times) / (times[-1] - times[0])
