"""HDF5 files that are new, and what becomes of them on a full disk."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new file, everything of which is with the operating system once the block has ended.

    The block keeps its datasets until then: HDF5 writes the last of one as it is let go, where h5py can only print an error.

    Raises:
        OSError, RuntimeError: there is no room; the text holds "errno = 28".
    """
    # The latest format has sums of its own bookkeeping too.
    file = h5py.File(path, "w", libver="latest")
    try:
        yield file
        file.flush()
    except BaseException:
        # Closing writes what is waiting, for each object anew: without room, a page of tracebacks. Into nowhere it goes through.
        with open(os.devnull, "r+b") as nowhere:
            os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
        with contextlib.suppress(OSError, RuntimeError):
            file.close()
        raise
    file.close()
