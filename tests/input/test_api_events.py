"""Entries of the list with one thing wrong with them: kept as events, or set aside and told, and none hides others."""

import json
from typing import Any

import pytest

from tests.daemon.rounds.world import look
from tests.input.answers import body, event, listed
from tests.input.asking import Case, Table, collects

BEFORE, AFTER = (json.dumps(event(number)).encode() for number in (1, 3))


def entry(text: bytes, stored: str = "", memory: int = 16) -> Case:
    """An entry between two ordinary ones; what it is stored as, or nothing if it is set aside."""
    ids = ("1", stored, "3") if stored else ("1", "3")
    return Case(body(listed(BEFORE, text, AFTER)), stored=ids, aside=0 if stored else 1, memory=memory * 2**20)


def with_id(spelt: bytes, stored: str = "") -> Case:
    return entry(b'{"event_id":' + spelt + b',"trigger_type":"a","trigger_data":{}}', stored)


def with_field(name: str, spelt: bytes) -> Case:
    """An ordinary event but for this field."""
    fields = {key: json.dumps(value).encode() for key, value in event(2).items()} | {name: spelt}
    members = (json.dumps(key).encode() + b":" + value for key, value in fields.items())
    return entry(b"{" + b",".join(members) + b"}", "2")


def without(name: str) -> Case:
    return entry(json.dumps({key: value for key, value in event(2).items() if key != name}).encode(), "2")


ODD: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "NaN": b"NaN",
    "1e400": b"1e400",
    "-1": b"-1",
    "2 to the 64th": b"18446744073709551616",
    "5,000 digits": b"7" * 5_000,
    "a list": b"[[1],{}]",
    "an object": b'{"a":{"b":[null]}}',
    "an empty text": b'""',
    "half a character": rb'"\ud800"',
    "NUL": rb'"a\u0000b"',
    "a long text": b'"' + b"x" * 100_000 + b'"',
    "hostile marks": json.dumps("\x1b[2J\u202e'; DROP TABLE events; --{{7*7}}%s{0}\r\nBcc: a").encode(),
}
"""What stands where something else should."""
IDS: dict[str, Case] = {
    "a text of digits": with_id(b'"2"', "2"),
    "leading zeros": with_id(b'"0002"', "2"),
    "a whole fraction": with_id(b"2.0", "2"),
    "an exponent": with_id(b"2e3", "2000"),
    "zero": with_id(b"0", "0"),
    "minus zero": with_id(b"-0", "0"),
    "below zero": with_id(b"-17", "-17"),
    "2 to the 63rd": with_id(b"9223372036854775808", "9223372036854775808"),
    "100 digits": with_id(b"9" * 100, "9" * 100),
    "101 digits": with_id(b"9" * 101),
    "space around it": with_id(b'" 2\\n"', "2"),
    "letters": with_id(b'"abc-DEF_0"', "abc-DEF_0"),
    "a colon in it": with_id(b'"shop:2"', "shop:2"),
    "SQL": with_id(b"\"2'OR'1'='1\"", "2'OR'1'='1"),
    "a path": with_id(b'"../../etc/passwd"', "../../etc/passwd"),
    "a format": with_id(b'"%s{0}{{x}}"', "%s{0}{{x}}"),
    "a fraction": with_id(b"2.5"),
    "NaN": with_id(b"NaN"),
    "1e400": with_id(b"1e400"),
    "a number of 5,000 digits": with_id(b"2" * 5_000),
    "null": with_id(b"null"),
    "true": with_id(b"true"),
    "a list": with_id(b"[2]"),
    "an object": with_id(b'{"id":2}'),
    "an empty text": with_id(b'""'),
    "two words": with_id(b'"2 3"'),
    "a line end": with_id(b'"2\\n3"'),
    "NUL": with_id(b'"2\\u0000"'),
    "half a character": with_id(b'"\\ud800"'),
    "an accent": with_id('"é"'.encode()),
    "an Arabic digit": with_id('"٢"'.encode()),
    "no width": with_id('"2\u200b"'.encode()),
    "missing": entry(b'{"trigger_type":"a"}'),
    "in capitals": entry(b'{"EVENT_ID":2}'),
    "under another name": entry(b'{"id":2}'),
}
ENTRIES: dict[str, Case] = {
    "null": entry(b"null"),
    "a number": entry(b"2"),
    "a text": entry(b'"2"'),
    "a list": entry(b"[2]"),
    "an empty object": entry(b"{}"),
    "NaN": entry(b"NaN"),
    "1 MB of text": entry(b'"' + b"x" * 1_000_000 + b'"', memory=32),
    "100,000 deep": entry(b"[" * 100_000 + b"]" * 100_000),
    "only an id": entry(b'{"event_id":2}', "2"),
    "an id and 1,000 fields nobody knows": entry(
        json.dumps({"event_id": 2} | {f"x{number}": [number] for number in range(1_000)}).encode(), "2"
    ),
    "twice the same": Case(body(listed(BEFORE, AFTER, BEFORE, AFTER)), stored=("1", "3")),
    "twice with other content": Case(
        body(listed(BEFORE, json.dumps(event(1, trigger_type="refund")).encode(), AFTER)), stored=("1", "3")
    ),
    "one id in five spellings": Case(
        body(listed(*(b'{"event_id":' + each + b"}" for each in (b"2", b'"2"', b"2.0", b'"02"', b'" 2"')))),
        stored=("2",),
    ),
    "nothing but odd ones": Case(body(listed(b"null", b"1", b"[]", b"{}", b'"x"')), aside=5),
}
FIELDS: dict[str, Case] = {
    **{
        f"{name}: {what}": with_field(name, spelt)
        for name in ("listener_id", "created_at", "trigger_type", "trigger_data")
        for what, spelt in ODD.items()
    },
    **{f"{name}: missing": without(name) for name in ("listener_id", "created_at", "trigger_type", "trigger_data")},
    "created_at: milliseconds": with_field("created_at", b"1770000000000"),
    "created_at: a date": with_field("created_at", b'"2026-03-04T05:06:07Z"'),
    "created_at: before 1970": with_field("created_at", b"-62135596801"),
    "created_at: after 9999": with_field("created_at", b"253402300800"),
}
CASES: dict[str, Case] = {
    **{f"id: {name}": case for name, case in IDS.items()},
    **{f"entry: {name}": case for name, case in ENTRIES.items()},
    **FIELDS,
}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_entry_is_kept_or_set_aside_and_hides_none(name: str, table: Table) -> None:
    """I1, I16: what has an id can be delivered and completed; what has none is told and counted."""
    collects(table, CASES[name])


def test_whatever_an_event_holds_is_kept_to_be_looked_at(table: Table) -> None:
    """I4, I9: the odd field is in the database, and the twin with other content beside the first."""
    twins: list[Any] = [event(2), event(2, trigger_data={"username": "Alex"})]
    odd = {"event_id": 3, "surprise": {"deep": [1, 2]}}
    collects(table, Case(body(listed(*(json.dumps(each).encode() for each in [*twins, odd]))), stored=("2", "3")))
    ours = f"SELECT id FROM events WHERE source = 'shop{table.cases}' AND external_id = "
    ((data,),) = look(table.folder, f"SELECT data FROM variants WHERE event_id = ({ours} '2')")
    assert "Alex" in str(data)
    ((raw,),) = look(table.folder, f"SELECT raw FROM events WHERE id = ({ours} '3')")
    assert json.loads(str(raw)) == odd
