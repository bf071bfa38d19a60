"""Conditions: what may not be written, and how decisions are explained."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from daemon.condition import Condition
from daemon.routing import parse_rule
from tests.events import event

PURCHASE = {
    "final_price": "9.99",
    "username": "Steve",
    "tags": ["economy", "7"],
    "nested": {"amount": 5},
    "trial": True,
}


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("final_price >", "unexpected 'end of condition'"),
        ("final_price = 5", "'=' is not expected there (to compare, write \"==\")"),
        ("a == 1 b", "'b' is not expected there"),
        ("a && b", 'unexpected char \'&\' at 2; write "and" for "&&"'),
        ("a == '||' || b", '; write "or" for "||"'),
        ("!a", '; write "not" for "!"'),
        ("a & '&&'", "unexpected char '&' at 2"),
        ("a != 1 b", "'b' is not expected there"),
        ("{{ a }}", "write it without {{ }}"),
        ("a }}", "'}}' is not expected there"),
        ("username.upper() == 'X'", "calls such as x() are not available; use a filter such as |lower"),
        ("range(10)", "calls such as x()"),
        ("a|nonsense", "no filter 'nonsense'; there are abs, d, default,"),
        ("(a|nonsense) if b else c", "no filter 'nonsense'"),
        ("a is odd", "no test 'odd'; there are defined, number, undefined"),
        ("a|round(1, 2)", "'round' does not take these arguments"),
        ("a|round(places=1, x=2)", "'round' does not take these arguments"),
        ("a|lower(*b)", "'lower' does not take these arguments"),
        ("a ~ b", "Concat is not available in a condition"),
        ("a ** 9", "Pow is not available in a condition"),
        ("{'a': 1}", "Dict is not available in a condition"),
        ("a[b]", "what stands in [ ] must be a number or a text in quotes"),
        ("a[1:2]", "what stands in [ ] must be"),
        ("final_price > 1e400", "a number is too large"),
        ("final_price < 0x" + "f" * 3900, "a number is too large"),
        ("final_price > 5 and 'a' * 3 == 'aaa'", '"*" needs numbers on both sides'),
        ("5 in (not 5)", "is not "),
        ("(" * 5000, "the condition is nested too deeply"),
        ("not " * 3000 + "a", "longer than 4000 characters"),
        (" ", "must be text, such as"),
        (5, "must be text, such as"),
    ],
)
def test_a_broken_condition_is_refused_with_one_clear_line(condition: Any, complaint: str) -> None:
    with pytest.raises(ValidationError) as failure:
        TypeAdapter(Condition).validate_python(condition if not str(condition).startswith("((") else condition[:3999])
    (error,) = failure.value.errors()
    assert complaint in error["msg"]
    assert error["msg"].isprintable()
    assert ("; write" in error["msg"]) == ("; write" in complaint)


def test_a_condition_shows_no_secret_that_was_pasted_into_it() -> None:
    with pytest.raises(ValidationError) as failure:
        TypeAdapter(Condition).validate_python("final_price 'canary-token-0123456789'")
    assert "canary" not in failure.value.errors()[0]["msg"]


def test_a_condition_is_written_back_as_it_was() -> None:
    adapter = TypeAdapter(Condition)
    condition = adapter.validate_python("a == 1\n  and b")
    assert json.loads(adapter.dump_json(condition)) == "a == 1\n  and b"
    assert adapter.json_schema() == {"type": "string"}
    assert condition == Condition("a == 1\n  and b") == adapter.validate_python(condition)


# Explaining


@pytest.mark.parametrize(
    ("condition", "explanation"),
    [
        ("final_price|float >= 50", 'does not meet final_price|float >= 50 (final_price = "9.99")'),
        ("final_price > 1 and missing > 1 and username == 'x'", "does not meet missing > 1 (missing is missing)"),
        (
            "final_price > 1 and (username == 'x' or trial == 'no')",
            "does not meet (username == 'x' or trial == 'no') (username = \"Steve\", trial = true)",
        ),
        (
            "final_price > 1 and username == 'x' or trial == 'no'",
            "does not meet final_price > 1 and username == 'x' or trial == 'no'"
            ' (final_price = "9.99", username = "Steve", trial = true)',
        ),
        ("username == 'and' and 1 > 2", "does not meet username == 'and' (username = \"Steve\")"),
        ("final_price\n > 1 and\n 1 > 2", "does not meet 1 > 2"),
        ("'x' in tags", "does not meet 'x' in tags (tags is a list)"),
        ("nested.amount > 9", "does not meet nested.amount > 9 (nested is a table)"),
        ("final_price > 1\n  and trial", "meets final_price > 1 and trial"),
    ],
)
def test_the_first_part_that_failed_is_named_with_the_values_seen(condition: str, explanation: str) -> None:
    assert Condition(condition).decide(event(PURCHASE)).explanation == explanation


def test_a_long_value_is_shown_in_part() -> None:
    decision = Condition("username == 'x'").decide(event({"username": "y" * 100_000}))
    assert decision.explanation == f"does not meet username == 'x' (username = \"{'y' * 80}…\")"


@pytest.mark.parametrize(
    ("patterns", "wanted", "why"),
    [
        (None, False, 'any trigger, does not meet final_price > 10 (final_price = "9.99")'),
        (["purchase"], False, 'matches "purchase", does not meet final_price > 10 (final_price = "9.99")'),
        (["review"], False, "matches no pattern"),
    ],
)
def test_events_decides_first_and_where_second(patterns: list[str] | None, wanted: bool, why: str) -> None:
    assert parse_rule(patterns, Condition("final_price > 10")).decide(event(PURCHASE)) == (wanted, why, False)
    assert parse_rule(["pur*"], Condition("trial")).decide(event(PURCHASE)) == (
        True,
        'matches "pur*", meets trial',
        False,
    )
