"""The rows of a list of photographs, in blocks: who needs some reads these, and ten million take no more memory than ten."""

import hashlib
import itertools
import json
import re
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from json.encoder import encode_basestring_ascii
from typing import IO, NamedTuple, NoReturn, overload

from hawp_core.errors import UserError

KEY_BEGINNING = b"hawp-rounds photographs 1"  # of what a key is the digest of: it stays, whatever becomes of the file
ROWS = 4096  # in a block
KEPT = 4  # blocks that a reader keeps: threads that read ahead are in two of them at most
SPOOLED = 2**26  # bytes of rows that are kept in memory while a list is made
# What a row has besides name and digest, which alone count for the key; JSON has no line's end within a name.
_PLACES = re.compile(rb", -?\d+, -?\d+\]\n")


class ListedPhotograph(NamedTuple):
    """A photograph and the SHA-256 of its bytes."""

    name: str
    sha256: str
    size: int
    mtime_ns: int


class Block(NamedTuple):
    """Bytes of a list, and their SHA-256."""

    size: int
    sha256: str


def block_of(raw: bytes) -> Block:
    """What is kept of the bytes of a block."""
    return Block(len(raw), hashlib.sha256(raw).hexdigest())


def encoded(rows: Iterable[tuple[object, ...]]) -> bytes:
    """A line of JSON for each row, ASCII."""
    return "".join([f"{line}\n" for line in map(json.dumps, rows)]).encode("ascii")


def _encoded_photographs(rows: Iterable[ListedPhotograph]) -> bytes:
    """The same bytes as `encoded`, in a fifth of the time: there may be ten million."""
    text, whole = encode_basestring_ascii, int.__repr__
    return "".join([f"[{text(n)}, {text(d)}, {whole(s)}, {whole(t)}]\n" for n, d, s, t in rows]).encode("ascii")


def key_lines(raw: bytes) -> bytes:
    """The lines that a key is the digest of: names and contents of encoded rows."""
    return _PLACES.sub(b"]\n", raw)


def well_formed(rows: Sequence[ListedPhotograph]) -> bool:
    """Whether everything has its type, and no photograph comes twice: a sum tells damage, and not who wrote the list."""
    return all(type(e.name) is type(e.sha256) is str and type(e.size) is type(e.mtime_ns) is int for e in rows) and all(
        one.name < other.name for one, other in pairwise(rows)
    )


