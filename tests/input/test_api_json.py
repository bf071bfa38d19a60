"""What the API calls JSON: whatever it is, it is understood, set aside or refused in one line (I16, F36, M16)."""

import codecs
import json

import pytest

from tests.input.answers import body, envelope, event, listed, page, raw
from tests.input.asking import TOKEN, Case, Table, collects

NO_ENVELOPE = "BuiltByBit answers HTTP 200 without its envelope: an outage, or a proxy in between"
NO_LIST = "BuiltByBit answers without a list of events"
WITH_ERROR = "BuiltByBit answers with an error (HTTP 200)"
GOOD = page(1)


def unreadable(content: bytes) -> Case:
    """Bytes from which nothing is learned."""
    return Case(body(content), "failing", NO_ENVELOPE, requests=1)


def read(content: bytes, *stored: str, aside: int = 0) -> Case:
    """Bytes that hold these events all the same."""
    return Case(body(content), stored=stored, aside=aside)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def within(value: bytes) -> bytes:
    """A list whose middle event has this in its data."""
    middle = b'{"event_id":2,"trigger_type":"a","trigger_data":{"x":' + value + b"}}"
    return listed(json.dumps(event(1)).encode(), middle, json.dumps(event(3)).encode())


CASES = {
    "nothing": unreadable(b""),
    "one space": unreadable(b" "),
    "null": unreadable(b"null"),
    "true": unreadable(b"true"),
    "a number": unreadable(b"5"),
    "NaN alone": unreadable(b"NaN"),
    "a text": unreadable(b'"success"'),
    "a text that does not end": unreadable(b'"success'),
    "an array": unreadable(b"[]"),
    "an array of envelopes": unreadable(b"[" + GOOD + b"]"),
    "an empty object": unreadable(b"{}"),
    "only an opening brace": unreadable(b"{"),
    "cut in the middle": unreadable(GOOD[: len(GOOD) // 2]),
    "cut before the last byte": unreadable(GOOD[:-1]),
    "garbage behind it": unreadable(GOOD + b"garbage"),
    "two documents": unreadable(GOOD + GOOD),
    "one document a line": unreadable(GOOD + b"\n" + GOOD),
    "a comma too many": unreadable(GOOD[:-2] + b",}}"),
    "single quotes": unreadable(GOOD.replace(b'"', b"'")),
    "a comment": unreadable(b"/* events */" + GOOD),
    "a guard before it": unreadable(b")]}',\n" + GOOD),
    "a callback around it": unreadable(b"callback(" + GOOD + b")"),
    "NUL bytes only": unreadable(bytes(1000)),
    "NUL behind it": unreadable(GOOD + b"\0"),
    "NUL before it": unreadable(b"\0" + GOOD),
    "every byte there is": unreadable(bytes(range(256)) * 100),
    "UTF-16 with a mark": unreadable(codecs.BOM_UTF16_LE + GOOD.decode().encode("utf-16-le")),
    "UTF-16 without a mark": unreadable(GOOD.decode().encode("utf-16-be")),
    "UTF-32": unreadable(GOOD.decode().encode("utf-32")),
    "two byte order marks": unreadable(codecs.BOM_UTF8 * 2 + GOOD),
    "XML": unreadable(b'<?xml version="1.0"?><result>success</result>'),
    "YAML": unreadable(b"result: success\ndata:\n  events: []\n"),
    "a form": unreadable(b"result=success&data=" + TOKEN.encode()),
    "a pickle": unreadable(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
    "100,000 open brackets": unreadable(b"[" * 100_000),
    "100,000 closing brackets": unreadable(b"]" * 100_000),
    "100,000 open objects": unreadable(b'{"a":' * 100_000),
    "100,000 deep and whole": unreadable(nested(100_000)),
    "deep, and broken far inside": unreadable(b'{"result":"success","data":{"events":[' + b"[" * 50_000 + b"}]}}"),
    "deep in the result": unreadable(b'{"result":' + nested(100_000) + b',"data":{"events":[]}}'),
    "deep beside the data": Case(
        body(b'{"x":' + nested(100_000) + b',"result":"success","data":{"events":[{"event_id":1}]}}'), stored=("1",)
    ),
    "deep where the list should be": Case(
        body(b'{"result":"success","data":{"events":{"a":' + nested(100_000) + b"}}}"), "failing", NO_ENVELOPE
    ),
    "deep in the stats": read(listed(b'{"event_id":1}', stats=nested(100_000)), "1"),
    "a byte order mark": read(codecs.BOM_UTF8 + GOOD, "1"),
    "space around it": read(b"\r\n\t " * 1000 + GOOD + b"\n" * 1000, "1"),
    "latin-1": read(within('"Grüße"'.encode("latin-1")), "1", "2", "3"),
    "broken UTF-8": read(within(b'"\xff\xfe\xc3\x28"'), "1", "2", "3"),
    "UTF-8 longer than needed": read(within(b'"\xc0\xaf\xe0\x80\xaf"'), "1", "2", "3"),
    "halves of characters in UTF-8": read(within(b'"\xed\xa0\x80\xed\xbf\xbf"'), "1", "2", "3"),
    "halves of characters escaped": read(within(rb'"\ud800 \udfff\ud83d"'), "1", "2", "3"),
    "control characters": read(within(bytes(range(1, 32)).join([b'"', b'"'])), "1", "2", "3"),
    "NUL in a text": read(within(b'"a\0b\\u0000"'), "1", "2", "3"),
    "NaN": read(within(b"NaN"), "1", "2", "3"),
    "minus infinity": read(within(b"-Infinity"), "1", "2", "3"),
    "1e400": read(within(b"1e400"), "1", "2", "3"),
    "a number of 5,000 digits": read(within(b"9" * 5000), "1", "2", "3"),
    "a number of 1,000,000 digits": read(within(b"-" + b"9" * 1_000_000), "1", "2", "3"),
    "a fraction of 100,000 digits": read(within(b"0." + b"3" * 100_000), "1", "2", "3"),
    "an exponent of 5,000 digits": read(within(b"1e" + b"9" * 5000), "1", "2", "3"),
    "2 to the 63rd": read(within(b"9223372036854775808"), "1", "2", "3"),
    "an escape that is none": unreadable(within(rb'"\x41"')),
    "an escape cut off": unreadable(within(rb'"\u12"')),
    "a leading zero": unreadable(within(b"007")),
    "a plus sign": unreadable(within(b"+1")),
    "hexadecimal": unreadable(within(b"0x10")),
    "data 100,000 deep": read(within(nested(100_000)), "1", "2", "3"),
    "data 5,000 objects deep": read(within(b'{"a":' * 5_000 + b"0" + b"}" * 5_000), "1", "2", "3"),
    "data with 10,000 keys": read(within(json.dumps(dict.fromkeys(map(str, range(10_000)))).encode()), "1", "2", "3"),
    "data with a key of 1 MB": read(within(b'{"' + b"k" * 1_000_000 + b'":1}'), "1", "2", "3"),
    "keys twice in an event": read(listed(b'{"event_id":1,"event_id":2,"trigger_data":{"a":1,"a":2}}'), "2"),
    "keys twice in the envelope": read(page(1)[:-2] + b'},"data":{"events":[{"event_id":2}]}}', "2"),
    "the result twice, the last one bad": Case(
        body(GOOD[:-1] + b',"result":"error"}'), "failing", WITH_ERROR, requests=1
    ),
    "the result in capitals": Case(body(envelope({"events": []}, "SUCCESS")), "failing", WITH_ERROR),
    "the result true": Case(body(envelope({"events": []}, True)), "failing", WITH_ERROR),
    "the result a number": Case(body(envelope({"events": []}, 0)), "failing", WITH_ERROR),
    "the result NaN": Case(body(b'{"result":NaN,"data":{"events":[]}}'), "failing", WITH_ERROR),
    "the envelope in capitals": unreadable(GOOD.replace(b"result", b"RESULT")),
    "the data a text of JSON": Case(body(envelope(json.dumps({"events": [event(1)]}))), "failing", NO_LIST),
    "the data the list itself": Case(body(envelope([event(1)])), "failing", NO_LIST),
    "the data false": Case(body(envelope(False)), "failing", NO_LIST),
    "the events a text": Case(body(envelope({"events": "[]"})), "failing", NO_LIST),
    "the events a number": Case(body(envelope({"events": 0})), "failing", NO_LIST),
    "the events by their ids": Case(body(envelope({"events": {"1": event(1)}})), "failing", NO_LIST),
    "the events under another name": Case(body(envelope({"Events": [event(1)]})), "failing", NO_LIST),
    "no type and no length": Case(raw(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD), stored=("1",)),
    "called an image": Case(body(GOOD, Content_Type="image/png"), stored=("1",)),
    "called latin-1": Case(body(GOOD, Content_Type="application/json; charset=iso-8859-1"), stored=("1",)),
}


@pytest.mark.parametrize("name", CASES)
def test_whatever_the_api_calls_json_is_understood_or_refused_in_one_line(name: str, table: Table) -> None:
    """I16, M16: and the next good answer is dealt with as ever."""
    collects(table, CASES[name])
