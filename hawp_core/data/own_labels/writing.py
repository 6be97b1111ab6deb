"""Labels out: wireframes in the layouts that `reading` takes, to be looked at and corrected elsewhere."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from hawp_core.data.labelled import Labelled
from hawp_core.data.own_labels import cvat, labelme, lcnn_npz, wireframe_json
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import write_json, write_text
from hawp_core.runtime.names import inside
from hawp_core.runtime.text import shown

# Layout -> the name of the one file that holds all images, or the ending of an image's own.
TOGETHER = {"json": "annotations.json", "cvat": "annotations.xml"}
APART = {"labelme": ".json", "npz": lcnn_npz.ENDING}
LAYOUTS = (*TOGETHER, *APART)


def write_own_labels(
    layout: str,
    folder: Path,
    photographs: str,
    labelled: Sequence[tuple[str, Wireframe]],
    progress: Callable[[], object],
) -> list[Path]:
    """Write labels in one of `LAYOUTS` into a folder.

    Args:
        photographs: their folder, or "bundled".
        labelled: photographs, relative to it, and their wireframes.
        progress: called after each photograph.

    Returns: the files.

    Raises:
        UserError: one of the files is there already: it may have been corrected by hand; or `folder` is a file.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{shown(folder)} is no folder: name one with --saveto, which is made where it is missing.")
    names = [name for name, _ in labelled]
    if layout in TOGETHER:
        paths = [folder / TOGETHER[layout]]
    else:
        paths = [inside(folder, name) for name in _apart(names, APART[layout])]
    there = next((path for path in paths if os.path.lexists(path)), None)
    if there is not None:
        raise UserError(
            f"{shown(there)} is there already and may have been corrected by hand: give another folder with --saveto, or remove it."
        )
    if layout == "json":
        write_json(paths[0], wireframe_json.content_of(labelled))
    elif layout == "cvat":
        write_text(paths[0], cvat.text_of(labelled))
    for path, (name, wireframe) in zip(paths, labelled, strict=False):
        if layout == "labelme":
            write_json(path, labelme.content_of(resolve(photographs, name), path, wireframe))
        elif layout == "npz":
            lcnn_npz.write(path, wireframe)
        progress()
    return paths


def _apart(names: Sequence[str], ending: str) -> list[str]:
    """A file's name for each photograph: its own without its ending, or with it where two would have one."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    # Some file systems know no case.
    times = Counter(stem.casefold() for stem in stems)
    short = [stem if times[stem.casefold()] == 1 else name for name, stem in zip(names, stems, strict=True)]
    # Where one's whole name is what another is called without its ending, all keep theirs.
    apart = len({name.casefold() for name in short}) == len(short)
    return [f"{name}{ending}" for name in (short if apart else names)]


def chosen(labels: Labelled, names: Sequence[str], min_score: float) -> list[tuple[str, Wireframe]]:
    """Photographs of a label file, or of results, and their lines of at least a score; all of them where `names` is empty.

    Raises:
        UserError: a name that the file does not have.
    """
    for name in names:
        if name not in labels:
            raise UserError(f"{shown(labels.path)} labels no {shown(name)}: give names as they are there.")
    found = []
    for name in dict.fromkeys(names) or labels.names:
        w = labels[name]
        kept = w.scores >= min_score
        found.append(
            (name, Wireframe(w.junctions, w.edges[kept], w.scores[kept], w.width, w.height).without_lone_junctions())
        )
    return found
