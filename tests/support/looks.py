"""How images are looked at before they are labelled, as the tests name it."""

from dataclasses import replace

from hawp_core.runtime.setting_types import ExportSettings
from hawp_core.workflow.settings import complete


def looks(**changes) -> ExportSettings:
    """The defaults of the settings of `export`, with changes."""
    return replace(complete({}).export, **changes)
