"""Data sets and loading: the same samples whatever the workers, the batches, the processes or the place to resume."""

import pickle
import subprocess
import sys
from dataclasses import fields

import cv2
import numpy as np
import pytest
import torch

from hawp_core.data.augmentation import REAL, SYNTHETIC
from hawp_core.data.collate import RawBatch, prepare
from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.data.loader import Loader
from hawp_core.data.photographs.dataset import PhotographSet
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe

SIZE = 64


def write_shard(path, count, seed=0, size=SIZE, lines=3):
    rng = np.random.default_rng(seed)
    drawn = [Wireframe.from_lines(rng.uniform(0, size - 1, (lines, 4)), size, size) for _ in range(count)]
    wireframes = [each if number % 3 else Wireframe.empty(size, size) for number, each in enumerate(drawn)]
    images = rng.integers(0, 256, (count, size, size)).astype(np.uint8)
    write_labels(path, [f"{path.stem}/{number}" for number in range(count)], wireframes, images=images)
    return images


@pytest.fixture
def shapes(tmp_path):
    """Thirteen shapes in two shards."""
    write_shard(tmp_path / "a.h5", 8)
    write_shard(tmp_path / "b.h5", 5, seed=1)
    return ShapeSet([tmp_path / "a.h5", tmp_path / "b.h5"])


@pytest.fixture
def folder(tmp_path):
    """Five photographs of different sizes, with a label file in original pixels."""
    rng, names, wireframes = np.random.default_rng(0), [], []
    (tmp_path / "photographs" / "sub").mkdir(parents=True)
    for number in range(5):
        width, height = 90 + number, 70
        names.append(f"sub/{number}.png")
        cv2.imwrite(str(tmp_path / "photographs" / names[-1]), rng.integers(0, 256, (height, width)).astype(np.uint8))
        wireframes.append(Wireframe.from_lines([[10.5, 20.25, 60.75, 50]], width, height))
    write_labels(tmp_path / "labels.h5", names, wireframes)
    return tmp_path


def photographs(folder, **options):
    return PhotographSet(folder / "photographs", LabelFile(folder / "labels.h5"), SIZE, **options)


def samples_of(batches):
    """Every sample of some batches by name: its pixels and labels without padding."""
    found = {}
    for raw in batches:
        batch = raw.to_batch("cpu")
        for i, name in enumerate(batch.names):
            n, m = int(batch.junction_count[i]), int(batch.edge_count[i])
            parts = (batch.images[i], batch.junctions[i, :n], batch.edges[i, :m], batch.heatmap[i], batch.valid[i])
            assert (batch.scores[i, :m] == 1).all() and (batch.scores[i, m:] == 0).all()
            assert name not in found
            found[name] = parts
    return found


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(a, b) for name in first for a, b in zip(first[name], second[name], strict=True)
    )


# Data sets


def test_lines_are_sure_unless_their_scores_are_asked_for(folder):
    labels = LabelFile(folder / "labels.h5")
    lines = [labels[row].lines for row in range(len(labels))]
    scored = [Wireframe.from_lines(line, *labels.size(row), [0.25]) for row, line in enumerate(lines)]
    write_labels(folder / "labels.h5", labels.names, scored)
    assert photographs(folder).item(0).wireframe.scores.tolist() == [1.0]
    assert photographs(folder, soft=True).item(0).wireframe.scores.tolist() == [0.5]


def test_shapes_are_read_through_all_shards(tmp_path, shapes):
    assert len(shapes) == 13
    assert shapes.size == SIZE
    for index, (shard, row) in {0: ("a", 0), 7: ("a", 7), 8: ("b", 0), 12: ("b", 4)}.items():
        labels, sample = LabelFile(tmp_path / f"{shard}.h5"), shapes.item(index)
        assert sample.name == f"{shard}/{row}"
        np.testing.assert_array_equal(sample.image, labels.images()[row])
        np.testing.assert_array_equal(sample.wireframe.lines, labels[row].lines)
        assert sample.image.flags.writeable


