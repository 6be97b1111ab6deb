"""From settings to a written plan, and from a plan to what of it is there."""

from dataclasses import dataclass
from pathlib import Path

from hawp_core import lineage
from hawp_core.files import read_json, tail
from hawp_core.history import is_row
from hawp_core.lineage import Chain, Recipe
from hawp_core.manifest import fingerprint
from hawp_core.provenance import record_file

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
    listing = Path("recipes", f"photographs-{manifest.key[: lineage.KEY_LENGTH]}.jsonl")
    if write and not listing.is_file():
        manifest.write(listing)
    places = {
        "folder": folder,
        "manifest": str(listing),
        "photographs": len(manifest.entries),
        "shards": lineage.shards(len(manifest.entries), settings["compute"]["shard_size"]),
    }
    chain = lineage.plan(settings, manifest.key, places, rounds)
    if write:
        for recipe in chain.recipes:
            recipe.write()
    return chain


@dataclass(frozen=True)
class State:
    """What there is of an artifact.

    Attributes:
        word: done, partial or missing.
        detail: how far a partial one is.
        finished: ISO time.
        seconds: how long it took.
        metric: its headline number.
    """

    word: str
    detail: str = ""
    finished: str = ""
    seconds: float | None = None
    metric: str = ""


def artifact(recipe: Recipe) -> Path:
    """The file that stands for a recipe's result."""
    if recipe.stage == "synthesize":
        return lineage.shape_config(recipe.key)
    if recipe.stage == "train":
        return lineage.trained_model(recipe)
    if recipe.stage == "export":
        return lineage.label_file(recipe.name, recipe.key, recipe.places["epoch"])
    return lineage.evaluation_file(recipe)


def state(recipe: Recipe) -> State:
    """Whether a recipe's result is there, and what is known of it."""
    path = artifact(recipe)
    if path.is_file():
        if not record_file(path).is_file():
            return State("done")
        record = read_json(record_file(path))
        return State("done", "", record["finished"], record["seconds"], _headline(recipe, record["counts"]))
    detail = {"synthesize": _shapes_done, "train": _steps_done, "export": _photographs_done}.get(
        recipe.stage, lambda _: ""
    )(recipe)
    return State("partial", detail) if detail else State("missing")


def _headline(recipe: Recipe, counts: dict) -> str:
    if recipe.stage == "train":
        return f"sAP10 {counts['sAP10']:.1f} on shapes"
    if recipe.stage == "export":
        return f"{counts['lines'] / max(1, counts['images']):.1f} lines an image, {counts['rejected']} rejected"
    if recipe.stage == "synthesize":
        return f"{counts['train']} + {counts['validation']} images"
    return counts.get("headline", "")


def _shapes_done(recipe: Recipe) -> str:
    drawn = len(list(Path("data-ssl", recipe.name, recipe.key).glob("*.h5")))
    return f"{drawn}/{sum(recipe.places['shards'].values())} shards" if drawn else ""


def _steps_done(recipe: Recipe) -> str:
    metrics = lineage.trained_model(recipe).parent / "metrics.jsonl"
    if not metrics.is_file():
        return ""
    rows = [row for row in tail(metrics) if is_row(row)]
    return f"{rows[-1]['step']}/{rows[-1]['of']} steps" if rows else "begun"


def _photographs_done(recipe: Recipe) -> str:
    """Photographs in finished shards and in the journals of unfinished ones."""
    folder = Path("data-ssl", recipe.name, f"{recipe.key}-shards")
    total, of = recipe.places["photographs"], recipe.places["shards"]
    done = 0
    for path in folder.glob(f"*-of-{of:05d}.h5"):
        i = int(path.name[:5])
        done += total * (i + 1) // of - total * i // of
    for journal in folder.glob(f"*-of-{of:05d}.h5.work/*.jsonl"):
        if not journal.parent.with_suffix("").is_file():
            done += journal.read_bytes().count(b"\n")
    return f"{done}/{total} photographs" if done else ""
