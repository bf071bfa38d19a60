"""What is learned from odd answers, and from which nothing is."""

import asyncio
import gzip
import json
from contextlib import suppress
from typing import Any

import pytest

from daemon.contract import (
    SourceUnavailable,
)
from daemon.simulator import Faults, Simulator
from tests.daemon.sources.asking import TOKEN, against, enveloped, event, failing, ids, opened, sweep
from tests.receivers import Answer, hang_up, http_receiver, reply


@pytest.mark.parametrize("form", ["right", "bom", "nan", "deep"])
def test_an_envelope_with_something_odd_in_it_is_read(form: Any) -> None:
    async def scenario() -> None:
        async with (
            Simulator.start(faults=Faults(answer=form)) as sim,
            opened(sim.api_url, token=sim.token) as source,
        ):
            pending = [sim.upstream.add_sample() for _ in range(30)]
            pages = await sweep(source)
            assert ids(pages) == pending
            assert pages[-1].last
            assert all(item.raw is None for page in pages for item in page.events)

    asyncio.run(scenario())


def around(*entries: bytes) -> Answer:
    """A list of events as these very bytes, on every page."""
    usual = json.dumps(event(1)).encode()
    last = json.dumps(event(2)).encode()
    return reply(200, b'{"result":"success","data":{"events":[' + b",".join([usual, *entries, last]) + b"]}}")


