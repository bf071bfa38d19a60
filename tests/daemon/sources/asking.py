"""A source that asks a server which answers as a test wants it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from daemon.contract import (
    Access,
    Page,
    SourceThrottled,
    SourceTrouble,
)
from daemon.http import Http
from daemon.sources.builtbybit import BuiltByBitSource
from tests.receivers import Answer, HttpReceiver, Request, Writer, http_receiver, reply

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TOKEN = "t0ken-0f-the-shop"


@dataclass
class Gates:
    """Records what the source tells its gates; shut once told so, until a test opens them."""

    shut_for: list[tuple[str, Access, timedelta | None]] = field(default_factory=list)
    passes: list[tuple[str, Access]] = field(default_factory=list)
    is_shut: set[Access] = field(default_factory=set)

    def require_open(self, host: str, access: Access) -> None:
        if access in self.is_shut:
            raise SourceThrottled("shut", access, NOW)

    async def shut(self, host: str, access: Access, wait: timedelta | None) -> SourceThrottled:
        self.shut_for.append((host, access, wait))
        self.is_shut.add(access)
        return SourceThrottled("shut", access, NOW)

    async def passed(self, host: str, access: Access) -> None:
        self.passes.append((host, access))


@asynccontextmanager
async def opened(base_url: str, gates: Gates | None = None, **more: Any) -> AsyncIterator[BuiltByBitSource]:
    settings = BuiltByBitSource.Settings.model_validate({"base_url": base_url, "token": TOKEN} | more)
    source = BuiltByBitSource("shop", settings, Http(), gates or Gates(), lambda: NOW)
    try:
        yield source
    finally:
        await source.close()


async def sweep(source: BuiltByBitSource) -> list[Page]:
    return [page async for page in source.fetch(None)]


def ids(pages: Sequence[Page]) -> list[str]:
    return [item.event.external_id for page in pages for item in page.events]


def against(
    answer: Answer, act: Callable[[BuiltByBitSource], Awaitable[Any]], gates: Gates | None = None, **more: Any
) -> tuple[Any, HttpReceiver]:
    """Let a source do something against a server that always answers so; what came of it, raised or returned."""

    async def scenario() -> tuple[Any, HttpReceiver]:
        async with http_receiver(answer) as server, opened(f"{server.url}/v2", gates, **more) as source:
            try:
                return await act(source), server
            except SourceTrouble as trouble:
                return trouble, server

    return asyncio.run(scenario())


def enveloped(data: Any, **headers: str) -> Answer:
    return reply(200, json.dumps({"result": "success", "data": data}).encode(), **headers)


def failing(status: int, code: Any = "SomeError", **headers: str) -> Answer:
    body = {"result": "error", "error": {"code": code, "message": f"See {TOKEN}"}}
    return reply(status, json.dumps(body).encode(), **headers)


def listing(page_of: Callable[[int, int], Any]) -> Answer:
    """Answer with what a function of page and per_page makes the data."""

    async def answer(request: Request, writer: Writer) -> None:
        query = parse_qs(urlsplit(request.target).query)
        await enveloped(page_of(int(query["page"][0]), int(query["per_page"][0])))(request, writer)

    return answer


def event(number: Any, **more: Any) -> dict[str, Any]:
    return {
        "event_id": number,
        "listener_id": 1,
        "created_at": 1_770_000_000,
        "trigger_type": "a",
        "trigger_data": {},
    } | more