def test_sets_survive_being_sent_to_a_worker(shapes, folder):
    shapes.item(0)
    sent = pickle.dumps(shapes)
    assert len(sent) < 13 * SIZE**2
    np.testing.assert_array_equal(pickle.loads(sent).item(9).image, shapes.item(9).image)
    cached = photographs(folder, cache=folder / "cache.h5")
    cached.item(0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cached)).item(4).image, cached.item(4).image)


def test_photographs_are_resized_with_their_labels_and_flipped_in_turn(folder):
    once, fourfold = photographs(folder), photographs(folder, flips=4)
    assert (len(once), len(fourfold), len(photographs(folder, flips=2))) == (5, 20, 10)
    assert [fourfold.item(index).flip for index in range(5)] == [0, 1, 2, 3, 0]
    sample = fourfold.item(9)
    assert sample.name == "sub/2.png"
    assert sample.image.shape == (SIZE, SIZE)
    assert sample.image.dtype == np.uint8
    np.testing.assert_array_equal(sample.image, once.item(2).image)
    np.testing.assert_allclose(
        sample.wireframe.lines[0, :2], [11 * SIZE / 92 - 0.5, 20.75 * SIZE / 70 - 0.5], atol=1e-4
    )


def test_the_cache_holds_the_same_pixels_and_is_made_once(folder):
    plain, cached = photographs(folder), photographs(folder, cache=folder / "deep" / "cache.h5")
    for index in range(5):
        np.testing.assert_array_equal(plain.item(index).image, cached.item(index).image)
    written = (folder / "deep" / "cache.h5").stat().st_mtime_ns
    assert [path.name for path in (folder / "deep").iterdir()] == ["cache.h5"]
    photographs(folder, cache=folder / "deep" / "cache.h5")
    assert (folder / "deep" / "cache.h5").stat().st_mtime_ns == written


def test_a_cache_of_other_photographs_or_a_damaged_one_is_made_anew(folder):
    cache = folder / "cache.h5"
    photographs(folder, cache=cache)
    cv2.imwrite(str(folder / "photographs" / "sub" / "0.png"), np.full((70, 90), 77, np.uint8))
    assert (photographs(folder, cache=cache).item(0).image == 77).all()
    cache.write_bytes(cache.read_bytes()[:1000])
    assert (photographs(folder, cache=cache).item(0).image == 77).all()


# Mistakes


def test_a_photograph_of_another_size_than_its_labels_is_named(folder):
    cv2.imwrite(str(folder / "photographs" / "sub" / "1.png"), np.zeros((30, 40), np.uint8))
    with pytest.raises(UserError, match=r"sub/1.png is 40 x 30 pixels, but .*labels.h5 was made from 91 x 70"):
        photographs(folder).item(1)
    with pytest.raises(UserError, match=r"export the labels again"):
        photographs(folder, cache=folder / "cache.h5")
    assert not (folder / "cache.h5").exists()


def test_a_missing_photograph_is_named(folder):
    (folder / "photographs" / "sub" / "3.png").unlink()
    with pytest.raises(UserError, match=r"sub/3.png"):
        photographs(folder).item(3)
    with pytest.raises(UserError, match=r"sub/3.png is labelled but cannot be read"):
        photographs(folder, cache=folder / "cache.h5")


