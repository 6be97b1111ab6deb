"""Training data: batches of labelled images in a reproducible order.

What a sample becomes in an epoch follows from (seed, epoch, index) alone, and the order of an epoch from (seed, epoch),
so that any number of workers, any batch size, any number of processes and any place to resume from read the same samples.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hawp_core.data.augmentation import Augmentation
from hawp_core.data.batch import Share
from hawp_core.data.collate import ORDER_KEY, Prepared, RawBatch, prepare
from hawp_core.data.mixture import Mixture
from hawp_core.data.samples import SampleSet
from hawp_core.errors import UserError
from hawp_core.runtime.signals import HANGUP


class Loader:
    """Batches of a data set, epoch by epoch.

    Args:
        batch_size: images in a batch, over all processes together.
        augmentation: what is done to the images, or None.
        crop: side of the piece that an epoch takes of each image, pixels; 0 takes all of it.
        workers: processes that read and prepare; 0 does it in this one.
        rank, world: this process among those that train together; it gets its share of every batch.
        training: samples come in a new order each epoch, those of a mixture by its shares, and a last batch of a single sample, which batch
            normalisation cannot use, is left out unless it is the only batch: the number of processes changes nothing.
            A process for which a short last batch has no sample gets its first one, which the batch's share does not count. Otherwise
            samples come in the order of the set, all of them.
        pin_memory: put batches in page-locked memory, for CUDA.

    Raises:
        UserError: fewer images, in all or in a batch, than processes.
    """

    def __init__(
        self,
        dataset: SampleSet,
        batch_size: int,
        augmentation: Augmentation | None = None,
        *,
        crop: int = 0,
        seed: int = 0,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        training: bool = True,
        pin_memory: bool = False,
    ) -> None:
        self._in_epoch = dataset.drawn if training and isinstance(dataset, Mixture) else len(dataset)
        if min(self._in_epoch, batch_size) < world:
            raise UserError(
                f"{self._in_epoch} image(s) in batches of {batch_size} are too few for {world} process(es): "
                "use fewer processes, or larger batches of more images."
            )
        self.dataset, self.batch_size, self.seed, self.training = dataset, batch_size, seed, training
        self.rank, self.world = rank, world
        self._schedule = _Schedule()
        self._loader = DataLoader(
            _Keyed(dataset, augmentation, seed, crop),
            batch_sampler=self._schedule,
            num_workers=workers,
            collate_fn=_Collate(0.0 if augmentation is None else augmentation.margin),
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker,
            # Its own, so that making an iterator leaves PyTorch's global random state alone.
            generator=torch.Generator(),
        )

    @property
    def batches_per_epoch(self) -> int:
        """Batches in an epoch, the same for each process."""
        whole, rest = divmod(self._in_epoch, self.batch_size)
        least = min(2, self.batch_size) if self.training and whole else 1
        return whole + (rest >= least)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[RawBatch]:
        """The batches of an epoch, from number `start_batch` on.

        One epoch at a time: with workers, starting another ends the one before.

        Raises:
            UserError: a sample cannot be read.
        """
        order = self._order(epoch)
        starts = range(start_batch * self.batch_size, self.batches_per_epoch * self.batch_size, self.batch_size)
        batches = [order[start : start + self.batch_size].tolist() for start in starts]
        own = [batch[self.rank :: self.world] for batch in batches]
        shares = [Share(len(batch), len(mine)) for batch, mine in zip(batches, own, strict=True)]
        read = [mine or batch[:1] for batch, mine in zip(batches, own, strict=True)]
        self._schedule.batches = [[(epoch, index) for index in indices] for indices in read]
        return self._load(shares)

    def _order(self, epoch: int) -> np.ndarray:
        if not self.training:
            return np.arange(len(self.dataset))
        rng = np.random.default_rng([ORDER_KEY, self.seed, epoch])
        return self.dataset.draw(rng) if isinstance(self.dataset, Mixture) else rng.permutation(len(self.dataset))

    def _load(self, shares: list[Share]) -> Iterator[RawBatch]:
        with _termination_held():
            loaded = iter(self._loader)
        for batch, share in zip(loaded, shares, strict=True):
            # An error comes as a value, because PyTorch would wrap one raised in a worker in a long traceback.
            if isinstance(batch, UserError):
                raise batch
            yield replace(batch, share=share)


class _Schedule:
    """What PyTorch's loader is to load next; persistent workers outlive an epoch, so it is changed in place."""

    batches: Sequence[list[tuple[int, int]]] = ()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Keyed(Dataset[Prepared | UserError]):
    """The data set as PyTorch's loader sees it: prepared samples by (epoch, index)."""

    def __init__(self, dataset: SampleSet, augmentation: Augmentation | None, seed: int, crop: int) -> None:
        self._dataset, self._augmentation, self._seed, self._crop = dataset, augmentation, seed, crop

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: tuple[int, int]) -> Prepared | UserError:
        epoch, index = key
        try:
            return prepare(self._dataset, self._augmentation, (self._seed, epoch), index, self._crop)
        except UserError as error:
            return error


class _Collate:
    """Make a batch of prepared samples, or hand on the first error among them."""

    def __init__(self, margin: float) -> None:
        self._margin = margin

    def __call__(self, samples: list[Prepared | UserError]) -> RawBatch | UserError:
        errors = [sample for sample in samples if isinstance(sample, UserError)]
        ready = [sample for sample in samples if isinstance(sample, Prepared)]
        return errors[0] if errors else RawBatch.collate(ready, self._margin)


def _start_worker(_: int) -> None:
    # Workers run side by side; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(0)
    # Ctrl-C, a closed terminal and a cluster's SIGTERM reach every process; only the main one decides what follows, and it
    # still needs its workers to come to a stop in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if HANGUP is not None:
        signal.signal(HANGUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        # Workers that a server started have not inherited it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def _termination_held() -> Iterator[None]:
    """Make SIGTERM and SIGINT wait, here and for good in every thread of the workers that are started meanwhile.

    A forked worker has threads of PyTorch's before any code of ours runs in it, and on a busy machine that takes a while: one that
    takes the signal ends the worker.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process at a SIGTERM of its parent's, and of nobody else's."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
