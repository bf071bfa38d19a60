"""What every kind of source promises, whatever its server answers."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from daemon.contract import Access, Source, SourceThrottled, SourceTrouble, Unreachable
from daemon.http import Http
from daemon.redaction import MASK
from daemon.sources.registry import SOURCE_KINDS
from tests.receivers import Answer, HttpReceiver, Request, Writer, hang_up, http_receiver, keep_silent, reply

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECRET = "s3cret-of-the-account"
SETTINGS: dict[str, dict[str, Any]] = {
    "builtbybit": {"base_url": "{url}/v2", "token": SECRET},
}
"""A minimal table for each kind; `{url}` is where its server listens."""
kinds = pytest.mark.parametrize("kind", sorted(SOURCE_KINDS))


class Gates:
    def __init__(self) -> None:
        self.asked = 0
        self.is_shut = False

    def require_open(self, host: str, access: Access) -> None:
        self.asked += 1
        if self.is_shut:
            raise SourceThrottled("shut", access, NOW)

    async def shut(self, host: str, access: Access, wait: timedelta | None) -> SourceThrottled:
        return SourceThrottled("shut", access, NOW)

    async def passed(self, host: str, access: Access) -> None:
        return None


def settings(kind: str, url: str) -> BaseModel:
    table = {key: value.replace("{url}", url) for key, value in SETTINGS[kind].items()}
    return SOURCE_KINDS[kind].settings.model_validate(table)


@asynccontextmanager
async def opened(kind: str, server: HttpReceiver, gates: Gates | None = None) -> AsyncIterator[Source]:
    source = SOURCE_KINDS[kind].build("shop", settings(kind, server.url), Http(), gates or Gates(), lambda: NOW)
    try:
        yield source
    finally:
        await source.close()
        await source.close()


async def everything(source: Source) -> list[str]:
    """Do all that a source can do; what it raised, as text."""
    said = []

    async def fetch() -> None:
        async for page in source.fetch(None):
            assert not isinstance(page.events, str)

    for act in (fetch(), source.acknowledge(["1", "2"])):
        try:
            await act
        except SourceTrouble as trouble:
            said.append(str(trouble))
    try:
        await source.check()
    except Unreachable as unreachable:
        said.append(str(unreachable))
    return said


BODIES = {
    "empty": b"",
    "html": b"<html>secret? s3cret-of-the-account</html>",
    "list": b"[]",
    "object": b"{}",
    "null": b"null",
    "success": b'{"result":"success"}',
    "odd data": b'{"result":"success","data":{"events":{"a":1},"stats":[]}}',
    "odd events": b'{"result":"success","data":{"events":[null,1,"x",[],{"event_id":{}}],"stats":{"total":"x"}}}',
    "error": b'{"result":"error","error":{"code":"s3cret-of-the-account","message":"s3cret-of-the-account"}}',
    "odd error": b'{"result":"error","error":["s3cret-of-the-account"]}',
    "deep": b"[" * 100_000,
    "bytes": bytes(range(256)) * 10,
}


@kinds
@pytest.mark.parametrize("body", BODIES)
def test_no_answer_makes_a_source_raise_anything_but_trouble_or_tell_its_secret(kind: str, body: str) -> None:
    async def scenario() -> None:
        async with http_receiver() as server, opened(kind, server) as source:
            for status in (200, 201, 204, 301, 400, 401, 403, 404, 409, 413, 418, 422, 429, 500, 502, 503, 599):
                for headers in ({}, {"Retry-After": "9e999"}, {"Content-Encoding": "gzip"}):
                    server.answer = reply(status, BODIES[body], **headers)
                    for text in await everything(source):
                        assert SECRET not in text
                        assert server.url not in text
                        assert text.isprintable()

    asyncio.run(scenario())


async def half_a_line(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 2")
    writer.close()


@kinds
@pytest.mark.parametrize("answer", [hang_up, half_a_line])
def test_a_broken_connection_is_trouble(kind: str, answer: Answer) -> None:
    async def scenario() -> None:
        async with http_receiver(answer) as server, opened(kind, server) as source:
            assert len(await everything(source)) == 3

    asyncio.run(scenario())


@kinds
def test_nothing_is_asked_past_a_shut_gate(kind: str) -> None:
    async def scenario() -> None:
        gates = Gates()
        gates.is_shut = True
        async with http_receiver() as server, opened(kind, server, gates) as source:
            assert len(await everything(source)) == 3
            assert server.connections == 0
            gates.is_shut = False
            await everything(source)
            assert len(server.requests) <= gates.asked - 3

    asyncio.run(scenario())


@kinds
def test_a_source_that_was_cut_off_can_be_asked_again(kind: str) -> None:
    async def scenario() -> None:
        async with http_receiver(keep_silent) as server, opened(kind, server) as source:
            for act in (anext(aiter(source.fetch(None))), source.acknowledge(["1"]), source.check()):
                server.arrived.clear()
                asking = asyncio.ensure_future(act)
                await server.arrived.wait()
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            server.answer = reply(500)
            assert len(await everything(source)) == 3

    asyncio.run(scenario())


@kinds
def test_settings_are_strict_and_hide_their_secrets(kind: str) -> None:
    shown = repr(settings(kind, "http://127.0.0.1:1")) + settings(kind, "http://127.0.0.1:1").model_dump_json()
    assert SECRET not in shown
    assert MASK in shown
    with pytest.raises(ValueError, match="surprise"):
        SOURCE_KINDS[kind].settings.model_validate({**SETTINGS[kind], "base_url": "http://127.0.0.1:1", "surprise": 1})


@kinds
def test_credentials_that_are_written_in_the_config_do_not_change_by_themselves(kind: str) -> None:
    async def scenario() -> None:
        async with http_receiver() as server, opened(kind, server) as source:
            assert source.credentials_changed() is False
            assert source.host
            assert inspect.isasyncgenfunction(type(source).fetch)

    asyncio.run(scenario())


def test_every_kind_is_tried_here() -> None:
    assert SETTINGS.keys() == SOURCE_KINDS.keys()
