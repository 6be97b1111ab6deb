"""Documents name only files that are there."""

import re

import pytest
from places import ROOT


@pytest.mark.parametrize(
    "document", ["docs/architecture.md", "CONTRIBUTING.md", "docs/lineage.md", "docs/security.md", "README.md"]
)
def test_every_file_that_a_document_names_is_there(document):
    named = re.findall(
        r"`((?:hawp_core|rules|tests|benchmarks|docs|profiles|config)/[\w./-]+\.\w+)`", (ROOT / document).read_text()
    )
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_room_on_the_walks_is_there():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = re.findall(r"`((?:data|geometry|labelling|model|runtime|training|workflow|commands)/[\w/]+\.\w+)`", text)
    assert len(rooms) > 15
    assert [room for room in rooms if not (ROOT / "hawp_core" / room).is_file()] == []
