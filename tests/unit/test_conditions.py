"""What conditions on trials say, and which values they hold for."""

import math
from typing import Any

import pytest

from service.domain.errors import Invalid
from service.search_space.conditions import Condition, find_splits, parse_condition


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("lr<0.01", ["lr"]),
        ("lr <= 0.01", ["lr <", "lr ", "lr"]),
        ("  val/acc>1", ["  val/acc", "val/acc"]),
        ("a=b=3", ["a=b", "a"]),
        ("a!=3", ["a!", "a"]),
        ("≤ 3", []),
        ("", []),
        ("=3", []),
        ("a" + "<" * 400, ["a" + "<" * count for count in range(19, -1, -1)]),
    ],
)
def test_a_name_may_end_before_any_operator(text: str, names: list[str]) -> None:
    assert [split.name for split in find_splits(text)] == names


@pytest.mark.parametrize(
    ("condition", "matching", "others"),
    [
        ("<0.5", [0.25, 0, -math.inf], [0.5, math.inf, math.nan, True, False, None, "0", [0]]),
        ("<= 0.5", [0.5, 0], [0.6, math.nan]),
        (">1e-3", [1, math.inf], [1e-3, True, math.nan]),
        (">=-.5", [-0.5, 0], [-1]),
        ("=inf", [math.inf, "inf"], [-math.inf, 1, math.nan]),
        ("<Infinity", [1, -math.inf], [math.inf]),
        (">-inf", [1], [-math.inf]),
        ("=16", [16, 16.0, "16"], ["16.0", True, [16]]),
        ("=1", [1, 1.0, "1"], [True]),
        ("!=1", [True, 2, "adam", None, [1]], [1, 1.0, "1", math.nan]),
        ("=true", [True, "true"], [1, False, None]),
        ("=null", [None, "null"], [0, False, ""]),
        ("=adam", ["adam"], ["Adam", "adamw", None]),
        ("= two words ", ["two words"], ["two  words"]),
        ('="a\\"b \\u00e9"', ['a"b é'], ["a"]),
        ("='16'", ["16"], [16, "'16'"]),
        ('="16"', ["16"], [16]),
        ('!="16"', [16, "17"], ["16"]),
        ('=""', [""], [None]),
        ("=[8, 8]", [[8, 8], (8, 8)], [[8], "[8,8]"]),
        ('={"deep": [{}]}', [{"deep": [{}]}], [{}]),
        ("=[8", ["[8"], [[8]]),
        ("=nan", ["nan"], [math.nan, 1]),
        ("!=nan", ["adam"], [math.nan, 1, "nan"]),
        ("<nan", [], [1, math.nan, -math.inf]),
        ("<1e999", [1.0], [math.inf]),
        ("=" + "9" * 400, [math.inf], [1]),
        ("=" + "[" * 499, ["[" * 499], [[]]),
    ],
)
def test_holds_for(condition: str, matching: list[Any], others: list[Any]) -> None:
    parsed = parse("x" + condition)

    assert [value for value in matching if not parsed.holds(value)] == []
    assert [value for value in others if parsed.holds(value)] == []


def test_a_step_is_met_though_it_misses_its_decimal_spelling() -> None:
    computed = 0.1 + 0.2
    assert computed != 0.3

    for condition, holds in [("=", True), ("<=", True), (">=", True), ("!=", False), (">", False)]:
        assert parse(f"x{condition}0.3").holds(computed, tolerance=1e-9) is holds
    assert not parse("x=0.3").holds(computed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x<adam", '"<" compares numbers'),
        ("x>=true", '">=" compares numbers'),
        ("x<'1'", '"<" compares numbers'),
        ("x=", 'nothing follows "="'),
        ("x<  ", 'nothing follows "<"'),
        ("x==3", "quotes"),
        ("x=<3", "quotes"),
        ('x="adam', "its closing quote"),
        ('x="adam" y=3', "its closing quote"),
        ("x='a'b'", "its closing quote"),
        ("x='", "its closing quote"),
    ],
)
def test_refuses_what_says_nothing(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert words in caught.value.message


def parse(text: str) -> Condition:
    """A condition on x."""
    return parse_condition(next(split for split in find_splits(text) if split.name == "x"))
