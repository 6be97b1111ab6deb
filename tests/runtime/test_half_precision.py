"""The precision that nobody asked for: the device decides, a measurement can only forbid, and a word wins."""

import argparse

import pytest
import torch

from hawp_core.runtime import half_precision
from hawp_core.runtime.half_precision import asked_precision, bfloat16_gain, precision_named, usual_precision
from hawp_core.workflow import settings

CPU = torch.device("cpu")


def processor(monkeypatch, gain: float, **capabilities: bool) -> None:
    """A processor of these instructions, on which bfloat16 is so many times as fast."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(half_precision, "bfloat16_gain", lambda: gain)


@pytest.mark.parametrize(
    ("instructions", "gain", "precision"),
    [
        ({"avx512_bf16": True, "avx2": True}, 1.7, torch.bfloat16),
        ({"amx_bf16": True}, 6.0, torch.bfloat16),
        # Allowed by the processor, and forbidden to the library.
        ({"avx512_bf16": True}, 0.6, torch.float32),
        # Without instructions no time counts, however the measurement was disturbed.
        ({"avx2": True, "avx512_bf16": False}, 9.0, torch.float32),
        ({"neon": True, "bf16": True}, 9.0, torch.float32),
    ],
)
def test_the_instructions_allow_bfloat16_and_a_measurement_forbids_it(monkeypatch, instructions, gain, precision):
    processor(monkeypatch, gain, **instructions)
    assert usual_precision(CPU) == precision


def test_a_pytorch_that_knows_no_instructions_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert usual_precision(CPU) == torch.float32


def test_the_measurement_is_made_once_and_leaves_no_gradients():
    bfloat16_gain.cache_clear()
    with torch.no_grad():
        found = bfloat16_gain()
    assert found > 0
    assert bfloat16_gain() == found
    assert usual_precision(CPU) == usual_precision(CPU)


def test_the_command_line_goes_before_the_configuration_and_both_before_the_device():
    def asked(word: str | None, configured: str) -> torch.dtype | None:
        compute = settings.complete({"compute": {"precision": configured}}).compute
        return asked_precision(argparse.Namespace(precision=word), compute)

    assert asked("float32", "bfloat16") == torch.float32
    assert asked(None, "bfloat16") == torch.bfloat16
    assert asked("auto", "bfloat16") is None
    assert asked(None, "auto") is None


@pytest.mark.parametrize("word", ["float64", "", None, 3, ["float32"]])
def test_a_state_names_no_other_precision(word):
    with pytest.raises(ValueError, match="is none of float32, bfloat16"):
        precision_named(word)
