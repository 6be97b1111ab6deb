"""What the soak has done so far, a line of JSON for each trial, and the table that is made of it."""

import json
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from hawp_core.runtime.files import json_lines
from soak.trial import KINDS, SAME, Trial


class SoakJournal:
    """Lines of trials behind a line with the seed, appended: the same command goes on counting.

    Raises:
        SystemExit: the folder's journal has another seed.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        lines = json_lines(path.read_bytes()) if path.exists() else []
        self._trials: list[dict] = [line for line in lines if isinstance(line, dict) and "number" in line]
        seeds = [line["seed"] for line in lines if isinstance(line, dict) and "seed" in line]
        if seeds and seeds[0] != seed:
            raise SystemExit(f"{path} was begun with the seed {seeds[0]}: give --seed {seeds[0]}, or another folder.")
        if not seeds:
            self._append({"seed": seed})

    def add(self, trial: Trial, commit: str) -> None:
        """Note a trial."""
        line = trial.to_dict() | {"commit": commit}
        self._append(line)
        self._trials.append(json.loads(json.dumps(line)))

    def _append(self, line: dict[str, object]) -> None:
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    @property
    def next_number(self) -> int:
        """Of the trial that comes next."""
        return 1 + max((trial["number"] for trial in self._trials), default=0)

    @property
    def counts(self) -> Counter[str]:
        """Kind of disturbance -> how often it was made."""
        return Counter(made["kind"] for trial in self._trials for made in trial["disturbances"])

    @property
    def lost(self) -> list[dict]:
        """Trials that did not end in the same bits."""
        return [trial for trial in self._trials if trial["end"] != SAME]

    def table(self) -> str:
        """Kinds of disturbances by how the disturbed command ended, and how the same command did afterwards."""
        ends: dict[str, Counter[str]] = {kind.name: Counter() for kind in KINDS}
        for trial in self._trials:
            for made in trial["disturbances"]:
                row = ends.setdefault(made["kind"], Counter())
                row[made["outcome"]] += 1
                row["total"] += 1
                row[SAME if trial["end"] == SAME else "lost"] += 1
        heads = ["total", "went on", "killed", "stopped, saved", "one sentence", SAME, "lost"]
        rows = [[kind, *(row[head] for head in heads)] for kind, row in ends.items()]
        rows.append(["all", *(sum(row[head] for row in ends.values()) for head in heads)])
        names = [
            "disturbance",
            "made",
            "went on",
            "killed",
            "stopped, saved",
            "one sentence",
            "then the same bits",
            "lost",
        ]
        return tabulate(rows, names, tablefmt="github")

    def summary(self) -> str:
        """The table, what the trials were, and what was lost."""
        commands = Counter(trial["command"] for trial in self._trials)
        seconds = sum(trial["seconds"] for trial in self._trials)
        processor = sum(trial.get("processor", 0) for trial in self._trials)
        commits = Counter(trial["commit"] for trial in self._trials)
        part = sum(trial["part_files"] for trial in self._trials)
        lines = [
            self.table(),
            "",
            f"{len(self._trials)} trials in {seconds / 60:.0f} minutes, {processor / 60:.0f} of the processor: "
            + ", ".join(f"{count} x {name}" for name, count in commands.most_common()),
            "commits: " + ", ".join(f"{name} ({count})" for name, count in commits.items()),
            f"unfinished files (.part) that kills left: {part}",
        ]
        lines += [f"lost in trial {trial['number']} ({trial['command']}): {trial['end']}" for trial in self.lost]
        return "\n".join(lines)
