"""Files that are whole or absent: written beside their place and renamed into it."""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hawp_core.errors import UserError

# Far beyond any file of ours, and short work.
LARGEST_JSON, LARGEST_YAML = 2**28, 2**24
SETTLE_SECONDS = 1.0
TAIL = 65536  # bytes at the end of a file of JSON lines that hold its last rows


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    The bytes are on the disk before the name is, so a crash leaves either the old file or the new one.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A letter takes four bytes at most, and a name 255.
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:48]}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        # What may not be written was not written here: it is another name of a file that has settled. For writing, as Windows wants it.
        if os.access(temporary, os.W_OK):
            with open(temporary, "rb+") as written:
                os.fsync(written.fileno())
        os.replace(temporary, path)
        temporary = None
    except (OSError, RuntimeError) as error:
        # h5py reports a full disk without errno, while it closes a file even as another error; its text names it.
        told = re.search(r"errno = (\d+)", str(error))
        number = getattr(error, "errno", None) or (told and int(told[1]))
        if number is None:
            raise
        reason = os.strerror(number)
        raise UserError(
            f"{path} could not be written ({reason}): free space or permission in {path.parent}, "
            "then run the same command again; nothing finished was lost."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


class Settling:
    """Have what is appended to a file settle on the disk, once a second at most.

    A disk takes milliseconds for it, and one that is shared more, which may be longer than the work on an image. A kill of the process
    loses nothing that was written, a crash of the machine what was written in its last second.
    """

    def __init__(self) -> None:
        self._last = -math.inf

    def settle(self, handle: int) -> None:
        """Call it after each writing. Raises OSError where the disk is full."""
        if time.monotonic() - self._last >= SETTLE_SECONDS:
            os.fsync(handle)
            self._last = time.monotonic()


def link(file: Path, name: Path) -> None:
    """Give a file a second name, in place of what has that name; a copy where the file system knows no hard links.

    Raises:
        UserError: as `replacing`.
    """
    # Renamed onto another name of the same file, a name would stay where it is.
    if name.exists() and name.samefile(file):
        return
    with replacing(name) as temporary:
        temporary.unlink()
        try:
            os.link(file, temporary)
        except OSError:
            shutil.copyfile(file, temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; bytes of a name that are no UTF-8 as \\udc80 to \\udcff, as JSON has them."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        UserError: no such file, not JSON, or not an object.
    """
    try:
        value = parse_json(read_limited(path, LARGEST_JSON))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give an existing file.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): delete it, or write it anew.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not a JSON object: give a file that this tool wrote.")
    return value


def parse_json(text: str | bytes) -> object:
    """The value of a JSON text, whose numbers are finite.

    Raises:
        ValueError: no JSON, or nested beyond all measure.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_limited(path: Path | str, most: int) -> str:
    """The text of a file of at most `most` bytes; a device that never ends is left alone as well, and a pipe without a writer.

    Raises:
        OSError: it cannot be read.
        ValueError: larger, or not UTF-8; a pipe into which nobody writes.
    """
    try:
        with open(path, "rb", opener=_at_once) as stream:
            content = stream.read(most + 1)
            silent = not content and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except ValueError as error:  # a zero byte, or a character that has no bytes
        raise ValueError(f"its name is none: {error}") from error
    if silent:
        raise ValueError("it is a pipe, and nobody writes into it")
    if len(content) > most:
        raise ValueError(f"it is larger than {most // 2**20} MB")
    return content.decode("utf-8")


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for a writer of a named pipe; what has a writer is read to its end."""
    if sys.platform == "win32":  # its pipes do not lie among files
        return os.open(path, flags)
    handle = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    return handle


def _no_number(word: str) -> None:
    raise ValueError(f"it holds {word}")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds {digits[:20]}")
    return value


def json_lines(content: bytes) -> list[object]:
    """The values of JSON lines, also behind check sums as in a journal; lines cut short or damaged are left out."""
    values: list[object] = []
    for line in content.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line[line.index(b"{") :]))
    return values


def tail(path: Path) -> list[object]:
    """The last values of a file of JSON lines."""
    if not path.is_file():
        return []
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL))
        return json_lines(stream.read())


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_yaml(path: Path | str) -> dict[str, object]:
    """Read a YAML (or JSON) mapping.

    Raises:
        UserError: no such file, not YAML, or not a mapping.
    """
    # Read where it is needed: a program that only runs a model has no settings, and perhaps no YAML.
    import yaml

    from hawp_core.runtime.limited_yaml import parse_yaml

    try:
        value = parse_yaml(read_limited(path, LARGEST_YAML))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give an existing configuration file.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML ({reason}): correct it there.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not settings: write 'setting: value' lines.")
    return value
