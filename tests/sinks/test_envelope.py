import json
from types import MappingProxyType
from typing import Any

from hypothesis import given

from sinks._envelope import DEEPEST, encode, envelope
from tests.events import JSON, event


def sent(data: Any) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    raw = encode(envelope(event(data)))
    assert raw.isascii()
    return json.loads(raw, parse_constant=refuse)["data"]


def test_an_envelope_names_the_event_and_where_it_comes_from() -> None:
    assert json.loads(encode(envelope(event({"a": 1})))) == {
        "type": "purchase",
        "timestamp": "2026-03-04T05:06:07.000Z",
        "data": {"a": 1},
        "source": "builtbybit",
        "event_id": "4711",
        "listener_id": "12",
        "key": "builtbybit:4711",
    }


def test_ordinary_data_arrives_unchanged() -> None:
    data = {"s": "ö\u2028\x00\ud800👍", "i": 2**64, "f": 9.5, "b": True, "n": None, "l": [1, {"x": []}]}
    assert sent(data) == data


def test_numbers_that_json_cannot_hold_become_text() -> None:
    data = {"nan": float("nan"), "inf": float("inf"), "minus": [float("-inf")], "long": 10**5000}
    assert sent(data) == {"nan": "nan", "inf": "inf", "minus": ["-inf"], "long": hex(10**5000)}


def test_data_nested_beyond_all_reason_is_cut_off_visibly() -> None:
    deep: Any = "bottom"
    for _ in range(900):
        deep = [deep]
    text = json.dumps(sent({"deep": deep}))
    assert text.count("[") == DEEPEST - 1
    assert "nested deeper than 64 levels" in text


@given(JSON)
def test_any_json_value_can_be_sent(data: Any) -> None:
    sent({"value": data})


def test_what_is_not_of_the_plain_types_is_sent_like_them() -> None:
    """What JSON gives is told by its exact type; whatever else comes is to be no different."""

    class Text(str):
        __slots__ = ()

    data = MappingProxyType({"a": (1, Text("b"), MappingProxyType({"c": None}))})
    assert sent(data) == {"a": [1, "b", {"c": None}]}
