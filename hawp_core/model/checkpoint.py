"""Network weights on disk: our own checkpoints, which say what they are, the state of an unfinished training, and the
published plain state dicts.

Files are read with `torch.load(weights_only=True)` and nothing else: a checkpoint from a stranger runs no code.
"""

import hashlib
import io
import json
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.files import replacing

CHECKPOINT_FORMAT = "hawp-rounds checkpoint 1"
STATE_FORMAT = "hawp-rounds training state 1"
# Names listed in a message before "and N more".
_NAMED = 3


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself beside its weights.

    Attributes:
        epoch: epochs of training behind the weights.
        recipe: what they were made with, as their maker wrote it down. Empty where weights or architecture were changed
            since, by averaging two models say: then they are known by the file's content, as imported ones are.
    """

    architecture: Architecture
    epoch: int
    recipe: dict[str, object]


class TrainingState(TypedDict, total=False):
    """What a training needs to carry on; `average` only where the weights are averaged."""

    key: str
    precision: str
    at: Mapping[str, object]
    network: Mapping[str, torch.Tensor]
    optimiser: dict[str, object]
    average: Mapping[str, torch.Tensor]


def save_checkpoint(path: Path | str, network: WireframeNetwork, *, epoch: int, recipe: Mapping[str, object]) -> None:
    """Write the weights with the architecture and recipe they were made with, whole or not at all.

    Args:
        epoch: epochs of training behind the weights.
        recipe: JSON-serialisable settings of the training.

    Raises:
        UserError: the file cannot be written.
        ValueError: a folded copy of a network, whose state is not a checkpoint's.
        TypeError: a recipe that is not JSON.
    """
    architecture, state = network.architecture.to_dict(), _plain_state(network)
    content = {
        "format": CHECKPOINT_FORMAT,
        "architecture": architecture,
        "epoch": int(epoch),
        "recipe": json.loads(json.dumps(recipe)),
        "digest": _digest(architecture, state),
        "state": state,
    }
    _write(path, content)


def load_checkpoint(
    path: Path | str, device: torch.device | str = "cpu", expect: Architecture | None = None
) -> tuple[WireframeNetwork, CheckpointInfo]:
    """Read a checkpoint of `save_checkpoint`.

    Args:
        expect: the architecture that the caller is about to use, if it has one.

    Returns:
        the network on `device`, in evaluation mode, and what the file says of it.

    Raises:
        UserError: missing, damaged or of another kind, or made with another architecture than expected.
    """
    content = _read(path)
    found = content.get("format")
    if found != CHECKPOINT_FORMAT:
        remedy = "run hawp import-checkpoint on it first" if "backbone.conv1.weight" in content else "make it again"
        said = " ".join(repr(found).split())[:80]  # a tensor has lines
        raise UserError(
            f"{path} has the checkpoint format {said}, and this version reads {CHECKPOINT_FORMAT!r}: {remedy}."
        )
    built, epoch, recipe, state = (content.get(name) for name in ("architecture", "epoch", "recipe", "state"))
    if not isinstance(built, dict) or not isinstance(state, dict):
        raise UserError(f"{path} lacks its architecture or its weights: it is damaged; train or copy it again.")
    if not isinstance(recipe, dict) or not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
        raise UserError(f"{path} does not say what it was trained with: it is damaged; train or copy it again.")
    try:
        architecture = Architecture.from_dict(built)
    except UserError as error:
        raise UserError(f"{path} was made by another version of hawp-rounds ({error}): use that one.") from error
    if expect is not None:
        _compare(path, architecture, expect)
    network = _network(path, architecture, state)
    # Files of before this digest are believed.
    if (made := content.get("digest")) is not None and made != _digest(built, _plain_state(network)):
        recipe = {}
    return network.to(device), CheckpointInfo(architecture, epoch, recipe)


def save_state(path: Path | str, state: TrainingState) -> None:
    """Write what a training needs to carry on, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    _write(path, {"format": STATE_FORMAT, **state})


def load_state(path: Path | str) -> TrainingState:
    """Read a file of `save_state`; tensors come to the host. What it holds is checked by those who take it up.

    Raises:
        UserError: missing, damaged or of another kind.
    """
    state = _read(path)
    if state.pop("format", None) != STATE_FORMAT:
        raise UserError(f"{path} is no state of a training of this version: move it away to begin anew.")
    return cast(TrainingState, state)


def import_published(path: Path | str) -> WireframeNetwork:
    """Read a published state dict (`hawpv3-*.pth`) into the published architecture, in evaluation mode.

    Raises:
        UserError: missing or damaged, or tensors missing, unexpected or of another shape.
    """
    content = _read(path)
    if content.get("format") == CHECKPOINT_FORMAT:
        raise UserError(f"{path} is a checkpoint of hawp-rounds already: use it as it is.")
    return _network(path, Architecture(), content)


