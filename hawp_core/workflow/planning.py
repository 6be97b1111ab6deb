"""From settings to a written plan."""

from hawp_core.data.own_labels.labelled_set import read_labelled_set
from hawp_core.data.own_labels.listing import write_listing
from hawp_core.data.own_labels.reading import OwnLabels, read_own_labels
from hawp_core.data.photographs.fingerprint import fingerprint
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.chain import Chain, plan
from hawp_core.workflow.paths import FINGERPRINT_CACHE, OWN_FINGERPRINT_CACHE, manifest_file, own_listing
from hawp_core.workflow.places import ImportPlaces, PhotographPlaces
from hawp_core.workflow.recipe import ImportRecipe
from hawp_core.workflow.recipe_builders import import_recipe, truth_folder
from hawp_core.workflow.sharding import shard_count


def plan_run(settings: Settings, rounds: int | None = None, *, write: bool = False) -> Chain:
    """The chain of a run on the photographs that are there now.

    Args:
        settings: of the run.
        rounds: real rounds; the configured number where None.
        write: also write the list of photographs and every recipe, which is what jobs read.

    Raises:
        UserError: no photographs, own labels that are none, labelled photographs that are not there, or a recipe cannot
            be written.
    """
    folder = settings.photographs.folder
    manifest = photographs_in(folder, settings)
    listing = manifest_file(manifest.key)
    if write:
        if settings.evaluate.truth:
            # Measuring would find out when a round is trained.
            read_labelled_set(settings.evaluate.truth, truth_folder(settings))
        _write_list(manifest)
    count = len(manifest.entries)
    at = PhotographPlaces(folder, listing, count, shard_count(count, settings.compute.shard_size))
    own = _own_labels(settings, manifest, write) if settings.labels.files else None
    chain = plan(settings, manifest.key, at, rounds, own)
    if write:
        for recipe in chain.recipes:
            recipe.write()
    return chain


def photographs_in(folder: str, settings: Settings) -> Manifest:
    """The photographs of a run, or of another folder.

    Raises:
        UserError: as `fingerprint`.
    """
    known = settings.photographs
    return fingerprint(folder, FINGERPRINT_CACHE, known.sums if folder == known.folder else "")


def _own_labels(settings: Settings, photographs: Manifest, write: bool) -> ImportRecipe:
    """The taking in of the own labels that the settings name.

    Args:
        photographs: those of the run.
        write: also write the lists of what is labelled.
    """
    files, images = settings.labels.files, settings.labels.images or settings.photographs.folder
    if images != settings.photographs.folder:
        photographs = fingerprint(images, OWN_FINGERPRINT_CACHE)
    own = read_own_labels(files, images, photographs)
    if write:
        _write_list(photographs)
        write_own_lists(own)
    places = ImportPlaces(files, images, manifest_file(photographs.key), len(own.drawn))
    return import_recipe(settings, own.key, own.photographs.key, places)


def write_own_lists(own: OwnLabels) -> None:
    """Write which photographs own labels are drawn on, and what they say of each, unless it is there."""
    _write_list(own.photographs)
    if not (listing := own_listing(own.key)).is_file():
        write_listing(listing, own)


def _write_list(photographs: Manifest) -> None:
    if not (listing := manifest_file(photographs.key)).is_file():
        photographs.write(listing)
