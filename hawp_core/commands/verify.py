"""hawp verify: check what a run keeps against the digests that were kept of it."""

import argparse

from hawp_core.errors import UserError
from hawp_core.runtime.text import some

HELP = "check every file that a run keeps against its digest"
DESCRIPTION = """Compare every file that a run keeps below exp-ssl/, data-ssl/, reports/ and recipes/ with the digest that was
kept of it: the SHA-256 in a lineage record, the seal of a record, recipe or list of photographs, the sums of cached pixels. Exits
non-zero when a byte has changed, a file is gone, or a result has no record. Says what it did not cover; see docs/security.md."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options (there are none)."""


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.runtime.progress import bar, log
    from hawp_core.workflow.verification import files, verify

    with bar("verify", sum(1 for _ in files()), "file") as progress:
        found = verify(progress.update)
    if found.faults:
        raise UserError("\n".join([f"{len(found.faults)} of the files are not as they were written", *found.faults]))
    log.info("as they were written, by the SHA-256 in their record: %d files", len(found.by_digest))
    log.info(
        "as they were written, by a seal of their own: %d records, recipes and lists of photographs", len(found.sealed)
    )
    if found.by_image:
        log.info(
            "as they were written, by the sum of each image: cached pixels and loose shards, %d in all",
            len(found.by_image),
        )
    if found.states:
        log.info("not covered: %d files of unfinished work, leases and TensorBoard's curves", len(found.states))
    if found.links:
        log.info("not covered: what lies behind links, of which there are %d: %s", len(found.links), some(found.links))
    if found.undigested:
        log.info("not covered, written by an earlier version that kept no digest of them: %s", some(found.undigested))
    log.info("not covered: logs/, the photographs themselves, and files that no step of a run wrote")
