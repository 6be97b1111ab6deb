"""What this machine needs before the first step of a run: libraries, a folder to write, space, photographs, its GPU."""

import argparse
import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawp_core.data.own_labels.labelled_set import read_labelled_set
from hawp_core.data.photographs.folder import locate
from hawp_core.errors import UserError
from hawp_core.runtime.devices import choose_compute
from hawp_core.runtime.extras import EXTRA_OF, how_to_get
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.recipe_builders import truth_folder

# Less is no room for a network, its state and the pixels of a few thousand photographs; `hawp plan` knows what a run takes.
LEAST_FREE_GB = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it is called.
        found: in a few words.
        fault: one sentence of what will fail, with the remedy; None where nothing will.
    """

    what: str
    found: str
    fault: str | None = None


def check_machine(settings: Settings, *, with_gpu: bool) -> Iterator[Check]:
    """Everything that a run on this machine needs, one after the other; no GPU where a cluster's nodes have them."""
    yield check_libraries(settings)
    yield check_folder()
    yield check_space()
    yield check_photographs(settings)
    if settings.evaluate.truth:
        yield check_labelled(settings)
    if with_gpu:
        yield check_gpu(settings)


def check_libraries(settings: Settings) -> Check:
    """Those that the steps of a run import."""
    trackers = settings.compute.trackers
    wanted = [module for module, extra in EXTRA_OF.items() if extra in ("train", "report") or module in trackers]
    missing = [module for module in wanted if importlib.util.find_spec(module) is None]
    # The extra `report` brings what `train` does.
    extra = "report" if "report" in map(EXTRA_OF.get, missing) else ""
    fault = how_to_get(missing[0], extra) if missing else None
    return Check("libraries", f"{len(wanted) - len(missing)} of {len(wanted)}", fault)


def check_folder() -> Check:
    """The working folder, where results appear."""
    here = Path.cwd()
    try:
        # Whoever is root may write where a read-only file system lets nobody.
        with tempfile.NamedTemporaryFile(dir=here, prefix=".hawp-doctor-"):
            pass
    except OSError as error:
        fault = f"{here} cannot be written ({os.strerror(error.errno or 0)}): run in a folder of yours."
        return Check("working folder", str(here), fault)
    return Check("working folder", str(here))


def check_space() -> Check:
    """Room for results."""
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    fault = None
    if free < LEAST_FREE_GB:
        fault = (
            f"{here} has {free:.1f} GB free, and less than {LEAST_FREE_GB} GB is too little for any run: free some, or run "
            "elsewhere (hawp plan says what a run takes)."
        )
    return Check("free space", f"{free:,.0f} GB", fault)


def check_photographs(settings: Settings) -> Check:
    """The folder of photographs."""
    folder = locate(settings.photographs.folder)
    fault = None
    if not folder.is_dir():
        fault = f"photographs.folder is {folder}, which is no folder here: name that of your photographs in the configuration, or by --config 'photographs={{folder: FOLDER}}'."
    return Check("photographs", str(folder), fault)


def check_labelled(settings: Settings) -> Check:
    """The labelled photographs that rounds are measured on."""
    annotations, folder = settings.evaluate.truth, truth_folder(settings)
    found, fault = "", None
    try:
        found = f"{len(read_labelled_set(annotations, folder))} of {annotations}"
    except UserError as error:
        fault = str(error)
    return Check("labelled photographs", found, fault)


def check_gpu(settings: Settings) -> Check:
    """What computes here."""
    seen, fault = 0, None
    with contextlib.suppress(ImportError):
        import torch

        seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
        try:
            choose_compute(argparse.Namespace(), settings.compute)
        except UserError as error:
            fault = str(error)
    device, gpus = settings.compute.device, settings.train.gpus
    if fault is None and seen and device != "cpu" and seen < gpus:
        fault = f"train.gpus is {gpus} and PyTorch sees {seen} here: set train.gpus to {seen} or less."
    return Check("GPUs", str(seen) if seen else "none: on the CPU", fault)
