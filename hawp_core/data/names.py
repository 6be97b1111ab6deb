"""The names of many images in little memory."""

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np

CHUNK = 65536  # names that are in memory as such at a time


class Names(Sequence[str]):
    """Unique names by number, and their numbers by name: eight bytes each beside their UTF-8, eight more where they are out of order.

    Args:
        chunks: the names as UTF-8, some at a time.

    Raises:
        ValueError: one comes twice, or is no UTF-8.
    """

    def __init__(self, chunks: Iterable[Sequence[bytes]]) -> None:
        text, lengths, ascending, last = bytearray(), [np.zeros(1, np.int64)], True, None
        for chunk in chunks:
            joined = b"".join(chunk)
            joined.decode("utf-8")
            text += joined
            lengths.append(np.fromiter(map(len, chunk), np.int64, len(chunk)))
            following = chunk if last is None else [last, *chunk]
            ascending = ascending and all(map(operator.lt, following, following[1:]))
            last = chunk[-1] if len(chunk) else last
        self._text = bytes(text)
        self._ends = np.cumsum(np.concatenate(lengths))
        self._order: np.ndarray | None = None
        # UTF-8 is in the order of the characters.
        if not ascending:
            every = [self._bytes(i) for i in range(len(self))]
            if len(set(every)) != len(every):
                raise ValueError("a name comes twice")
            self._order = np.array(sorted(range(len(every)), key=every.__getitem__))

    @classmethod
    def of(cls, names: Sequence[str]) -> "Names":
        """From names in memory."""
        return cls([[name.encode("utf-8") for name in names]])

    def _bytes(self, row: int) -> bytes:
        return self._text[self._ends[row] : self._ends[row + 1]]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        rows = range(len(self))[index]
        return (
            [self._bytes(row).decode("utf-8") for row in rows]
            if isinstance(rows, range)
            else self._bytes(rows).decode("utf-8")
        )

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), CHUNK):
            yield from self[start : start + CHUNK]

    def chunks(self) -> Iterator[list[bytes]]:
        """The names as UTF-8, some at a time."""
        for start in range(0, len(self), CHUNK):
            yield [self._bytes(row) for row in range(start, min(start + CHUNK, len(self)))]

    def row(self, name: object) -> int | None:
        """The number of a name; None where it is none of these."""
        if not isinstance(name, str):
            return None
        try:
            wanted = name.encode("utf-8")
        except UnicodeEncodeError:
            return None
        numbered: Callable[[int], int] = (lambda i: i) if self._order is None else self._order.__getitem__
        place = bisect_left(range(len(self)), wanted, key=lambda i: self._bytes(numbered(i)))
        found = int(numbered(place)) if place < len(self) else -1
        return found if found >= 0 and self._bytes(found) == wanted else None

    def __contains__(self, name: object) -> bool:
        return self.row(name) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as lists have none
