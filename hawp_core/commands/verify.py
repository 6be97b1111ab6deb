"""hawp verify: check every artifact against the digest that was kept of it."""

import argparse

from hawp_core.errors import UserError

HELP = "check every artifact's bytes against its record"
DESCRIPTION = """Compare the SHA-256 of every model, label file and shard below exp-ssl/ and data-ssl/ with the one kept
in its lineage record. Exits non-zero when a byte has changed or a file is gone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options (there are none)."""


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.runtime.progress import bar, log
    from hawp_core.workflow.inventory import faults, records

    found = list(records())
    said: list[str] = []
    with bar("verify", len(found), "artifact") as shown:
        for record in found:
            said += faults(record)
            shown.update()
    if said:
        raise UserError("\n".join([f"{len(said)} of the files are not as they were written", *said]))
    log.info("%d artifacts are as they were written", len(found))
