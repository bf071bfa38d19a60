"""An entry of the list becomes an event, whatever is wrong with it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from daemon.contract import Incoming, Unidentified
from daemon.sources._builtbybit_event import LONGEST_ID, LONGEST_KIND, UNKNOWN_KIND, to_incoming
from daemon.sources._json import loads, loads_whole
from tests.daemon.sources.entries import MISSING, NOW, entry, understood
from tests.events import HOSTILE, JSON


def test_an_event_as_described_needs_no_raw_copy() -> None:
    incoming = understood(entry())
    assert incoming.raw is None
    assert incoming.event.key == "shop:4711"
    assert incoming.event.channel == "12"
    assert incoming.event.kind == "purchase"
    assert incoming.event.occurred_at == datetime.fromtimestamp(1_770_000_000, UTC)
    assert incoming.event.data == {"username": "Steve", "final_price": "9.99"}


@pytest.mark.parametrize(
    ("given", "external_id"),
    [
        ("4711", "4711"),
        ('"4711"', "4711"),
        ('"004711"', "4711"),
        ('" 4711\\n"', "4711"),
        ("4711.0", "4711"),
        ("4.711e3", "4711"),
        ("0", "0"),
        ("-0.0", "0"),
        ('"000"', "0"),
        ("-5", "-5"),
        ("9007199254740993", "9007199254740993"),
        ("99999999999999999999999999", "99999999999999999999999999"),
        ('"9f1c-22"', "9f1c-22"),
        ('"1e5"', "1e5"),
        ('"a:b/c"', "a:b/c"),
        (f'"{"x" * LONGEST_ID}"', "x" * LONGEST_ID),
    ],
)
def test_an_id_is_understood_in_every_spelling(given: str, external_id: str) -> None:
    incoming = understood(entry(event_id=loads(given)))
    assert incoming.event.external_id == external_id
    assert incoming.raw is None


@pytest.mark.parametrize(
    "given",
    [
        "null", '""', '"  "', "true", "false", "[]", "[4711]", "{}", '{"id":4711}', "4711.5", "NaN", "Infinity",
        "1e400", "1e300", '"47 11"', '"47\\u200b11"', '"\\ud800"', '"４７１１"', f'"{"x" * 101}"', "9" * 101,
    ],
)  # fmt: skip
def test_an_entry_without_a_usable_id_is_set_aside_as_it_came(given: str) -> None:
    odd = entry(event_id=loads(given))
    aside = to_incoming("shop", odd, NOW)
    assert isinstance(aside, Unidentified)
    assert aside.reason == "its event_id is no usable id"
    assert json.loads(aside.raw) == odd
    assert aside.raw.isascii()


@pytest.mark.parametrize("odd", [{}, {"trigger_type": "purchase"}, [], [1], None, 5, "text", True, {"Event_ID": 5}])
def test_an_entry_without_any_id_is_set_aside_as_it_came(odd: Any) -> None:
    aside = to_incoming("shop", odd, NOW)
    assert isinstance(aside, Unidentified)
    assert aside.reason == "no event_id"
    assert json.loads(aside.raw) == odd


@pytest.mark.parametrize(
    ("given", "channel"),
    [
        ("12", "12"),
        ('"12"', "12"),
        ("12.0", "12"),
        ("null", None),
        ("true", None),
        ('""', None),
        ("{}", None),
        ("NaN", None),
    ],
)
def test_a_listener_is_understood_or_left_out(given: str, channel: str | None) -> None:
    incoming = understood(entry(listener_id=loads(given)))
    assert incoming.event.channel == channel
    assert (incoming.raw is None) == (channel is not None)


@pytest.mark.parametrize(
    ("given", "kind", "as_described"),
    [
        ('"purchase"', "purchase", True),
        ('"Resource Purchase"', "Resource Purchase", True),
        ('" purchase\\n"', "purchase", False),
        ('""', UNKNOWN_KIND, False),
        ('" "', UNKNOWN_KIND, False),
        ("null", UNKNOWN_KIND, False),
        ("5", UNKNOWN_KIND, False),
        ("true", UNKNOWN_KIND, False),
        ('["purchase"]', UNKNOWN_KIND, False),
        (f'"{"k" * LONGEST_KIND}"', "k" * LONGEST_KIND, True),
        (f'"{"k" * 5000}"', "k" * LONGEST_KIND, False),
        ('"half \\ud83d"', "half \\ud83d", False),
        ('"\\ud83d\\udc4d"', "👍", True),
        ('"kauf\\u0000"', "kauf\0", True),
    ],
)
def test_a_trigger_is_never_empty_never_long_and_can_be_stored(given: str, kind: str, as_described: bool) -> None:
    incoming = understood(entry(trigger_type=loads(given)))
    assert incoming.event.kind == kind
    assert incoming.event.kind.encode()
    assert (incoming.raw is None) == as_described


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1770000000", 1_770_000_000),
        ('"1770000000"', 1_770_000_000),
        ("1770000000.5", 1_770_000_000.5),
        ("1770000000000", 1_770_000_000),
        ('"1770000000123"', 1_770_000_000.123),
        ("0", None),
        ("-1", None),
        ("null", None),
        ("true", None),
        ('""', None),
        ('"2026-03-04"', None),
        ("NaN", None),
        ("Infinity", None),
        ("1e400", None),
        ("1e30", None),
        ("9999999999", None),
        ("99999999999999999999999999", None),
        ('"nan"', None),
        ("[1770000000]", None),
    ],
)
def test_a_time_is_understood_in_seconds_or_milliseconds_else_it_is_now(given: str, seconds: float | None) -> None:
    incoming = understood(entry(created_at=loads(given)))
    assert incoming.event.occurred_at == (NOW if seconds is None else datetime.fromtimestamp(seconds, UTC))
    assert (incoming.raw is None) == (seconds is not None)


@pytest.mark.parametrize(
    ("given", "data", "as_described"),
    [
        ("{}", {}, True),
        ("[]", {}, True),
        ("null", {}, False),
        (
            '{"a":null,"b":false,"c":1.5,"d":[1],"e":{"f":2}}',
            {"a": None, "b": False, "c": 1.5, "d": [1], "e": {"f": 2}},
            True,
        ),
        ('{"a":NaN,"b":1e400,"c":-Infinity}', {"a": "NaN", "b": "1e400", "c": "-Infinity"}, True),
        ('{"a":123456789012345678901234567890}', {"a": "123456789012345678901234567890"}, True),
        ('{"a":1,"a":2}', {"a": 2}, True),
        ('{"\\ud800":"\\udfff"}', {"\ud800": "\udfff"}, True),
        ("[1,2]", {"trigger_data": [1, 2]}, False),
        ('"text"', {"trigger_data": "text"}, False),
        ("5", {"trigger_data": 5}, False),
        ("false", {"trigger_data": False}, False),
    ],
)
def test_data_of_any_type_is_carried_along(given: str, data: dict[str, Any], as_described: bool) -> None:
    incoming = understood(entry(trigger_data=loads(given)))
    assert incoming.event.data == data
    assert (incoming.raw is None) == as_described


def test_data_below_the_usual_depth_becomes_text_so_that_nothing_that_renders_it_goes_there() -> None:
    deep = understood(entry(trigger_data={"a": loads("[" * 40 + "]" * 40)}))
    value = deep.event.data["a"]
    for _ in range(12):
        (value,) = value
    assert value == "[" * 28 + "]" * 28
    assert deep.raw is None


@pytest.mark.parametrize("name", ["listener_id", "created_at", "trigger_type", "trigger_data"])
def test_only_the_id_is_needed_and_what_came_is_kept(name: str) -> None:
    incoming = understood(entry(**{name: MISSING}))
    assert incoming.event.external_id == "4711"
    assert incoming.raw is not None
    assert json.loads(incoming.raw) == entry(**{name: MISSING})
    only = understood({"event_id": "1"}).event
    assert (only.kind, only.channel, only.occurred_at, only.data) == (UNKNOWN_KIND, None, NOW, {})


def test_what_nobody_expected_is_kept_beside_the_event() -> None:
    incoming = understood(entry(attempt=3, note={"a": [1]}))
    assert incoming.event.data == entry()["trigger_data"]
    assert incoming.raw is not None
    assert json.loads(incoming.raw) == entry(attempt=3, note={"a": [1]})


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "deep"])
def test_hostile_data_passes(name: str) -> None:
    incoming = understood(loads_whole(json.dumps(entry(trigger_data=HOSTILE[name]))))
    assert incoming.event.data.keys() == HOSTILE[name].keys()
    assert json.dumps(incoming.event.data)


@given(JSON, JSON, JSON)
def test_every_entry_is_either_an_event_or_set_aside(one: Any, other: Any, third: Any) -> None:
    odd = loads_whole(
        json.dumps(entry(event_id=one, trigger_type=other, trigger_data=third, created_at=third, listener_id=one))
    )
    result = to_incoming("shop", odd, NOW)
    if isinstance(result, Incoming):
        assert result.event.kind.encode()
        assert 0 < len(result.event.external_id) <= LONGEST_ID
        assert json.dumps(result.event.data)
        raw = result.raw
    else:
        raw = result.raw
    assert raw is None or json.loads(raw) == json.loads(json.dumps(odd))
