"""The heaps in which HDF5 keeps strings, looked through before HDF5 reads them.

All other bookkeeping of the latest format has sums. A heap has none, and HDF5 walks from object to object by the sizes that it
finds there: one of zero bytes, as a damaged disk leaves it, and it walks without end (as of HDF5 2.0; H5HGcache.c), which no signal
interrupts. Layout: "III.E. Disk Format: Level 1E - Global Heap" of HDF5's file format specification, version 3.
"""

import mmap
import struct

import h5py

from hawp_core.data.label_tables import BY_IMAGE, RAGGED, SUMS, plain

_NUMBERS = (*BY_IMAGE, *RAGGED, *SUMS, "images", "sums")  # tables of label files, and of the cache of photographs
_HEAP = b"GCOL\x01"
_SIZES = 8  # bytes of each number that is an address or a size, in files of ours
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}  # version of the superblock -> where it has these
_HEAD = struct.Struct("<HHIQ")  # of an object: its number (0: what is free), references, nothing, bytes


def check_strings(file: h5py.File) -> None:
    """Make sure that every heap of strings in a file of labels or of cached pixels can be walked through.

    None is looked for where the file's numbers lie, which may be gigabytes, and look like anything.

    Raises:
        ValueError: one cannot.
        Exception: another of `label_tables.UNREADABLE`: a table is stored in another way.
    """
    tables = [plain(file, name) for name in _NUMBERS if name in file]
    begin = [(table.id.get_offset() or 0, table.id.get_storage_size()) for table in tables if not table.dtype.hasobject]
    with open(file.filename, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes = _SIZES_AT.get(content[8], 0)
        if tuple(content[sizes : sizes + 2]) != (_SIZES, _SIZES):
            raise ValueError("it is no HDF5 file as this program writes them")
        start = 0
        for offset, length in sorted([*begin, (len(content), 0)]):
            at = content.find(_HEAP, start, max(start, offset))
            while at >= 0:
                _walk(content, at)
                at = content.find(_HEAP, at + 1, offset)
            start = max(start, offset + length)


def _walk(content: mmap.mmap, at: int) -> None:
    """The heap at `at` from object to object, as HDF5 does."""
    end = at + int.from_bytes(content[at + 8 : at + 16], "little")
    if end > len(content):
        raise ValueError("its strings are cut short")
    at += _HEAD.size
    while at + _HEAD.size <= end:
        number, _, _, size = _HEAD.unpack_from(content, at)
        step = _HEAD.size + (size + 7) // 8 * 8 if number else size
        if not _HEAD.size <= step <= end - at:
            raise ValueError("its strings are damaged")
        at += step
