"""The weights that come with the package; what they are is told beside them, in weights/README.md."""

from pathlib import Path

SHIPPED = Path(__file__).resolve().parent / "weights" / "compact.pth"
# How settings, options and recipes name them: their place differs from machine to machine.
SHIPPED_NAME = "shipped"
