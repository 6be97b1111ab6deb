"""A name from outside becomes a path inside its folder, or nothing."""

from pathlib import Path

import pytest

from hawp_core.errors import UserError
from hawp_core.runtime.names import check_name, inside, is_address, named_folder
from hawp_core.workflow.paths import label_file
from hawp_core.workflow.recipe_file import recipe_file

LEAVING = ["../x", "/etc/passwd", "a/../../x", "..", "", ".", "a\0b", "\ud800"]


@pytest.mark.parametrize("name", LEAVING)
def test_a_name_does_not_leave_its_folder(name):
    with pytest.raises(UserError, match="no path inside photos"):
        inside("photos", name)
    with pytest.raises(UserError, match="plain folder name"):
        named_folder(Path("exp-ssl"), name)


@pytest.mark.parametrize("name", ["a.jpg", "sub/ü b.png", "-rf", "...", "a..b/c", "$(x)"])
def test_what_lies_in_a_folder_is_found(name):
    assert inside("photos", name) == Path("photos", name)


def test_places_of_a_run_take_plain_names_only():
    assert label_file("a-round0", "0" * 16, 3) == Path(f"data-ssl/a-round0/{'0' * 16}-model-00003.h5")
    for place in (lambda name: label_file(name, "0" * 16, 3), lambda name: recipe_file("train", name, "0" * 16)):
        with pytest.raises(UserError, match="plain folder name"):
            place("a/b")


@pytest.mark.parametrize("value", ["", "0" * 7, "0" * 65, "ABCDEF0123456789", "../x", 5, None, "0123456g"])
def test_an_address_is_hexadecimal(value):
    assert not is_address(value)
    assert is_address("0123456789abcdef")


def test_a_name_of_a_round_is_plain():
    check_name("a.b_c-round0")
