"""What one POST costs through each way of speaking HTTP that was considered: `python -m benchmarks.transports`.

Processor time of this process alone, since wall time says more about what else the machine does. The ways over
`httpx-aiohttp` are left out where that package is not installed; it is no dependency of ours.
"""

import asyncio
import importlib.util
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import aiohttp
import httpx

from benchmarks.rig import rim
from daemon.http import Http

AT_ONCE, POSTS, ROUNDS = 16, 3000, 5
BODY = b'{"event_id": 1, "data": "' + b"x" * 400 + b'"}'
HEADERS = {"Content-Type": "application/json", "webhook-id": "shop-1-hook", "webhook-timestamp": "1700000000"}
Post = Callable[[], Awaitable[Any]]


async def way_seam(url: str, stack: AsyncExitStack) -> Post:
    http = Http()
    stack.push_async_callback(http.close)
    deadline = timedelta(seconds=20)
    return lambda: http.call("POST", url, headers=HEADERS, content=BODY, deadline=deadline, limit=16384)


async def way_aiohttp(url: str, stack: AsyncExitStack) -> Post:
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def post() -> None:
        async with session.post(url, data=BODY, headers=HEADERS) as response:
            await response.read()

    return post


async def way_httpx_client(url: str, stack: AsyncExitStack, transport: Any = None) -> Post:
    client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, timeout=20))
    return lambda: client.post(url, content=BODY, headers=HEADERS)


async def way_httpx_over_aiohttp(url: str, stack: AsyncExitStack) -> Post:
    return await way_httpx_client(url, stack, importlib.import_module("httpx_aiohttp").AiohttpTransport())


async def way_below_httpx_client(url: str, stack: AsyncExitStack) -> Post:
    transport = await stack.enter_async_context(importlib.import_module("httpx_aiohttp").AiohttpTransport())

    async def post() -> None:
        request = httpx.Request("POST", url, content=BODY, headers=HEADERS, extensions={"timeout": {}})
        response = await transport.handle_async_request(request)
        await response.aread()
        await response.aclose()

    return post


async def cost(way: Callable[[str, AsyncExitStack], Awaitable[Post]], url: str) -> float:
    """Microseconds of processor time for one POST."""
    async with AsyncExitStack() as stack:
        post = await way(url, stack)
        left = iter(range(POSTS))

        async def work() -> None:
            for _ in left:
                await post()

        await post()
        began = time.process_time()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return (time.process_time() - began) / POSTS * 1e6


def main() -> None:
    ways: list[Any] = [way_seam, way_aiohttp, way_httpx_client]
    if importlib.util.find_spec("httpx_aiohttp"):
        ways += [way_httpx_over_aiohttp, way_below_httpx_client]
    costs: dict[str, list[float]] = {way.__name__[4:]: [] for way in ways}
    with rim() as peer:
        for _ in range(ROUNDS):
            for way in ways:
                costs[way.__name__[4:]].append(asyncio.run(cost(way, f"{peer.url}/hook/x")))
    for name, each in costs.items():
        print(f"{name.replace('_', ' '):20} {statistics.median(each):6.0f} us of processor time a POST")


if __name__ == "__main__":
    main()
