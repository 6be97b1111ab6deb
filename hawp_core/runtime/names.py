"""Names that come from outside, and the paths inside a folder that they become.

The one place where a name out of a file, or one that a user gave, is joined to a folder: what would leave it is refused.
"""

import os
import re
from pathlib import Path, PurePosixPath

from hawp_core.errors import UserError
from hawp_core.runtime.text import shown

LONGEST_NAME = 200  # bytes: a file system takes 255, and names get endings
ADDRESS = re.compile(r"[0-9a-f]{8,64}")  # of an artifact, of a list of photographs, or the beginning of one


def usable(text: str) -> bool:
    """Whether a file system takes `text` at all: some characters have no bytes there, and zero ends a name."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def is_address(value: object) -> bool:
    """Whether this is an address: hexadecimal digits, which are a plain name as they stand."""
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def check_name(name: object) -> None:
    """Make sure that a name, wherever it comes from, is one plain folder inside the run.

    Raises:
        UserError: empty, hidden, too long, or with a separator or control character.
    """
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or re.search(r"[/\\]|^$|^[.-]", name)
        or len(name.encode(errors="surrogatepass")) > LONGEST_NAME
    ):
        raise UserError(
            f"the name {name!r} is no plain folder name: use letters, digits, dots, dashes and underscores, such as "
            "mine-round0."
        )


def named_folder(root: Path, name: str) -> Path:
    """The folder of a round, or of another name, below `root`.

    Raises:
        UserError: as `check_name`.
    """
    check_name(name)
    return root / name


def stays_inside(name: str) -> bool:
    """Whether `name`, parts with '/' between them, leads to a place below the folder that it is joined to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and usable(name)


def inside(folder: Path | str, name: str) -> Path:
    """The path of `name` below `folder`.

    Raises:
        UserError: the name is empty, absolute, leaves the folder by '..', or is none that a file system takes.
    """
    if not stays_inside(name):
        raise UserError(f"{shown(name)!r} is no path inside {shown(folder)}: name what lies in it, relative to it.")
    return Path(folder, name)
