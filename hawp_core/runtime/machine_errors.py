"""What a machine refuses: a full, read-only or forbidden disk is the user's to mend, wherever it is met."""

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
