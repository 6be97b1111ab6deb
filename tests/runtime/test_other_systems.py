"""What only Linux has is not needed: what macOS and Windows lack is taken away, and a round runs all the same."""

import argparse
import os
import subprocess
import sys

import pytest
import torch
from places import ROOT, TINY

from hawp_core.errors import UserError
from hawp_core.geometry.precision import finest_float
from hawp_core.model.line_scores import refine_heatmap
from hawp_core.runtime import lease
from hawp_core.runtime.devices import choose_compute
from hawp_core.runtime.half_precision import usual_precision
from hawp_core.runtime.setting_types import ComputeSettings
from hawp_core.training.launch import run_in_processes
from hawp_core.workflow import settings

# The modules, functions and signals that Windows lacks, and what macOS does; a process of its own does without them.
ELSEWHERE = """
import ctypes, os, signal, sys
from pathlib import Path

import filelock, psutil, torch  # they have parts of their own for each system

for module in ("fcntl", "resource", "termios", "grp", "pwd"):
    sys.modules[module] = None
for name in ("sched_getaffinity", "process_cpu_count", "mkfifo", "getuid", "geteuid", "posix_fadvise"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "sigwaitinfo", "pthread_sigmask", "sigwait"):
    if hasattr(signal, name):
        delattr(signal, name)
library = ctypes.CDLL

class NoProgramItself(library):
    def __init__(self, name, *others, **options):
        if name is None:
            raise TypeError("argument of type 'NoneType' is not iterable")
        super().__init__(name, *others, **options)

ctypes.CDLL = NoProgramItself
fsync = os.fsync

def fsync_of_what_is_written(handle):
    os.write(handle, b"")  # Windows refuses to flush what is open for reading
    fsync(handle)

os.fsync = fsync_of_what_is_written

import hawp_core.runtime.lease
hawp_core.runtime.lease._PROCESSES = Path("/no/such/folder")
from hawp_core.commands.cli import main

photographs, tiny = sys.argv[1:]

def hawp(*words):
    sys.argv = ["hawp", *map(str, words)]
    code = main(sys.argv[1:])
    assert code == 0, (code, words)

hawp("synthesize", "--config", tiny)
(shapes,) = Path("data-ssl/synthetic-shapes").glob("*.yaml")
hawp("train", "--datacfg", shapes, "--modelcfg", tiny, "--name", "tiny-round0", "--threads", "0")
(model,) = Path("exp-ssl/tiny-round0").glob("*/model-00002.pth")
hawp("homoadp", "--datacfg", tiny, "--images", photographs, "--workdir", "exp-ssl/tiny-round0")
assert list(Path("data-ssl/tiny-round0").glob("*.h5"))
hawp("predict", photographs, "--ckpt", model, "--threshold", "0", "--ext", "json")
"""


def test_a_round_needs_nothing_that_only_linux_has(workplace, photographs):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, photographs, TINY],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((workplace / "wireframes").rglob("*.json"))) == 6


def test_without_proc_a_process_is_known_by_its_start(monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "_PROCESSES", tmp_path / "none")
    started = lease._process_start(os.getpid())
    assert started == lease._process_start(os.getpid()) and float(started) > 0
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    assert lease._process_start(ended.pid) is None
    with lease.lease(tmp_path):
        assert str(os.getpid()) in lease.worker(tmp_path)


def test_without_named_pipes_several_processes_are_refused(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "mkfifo")
    with pytest.raises(UserError, match=r"named pipes.*without --gpus"):
        run_in_processes(argparse.Namespace(), 2, 1, tmp_path)


# Apple's GPUs


def wanted(device: str) -> ComputeSettings:
    return settings.complete({"compute": {"device": device}}).compute


def test_apples_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"--device mps was asked for and PyTorch sees no GPU here"):
        choose_compute(argparse.Namespace(), wanted("mps"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    chosen = choose_compute(argparse.Namespace(), wanted("mps"))
    assert chosen.device == torch.device("mps")
    assert usual_precision(chosen.device) == torch.float32
    for word in ("mps:0", "mps:1", "metal"):
        with pytest.raises(UserError, match=r"compute\.device"):
            wanted(word)


def test_apples_gpu_is_asked_for_no_double_precision(monkeypatch):
    assert finest_float(torch.device("mps")) == torch.float32
    assert finest_float(torch.device("cuda")) == finest_float(torch.device("cpu")) == torch.float64
    heatmap = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = refine_heatmap(heatmap)
    monkeypatch.setattr("hawp_core.model.line_scores.finest_float", lambda device: torch.float32)
    torch.testing.assert_close(refine_heatmap(heatmap), expected)
