"""Work before and behind the main work: what is read is ready when it is wanted, what is written keeps nobody waiting."""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, most: int
) -> Generator[Result, None, None]:
    """What `work` makes of each item, in their order, made by `threads` threads, `most` results before they are taken.

    Raises:
        Whatever `work` raises, at the place of its item.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def in_background(items: Iterable[Item], *, most: int) -> Generator[Item, None, None]:
    """The items, drawn by a thread of their own, `most` before they are taken.

    Raises:
        Whatever `items` raises, at its place.
    """
    source, end = iter(items), object()
    drawn = ahead(lambda _: next(source, end), itertools.repeat(None), threads=1, most=most)
    with contextlib.closing(drawn):
        for item in drawn:
            if item is end:
                return
            yield item  # type: ignore[misc]  # what is not the end is an item


class Behind(Generic[Item]):
    """Work that threads do while the caller goes on; leaving the block waits for all of it.

    Raises:
        Whatever the work raises: from a later `give`, or at the end of the block.
    """

    def __init__(self, work: Callable[[Item], object], *, threads: int, most: int) -> None:
        self._work, self._most = work, most
        self._pool = ThreadPoolExecutor(threads)
        self._waiting: deque[Future[object]] = deque()

    def give(self, item: Item) -> None:
        """Have one more done; waits while `most` are waiting already."""
        self._waiting.append(self._pool.submit(self._work, item))
        while len(self._waiting) > self._most or self._waiting[0].done():
            self._waiting.popleft().result()
            if not self._waiting:
                return

    def wait(self) -> None:
        """Wait until all that was given is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> "Behind[Item]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What was given is finished even after a failure: it would have to be done again.
        self._pool.shutdown(wait=True)
        if kind is None:
            self.wait()
