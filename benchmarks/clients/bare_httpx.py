"""The same as `bare_aiohttp`, with httpx: 64 workers, each with a client of its own, which is how httpx does best."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack

import httpx

PER_PAGE = 100
AT_ONCE = 64
JSON = {"Content-Type": "application/json"}


async def main(api: str, hook: str) -> None:
    async with AsyncExitStack() as stack:
        upstream, *clients = [await stack.enter_async_context(httpx.AsyncClient()) for _ in range(1 + AT_ONCE)]
        while await sweep(upstream, clients, api, hook):
            pass


async def sweep(upstream: httpx.AsyncClient, clients: list[httpx.AsyncClient], api: str, hook: str) -> int:
    waiting: asyncio.Queue[dict[str, object] | None] = asyncio.Queue(4 * AT_ONCE)
    posted: list[object] = []

    async def work(client: httpx.AsyncClient) -> None:
        while (event := await waiting.get()) is not None:
            answer = await client.post(hook, content=json.dumps(event).encode(), headers=JSON)
            answer.raise_for_status()
            posted.append(event["event_id"])

    workers = [asyncio.create_task(work(client)) for client in clients]
    page, last = 0, 1
    while page < last:
        page += 1
        data = (await upstream.get(f"{api}/events?page={page}&per_page={PER_PAGE}")).json()["data"]
        last = data["stats"]["max_page"]
        for event in data["events"]:
            await waiting.put(event)
    for _ in workers:
        await waiting.put(None)
    await asyncio.gather(*workers)
    for start in range(0, len(posted), PER_PAGE):
        content = json.dumps({"event_ids": posted[start : start + PER_PAGE]}).encode()
        await upstream.post(f"{api}/events/complete", content=content, headers=JSON)
    return len(posted)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
