"""Reading JSON that may hold anything."""

import json
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given

from daemon.sources._json import (
    DEEPEST_WHOLE,
    NotJson,
    OddNumber,
    dumps,
    items,
    loads,
    loads_or_text,
    loads_whole,
    members,
    shallow,
)
from tests.events import JSON

TOO_DEEP = 200_000
"""Beyond what any Python decodes."""


def nested(depth: int, core: str = "0") -> str:
    return "[" * depth + core + "]" * depth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0", 0),
        ("0.5", 0.5),
        ("1e2", 100.0),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", 9223372036854775808),
        ("12345678901234567890", "12345678901234567890"),
        ("9" * 5000, "9" * 5000),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
        ('"a\tb"', "a\tb"),
        ('"\\ud800"', "\ud800"),
        ('{"a":1,"a":2}', {"a": 2}),
        ("[]", []),
        ("null", None),
    ],
)
def test_odd_values_are_kept(text: str, value: Any) -> None:
    assert loads(text) == value
    assert type(loads(text)) in (type(value), OddNumber)
    assert loads_or_text(text) == value
    assert json.loads(dumps(loads(text))) == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_without_a_finite_value_can_be_told_from_a_text(text: str) -> None:
    assert isinstance(loads(text), OddNumber)
    assert not isinstance(loads(f'"{text}"'), OddNumber)


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,]", "{]", "'a'", '"a', "tru", "1 2", "<html>", '{"a"}', "[1}", "nul\0"]
)
def test_what_is_no_json_is_refused_in_one_way(text: str) -> None:
    for read in (loads, loads_whole, loads_or_text):
        with pytest.raises(NotJson):
            read(text)


def test_what_was_read_whole_can_be_written_again_whatever_its_depth() -> None:
    """How deep the decoder goes and how deep the encoder goes are different limits, which depend on the stack."""
    outcomes = set()
    for depth in [*range(1, sys.getrecursionlimit() + 100), 9_900, 9_990, 10_000, 10_010, TOO_DEEP]:
        try:
            value = loads_whole(nested(depth))
        except RecursionError:
            outcomes.add("too deep")
        else:
            assert dumps(value)
            outcomes.add("read")
    assert outcomes == {"read", "too deep"}


def test_depth_is_limited_without_losing_anything() -> None:
    value = shallow(loads(nested(30)), 5)
    for _ in range(5):
        (value,) = value
    assert value == nested(25)
    assert loads(value) == loads(nested(25))
    assert shallow(shallow({"a": [[{"b": 1}]]}, 2), 2) == shallow({"a": [[{"b": 1}]]}, 2) == {"a": ['[{"b":1}]']}


def test_up_to_the_limit_nothing_is_changed() -> None:
    assert loads_whole(nested(DEEPEST_WHOLE)) == loads(nested(DEEPEST_WHOLE))
    assert loads_whole(nested(DEEPEST_WHOLE + 1)) != loads(nested(DEEPEST_WHOLE + 1))


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_a_value_too_deep_to_decode_is_kept_as_its_text(brackets: str) -> None:
    opening = brackets[0] if brackets == "[]" else '{"a":'
    text = opening * TOO_DEEP + "0" + brackets[1] * TOO_DEEP
    assert loads_or_text(text) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{}", {}),
        (" { } ", {}),
        ('{"a":1}', {"a": "1"}),
        ('{"a" : [1, {"b":2}] , "c":{} }', {"a": '[1, {"b":2}]', "c": "{}"}),
        ('{"a":"}{,:\\"\\\\"}', {"a": '"}{,:\\"\\\\"'}),
        ('{"a,b":1,"c:d":2}', {"a,b": "1", "c:d": "2"}),
        ('{"\\u0061":1}', {"a": "1"}),
        ('{"a":1,"a":2}', {"a": "2"}),
        ('{"":null}', {"": "null"}),
        ('{"a":[[]]}', {"a": "[[]]"}),
    ],
)
def test_an_object_is_split_into_its_members(text: str, parts: dict[str, str]) -> None:
    assert members(text) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[]", []),
        ("[ ]", []),
        ("[1]", ["1"]),
        ('[1, "x,]" ,{"a":[2,3]},[]]', ["1", '"x,]"', '{"a":[2,3]}', "[]"]),
        ("[[[1,2]],3]", ["[[1,2]]", "3"]),
        ('["\\"",1]', ['"\\""', "1"]),
    ],
)
def test_an_array_is_split_into_its_items(text: str, parts: list[str]) -> None:
    assert items(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[]",
        "{",
        "}",
        '{"a":1',
        '{"a":1}}',
        '{"a":1}{"b":2}',
        "{1:2}",
        '{"a"}',
        "{,}",
        '{"a":"}',
        '{"a":[}',
        "{{}:1}",
    ],
)
def test_what_is_no_object_is_not_split(text: str) -> None:
    with pytest.raises(NotJson):
        members(text)


@pytest.mark.parametrize("text", ["", "{}", "[", "[1", "[1]]", "[1][2]", '["a]'])
def test_what_is_no_array_is_not_split(text: str) -> None:
    with pytest.raises(NotJson):
        items(text)


@given(JSON)
def test_splitting_and_decoding_agree(value: Any) -> None:
    text = json.dumps([value, value])
    again = [loads(part) for part in items(text)]
    assert dumps(again) == dumps(loads(text))
    named = {"a": value, "b\"'": value}
    parts = members(json.dumps(named))
    assert dumps({name: loads(part) for name, part in parts.items()}) == dumps(loads(json.dumps(named)))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"' + '\\"' * 1_000_000,
        '{"a":"' + '\\"' * 1_000_000 + '"}',
        '{"a":"' + "x" * 4_000_000 + '"}',
        '{"a":' + "[" * 1_000_000 + "]" * 1_000_000 + "}",
        '"' * 1_000_001 + "}",
    ],
    ids=["endless text", "escapes", "long text", "brackets", "quotes"],
)
def test_a_large_text_is_split_in_reasonable_time(text: str) -> None:
    began = time.process_time()
    with suppress(NotJson):
        members(text)
    assert time.process_time() - began < 5
