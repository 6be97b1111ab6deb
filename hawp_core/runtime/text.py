"""Quantities and names in words: durations, sizes, and text that fits into one line."""

from collections.abc import Sequence
from pathlib import Path


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds < 1:
        return "< 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    return shown(str(error).strip().split("\n")[0].rstrip(".")) or type(error).__name__


def shown(name: Path | str) -> str:
    """A name for one line of text: line breaks, control characters and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def some(names: Sequence[Path | str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def gigabytes(size: int) -> str:
    """Bytes in a unit that suits them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def counted(number: int, word: str) -> str:
    """A number of things: 1 image, 2 images."""
    return f"{number} {word}{'' if number == 1 else 's'}"
