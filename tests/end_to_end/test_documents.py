"""Documents name only files and headings that are there."""

import re
from pathlib import Path

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


def headings(document: Path) -> set[str]:
    """What a link may name behind its #, as GitHub and GitLab make it of a heading."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_link_of_a_document_leads_somewhere():
    documents = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "config" / "README.md",
        ROOT / "docs/quickstart.ipynb",
    ]
    links = [(each, link) for each in documents for link in re.findall(r"\]\(([^)\s]+)\)", each.read_text())]
    own = [(each, *link.partition("#")[::2]) for each, link in links if "://" not in link]
    assert len(own) > 20
    for document, file, heading in own:
        target = document.parent / file if file else document
        assert target.exists(), (document.name, file)
        assert not heading or heading in headings(target), (document.name, file, heading)


def test_every_room_on_the_walks_is_there():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = re.findall(r"`((?:data|geometry|labelling|model|runtime|training|workflow|commands)/[\w/]+\.\w+)`", text)
    assert len(rooms) > 15
    assert [room for room in rooms if not (ROOT / "hawp_core" / room).is_file()] == []
