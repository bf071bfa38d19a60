"""Pages too large to be read at once."""

import asyncio
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from daemon.contract import (
    SourceRefused,
    SourceUnavailable,
)
from daemon.sources.builtbybit import LARGEST_PAGE, BuiltByBitSource
from tests.daemon.sources.asking import against, event, ids, opened, sweep
from tests.receivers import Request, Writer, http_receiver, reply


def test_a_page_that_is_too_large_is_asked_for_in_smaller_pieces_until_all_fits_again() -> None:
    heavy = True
    blank = b" " * (LARGEST_PAGE // 20)

    async def answer(request: Request, writer: Writer) -> None:
        query = parse_qs(urlsplit(request.target).query)
        page, size = int(query["page"][0]), int(query["per_page"][0])
        number = 60 if heavy else 10
        rows = [json.dumps(event(each)).encode() for each in range(1, number + 1)][(page - 1) * size : page * size]
        stats = {"total": number, "page": page, "per_page": size, "max_page": -(-number // size)}
        padding = blank * len(rows) if heavy else b""
        body = b",".join(rows) + padding + b'],"stats":' + json.dumps(stats).encode()
        await reply(200, b'{"result":"success","data":{"events":[' + body + b"}}")(request, writer)

    async def scenario() -> None:
        nonlocal heavy
        async with http_receiver(answer) as server, opened(f"{server.url}/v2") as source:
            for size in (25, 6):
                with pytest.raises(SourceUnavailable, match=f"larger than 32 MiB; asking for {size} events at a time"):
                    await sweep(source)
            for _ in range(2):
                pages = await sweep(source)
                assert ids(pages) == [str(each) for each in range(1, 61)]
                assert [len(page.events) for page in pages] == [6] * 10
            heavy = False
            await sweep(source)
            assert "per_page=6" in server.requests[-1].target
            heavy = False
            pages = await sweep(source)
            assert [len(page.events) for page in pages] == [6, 4]

    asyncio.run(scenario())


def test_one_event_that_is_too_large_by_itself_is_said_so() -> None:
    async def answer(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(40):
            writer.write(b" " * 1024 * 1024)
            await writer.drain()
        writer.close()

    async def scenario() -> None:
        async with http_receiver(answer) as server, opened(f"{server.url}/v2") as source:
            said = []
            for _ in range(5):
                with pytest.raises(SourceUnavailable) as raised:
                    await sweep(source)
                said.append(str(raised.value))
            assert [text.partition("; ")[2] for text in said[:3]] == [
                f"asking for {size} events at a time now" for size in (25, 6, 1)
            ]
            assert said[3:] == ["a single event is larger than 32 MiB"] * 2

    asyncio.run(scenario())


def test_an_endless_refusal_is_a_refusal_all_the_same() -> None:
    async def answer(request: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n" + b" " * (LARGEST_PAGE + 1))
        await writer.drain()
        writer.close()

    trouble, server = against(answer, sweep)
    assert isinstance(trouble, SourceRefused)
    assert "per_page=100" in server.requests[0].target


def test_while_a_large_page_is_taken_apart_all_else_goes_on() -> None:
    deep = "[" * 1000 + "]" * 1000
    quoted = json.dumps({"text": '"' * 3_000_000})
    body = (
        '{"result":"success","data":{"events":['
        f'{{"event_id":1,"trigger_data":{{"text":{deep}}}}},{{"event_id":2,"trigger_data":{quoted}}}]}}}}'
    ).encode()

    async def scenario() -> None:
        longest = 0.0
        sent = asyncio.Event()

        async def answer(request: Request, writer: Writer) -> None:
            await reply(200, body)(request, writer)
            sent.set()

        async def look() -> None:
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - before)

        async with http_receiver(answer) as server, opened(f"{server.url}/v2") as source:
            fetching = asyncio.create_task(sweep_once(source))
            await sent.wait()
            began = time.monotonic()
            looking = asyncio.create_task(look())
            assert await fetching == ["1", "2"]
            took = time.monotonic() - began
            await asyncio.sleep(0.01)  # it has yet to see how long its last look took
            looking.cancel()
        assert longest < took / 2

    async def sweep_once(source: BuiltByBitSource) -> list[str]:
        return ids([await anext(source.fetch(None))])

    asyncio.run(scenario())
