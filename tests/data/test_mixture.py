"""Data sets learned from together: shares of an epoch, drawn anew and the same everywhere."""

import numpy as np
import pytest

from hawp_core.data.loader import Loader
from hawp_core.data.mixture import Mixture
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.data.shapes.drawing import synthesize
from hawp_core.errors import UserError


def drawn(folder, split, count, size=64, style="published"):
    path = folder / f"{split}-{size}-{style}.h5"
    if not path.exists():
        synthesize(path, seed=0, split=split, first=0, count=count, image_size=size, canvas=(120, 160), style=style)
    return ShapeSet([path])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return drawn(folder, "train", 5), drawn(folder, "val", 7)


def test_an_epoch_holds_the_shares(parts):
    mixture = Mixture([(parts[0], 5), (parts[1], 3)])
    names = [[name for raw in Loader(mixture, 4).epoch(epoch) for name in raw.names] for epoch in range(6)]
    for epoch in names:
        assert sorted(name for name in epoch if name.startswith("train")) == sorted(
            parts[0].item(index).name for index in range(5)
        )
        others = [name for name in epoch if name.startswith("val")]
        assert len(set(others)) == len(others) == 3
    # Over the epochs, all of the other set; and among one another.
    assert len({name for epoch in names for name in epoch}) == 12
    assert len({tuple(name[0] for name in epoch) for epoch in names}) > 3


def test_more_than_there_are_come_equally_often(parts):
    indices = Mixture([(parts[0], 12)]).draw(np.random.default_rng(0))
    assert sorted(np.bincount(indices)) == [2, 2, 2, 3, 3]


def test_processes_and_workers_read_the_same_mixture(parts):
    mixture = Mixture([(parts[0], 5), (parts[1], 3)])
    whole = [raw.names for raw in Loader(mixture, 4, seed=3).epoch(1)]
    assert whole == [raw.names for raw in Loader(mixture, 4, seed=3, workers=1).epoch(1)]
    shares = [[raw.names for raw in Loader(mixture, 4, seed=3, rank=rank, world=2).epoch(1)] for rank in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(names) for names in whole]
    assert whole[1] == next(iter(Loader(mixture, 4, seed=3).epoch(1, start_batch=1))).names


def test_in_order_it_is_all_of_both(parts):
    mixture = Mixture([(parts[0], 1), (parts[1], 1)])
    assert [name for raw in Loader(mixture, 4, training=False).epoch(0) for name in raw.names] == [
        part.item(index).name for part in parts for index in range(len(part))
    ]


def test_images_of_two_sizes_are_refused(parts, tmp_path):
    with pytest.raises(UserError, match="32 and of 64 pixels"):
        Mixture([(parts[0], 1), (drawn(tmp_path, "train", 1, size=32), 1)])


def test_both_styles_come_in_turn(tmp_path):
    mixed = drawn(tmp_path, "train", 32, style="mixed")
    published, scenes = drawn(tmp_path, "train", 16), drawn(tmp_path, "train", 16, style="photographic")
    for number in range(32):
        turn, place = divmod(number, 16)
        other = published if place < 8 else scenes
        sample, same = mixed.item(number), other.item(turn * 8 + place % 8)
        assert sample.name == same.name
        np.testing.assert_array_equal(sample.image, same.image)
        np.testing.assert_array_equal(sample.wireframe.lines, same.wireframe.lines)
