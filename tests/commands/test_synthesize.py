"""`hawp synthesize` gathers shards that are whole, or says which is not."""

import os

from places import TINY


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
