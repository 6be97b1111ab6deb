"""Memory that the machine lacks is no defect of the program: one sentence, whoever asked for it."""

import numpy as np
import pytest
import torch

from hawp_core.commands import verify


@pytest.mark.parametrize(
    "ask",
    [lambda: torch.empty(2**46), lambda: np.empty(2**50), lambda: bytearray(2**60)],
    ids=["PyTorch", "NumPy", "Python"],
)
def test_a_command_that_needs_more_memory_than_there_is_says_so(hawp, monkeypatch, ask):
    monkeypatch.setattr(verify, "run", lambda _: ask())
    code, printed = hawp("verify")
    assert code == 2 and "hawp verify: there is not enough memory" in printed and "Traceback" not in printed, printed
