"""Sweep files as YAML: scalars, anchors, and what is too much."""

from typing import Any

import pytest

from service.sweep_files.documents import MAX_BYTES, MAX_PARTS
from tests.unit.sweep_file_use import SMALLEST, read_parameters, refusals


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1e-5", 1e-5),
        ("-1E+3", -1000.0),
        (".5e2", 50.0),
        ("'1e-5'", "1e-5"),
        ("1e", "1e"),
        ("yes", True),
        ("010", 8),
        ("1_000", 1000),
        ("~", None),
        ("2026-01-31", "2026-01-31"),
        ("!!str 5", "5"),
        ("=", "="),
    ],
)
def test_scalars_are_what_yaml_says(spelling: str, value: Any) -> None:
    file = read_parameters(f"  x: {{value: {spelling}}}\n")

    found = file.document["space"]["x"]["value"]
    assert (found, type(found)) == (value, type(value))


def test_a_number_without_a_dot_is_noted() -> None:
    file = read_parameters("  x: {values: [1e-5, 1.e5]}\n")

    assert file.notes == (
        "line 5: 1e-5 was read as a number; other readers of YAML take it for text, so 1.0e-5 is "
        "safer.",
        "line 5: 1.e5 was read as a number; other readers of YAML take it for text, so 1.e+5 is "
        "safer.",
    )


def test_anchors_and_merges() -> None:
    file = read_parameters(
        "  a: &a {min: 0.0, max: 1.0}\n  b: {<<: *a, max: 2.0}\n  c: {<<: [*a, {step: 0.5}]}\n"
    )

    low = {"type": "float", "low": 0.0}
    assert file.document["space"] == {
        "a": {**low, "high": 1.0},
        "b": {**low, "high": 2.0},
        "c": {**low, "high": 1.0, "step": 0.5},
    }
    assert file.find_line("b.low") == 6


def test_a_bomb_of_anchors_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    assert refusals("\n".join(lines)) == {
        "file": f"line 6: A sweep file has at most {MAX_PARTS} parts; long ones count as several."
    }


@pytest.mark.parametrize(
    "text",
    [
        f"launch: {{program: a, command: [&a {'x' * 100_000}{', *a' * 1000}]}}",
        f"launch: {{program: a}}\nspace:\n  ? {'k' * 100_000}\n  : [{'1, ' * 1000}]",
    ],
    ids=["repeated by an anchor", "named by its path"],
)
def test_what_is_long_and_told_again_and_again_is_refused(text: str) -> None:
    assert "long ones count as several" in refusals(text)["file"]


def test_a_file_of_many_parts_is_read_in_one_pass() -> None:
    """Were each part to look at all others, this would take longer than a test may."""
    unknown = "".join(f"  k{n}: 1\n" for n in range(48_000))

    assert len(refusals(f"{SMALLEST}budget:\n{unknown}")) == 100


def test_large_and_deep_files_are_refused() -> None:
    large = SMALLEST + "#" * MAX_BYTES

    assert "bytes" in refusals(large)["file"]
    assert "deep" in refusals("[" * 100_000)["file"]
    assert "deep" in refusals("a: " + "{a: " * 100_000)["file"]


def test_only_so_much_is_said() -> None:
    refused = "".join(f"  p{n}: 1\n" for n in range(1000))
    noted = "".join(f"  p{n}: {{value: 1e5}}\n" for n in range(1000))

    assert len(refusals(SMALLEST + refused)) == 100
    assert len(read_parameters(noted).notes) == 101


def test_text_that_is_no_yaml_is_refused() -> None:
    assert refusals("method: random\nname: \0") == {
        "file": "line 2: There is a control character here, which YAML does not allow."
    }
    assert refusals("method: !!int ''")["method"] == "line 1: '' is not a value of the type int."
    assert refusals("method: random\nname: \ud83d") == {
        "file": "line 2: This is not valid Unicode."
    }