def test_shards_without_images_without_pixels_or_of_unequal_sizes_are_named(tmp_path):
    write_shard(tmp_path / "small.h5", 2)
    write_shard(tmp_path / "large.h5", 2, size=128)
    write_labels(tmp_path / "none.h5", [], [], images=np.zeros((0, SIZE, SIZE), np.uint8))
    write_labels(tmp_path / "labels.h5", ["x"], [Wireframe.empty(SIZE, SIZE)])
    with pytest.raises(UserError, match=r"large.h5 holds images of 128 x 128 pixels where 64 x 64"):
        ShapeSet([tmp_path / "small.h5", tmp_path / "large.h5"])
    with pytest.raises(UserError, match=r"none.h5 holds no image"):
        ShapeSet([tmp_path / "none.h5"])
    with pytest.raises(UserError, match=r"labels.h5 holds labels without pixels"):
        ShapeSet([tmp_path / "labels.h5"])
    assert len(ShapeSet([tmp_path / "none.h5", tmp_path / "small.h5"])) == 2


def test_labels_of_nothing_are_named(folder):
    write_labels(folder / "empty.h5", [], [])
    with pytest.raises(UserError, match=r"empty.h5 labels no photograph"):
        PhotographSet(folder / "photographs", LabelFile(folder / "empty.h5"), SIZE)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photograph_is_one_sentence_from_a_worker_too(folder, workers):
    (folder / "photographs" / "sub" / "3.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"sub/3.png") as raised:
        list(Loader(photographs(folder), 3, workers=workers).epoch(0))
    assert "\n" not in str(raised.value)
    assert "Traceback" not in str(raised.value)


# Loading


@pytest.mark.parametrize("augmentation", [None, SYNTHETIC])
def test_batches_have_the_promised_shapes_and_types(shapes, augmentation):
    for raw in Loader(shapes, 4, augmentation).epoch(0):
        batch = raw.to_batch("cpu")
        b, n, m = len(batch), batch.junctions.shape[1], batch.edges.shape[1]
        assert batch.images.shape == (b, 1, SIZE, SIZE)
        assert (batch.images.dtype, batch.junctions.dtype) == (torch.float32, torch.float32)
        assert (batch.edges.dtype, batch.edge_count.dtype, batch.junction_count.dtype) == (torch.int64,) * 3
        assert (batch.heatmap.dtype, batch.valid.dtype) == (torch.uint8, torch.uint8)
        assert batch.heatmap.shape == batch.valid.shape == (b, SIZE, SIZE)
        assert 0 <= batch.images.min() <= batch.images.max() <= 1
        assert int(batch.junction_count.max()) == n or n == 1
        for i in range(b):
            assert (batch.edges[i] < max(int(batch.junction_count[i]), 1)).all()
            assert (batch.edges[i, int(batch.edge_count[i]) :] == 0).all()
            assert bool(batch.heatmap[i].any()) == bool(batch.edge_count[i])
        assert batch.junctions.min() >= 0
        assert batch.junctions.max() <= SIZE - 1
        assert m > 0


def test_without_augmentation_the_stored_pixels_and_labels_come_back(shapes):
    found = samples_of(Loader(shapes, 4, training=False).epoch(0))
    assert list(found) == [shapes.item(index).name for index in range(13)]
    for index in range(13):
        sample = shapes.item(index)
        image, junctions, edges, _, valid = found[sample.name]
        np.testing.assert_allclose(image[0].numpy() * 255, sample.image, atol=1e-4)
        lines = junctions[edges].reshape(-1, 4).numpy()
        np.testing.assert_allclose(np.sort(lines, axis=0), np.sort(sample.wireframe.lines, axis=0), atol=1e-5)
        assert valid.all()


def test_flipped_photographs_are_flipped_without_augmentation(folder):
    batch = next(iter(Loader(photographs(folder, flips=4), 4, training=False).epoch(0))).to_batch("cpu")
    for flip, axes in ((1, [-1]), (2, [-2]), (3, [-1, -2])):
        np.testing.assert_allclose(batch.images[flip], torch.flip(batch.images[0], axes), atol=1e-4)
    np.testing.assert_allclose(batch.junctions[1, 0, 0], SIZE - 1 - batch.junctions[0, 0, 0], atol=1e-4)


def test_a_piece_of_an_image_comes_with_what_of_its_lines_lies_there(shapes):
    """Pixels and labels of a piece are those of the whole image at one common shift, another one in each epoch."""
    epochs = [samples_of(Loader(shapes, 4, crop=48, training=False).epoch(epoch)) for epoch in range(3)]
    shifts = set()
    for found in epochs:
        for index in range(13):
            sample = shapes.item(index)
            image, junctions, edges, _, _ = found[sample.name]
            piece = (image[0] * 255).round().byte().numpy()
            places = [(x, y) for y in range(17) for x in range(17)
                      if np.array_equal(sample.image[y : y + 48, x : x + 48], piece)]  # fmt: skip
            assert len(places) == 1
            shifts.add((index, *places[0]))
            moved = sample.wireframe.lines - np.tile(places[0], 2)
            for line in junctions[edges].reshape(-1, 4).numpy():
                assert (line >= 0).all() and (line <= 47).all()
                # Both ends lie on one of the whole image's lines.
                normals = (
                    (moved[:, 2:] - moved[:, :2])
                    @ [[0, 1], [-1, 0]]
                    / np.hypot(*(moved[:, 2:] - moved[:, :2]).T)[:, None]
                )
                offsets = abs(np.einsum("mk,mek->me", normals, line.reshape(1, 2, 2) - moved[:, None, :2])).max(1)
                assert min(offsets) < 1e-3
    assert len(shifts) > 30


@pytest.mark.parametrize("augmentation", [SYNTHETIC, REAL])
def test_workers_batch_size_and_processes_do_not_change_a_sample(shapes, augmentation):
    alone = samples_of(Loader(shapes, 13, augmentation, seed=5).epoch(2))
    assert len(alone) == 13
    assert same(alone, samples_of(Loader(shapes, 4, augmentation, seed=5, workers=2, training=False).epoch(2)))
    shares = [samples_of(Loader(shapes, 13, augmentation, seed=5, rank=rank, world=2).epoch(2)) for rank in (0, 1)]
    assert {len(share) for share in shares} == {6, 7}
    assert same(alone, shares[0] | shares[1])


def test_an_epoch_resumes_anywhere(shapes):
    for workers in (0, 2):
        loader = Loader(shapes, 3, SYNTHETIC, seed=1, workers=workers)
        whole = list(loader.epoch(4))
        rest = list(loader.epoch(4, start_batch=2))
        assert [raw.names for raw in rest] == [raw.names for raw in whole[2:]]
        assert same(samples_of(rest), samples_of(whole[2:]))
        assert list(loader.epoch(4, start_batch=len(whole))) == []


def test_an_abandoned_epoch_does_not_leak_into_the_next(shapes):
    loader = Loader(shapes, 2, SYNTHETIC, seed=1, workers=2)
    next(loader.epoch(0))
    expected = [raw.names for raw in Loader(shapes, 2, SYNTHETIC, seed=1).epoch(1)]
    assert [raw.names for raw in loader.epoch(1)] == expected


SIGNALLED = """
import multiprocessing, subprocess, sys, time
from pathlib import Path
import torch
from hawp_core.data.augmentation import SYNTHETIC
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet

torch.set_num_threads(int(sys.argv[1]))
loader = Loader(ShapeSet([Path(each) for each in sys.argv[2:]]), 2, SYNTHETIC, workers=2)

class Slow(multiprocessing.Process):
    # The second worker starts slowly, as on a busy machine: none of our code has run in it when the signals come.
    def run(self):
        time.sleep(3 * self.name.endswith("2"))
        super().run()

torch.multiprocessing.Process = Slow
batches = loader.epoch(0)
next(batches)
workers = multiprocessing.active_children()
assert len(workers) == 2 and all(isinstance(worker, Slow) for worker in workers)
for worker in workers:
    # From another process, as a terminal or a cluster sends it.
    subprocess.run(["sh", "-c", f"kill -TERM {worker.pid}; kill -INT {worker.pid}"], check=True)
assert len(list(batches)) == loader.batches_per_epoch - 1
assert all(worker.is_alive() for worker in workers)
for worker in workers:
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("shapes")
def test_workers_outlive_a_signal_to_the_whole_group(tmp_path, threads):
    # In a process of its own, because PyTorch makes the threads that workers are forked with once.
    words = [sys.executable, "-c", SIGNALLED, str(threads), tmp_path / "a.h5", tmp_path / "b.h5"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_epochs_and_seeds_differ_and_repeat(shapes):
    def names(seed, epoch):
        return [raw.names for raw in Loader(shapes, 13, SYNTHETIC, seed=seed).epoch(epoch)]

    assert names(0, 0) == names(0, 0)
    assert names(0, 0) != names(0, 1)
    assert names(0, 0) != names(1, 0)
    first, second = (prepare(shapes, SYNTHETIC, (0, epoch), 1).homography for epoch in (0, 1))
    assert not np.allclose(first, second)


def test_loading_leaves_the_global_random_state_alone(shapes):
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for raw in Loader(shapes, 4, SYNTHETIC).epoch(0):
        raw.to_batch("cpu")
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])


@pytest.mark.parametrize(
    ("count", "batch", "world", "sizes"),
    [
        (8, 4, 1, [4, 4]),
        (7, 3, 1, [3, 3]),  # a last single image is left out
        (8, 3, 1, [3, 3, 2]),
        (1, 4, 1, [1]),  # unless it is all there is
        (3, 6, 1, [3]),
        (3, 1, 1, [1, 1, 1]),  # or batches of one are asked for
        (7, 4, 2, [[2, 2], [2, 1]]),  # processes share the same batches
        (8, 6, 2, [3, 1]),
        (8, 6, 3, [[2, 1], [2, 1], [2, 1]]),  # the third one's last image must not count
        (7, 6, 2, [3]),
        (8, 4, 2, [2, 2]),
        (4, 2, 2, [1, 1]),
    ],
)
def test_the_last_batch(tmp_path, count, batch, world, sizes):
    write_shard(tmp_path / "a.h5", count)
    shapes = ShapeSet([tmp_path / "a.h5"])
    for rank in range(world):
        loader = Loader(shapes, batch, rank=rank, world=world)
        own = sizes[rank] if isinstance(sizes[0], list) else sizes
        assert [len(raw.names) for raw in loader.epoch(0)] == own
        assert loader.batches_per_epoch == len(own)
    if world == 1:
        whole = Loader(shapes, batch, training=False)
        assert sum(len(raw.names) for raw in whole.epoch(0)) == count


def test_too_few_images_for_the_processes_is_named(shapes):
    with pytest.raises(UserError, match=r"13 image\(s\) in batches of 2 are too few for 4 process"):
        Loader(shapes, 2, world=4)


def test_a_batch_without_any_line(tmp_path):
    write_labels(
        tmp_path / "a.h5", ["x", "y"], [Wireframe.empty(SIZE, SIZE)] * 2, images=np.zeros((2, SIZE, SIZE), np.uint8)
    )
    (raw,) = Loader(ShapeSet([tmp_path / "a.h5"]), 2, REAL).epoch(0)
    batch = raw.to_batch("cpu")
    assert batch.junctions.shape == (2, 1, 2)
    assert batch.edges.shape == (2, 1, 2)
    assert batch.edge_count.tolist() == batch.junction_count.tolist() == [0, 0]
    assert not batch.heatmap.any()
    assert torch.isfinite(batch.images).all()


def test_every_tensor_is_pinned(shapes, monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    raw = next(iter(Loader(shapes, 4, SYNTHETIC).epoch(0)))
    assert isinstance(raw.pin_memory(), RawBatch)
    assert len(pinned) == sum(isinstance(getattr(raw, field.name), torch.Tensor) for field in fields(raw)) == 8