def export_published(network: WireframeNetwork, path: Path | str) -> None:
    """Write the plain state dict that the reference implementation loads, whole or not at all.

    Raises:
        UserError: the file cannot be written.
        ValueError: a folded copy of a network, whose state is not a checkpoint's.
    """
    _write(path, _plain_state(network))


def _plain_state(network: WireframeNetwork) -> OrderedDict[str, torch.Tensor]:
    """The weights on the host in plain layout, whatever the network's device and memory format."""
    state = OrderedDict((name, value.detach().cpu().contiguous()) for name, value in network.state_dict().items())
    if "backbone.bn1.weight" not in state:
        raise ValueError("a folded network cannot be saved: save the network that it was folded from")
    return state


def _digest(architecture: Mapping[str, object], state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over what a network is.

    Args:
        architecture: as the file has it, for a later version may know settings that it does not.
        state: plain tensors on the host; their names, types and values count, in the order of the names.
    """
    found = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
    for name in sorted(state):
        found.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        found.update(state[name].numpy().data)
    return found.hexdigest()


def _write(path: Path | str, content: Mapping[str, object]) -> None:
    # By way of memory: PyTorch's own writer hides from its caller that the disk is full.
    packed = io.BytesIO()
    torch.save(content, packed)
    # The view is let go before an error leaves: some Pythons (3.12.1) crash when they collect it with the error.
    with replacing(path) as temporary, packed.getbuffer() as view, open(temporary, "wb") as stream:
        stream.write(view)


def _read(path: Path | str) -> dict[str, object]:
    """The dictionary in a file of `torch.save`, without running code."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: give an existing checkpoint file.")
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        with warnings.catch_warnings():
            # What PyTorch thinks of a foreign file's format belongs to those who made it.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): give a readable file.") from error
    except Exception as error:  # unpicklers fail on foreign bytes in every way there is
        raise UserError(
            f"{path} is no checkpoint that can be read safely (it is cut short, damaged or holds more than weights): "
            "copy or make it again, or get it from a source that you trust."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a checkpoint: give a file of network weights.")
    return content


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        # PyTorch packs nothing; what is packed may be a thousand times as large in memory.
        if sum(record.file_size for record in archive.infolist()) > path.stat().st_size:
            raise zipfile.BadZipFile("its records are larger than itself")
        # PyTorch skips the check sums that it wrote; a flipped bit would pass as a weight.
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(damaged)


def _network(path: Path | str, architecture: Architecture, state: dict[str, object]) -> WireframeNetwork:
    """A network with `state`, every name and shape checked."""
    network = WireframeNetwork(architecture)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in state]
    unexpected = [str(name) for name in state if name not in wanted]
    differing = [name for name in wanted if name in state and _shape(state[name]) != _shape(wanted[name])]
    shapes = [f"{name} ({_shape(state[name])} instead of {_shape(wanted[name])})" for name in differing]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' * (len(names) > _NAMED)}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(
            f"{path} does not hold the {len(wanted)} tensors of this network ({'; '.join(problems)}): "
            "give weights of HAWPv3 with this architecture."
        )
    # Of these shapes are tensors only.
    weights = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    network.load_state_dict(weights)
    # As the network holds them: what is finite in float64 need not be in float32.
    held = network.state_dict().items()
    if broken := [name for name, value in held if value.is_floating_point() and not bool(value.isfinite().all())]:
        raise UserError(f"{path} holds values that are not finite ({broken[0]}): its training diverged; use another.")
    if not _computes(network.eval()):
        raise UserError(
            f"{path} computes values that are not finite from any image: its weights are damaged; use another."
        )
    return network


@torch.inference_mode()
def _computes(network: WireframeNetwork) -> bool:
    """Whether the smallest grey image comes through: finite weights may be too large, and running variances negative."""
    side = network.architecture.multiple
    heads, features = network(torch.full((1, 1, side, side), 0.5))
    return all(bool(values.isfinite().all()) for values in (*heads, network.heatmap_logits(features)))


def _shape(value: object) -> tuple[int, ...] | str:
    """The shape of a plain tensor; of anything else, what it is."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    if value.layout is not torch.strided or value.device.type == "meta" or value.is_complex() or value.is_quantized:
        return f"{value.dtype}, {value.layout}, on {value.device}".replace("torch.", "")
    return tuple(value.shape)


def _compare(path: Path | str, found: Architecture, expected: Architecture) -> None:
    found_values, expected_values = found.to_dict(), expected.to_dict()
    names = [name for name in found_values if found_values[name] != expected_values[name]]
    if names:
        made = ", ".join(f"{name} {found_values[name]}" for name in names)
        asked = ", ".join(f"{name} {expected_values[name]}" for name in names)
        raise UserError(
            f"{path} was made with model {made}, and the configuration says {asked}: "
            "change the configuration back, or train a network of your own with it."
        )
