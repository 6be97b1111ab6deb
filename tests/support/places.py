"""Where the tests find the project, their smallest configuration, and what they compare with."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
TINY = SUPPORT / "configs" / "tiny.yaml"
GOLDEN = SUPPORT / "golden"
STORED = SUPPORT / "stored"
