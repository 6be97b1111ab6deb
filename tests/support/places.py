"""Where the tests find the project, their smallest configuration, and what they compare with."""

from pathlib import Path

from hawp_core.workflow.places import PhotographPlaces

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
TINY = SUPPORT / "configs" / "tiny.yaml"
GOLDEN = SUPPORT / "golden"
STORED = SUPPORT / "stored"
# Of a plan whose photographs nobody reads.
PHOTOGRAPHS = PhotographPlaces("photos", Path("recipes/photographs.jsonl"), 10, 2)
