"""A training as a run in MLflow: where MLFLOW_TRACKING_URI says, otherwise in the folder mlruns/ of the working folder.

A thread of its own speaks to MLflow, so that a server that is slow or away holds up no step and ends no training. What
was not taken is sent again with the next row; what MLflow has already, also of an attempt that was killed, is not.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hawp_core.errors import Interrupted, UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.progress import log
from hawp_core.runtime.text import first_line
from hawp_core.training.metrics import MetricsRow
from hawp_core.training.trackers import Tracked, curves

RUN_FILE = "mlflow.json"  # in the training's folder: which run is its own
EXPERIMENT = "hawp-rounds"  # where MLFLOW_EXPERIMENT_NAME names no other
# That a training waits, when it is done, for what is not sent yet; a stopped one may be killed any moment.
SECONDS_AT_THE_END, SECONDS_WHEN_STOPPED = 30, 5
MOST_METRICS, MOST_PARAMETERS = 1000, 100  # of one request
# Unless the user has said otherwise. MLflow holds on to folders, and wants to be told so since it prefers databases; what is
# not taken is tried again here; and nobody is told who trains what.
ENVIRONMENT = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class MlflowRun:
    """A `Tracker`: the parameters of its run are the settings, the metrics the rows, by step."""

    def __init__(self, about: Tracked) -> None:
        self._about = about
        self._given: queue.SimpleQueue[MetricsRow | str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._unsent: list[MetricsRow] = []
        self._uri = ""
        self._warned = False
        self._run: _Run | None = None

    def begin(self, rows: Sequence[MetricsRow]) -> None:
        """Begin a run, or carry on the training's own; of `rows` it is told what it lacks."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        # Here and not in the thread: loaders fork, which must not happen in the middle of an import.
        import mlflow  # noqa: F401

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").absolute().as_uri()
        self._unsent = list(rows)
        self._thread.start()

    def add(self, row: MetricsRow) -> None:
        """Have one more row sent."""
        self._given.put(row)

    def close(self, error: BaseException | None) -> None:
        """Say how the training ended, and wait a while for what is not sent yet."""
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        self._given.put("FINISHED" if error is None else "KILLED" if stopped else "FAILED")
        seconds = SECONDS_WHEN_STOPPED if error else SECONDS_AT_THE_END
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._warn(f"no answer for {seconds} seconds")

    def _follow(self) -> None:
        """The thread's work."""
        ended = None
        while ended is None:
            for each in self._waiting():
                if isinstance(each, str):
                    ended = each
                else:
                    self._unsent.append(each)
            try:
                self._run = self._run or _Run(self._uri, self._about)
                self._run.send(self._unsent)
                self._unsent.clear()
                if ended:
                    self._run.end(ended)
            except Exception as error:  # MLflow's own, the network's, the disk's: none is worth a training
                self._run = None
                self._warn(first_line(error))

    def _waiting(self) -> Iterator[MetricsRow | str]:
        """All that is given and not looked at yet, at least one."""
        yield self._given.get()
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._given.get_nowait()

    def _warn(self, reason: str) -> None:
        if self._warned:
            return
        self._warned = True
        parts = urlsplit(self._uri)
        # Without the password that an address may hold.
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        log.warning(
            "MLflow at %s takes no metrics (%s): the training goes on without, and metrics.jsonl has them all; they are sent "
            "when it answers again before the end",
            shown, reason.replace(self._uri, shown),
        )  # fmt: skip


class _Run:
    """A run that MLflow answers for.

    Raises:
        Exception: whatever MLflow's client raises.
    """

    def __init__(self, uri: str, about: Tracked) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        self._last: dict[str, int] = {}  # curve -> its last step there
        self._id = self._carried_on(about) or self._begun(about)

    def _carried_on(self, about: Tracked) -> str | None:
        """The training's own run, at work again; None where it has none, or none here."""
        from mlflow.exceptions import MlflowException

        try:
            run = read_json(about.folder / RUN_FILE).get("run")
        except UserError:
            return None
        if not isinstance(run, str):
            return None
        try:
            if self._client.get_run(run).info.lifecycle_stage == "deleted":
                return None
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        self._client.update_run(run, status="RUNNING")
        return run

    def _begun(self, about: Tracked) -> str:
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=about.name, tags={"hawp.key": about.key}).info.run_id
        settings = [Param(setting, str(value)) for setting, value in _flat(about.settings)]
        for first in range(0, len(settings), MOST_PARAMETERS):
            self._client.log_batch(run, params=settings[first : first + MOST_PARAMETERS])
        write_json(about.folder / RUN_FILE, {"run": run})
        return run

    def send(self, rows: Sequence[MetricsRow]) -> None:
        """Add rows to the curves, where these do not reach so far."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        points = [
            Metric(curve, value, now, row.step)
            for row in rows
            for curve, value in curves(row).items()
            if row.step > self._reaches(curve)
        ]
        for first in range(0, len(points), MOST_METRICS):
            self._client.log_batch(self._id, metrics=points[first : first + MOST_METRICS])
        for point in points:
            self._last[point.key] = point.step

    def _reaches(self, curve: str) -> int:
        if curve not in self._last:
            there = self._client.get_metric_history(self._id, curve)
            self._last[curve] = max((point.step for point in there), default=-1)
        return self._last[curve]

    def end(self, status: str) -> None:
        """Say how the training ended: FINISHED, KILLED or FAILED."""
        self._client.set_terminated(self._id, status)


def _flat(settings: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """(dotted name, value) of each setting."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value
