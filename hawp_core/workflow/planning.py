"""From settings to a written plan."""

from pathlib import Path

from hawp_core.data.photographs.manifest import fingerprint
from hawp_core.workflow.chain import Chain, plan, shards
from hawp_core.workflow.recipe import KEY_LENGTH

FINGERPRINT_CACHE = Path("recipes", "photographs.cache")


def plan_run(settings: dict, rounds: int | None = None, *, write: bool = False) -> Chain:
    """The chain of a run on the photographs that are there now.

    Args:
        settings: complete settings.
        rounds: real rounds; the configured number where None.
        write: also write the list of photographs and every recipe, which is what jobs read.

    Raises:
        UserError: no photographs, or a recipe cannot be written.
    """
    folder = settings["photographs"]["folder"]
    manifest = fingerprint(folder, FINGERPRINT_CACHE)
    listing = Path("recipes", f"photographs-{manifest.key[:KEY_LENGTH]}.jsonl")
    if write and not listing.is_file():
        manifest.write(listing)
    places = {
        "folder": folder,
        "manifest": str(listing),
        "photographs": len(manifest.entries),
        "shards": shards(len(manifest.entries), settings["compute"]["shard_size"]),
    }
    chain = plan(settings, manifest.key, places, rounds)
    if write:
        for recipe in chain.recipes:
            recipe.write()
    return chain
