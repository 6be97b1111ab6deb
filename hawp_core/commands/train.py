"""hawp train: learn from synthetic shapes or from the labels of an export."""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import yaml

from hawp_core.commands import argument_types, common
from hawp_core.data.data_config import (
    PhotographData,
    ShapeData,
    read_data_config,
    read_validation_shapes,
    validation_config,
)
from hawp_core.errors import UserError
from hawp_core.model.shipped import SHIPPED, SHIPPED_NAME
from hawp_core.runtime.devices import apply_compute, choose_compute, device_name
from hawp_core.runtime.extras import require
from hawp_core.runtime.files import link, write_text
from hawp_core.runtime.half_precision import asked_precision, precision_name
from hawp_core.runtime.setting_types import Section, Settings, TrackerName
from hawp_core.training import launch
from hawp_core.workflow.paths import AT_WORK, trained_model
from hawp_core.workflow.places import TrainPlaces
from hawp_core.workflow.recipe import TrainRecipe
from hawp_core.workflow.recipe_builders import Origin, train_recipe
from hawp_core.workflow.settings import Nested, changed, check_together, find_configuration
from hawp_core.workflow.training_data import own_data, training_data

HELP = "train a wireframe network"
DESCRIPTION = """Train on synthetic shapes or on labelled photographs, whichever the data config names. The model, its
metrics and its lineage are written to exp-ssl/NAME/KEY/, where KEY is the digest of everything that changes the
result. Killed or asked to stop (SIGTERM, SIGUSR1, Ctrl-C, a closed terminal), the same command carries on from the last
saved step."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--datacfg", type=Path, required=True, metavar="FILE",
        help="data config (.yaml) written by hawp synthesize, hawp homoadp or hawp import-labels",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="mix own labels in, by their share in labels.share: a data config written by hawp import-labels",
    )  # fmt: skip
    parser.add_argument(
        "--shapes", type=Path, metavar="FILE",
        help="validate on these shapes: a data config written by hawp synthesize [those that --datacfg names]",
    )  # fmt: skip
    parser.add_argument(
        "--modelcfg", type=find_configuration, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration, recipe or model.yaml: network and training settings [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the experiment, a folder below exp-ssl/ [from the recipe]")
    parser.add_argument(
        "--pretrained",
        type=argument_types.model_file,
        metavar="FILE",
        help="start from this model, or from the shipped one (shipped), instead of new weights [none]",
    )
    recipe = parser.add_argument_group("training recipe (overrides the model config)")
    recipe.add_argument("--base-lr", type=argument_types.positive(float), metavar="LR", help="learning rate [0.0004]")
    recipe.add_argument(
        "--epochs",
        type=argument_types.setting("train.synthetic.epochs"),
        metavar="N",
        help="passes over the data; 0: the shipped weights as they are, on shapes with --pretrained shipped [10 on shapes, 30]",
    )
    recipe.add_argument("--batch-size", type=argument_types.positive(int), metavar="N", help="images of one step [6]")
    recipe.add_argument(
        "--steps",
        type=argument_types.positive(int),
        nargs="+",
        metavar="EPOCH",
        help="the learning rate falls after these [25]",
    )
    recipe.add_argument("--gamma", type=argument_types.positive(float), help="factor of each fall [0.1]")
    recipe.add_argument("--seed", type=int, metavar="N", help="of every random choice [0]")
    common.add_expect(parser)
    common.add_compute(parser)
    work = parser.add_argument_group("work")
    work.add_argument(
        "--gpus",
        type=argument_types.positive(int, argument_types.MOST_PROCESSES),
        metavar="N",
        help="GPUs of each machine that share each batch; on a CPU, processes [from the config: 1]",
    )
    work.add_argument(
        "--nodes",
        type=argument_types.positive(int, argument_types.MOST_PROCESSES),
        metavar="N",
        help="nodes of this Slurm job, each with --gpus GPUs, that share each batch [from the config: 1]",
    )
    work.add_argument(
        "--num-workers",
        type=argument_types.setting("compute.workers"),
        metavar="N",
        help="processes that load and augment, for each GPU [from the config: 2]",
    )
    work.add_argument(
        "--compile",
        action="store_true",
        help="fuse the network's operations with torch.compile, on one GPU: minutes to start [from the config: no]",
    )
    work.add_argument(
        "--trackers",
        nargs="*",
        choices=get_args(TrackerName),
        metavar="WHICH",
        help="what draws the curves: tensorboard, mlflow, both, or, after no word, none [from the config: tensorboard]",
    )
    work.add_argument(
        "--save-minutes",
        type=argument_types.positive(float),
        metavar="M",
        help="minutes between resumable states [from the config: 5]",
    )


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    settings, planned = common.load_settings(args.modelcfg)
    # The others of its libraries are imported before the first step; these would be after it.
    require(*_trackers(args, settings))
    data = _data(args, settings)
    section: Section = "synthetic" if isinstance(data, ShapeData) else "real"
    if section == "synthetic" and args.pretrained is None and settings.train.synthetic.start == "shipped":
        args.pretrained = SHIPPED
    settings = changed(settings, _given(args, settings, section), "command line")
    check_together(settings, "command line", has_export=planned is None)
    name = args.name or (planned and planned.name)
    if not name:
        raise UserError("--name is missing: name the experiment, such as --name hawpv3-round0.")
    recipe = _recipe(settings, section, data, name, args)
    common.check_expected(recipe, args.expect)
    gpus, nodes = args.gpus or settings.train.gpus, args.nodes or settings.train.nodes
    device = args.device or settings.compute.device
    if gpus > 1 and ":" in device:
        raise UserError(
            f"--device {device} names one GPU, and --gpus {gpus} asks for several: use --device cuda, and choose them with "
            "CUDA_VISIBLE_DEVICES."
        )
    model = trained_model(recipe)
    if gpus * nodes > 1 and not launch.inside() and not model.is_file():
        launch.run_in_processes(args, gpus, nodes, model.parent)
    else:
        _train(args, settings, section, data, recipe)


def _trackers(args: argparse.Namespace, settings: Settings) -> tuple[TrackerName, ...]:
    return settings.compute.trackers if args.trackers is None else tuple(dict.fromkeys(args.trackers))


def _data(args: argparse.Namespace, settings: Settings) -> ShapeData | PhotographData:
    """What is learned from, validated on the shapes that the command line names."""
    data = read_data_config(args.datacfg)
    if isinstance(data, ShapeData):
        if args.labels or args.shapes:
            raise UserError(
                "--labels and --shapes go with labelled photographs, and --datacfg names shapes: leave them out."
            )
        return data
    if args.labels and settings.labels.share == 1:
        raise UserError("labels.share is 1, own labels alone: give them as --datacfg, without --labels.")
    return replace(data, shapes=args.shapes) if args.shapes else data


def _given(args: argparse.Namespace, settings: Settings, section: Section) -> Nested:
    """The settings that the command line changes.

    Raises:
        UserError: the model to begin from is not given.
    """
    names = ("base_lr", "epochs", "batch_size", "steps", "gamma")
    stage = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.pretrained is not None:
        shipped = "shipped" if args.pretrained == SHIPPED else "scratch"
        stage["start"] = "previous" if section == "real" else shipped
    elif section == "real" and settings.train.real.start == "previous":
        raise UserError("this recipe starts from the previous round's model: give it with --pretrained FILE.")
    given: Nested = {"train": {section: stage}}
    return given if args.seed is None else given | {"seed": args.seed}


def _recipe(
    settings: Settings, section: Section, data: ShapeData | PhotographData, name: str, args: argparse.Namespace
) -> TrainRecipe:
    shapes = read_validation_shapes(args.datacfg, data).key
    begin = SHIPPED_NAME if args.pretrained == SHIPPED else args.pretrained and str(args.pretrained)
    places = TrainPlaces(args.datacfg, validation_config(args.datacfg, data), begin, args.labels)
    start = _origin(args.pretrained).key if args.pretrained else None
    labels = own_data(args.labels).key if args.labels else None
    return train_recipe(
        settings, section, name, data=data.key, shapes=shapes, start=start, places=places, labels=labels
    )


def _origin(model: Path) -> Origin:
    from hawp_core.model.checkpoint import load_checkpoint

    return Origin.of(load_checkpoint(model, "cpu")[1], model)


def _train(
    args: argparse.Namespace,
    settings: Settings,
    section: Section,
    data: ShapeData | PhotographData,
    recipe: TrainRecipe,
) -> None:
    """Train unless the model is there, and let it appear under its name when all that belongs to it is written."""
    from hawp_core.data.mixture import Mixture
    from hawp_core.runtime.lease import lease
    from hawp_core.runtime.progress import log
    from hawp_core.runtime.signals import stop_on_signal
    from hawp_core.training import distributed
    from hawp_core.training.assembly import TRACKERS, Work, make_trainer
    from hawp_core.training.place import TrainingPlace
    from hawp_core.training.trackers import Tracked
    from hawp_core.workflow.record import vouched_for, write_record
    from hawp_core.workflow.sharing import take_over

    compute = settings.compute
    computing = choose_compute(args, compute)
    apply_compute(computing)
    device = computing.device
    place = TrainingPlace(trained_model(recipe), recipe.key)
    about = Tracked(place.folder, recipe.name, recipe.key, recipe.settings)
    work = Work(
        device,
        asked_precision(args, compute),
        workers=compute.workers if args.num_workers is None else args.num_workers,
        save_seconds=60 * (args.save_minutes or compute.save_minutes),
        compiled=args.compile or compute.compile,
        trackers=[TRACKERS[name](about) for name in _trackers(args, settings)],
        following=computing.following,
    )
    model, kept = place.model, place.kept_model
    with stop_on_signal() as stop, distributed.joined(device), contextlib.ExitStack() as held:
        launch.follow_starter(stop)
        distributed.on_main(lambda: held.enter_context(lease(model.parent, stop=stop, say=log.info)))
        if distributed.on_main(model.is_file):
            log.info("%s is there: nothing to do", model)
            return
        # Another name may be training the same just now.
        distributed.on_main(lambda: held.enter_context(lease(AT_WORK / recipe.key, stop=stop, say=log.info)))
        if theirs := distributed.on_main(lambda: take_over(recipe)):
            log.info("%s is the same as %s: linked, not trained again", model, theirs)
            return
        if not distributed.on_main(lambda: vouched_for(kept, model.name)):
            dataset, validation = training_data(settings, args.datacfg, data, args.labels)
            images = dataset.drawn if isinstance(dataset, Mixture) else len(dataset)
            trainer = make_trainer(
                settings, section, dataset, validation, place, start=args.pretrained, work=work, stop=stop,
                recipe={"key": recipe.key, "name": recipe.name, **recipe.identity, "shapes": str(recipe.places.shapes)},
            )  # fmt: skip
            where = device_name(device)
            where = where if distributed.world() == 1 else f"{distributed.world()} x {where}"
            log.info("%s %s: %d images on %s", recipe.name, recipe.key, images, where)
            config = place.config_file
            distributed.on_main(lambda: write_text(config, yaml.safe_dump(recipe.settings, sort_keys=False)))
            metrics = trainer.run()
            parents = [parent for parent in (args.datacfg, args.labels, args.pretrained) if parent]
            rows = place.metrics_file
            precision = precision_name(trainer.precision)
            how = precision + (f", {trainer.room.said}" if trainer.room else "")
            counts = {"images": images, "steps": trainer.at.step, "precision": precision, **metrics}
            distributed.on_main(
                lambda: write_record(
                    model, recipe, outputs={model.name: kept, config.name: config, rows.name: rows}, upstream=parents,
                    seconds=trainer.at.seconds, device=f"{where} ({how})", counts=counts,
                )
            )  # fmt: skip
        if distributed.is_main():
            link(kept, model)
            place.state_file.unlink(missing_ok=True)
    log.info("%s", model)
