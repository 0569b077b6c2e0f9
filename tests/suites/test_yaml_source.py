"""YAML 1.2's core schema, in suites and on the command line; expected values are those of its specification, section 10.3.2."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentbench.suites.yaml_source import Source, parse_value, yaml_text

VALUES = {
    "1:5:1": "1:5:1",
    "190:20:30": "190:20:30",
    "on": "on",
    "off": "off",
    "yes": "yes",
    "No": "No",
    "y": "y",
    "2024-01-01": "2024-01-01",
    "2024-13-45": "2024-13-45",
    "1_000": "1_000",
    "0b101": "0b101",
    "=": "=",
    "1e3": 1000.0,
    "1E-4": 1e-4,
    "+12e03": 12000.0,
    "12.": 12.0,
    ".5": 0.5,
    "-.5e1": -5.0,
    "010": 10,
    "-19": -19,
    "0o14": 12,
    "0xFf": 255,
    "~": None,
    "Null": None,
    "TRUE": True,
    "False": False,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    "0.": 0.0,
    "1.5.2": "1.5.2",
    "1e": "1e",
    ".e1": ".e1",
    "0o8": "0o8",
    "'1'": "1",
    "!!str 1": "1",
    "!!float 1": 1.0,
    "[a, 1, {b: no}]": ["a", 1, {"b": "no"}],
    "{on: 1, 2: x}": {"on": 1, "2": "x"},
}


@pytest.mark.parametrize("text", VALUES)
def test_a_value(text):
    value = parse_value(text)
    assert value == VALUES[text]
    assert type(value) is type(VALUES[text])


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text):
    assert math.isnan(parse_value(text))


def test_a_suite_is_read_as_the_command_line_is(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text("".join(f"k{i}: {text}\n" for i, text in enumerate(VALUES)))
    source = Source.read(path, "suite", "keys")
    assert list(source.data.values()) == list(VALUES.values())
    assert source.where(("k3",)) == f"{path}:4"


def test_merge_keys_and_aliases_are_known(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text("one: &one {a: 1, b: 2}\ntwo: &two {b: 3, c: 4}\nboth:\n  <<: [*one, *two]\n  c: 5\nsame: *one\n")
    source = Source.read(path, "suite", "keys")
    assert source.data["both"] == {"a": 1, "b": 2, "c": 5}
    assert source.data["same"] == {"a": 1, "b": 2}
    assert source.where(("both", "c")) == f"{path}:5"
    assert source.where(("both", "b")) == f"{path}:1"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from([*VALUES, "<<", "- a", "# b", "a: b"])
KEYS = st.text(min_size=1, max_size=5).filter(str.isprintable)


@given(
    st.dictionaries(KEYS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8))
)
def test_what_is_written_is_read_as_the_same(data):
    text = yaml_text(data)
    read = parse_value(text)
    assert read == data
    assert repr(read) == repr(data)  # 1 is 1.0, and True is 1