SPOILT = {
    "broken UTF-8": b'{"event_id":9,"trigger_type":"a","trigger_data":{"x":"\xff\xc3"}}',
    "lone surrogate": rb'{"event_id":9,"trigger_type":"\ud800","trigger_data":{"\udfff":"\ud83d"}}',
    "control characters": b'{"event_id":9,"trigger_type":"a\nb\x00","trigger_data":{"x":"\x01\x7f"}}',
    "numbers": b'{"event_id":9,"trigger_type":"a","trigger_data":{"x":NaN,"y":-Infinity,"z":1e400,"n":'
    + b"9" * 5000
    + b"}}",
    "duplicate keys": b'{"event_id":8,"event_id":9,"trigger_data":{"a":1,"a":2}}',
    "deep data": b'{"event_id":9,"trigger_data":{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    "deep beside": b'{"event_id":9,"x":' + b'{"a":' * 50_000 + b"0" + b"}" * 50_000 + b"}",
    "as deep as the decoder goes": b'{"event_id":9,"x":' + b"[" * 970 + b"]" * 970 + b"}",
    "long": b'{"event_id":9,"trigger_data":{"x":"' + b"y" * 1_000_000 + b'"}}',
    "only an id": b'{"event_id":"9"}',
}


@pytest.mark.parametrize("name", SPOILT)
def test_one_odd_event_is_carried_along_and_hides_none(name: str) -> None:
    pages, _ = against(around(SPOILT[name]), sweep)
    assert ids(pages) == ["1", "9", "2"]
    odd = pages[0].events[1]
    assert json.dumps(odd.event.data)
    assert odd.event.kind.encode()
    assert odd.raw is not None
    assert odd.raw.isascii()


def test_no_depth_of_an_event_keeps_the_others_from_being_read() -> None:
    async def scenario() -> None:
        async with http_receiver() as server, opened(f"{server.url}/v2") as source:
            for depth in [*range(850, 1000), 9_000, 9_990, 10_000, 10_010, 30_000]:
                deep = b"[" * depth + b"]" * depth
                server.answer = around(b'{"event_id":9,"trigger_data":{"x":' + deep + b"}}")
                assert ids(await sweep(source)) == ["1", "9", "2"]

    asyncio.run(scenario())


@pytest.mark.parametrize("entry", [b"[" * 50_000 + b"]" * 50_000, b"null", b"5", b'"x"', b'{"event_id":NaN}', b"[]"])
def test_an_entry_without_an_id_hides_none_either(entry: bytes) -> None:
    pages, _ = against(around(entry), sweep)
    assert ids(pages) == ["1", "2"]
    (aside,) = [item for page in pages for item in page.unidentified]
    assert json.loads(aside.raw) in (
        json.loads(entry) if len(entry) < 100 else None,
        entry.decode(),
        {"event_id": "NaN"},
    )


NO_LIST: dict[str, tuple[Answer, str]] = {
    "data null": (enveloped(None), "without a list of events"),
    "data list": (enveloped([]), "without a list of events"),
    "data a filled list": (enveloped([event(1)]), "without a list of events"),
    "data missing": (reply(200, b'{"result":"success"}'), "without a list of events"),
    "events missing": (enveloped({"stats": {}}), "without a list of events"),
    "events null": (enveloped({"events": None}), "without a list of events"),
    "events an object": (enveloped({"events": {}}), "without a list of events"),
    "deep without events": (
        reply(200, b'{"result":"success","data":{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}}"),
        "without a list of events",
    ),
}
NO_SUCCESS: dict[str, tuple[Answer, str]] = {
    "portal": (reply(200, b"<html>Log in</html>"), "HTTP 200 without its envelope"),
    "empty": (reply(200, b""), "HTTP 200 without its envelope"),
    "no content": (reply(204), "HTTP 204 without its envelope"),
    "truncated": (reply(200, b'{"result":"success","data":{"events":[{"eve'), "without its envelope"),
    "a list": (reply(200, b"[]"), "without its envelope"),
    "a text": (reply(200, b'"success"'), "without its envelope"),
    "null": (reply(200, b"null"), "without its envelope"),
    "no result": (reply(200, b'{"data":{"events":[]}}'), "without its envelope"),
    "result null": (reply(200, b'{"result":null,"data":{"events":[]}}'), "with an error (HTTP 200)"),
    "result list": (reply(200, b'{"result":["success"],"data":{"events":[]}}'), "with an error (HTTP 200)"),
    "deep and broken": (reply(200, b'{"result":"success","data":' + b"[" * 50_000), "without its envelope"),
    "error in a 200": (failing(200, "ServerError"), "with an error (HTTP 200 ServerError)"),
    "400": (failing(400, "BadError"), "with an error (HTTP 400 BadError)"),
    "404": (failing(404, "NotFound"), "with an error (HTTP 404 NotFound)"),
    "500": (failing(500), "with an error (HTTP 500 SomeError)"),
    "500 that claims success": (reply(500, b'{"result":"success","data":{"events":[]}}'), "with an error (HTTP 500)"),
    "502 in HTML": (reply(502, b"<html>Bad gateway"), "HTTP 502 without its envelope"),
    "503 without a wait": (failing(503), "with an error (HTTP 503 SomeError)"),
    "301": (reply(301, b"", Location="/v3/events"), "HTTP 301 without its envelope"),
    "302": (reply(302, b"", Location="https://builtbybit.com/login"), "HTTP 302 without its envelope"),
    "a proxy that wants a login": (reply(407, b"<html>"), "HTTP 407 without its envelope"),
    "compressed": (
        reply(200, gzip.compress(b'{"result":"success","data":{"events":[]}}'), Content_Encoding="gzip"),
        "compressed although that was not asked for",
    ),
    "claims to be compressed": (
        reply(200, b'{"result":"success","data":{"events":[]}}', Content_Encoding="br"),
        "compressed although",
    ),
    "code a number": (failing(500, 7), "with an error (HTTP 500)"),
    "code long and odd": (failing(500, "A\n\x1b[31m<b>" + "x" * 500), "(HTTP 500 A31mb" + "x" * 55 + ")"),
    "reset": (hang_up, "cannot be reached: the connection"),
}


@pytest.mark.parametrize("name", NO_LIST | NO_SUCCESS)
def test_from_such_an_answer_nothing_is_concluded(name: str) -> None:
    answer, sentence = (NO_LIST | NO_SUCCESS)[name]
    trouble, server = against(answer, sweep)
    assert isinstance(trouble, SourceUnavailable), trouble
    assert sentence in str(trouble)
    assert TOKEN not in str(trouble)
    assert "\n" not in str(trouble)
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", [name for name in NO_SUCCESS if name not in ("400", "404")])
def test_after_such_an_answer_a_completion_counts_as_unclear(name: str) -> None:
    answer, sentence = NO_SUCCESS[name]
    trouble, _ = against(answer, lambda source: source.acknowledge(["1"]))
    assert isinstance(trouble, SourceUnavailable), trouble
    assert sentence in str(trouble)


@pytest.mark.parametrize(
    "form", ["truncated", "html", "empty", "gzip", "huge_headers", "error_in_200", "data_null", "data_list"]
)
@pytest.mark.parametrize("drop", ["never", "before", "midway", "after"])
def test_the_simulators_bad_days_end_in_one_kind_of_trouble(form: Any, drop: Any) -> None:
    async def scenario() -> None:
        async with (
            Simulator.start(faults=Faults(answer=form, drop=drop)) as sim,
            opened(sim.api_url, token=sim.token) as source,
        ):
            sim.upstream.add_sample()
            with pytest.raises(SourceUnavailable):
                await sweep(source)
            sim.upstream.faults = Faults()
            with suppress(SourceUnavailable):  # a reset behind a whole answer is met by whoever calls next
                await sweep(source)
            assert len(ids(await sweep(source))) == 1

    asyncio.run(scenario())


def test_nobody_there_is_said_in_words_without_the_url() -> None:
    async def scenario() -> None:
        async with http_receiver() as server:
            url = server.url
        async with opened(f"{url}/v2") as source:
            with pytest.raises(SourceUnavailable) as raised:
                await sweep(source)
            assert str(raised.value) == "BuiltByBit cannot be reached: connection refused"

    asyncio.run(scenario())
