"""Where every artifact of a run lies, relative to the working folder."""

from pathlib import Path

from hawp_core.workflow.recipe import Recipe


def shard_file(recipe: Recipe, shard: int, of: int) -> Path:
    """Where a shard of an export lies until the shards are joined."""
    return Path("data-ssl", recipe.name, f"{recipe.key}-shards", f"{shard:05d}-of-{of:05d}.h5")


def model_file(name: str, key: str, epoch: int) -> Path:
    """The model of a training after its last epoch."""
    return Path("exp-ssl", name, key, f"model-{epoch:05d}.pth")


def label_file(name: str, key: str, epoch: int, suffix: str = ".h5") -> Path:
    """The labels of an export (`.h5`), the next training's data config (`.yaml`), the record (`.log`)."""
    return Path("data-ssl", name, f"{key}-model-{epoch:05d}{suffix}")


def shape_config(key: str) -> Path:
    """The data config of synthetic shapes."""
    return Path("data-ssl", "synthetic-shapes", f"{key}.yaml")


def report_folder(report: Recipe) -> Path:
    """Where the figures and tables of a report lie."""
    return Path("reports", report.name, report.key)


def epochs(train: Recipe) -> int:
    """Epochs of a training: the number in its model's name."""
    stages = train.settings["train"]
    return (stages["real"] if "real" in stages else stages["synthetic"])["epochs"]


def trained_model(train: Recipe) -> Path:
    """The file that a training ends with."""
    return model_file(train.name, train.key, epochs(train))


def evaluation_file(evaluation: Recipe) -> Path:
    """The metrics of a round's model."""
    return Path("exp-ssl", evaluation.name, evaluation.inputs["model"], f"evaluation-{evaluation.key}.json")


def data_config(data: Recipe) -> Path:
    """The data config that a training on `data` reads."""
    if data.stage == "synthesize":
        return shape_config(data.key)
    return label_file(data.name, data.key, data.places["epoch"], ".yaml")


def artifact(recipe: Recipe) -> Path:
    """The file that stands for a recipe's result."""
    if recipe.stage == "synthesize":
        return shape_config(recipe.key)
    if recipe.stage == "train":
        return trained_model(recipe)
    if recipe.stage == "export":
        return label_file(recipe.name, recipe.key, recipe.places["epoch"])
    return evaluation_file(recipe)
