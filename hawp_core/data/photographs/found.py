"""The files that a folder was found to hold, in order and in little memory."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple


class PhotographFile(NamedTuple):
    """A file in the folder: its relative name, bytes, and modification time."""

    name: str
    size: int
    mtime_ns: int


_NAME = itemgetter(0)  # much quicker than to compare tuples


@dataclass
class _Folder:
    """The photographs that lie in one folder, and the folders in it that hold some.

    Attributes:
        names: sorted, without the folder, a zero byte between two.
        sizes, times: of each.
        inner: names of folders.
    """

    names: str = ""
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    inner: set[str] = field(default_factory=set)


class FoundPhotographs:
    """Photographs folder by folder, and all of them in the order of their names: 16 bytes each and the name.

    Attributes:
        bytes: of all of them together.
    """

    def __init__(self) -> None:
        self._folders: dict[str, _Folder] = {"": _Folder()}
        self._count = self.bytes = 0

    def add(self, part: str, files: list[tuple[str, int, int]]) -> None:
        """Take what lies in the folder `part`, "" for the outermost: names without it, bytes, modification times."""
        if not files:
            return
        folder = self._folder(part)
        files.sort(key=_NAME)
        folder.names = "\0".join([name for name, _, _ in files])
        folder.sizes, folder.times = (
            array("q", [size for _, size, _ in files]),
            array("q", [time for _, _, time in files]),
        )
        self._count += len(files)
        self.bytes += sum(folder.sizes)

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of all names, sizes and times."""
        whole = hashlib.sha256()
        for part, folder in sorted(self._folders.items()):
            for piece in (part.encode(), folder.names.encode(), folder.sizes.tobytes(), folder.times.tobytes()):
                whole.update(len(piece).to_bytes(8, "big") + piece)
        return whole.hexdigest()

    def _folder(self, part: str) -> _Folder:
        if part not in self._folders:
            self._folders[part] = _Folder()
            outer, _, name = part.rpartition("/")
            self._folder(outer).inner.add(name)
        return self._folders[part]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[PhotographFile]:
        """All of them, sorted by their whole names: what lies in a folder comes together, where 'folder/' belongs."""
        waiting = [self._pieces("")]
        while waiting:
            piece = next(waiting[-1], None)
            if piece is None:
                waiting.pop()
            elif isinstance(piece, str):
                waiting.append(self._pieces(piece))
            else:
                yield from piece

    def _pieces(self, part: str) -> Iterator[str | list[PhotographFile]]:
        """What a folder holds, in order: photographs, and the folders between them."""
        folder, before = self._folders[part], f"{part}/" if part else ""
        names = folder.names.split("\0") if folder.names else []
        done = 0
        for inner in sorted(f"{name}/" for name in folder.inner):
            end = bisect_left(names, inner, done)
            yield self._named(folder, before, names, done, end)
            yield before + inner[:-1]
            done = end
        yield self._named(folder, before, names, done, len(names))

    @staticmethod
    def _named(folder: _Folder, before: str, names: list[str], start: int, end: int) -> list[PhotographFile]:
        columns = names[start:end], folder.sizes[start:end], folder.times[start:end]
        return [PhotographFile(before + name, size, time) for name, size, time in zip(*columns, strict=True)]
