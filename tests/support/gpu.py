"""A GPU for tests: the card where there is one, and elsewhere tensors that say they lie on one and hold their numbers on the host.

FakeTensorMode, which is PyTorch's way to run without a card, knows shapes but no numbers: detection stops there as soon as it
asks how many lines there are. Here operations run for real, under the rule of a card: tensors of two devices do not meet, but for a
number, and what goes to or from the card is a copy that can be counted.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CARD = torch.device("cuda:0")
REAL = torch.cuda.is_available()
# Operations whose result's size, or a number in Python, hangs on what was computed: the card's queue runs dry meanwhile.
WAITS = (
    "nonzero", "_local_scalar_dense", "item", "masked_select", "unique", "_unique2", "bincount", "equal", "is_nonzero", "repeat_interleave",
    "_linalg_check_errors",
)  # fmt: skip
COPIES = ("_to_copy", "copy_")


class OnCard(torch.Tensor):
    """A tensor that says it lies on the card."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        # As in FakeTensor: to PyTorch's insides a tensor without numbers, so that no driver is asked, with the card's rules
        # of mixed precision.
        reach = (
            held.storage_offset() + sum((n - 1) * step for n, step in zip(held.shape, held.stride(), strict=True)) + 1
        )
        shell = torch.empty(max(reach, 0), dtype=held.dtype, device="meta")
        shell = shell.as_strided(held.shape, held.stride(), held.storage_offset())
        made = torch.Tensor._make_subclass(cls, shell, False, device_for_backend_keys=CARD)
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        return CARD

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"OnCard({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} outside of gpu()")


class _HostGenerator(torch.Generator):
    """Draws on the host, whatever device it is asked for."""

    def __new__(cls, device: object = None):
        return super().__new__(cls, "cpu")


def _on_card(tensor: torch.Tensor) -> bool:
    return _is_card(tensor.device)


def _is_card(device: object) -> bool:
    return torch.device(device).type in ("cuda", "meta")


class Card(TorchDispatchMode):
    """Counts for what the host waits, and what goes to the card; pretends to be one where there is none.

    Attributes:
        waits: by operation; "upload" and "download" are copies that the host waits for.
        uploads: copies to the card, waited for or not.
    """

    if not REAL:
        # By this PyTorch takes the card for one that needs no driver.
        _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.uploads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        to = kwargs.get("device")
        self._count(name, tensors, args, kwargs)
        if REAL:
            return func(*args, **kwargs)
        here = any(map(_on_card, tensors)) if to is None else _is_card(to)
        strangers = [tuple(t.shape) for t in tensors if not _on_card(t) and t.dim()]
        if any(map(_on_card, tensors)) and strangers and name not in COPIES:
            raise RuntimeError(f"{func}: tensors of shapes {strangers} are on the CPU, others on the GPU")
        if any(t.device.type == "meta" for t in tensors):
            raise RuntimeError(
                f"{func}: PyTorch itself copied numbers to the GPU, such as a list that indexes, and waits for it"
            )
        if to is not None:
            kwargs = kwargs | {"device": torch.device("cpu")}
        held = tree_map(lambda leaf: leaf.held if isinstance(leaf, OnCard) else leaf, (args, kwargs))
        found = func(*held[0], **held[1])
        # What an operation in place gives back is the tensor that it was given.
        known = {id(t.held): t for t in tensors if isinstance(t, OnCard)}

        def shown(leaf: object) -> object:
            if not here or not isinstance(leaf, torch.Tensor):
                return leaf
            return known[id(leaf)] if id(leaf) in known else OnCard(leaf)

        return tree_map(shown, found)

    def _count(self, name: str, tensors: list[torch.Tensor], args: tuple, kwargs: dict) -> None:
        if name in COPIES:
            source = tensors[-1]
            target = kwargs.get("device") if name == "_to_copy" else tensors[0].device
            target = source.device if target is None else torch.device(target)
            if _on_card(source) == _is_card(target):
                return
            self.uploads += _is_card(target)
            quick = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
            if target.type == "cpu" or not quick:
                self.waits["download" if target.type == "cpu" else "upload"] += 1
            return
        masks = args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], list | tuple) else ()
        by_mask = any(isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8) for i in masks)
        if any(map(_on_card, tensors)) and (name in WAITS or by_mask):
            self.waits[name] += 1


@contextmanager
def gpu() -> Iterator[Card]:
    """A card to work on, as "cuda"."""
    lifted = torch._C._only_lift_cpu_tensors()
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    # So that torch.tensor(..., device="cuda") shows as the copy that it is.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with Card() as card:
            if REAL:
                yield card
                return
            torch._C._ensureCUDADeviceGuardSet()
            torch.__future__.set_overwrite_module_params_on_conversion(True)
            with (
                patch("torch.cuda.is_available", lambda: True),
                patch("torch.cuda.is_bf16_supported", lambda *_, **__: True),
                patch("torch.cuda.mem_get_info", lambda *_: (8 << 30, 8 << 30)),
                patch("torch.cuda.is_current_stream_capturing", lambda: False),
                patch("torch.Generator", _HostGenerator),
                patch("torch.Tensor.pin_memory", lambda tensor: tensor),
            ):
                yield card
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
