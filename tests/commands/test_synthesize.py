"""`hawp synthesize` gathers shards that are whole, or says which is not."""

import os

from places import TINY

from hawp_core.workflow import settings
from hawp_core.workflow.recipe_builders import synthesize_recipe


def test_no_record_vouches_for_a_damaged_shard(hawp, shapes):
    shard = next(shapes.parent.glob("*/train-*.h5"))
    content, config = shard.read_bytes(), shapes.read_text()
    os.truncate(shard, len(content) - 500)
    shapes.unlink()
    code, said = hawp("synthesize", "--config", TINY)
    assert code == 2
    assert str(shard) in said and "delete it and make it again" in said
    assert not shapes.exists()
    shard.unlink()
    assert hawp("synthesize", "--config", TINY)[0] == 0
    assert shapes.read_text() == config and shard.read_bytes() == content
    assert hawp("verify")[0] == 0


def test_a_recipe_of_shapes_needs_no_depth_of_the_network(workplace, hawp):
    small = settings.complete({"model": {"image_size": 32, "depth": 1}, "shapes": {"train": 1, "validation": 1}})
    code, said = hawp("synthesize", "--config", synthesize_recipe(small).write())
    assert code == 0 and "8 training and 8 validation images" in said
    (workplace / "no-depth.yaml").write_text("model: {image_size: 32}")
    code, said = hawp("synthesize", "--config", "no-depth.yaml")
    assert code == 2 and "no multiple of 64" in said
