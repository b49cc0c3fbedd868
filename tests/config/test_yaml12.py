"""YAML 1.2's scalars, and texts that mean harm."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmdata.config.yaml12 import MOST_VALUES, read_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
MERGED = "a0: &a0 {k0: 1}\n" + "\n".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("n", "n"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("+5", 5),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("<<", "<<"),
        ("'1'", "1"),
        ("", None),
    ],
)
def test_scalars_are_those_of_version_1_2(text: str, value: Any) -> None:
    found = read_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_on_is_a_setting_like_any_other() -> None:
    assert read_yaml("- {use: a.B, on: speech}") == [{"use": "a.B", "on": "speech"}]


def test_a_small_reference_may_be_used() -> None:
    assert read_yaml("a: &s {on: x}\nb: *s") == {"a": {"on": "x"}, "b": {"on": "x"}}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is given twice"),
        ("- {n: 1, n: 1}", "'n' is given twice"),
        (LAUGHS, f"references make more than {MOST_VALUES:,} values"),
        (MERGED, f"references make more than {MOST_VALUES:,} values"),
        ("&a [*a]", "a reference stands inside of what it refers to"),
        ("a: &a {b: *a}", "a reference stands inside of what it refers to"),
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 20_000, "nested too deeply"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("!own 1", "could not determine a constructor"),
        ("!!int x", "invalid literal"),
        ("9" * 10_000, "integer string"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: *nope", "undefined alias"),
        ("a: [1", "expected"),
        ("a: \x00", "not allowed"),
        ("? [1, 2]\n: 3", "unhashable"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml(text)
    assert error in str(caught.value)


@given(st.text(alphabet="ab:[]{}&*!-,?'\"#|>%@\n 01.~<", max_size=60))
def test_any_text_gives_plain_values_or_a_yaml_error(text: str) -> None:
    try:
        found = read_yaml(text)
    except yaml.YAMLError:
        return
    assert plain(found)


def plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(plain(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or isinstance(value, str | int | float | bool)
