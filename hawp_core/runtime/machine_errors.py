"""What a machine refuses: a full, read-only or forbidden disk, and memory, are the user's to mend, wherever they are met."""

import errno
import os

# Also one with a folder in a file's place, and a file in a folder's; or one where files, or a user's, may not be so large.
MACHINE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EFBIG,
}  # fmt: skip


def in_words(error: OSError) -> str:
    """The sentence of such an error: file, reason, remedy."""
    where = error.filename or "a file of the working folder"
    reason = os.strerror(error.errno) if error.errno is not None else str(error)
    return f"{where} cannot be used ({reason}): mend that and run the same command again; what was finished is kept."


def lacks_memory(error: BaseException) -> bool:
    """Whether the machine, or its GPU, has less memory than the work asked for: of Python, NumPy or PyTorch."""
    # PyTorch's allocator of the host has no error of its own, and not every command imports PyTorch.
    of_torch = isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    )
    return isinstance(error, MemoryError) or of_torch
