"""Writing label files, whose layout `label_file.py` describes."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from hawp_core.data.hdf5_files import new_hdf5
from hawp_core.data.label_tables import LABEL_FORMAT, RAGGED, Sum, image_sum, label_sum
from hawp_core.data.names import CHUNK, Names
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import replacing


class Labels(NamedTuple):
    """The labels of some images, as tables.

    Attributes:
        names: of n images, unique.
        sizes: (n, 2) int32: width, height.
        junction_counts, edge_counts: (n,) of each image.
        junctions: (J, 2) float32.
        edges: (E, 2) int32.
        scores: (E,) float32.
        sums: (n,) uint32, see `label_sum`.
    """

    names: Names
    sizes: np.ndarray
    junction_counts: np.ndarray
    edge_counts: np.ndarray
    junctions: np.ndarray
    edges: np.ndarray
    scores: np.ndarray
    sums: np.ndarray


def write_labels(
    path: Path | str,
    names: Sequence[str],
    wireframes: Sequence[Wireframe],
    *,
    images: np.ndarray | None = None,
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a label file, whole or not at all.

    Args:
        names: one unique name an image.
        wireframes: one an image, in the images' own pixels.
        images: (I, H, W) uint8 grey pixels to keep beside the labels, uncompressed so that readers can map them.
        about: JSON-serialisable record of how the labels were made; never affects how they are read.
    """
    if len(set(names)) != len(names) or len(names) != len(wireframes):
        raise ValueError("label files hold one wireframe for each unique name")
    labels = Labels(
        Names.of(names),
        np.array([(w.width, w.height) for w in wireframes], np.int32).reshape(-1, 2),
        np.array([len(w.junctions) for w in wireframes], np.int64),
        np.array([len(w.edges) for w in wireframes], np.int64),
        np.concatenate([w.junctions for w in wireframes] or [np.zeros((0, 2), np.float32)]),
        np.concatenate([w.edges for w in wireframes] or [np.zeros((0, 2), np.int32)]),
        np.concatenate([w.scores for w in wireframes] or [np.zeros(0, np.float32)]),
        np.array([label_sum(w.junctions, w.edges, w.scores) for w in wireframes], np.uint32),
    )
    totals = len(names), len(labels.junctions), len(labels.edges)
    write_parts(path, totals, [labels], images, about or {})


def write_parts(
    path: Path | str,
    totals: tuple[int, int, int],
    parts: Iterable[Labels],
    images: np.ndarray | None,
    about: Mapping[str, object],
) -> None:
    """Write a label file, whole or not at all, from labels that come in parts and need never be in memory together.

    Args:
        totals: images, junctions and edges of all parts.
        images, about: as for `write_labels`.

    Raises:
        UserError: the file cannot be written.
    """
    count, junctions, edges = totals
    with replacing(path) as temporary, new_hdf5(temporary) as file:
        file.attrs["format"] = LABEL_FORMAT
        file.attrs["about"] = json.dumps(about, sort_keys=True)
        text = h5py.string_dtype("utf-8")
        shapes: dict[str, tuple[tuple[int, ...], object]] = {
            "names": ((count,), text), "sizes": ((count, 2), np.int32), "junction_offsets": ((count + 1,), np.int64),
            "junctions": ((junctions, 2), np.float32), "edge_offsets": ((count + 1,), np.int64),
            "edges": ((edges, 2), np.int32), "scores": ((edges,), np.float32), "label_sums": ((count,), np.uint32),
        }  # fmt: skip
        data = {name: file.create_dataset(name, shape, dtype) for name, (shape, dtype) in shapes.items()}
        sums, ends = {name: Sum() for name in data}, dict.fromkeys(data, 0)

        def put(name: str, values: np.ndarray) -> None:
            end = ends[name] + len(values)
            if len(values):
                data[name][ends[name] : end] = values
            sums[name].add(values)
            ends[name] = end

        # Where HDF5 puts names follows from how many come at a time: the parts change no byte of the file.
        waiting: list[bytes] = []

        def put_names(some: list[bytes]) -> None:
            if some:
                data["names"][ends["names"] : ends["names"] + len(some)] = some
            sums["names"].add_names(some)
            ends["names"] += len(some)

        start = {"junction_offsets": 0, "edge_offsets": 0}
        for offsets in start:
            put(offsets, np.zeros(1, np.int64))
        for labels in parts:
            waiting += itertools.chain.from_iterable(labels.names.chunks())
            while len(waiting) >= CHUNK:
                put_names(waiting[:CHUNK])
                del waiting[:CHUNK]
            for offsets, counts in (("junction_offsets", labels.junction_counts), ("edge_offsets", labels.edge_counts)):
                put(offsets, start[offsets] + np.cumsum(counts, dtype=np.int64))
                start[offsets] += int(counts.sum())
            for name in ("sizes", *RAGGED):
                put(name, getattr(labels, name).astype(data[name].dtype, copy=False))
            put("label_sums", labels.sums)
        put_names(waiting)
        for name, each in sums.items():
            data[name].attrs["sum"] = each.value
        if images is not None:
            of_images = np.array([image_sum(image) for image in images], np.uint32)
            data["image_sums"] = file.create_dataset("image_sums", data=of_images)
            running = Sum()
            running.add(of_images)
            data["image_sums"].attrs["sum"] = running.value
            data["images"] = file.create_dataset("images", data=images)
