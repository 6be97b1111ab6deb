"""hawp train: learn from synthetic shapes or from the labels of an export."""

import argparse
import contextlib
import os
import shutil
from pathlib import Path

import yaml

from hawp_core import launching, lineage
from hawp_core import settings as configuration
from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.files import replacing, write_text

HELP = "train a wireframe network"
DESCRIPTION = """Train on synthetic shapes or on labelled photographs, whichever the data config names. The model, its
metrics and its lineage are written to exp-ssl/NAME/KEY/, where KEY is the digest of everything that changes the
result. Killed or asked to stop (SIGTERM, SIGUSR1, Ctrl-C), the same command carries on from the last saved step."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--datacfg", type=Path, required=True, metavar="FILE",
        help="data config (.yaml) written by hawp synthesize or hawp homoadp",
    )  # fmt: skip
    parser.add_argument(
        "--modelcfg", type=Path, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration, recipe or model.yaml: network and training settings [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the experiment, a folder below exp-ssl/ [from the recipe]")
    parser.add_argument(
        "--pretrained", type=Path, metavar="FILE", help="start from this model instead of new weights [none]"
    )
    recipe = parser.add_argument_group("training recipe (overrides the model config)")
    recipe.add_argument("--base-lr", type=common.positive(float), metavar="LR", help="learning rate [0.0004]")
    recipe.add_argument(
        "--epochs", type=common.positive(int), metavar="N", help="passes over the data [10 on shapes, 30]"
    )
    recipe.add_argument("--batch-size", type=common.positive(int), metavar="N", help="images of one step [6]")
    recipe.add_argument(
        "--steps",
        type=common.positive(int),
        nargs="+",
        metavar="EPOCH",
        help="the learning rate falls after these [25]",
    )
    recipe.add_argument("--gamma", type=common.positive(float), help="factor of each fall [0.1]")
    recipe.add_argument("--seed", type=int, metavar="N", help="of every random choice [0]")
    common.add_expect(parser)
    common.add_compute(parser)
    work = parser.add_argument_group("work")
    work.add_argument(
        "--gpus",
        type=common.positive(int),
        metavar="N",
        help="GPUs of this machine that share each batch; on a CPU, processes [from the config: 1]",
    )
    work.add_argument(
        "--num-workers",
        type=common.count,
        metavar="N",
        help="processes that load and augment, for each GPU [from the config: 2]",
    )
    work.add_argument(
        "--compile",
        action="store_true",
        help="fuse the network's operations with torch.compile, on one GPU: minutes to start [from the config: no]",
    )
    work.add_argument(
        "--save-minutes",
        type=common.positive(float),
        metavar="M",
        help="minutes between resumable states [from the config: 5]",
    )


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    settings, planned = common.load_settings(args.modelcfg)
    data = read_data_config(args.datacfg)
    section = "synthetic" if data["kind"] == "shapes" else "real"
    _override(settings, section, args)
    settings = configuration.complete(settings, "command line")
    name = args.name or (planned and planned.name)
    if not name:
        raise UserError("--name is missing: name the experiment, such as --name hawpv3-round0.")
    if Path(name).name != name or name.startswith(("-", ".")):
        raise UserError(f"--name {name!r} is no plain folder name: use letters, digits, dots, dashes and underscores.")
    recipe = _recipe(settings, section, data, name, args)
    common.check_expected(recipe, args.expect)
    gpus = args.gpus or settings["train"]["gpus"]
    device = args.device or settings["compute"]["device"]
    if gpus > 1 and ":" in device:
        raise UserError(
            f"--device {device} names one GPU, and --gpus {gpus} asks for several: use --device cuda, and choose them with "
            "CUDA_VISIBLE_DEVICES."
        )
    if gpus > 1 and not launching.inside() and not lineage.trained_model(recipe).is_file():
        launching.run_in_processes(args, gpus)
    else:
        _train(args, settings, section, data, recipe)


def read_data_config(path: Path) -> dict:
    """A data config: kind, key, and where the data lies.

    Raises:
        UserError: not a data config.
    """
    data = configuration.read_yaml(path)
    needed = {"shapes": ("key", "train", "validation"), "photographs": ("key", "labels", "folder", "shapes")}
    kind = data.get("kind")
    missing = [name for name in needed.get(kind, ()) if name not in data]
    if kind not in needed or missing:
        what = f"lacks '{missing[0]}'" if missing else f"has the kind {kind!r}"
        raise UserError(
            f"{path} is not a data config, it {what}: give a file written by hawp synthesize or hawp homoadp."
        )
    return data


def _override(settings: dict, section: str, args: argparse.Namespace) -> None:
    stage = settings["train"][section]
    for option in ("base_lr", "epochs", "batch_size", "steps", "gamma"):
        value = getattr(args, option)
        if value is not None:
            stage[option] = value
    if args.seed is not None:
        settings["seed"] = args.seed
    if section == "real":
        if args.pretrained is not None:
            stage["start"] = "previous"
        elif stage["start"] == "previous":
            raise UserError("this recipe starts from the previous round's model: give it with --pretrained FILE.")


def _recipe(settings: dict, section: str, data: dict, name: str, args: argparse.Namespace) -> lineage.Recipe:
    shapes = data["key"] if section == "synthetic" else read_data_config(Path(data["shapes"]))["key"]
    start = _start_key(args.pretrained) if args.pretrained else None
    chosen = lineage.pick(settings, (*lineage.TRAIN_SETTINGS, f"train.{section}"))
    places = {
        "data": str(args.datacfg),
        "shapes": str(args.datacfg if section == "synthetic" else data["shapes"]),
        "start": str(args.pretrained) if args.pretrained else None,
    }
    return lineage.Recipe("train", chosen, {"data": data["key"], "shapes": shapes, "start": start}, name, places)


def _start_key(model: Path) -> str:
    """The key of the training that made `model`; of an imported model, the digest of its file."""
    from hawp_core.checkpoint import load_checkpoint
    from hawp_core.files import sha256

    _, info = load_checkpoint(model, "cpu")
    return info["recipe"].get("key") or sha256(model)[: lineage.KEY_LENGTH]


def _train(args: argparse.Namespace, settings: dict, section: str, data: dict, recipe: lineage.Recipe) -> None:
    """Train unless the model is there, and let it appear under its name when all that belongs to it is written."""
    from hawp_core import distributed
    from hawp_core.progress import log
    from hawp_core.provenance import record_file, write_record
    from hawp_core.resume import lease, stop_on_signal

    device, precision = common.compute_options(args, settings["compute"])
    model = lineage.trained_model(recipe)
    # A workflow that is killed before it has noted a finished model deletes it: this other name keeps it.
    kept = model.with_name(f".{model.name}")
    with stop_on_signal() as stop, distributed.joined(device), contextlib.ExitStack() as held:
        launching.obey(stop)
        distributed.on_main(lambda: held.enter_context(lease(model.parent, stop=stop, say=log.info)))
        if distributed.on_main(model.is_file):
            log.info("%s is there: nothing to do", model)
            return
        if not distributed.on_main(lambda: kept.is_file() and record_file(kept).is_file()):
            trainer, images = _trainer(args, settings, section, data, recipe, device, precision, stop)
            where = common.device_name(device)
            where = where if distributed.world() == 1 else f"{distributed.world()} x {where}"
            log.info("%s %s: %d images on %s", recipe.name, recipe.key, images, where)
            config = model.parent / "model.yaml"
            distributed.on_main(lambda: write_text(config, yaml.safe_dump(recipe.settings, sort_keys=False)))
            metrics = trainer.run(kept)
            parents = [Path(recipe.places["data"])] + ([args.pretrained] if args.pretrained else [])
            counts = {"images": images, "steps": trainer.at.step, **metrics}
            distributed.on_main(
                lambda: write_record(
                    model, recipe, outputs={model.name: kept, config.name: config}, upstream=parents,
                    seconds=trainer.at.seconds, device=where, counts=counts,
                )
            )  # fmt: skip
        if distributed.is_main():
            _link(kept, model)
            (model.parent / "resume.pth").unlink(missing_ok=True)
    log.info("%s", model)


def _trainer(args, settings, section, data, recipe, device, precision, stop):
    """The trainer of a recipe, and the number of its images."""
    import torch

    from hawp_core import distributed
    from hawp_core.augment import REAL, SYNTHETIC
    from hawp_core.checkpoint import load_checkpoint
    from hawp_core.data import Loader
    from hawp_core.network import Architecture, WireframeNetwork
    from hawp_core.samples import ShapeSet
    from hawp_core.training import Schedule, Trainer

    architecture = Architecture.from_dict(settings["model"])
    schedule = Schedule.from_settings(settings, section)
    if section == "synthetic":
        shapes, dataset = data, ShapeSet([Path(file) for file in data["train"]])
    else:
        shapes = read_data_config(Path(data["shapes"]))
        # The others find the cache that the main process makes.
        with distributed.main_first():
            dataset = _photographs(args.datacfg, data, architecture.image_size, settings["train"]["real"]["flips"])
    torch.manual_seed(schedule.seed)
    if args.pretrained:
        network, _ = load_checkpoint(args.pretrained, device, expect=architecture)
    else:
        network = WireframeNetwork(architecture).to(device)
    loader = Loader(
        dataset,
        schedule.batch_size,
        {"none": None, "mild": REAL, "strong": SYNTHETIC}[settings["train"][section]["augment"]],
        seed=schedule.seed,
        workers=settings["compute"]["workers"] if args.num_workers is None else args.num_workers,
        rank=distributed.rank(),
        world=distributed.world(),
        pin_memory=device.type == "cuda",
    )
    trainer = Trainer(
        network,
        loader,
        ShapeSet([Path(file) for file in shapes["validation"]]),
        schedule,
        lineage.trained_model(recipe).parent,
        key=recipe.key,
        recipe={"key": recipe.key, "name": recipe.name, **recipe.identity, "shapes": recipe.places["shapes"]},
        precision=precision,
        save_seconds=60 * (args.save_minutes or settings["compute"]["save_minutes"]),
        stop=stop,
        compiled=(args.compile or settings["compute"]["compile"]) and distributed.world() == 1,
    )
    return trainer, len(dataset)


def _photographs(config: Path, data: dict, size: int, flips: int):
    """The labelled photographs that a data config names."""
    from hawp_core.samples import PhotographSet
    from hawp_core.wireframe import LabelFile

    labels = LabelFile(data["labels"])
    if labels.about.get("export") != data["key"]:
        raise UserError(
            f"{data['labels']} holds the labels of {labels.about.get('export')}, and {config} promises {data['key']}: "
            "run the export again."
        )
    cache = Path("data-ssl", "cache", f"{data['photographs'][: lineage.KEY_LENGTH]}-{size}.h5")
    return PhotographSet(data["folder"], labels, size, flips, cache=cache)


def _link(file: Path, name: Path) -> None:
    """Give a file a second name; a copy where the file system knows no hard links."""
    try:
        os.link(file, name)
    except OSError:
        with replacing(name) as temporary:
            shutil.copyfile(file, temporary)
