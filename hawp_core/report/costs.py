"""What each step of a run cost: time and memory, from its records and Snakemake's benchmark files."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hawp_core.report.finished import Finished, record_of, seconds_of
from hawp_core.workflow.paths import logs
from hawp_core.workflow.recipe import Step, SynthesizeRecipe


@dataclass(frozen=True)
class Cost:
    """What the jobs of one step took: seconds together and of the longest, memory (MB) of the largest; None: unknown."""

    stage: str
    round: int | None
    jobs: int | None
    seconds: float
    longest: float | None
    memory: float | None

    @property
    def title(self) -> str:
        """Name of the step for a reader."""
        names = {"synthesize": "draw shapes", "train": "train", "export": "label", "evaluate": "measure"}
        return names[self.stage] + ("" if self.round is None else f", round {self.round}")


def costs(shapes: SynthesizeRecipe, rounds: Sequence[Finished]) -> list[Cost]:
    """What each step took, from the benchmark files of its jobs, or from its lineage record where they are gone."""
    steps: list[tuple[Step, int | None]] = [(shapes, None)]
    steps += [(recipe, each.number) for each in rounds for recipe in (each.train, each.export, each.evaluate)]
    return [cost for recipe, number in steps if (cost := _cost(recipe, number)) is not None]


def _cost(recipe: Step, number: int | None) -> Cost | None:
    jobs = [job for file in logs(recipe, ".benchmark.tsv") for job in _jobs(file) if _number(job.get("s")) is not None]
    if not jobs:
        seconds = seconds_of(record_of(recipe))
        return None if seconds is None else Cost(recipe.stage, number, None, seconds, None, None)
    took = [value for job in jobs if (value := _number(job["s"])) is not None]
    memory = [value for job in jobs if (value := _number(job.get("max_rss"))) is not None]
    return Cost(recipe.stage, number, len(took), sum(took), max(took), max(memory, default=None))


def _jobs(file: Path) -> list[dict[str, str]]:
    """The rows of a benchmark file; none where it is damaged, for nothing hangs on it."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []


def _number(text: object) -> float | None:
    """Snakemake writes NA for what it had no time to see."""
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
