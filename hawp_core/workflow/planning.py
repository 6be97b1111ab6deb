"""From settings to a written plan."""

from hawp_core.data.photographs.manifest import fingerprint
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.chain import Chain, plan
from hawp_core.workflow.paths import FINGERPRINT_CACHE, manifest_file
from hawp_core.workflow.places import PhotographPlaces
from hawp_core.workflow.sharding import shard_count


def plan_run(settings: Settings, rounds: int | None = None, *, write: bool = False) -> Chain:
    """The chain of a run on the photographs that are there now.

    Args:
        settings: of the run.
        rounds: real rounds; the configured number where None.
        write: also write the list of photographs and every recipe, which is what jobs read.

    Raises:
        UserError: no photographs, or a recipe cannot be written.
    """
    folder = settings.photographs.folder
    manifest = fingerprint(folder, FINGERPRINT_CACHE)
    listing = manifest_file(manifest.key)
    if write and not listing.is_file():
        manifest.write(listing)
    count = len(manifest.entries)
    at = PhotographPlaces(folder, listing, count, shard_count(count, settings.compute.shard_size))
    chain = plan(settings, manifest.key, at, rounds)
    if write:
        for recipe in chain.recipes:
            recipe.write()
    return chain