class ListedRows(Sequence[ListedPhotograph]):
    """The photographs of a list, read from a file when they are asked for, and compared with the digests of their blocks.

    Whoever goes through all of them also learns whether they are in order and give the key.

    Args:
        stream: where the blocks lie one behind the other; closed with the last reader.
        start: of the first block, bytes.
        blocks: of which each but the last holds `rows` photographs.
        count: photographs in all.
        key: of the list.
        refuse: raises a UserError that names the list, for a reason.
    """

    def __init__(
        self,
        stream: IO[bytes],
        start: int,
        blocks: Sequence[Block],
        count: int,
        key: str,
        refuse: Callable[[str], NoReturn],
        rows: int = ROWS,
    ) -> None:
        self.key, self.blocks = key, blocks
        self._stream, self._count, self._refuse, self._rows = stream, count, refuse, rows
        self._starts = list(itertools.accumulate((block.size for block in blocks), initial=start))
        self._kept: OrderedDict[int, list[ListedPhotograph]] = OrderedDict()
        self._lock = threading.Lock()
        weakref.finalize(self, stream.close)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ListedPhotograph: ...
    @overload
    def __getitem__(self, index: slice) -> list[ListedPhotograph]: ...
    def __getitem__(self, index: int | slice) -> ListedPhotograph | list[ListedPhotograph]:
        """A photograph by number, or some.

        Raises:
            UserError: its block changed since the list was written.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        number, row = divmod(index % self._count, self._rows)
        with self._lock:
            if number not in self._kept:
                self._kept[number] = self._parsed(self._read(number))
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[number][row]

    def __iter__(self) -> Iterator[ListedPhotograph]:
        """All of them.

        Raises:
            UserError: something changed since the list was written, or it was none.
        """
        digest, last = hashlib.sha256(KEY_BEGINNING), None
        for raw in self.raw():
            digest.update(key_lines(raw))
            rows = self._parsed(raw)
            if last is not None and not last < rows[0].name:
                self._refuse("its lines are not in order")
            last = rows[-1].name
            yield from rows
        if digest.hexdigest() != self.key:
            self._refuse("its key does not fit its entries")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as lists have none

    def raw(self) -> Iterator[bytes]:
        """The bytes of each block.

        Raises:
            UserError: they changed.
        """
        for number in range(len(self.blocks)):
            with self._lock:
                raw = self._read(number)
            yield raw

    def _read(self, number: int) -> bytes:
        self._stream.seek(self._starts[number])
        raw = self._stream.read(self.blocks[number].size)
        if block_of(raw) != self.blocks[number]:
            self._refuse("it changed since it was written")
        return raw

    def _parsed(self, raw: bytes) -> list[ListedPhotograph]:
        try:
            rows = [ListedPhotograph(*row) for row in json.loads(b"[%b]" % raw[:-1].replace(b"\n", b","))]
        except (ValueError, TypeError, RecursionError):
            rows = []
        if not rows or not well_formed(rows):
            self._refuse("its lines are not names, each once and in order, with their digests, sizes and times")
        return rows


class RowWriter:
    """Puts rows into blocks, one after another; what is much lies in a file without a name."""

    def __init__(self) -> None:
        self._stream: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 (closed with the last reader)
        self._blocks: list[Block] = []
        self._pending: list[ListedPhotograph] = []
        self._key = hashlib.sha256(KEY_BEGINNING)
        self._end = 0

    def add(self, rows: Iterable[ListedPhotograph]) -> None:
        """Take more rows, which follow the earlier ones.

        Raises:
            UserError: the disk of temporary files is full.
        """
        self._pending += rows
        while len(self._pending) >= ROWS:
            self._put(self._pending[:ROWS])
            del self._pending[:ROWS]

    def __len__(self) -> int:
        return len(self._blocks) * ROWS + len(self._pending)

    def __iter__(self) -> Iterator[ListedPhotograph]:
        """The rows so far."""
        for number, block in enumerate(self._blocks):
            self._stream.seek(sum(each.size for each in self._blocks[:number]))
            yield from (ListedPhotograph(*json.loads(line)) for line in self._stream.read(block.size).splitlines())
        yield from self._pending

    def finish(self) -> ListedRows:
        """All rows; no more can be added."""
        count = len(self)
        if self._pending:
            self._put(self._pending)
        return ListedRows(self._stream, 0, self._blocks, count, self._key.hexdigest(), partial(_refuse_temporary))

    def _put(self, rows: list[ListedPhotograph]) -> None:
        raw = _encoded_photographs(rows)
        try:
            self._stream.seek(self._end)
            self._stream.write(raw)
        except OSError as error:
            _refuse_temporary(error.strerror or str(error))
        self._end += len(raw)
        self._key.update(key_lines(raw))
        self._blocks.append(block_of(raw))


def _refuse_temporary(reason: str) -> NoReturn:
    raise UserError(
        f"the list of photographs cannot be kept in {tempfile.gettempdir()} ({reason}): free space there, or name "
        "another folder in the environment variable TMPDIR."
    )


def packed(rows: Iterable[ListedPhotograph]) -> ListedRows:
    """Rows as blocks, which they may be already."""
    if isinstance(rows, ListedRows):
        return rows
    writer = RowWriter()
    rows = iter(rows)
    while some := list(itertools.islice(rows, ROWS)):
        writer.add(some)
    return writer.finish()
