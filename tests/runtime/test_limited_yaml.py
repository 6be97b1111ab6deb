"""YAML that was made to harm ends in an error at once; YAML of ours is read as ever."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hawp_core.runtime.limited_yaml import parse_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 20_000, "nested"),
        ("{a: " * 20_000, "nested"),
        (BOMB, "more than 1,000,000 values"),
        ("a: &x [*x]", "contains itself"),
        ("&x {a: *x}", "contains itself"),
        ("n: " + "9" * 5000, "digits"),
        ("name: 2020-99-99", "month"),
        ("a: [1", "expected"),
        ("a: !!python/object/apply:os.system [true]", "constructor"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: \x00", "not allowed"),
    ],
)
def test_a_harmful_text_is_an_error_at_once(text, reason):
    with pytest.raises(yaml.YAMLError, match=reason):
        parse_yaml(text)


def test_an_alias_of_a_user_is_read():
    assert parse_yaml("a: &s {epochs: 3}\nb: *s\n") == {"a": {"epochs": 3}, "b": {"epochs": 3}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_the_safe_loader_reads_is_read_alike(value):
    assert parse_yaml(yaml.safe_dump(value)) == value


@given(st.text(alphabet="ab:[]{}&*!-#'\"\n ,0.9~|>?%@", max_size=60))
def test_any_text_is_read_or_is_an_error_of_yaml(text):
    try:
        expected = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError):
        with pytest.raises(yaml.YAMLError):
            parse_yaml(text)
    else:
        assert parse_yaml(text) == expected or expected != expected
