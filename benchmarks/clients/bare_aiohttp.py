"""The limit: what an asyncio client can carry when it keeps nothing, judges nothing and retries nothing."""

import asyncio
import json
import sys

import aiohttp

PER_PAGE = 100
AT_ONCE = 64


async def main(api: str, hook: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        while await sweep(session, api, hook):
            pass


async def sweep(session: aiohttp.ClientSession, api: str, hook: str) -> int:
    """List page after page while 64 workers post; completing waits for the last page, since it moves the others."""
    waiting: asyncio.Queue[dict[str, object] | None] = asyncio.Queue(4 * AT_ONCE)
    posted: list[object] = []

    async def work() -> None:
        while (event := await waiting.get()) is not None:
            body = json.dumps(event).encode()
            async with session.post(hook, data=body, headers={"Content-Type": "application/json"}) as answer:
                await answer.read()
                answer.raise_for_status()
            posted.append(event["event_id"])

    workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
    page, last = 0, 1
    while page < last:
        page += 1
        async with session.get(f"{api}/events?page={page}&per_page={PER_PAGE}") as answer:
            data = json.loads(await answer.read())["data"]
        last = data["stats"]["max_page"]
        for event in data["events"]:
            await waiting.put(event)
    for _ in workers:
        await waiting.put(None)
    await asyncio.gather(*workers)
    for start in range(0, len(posted), PER_PAGE):
        body = json.dumps({"event_ids": posted[start : start + PER_PAGE]}).encode()
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{api}/events/complete", data=body, headers=headers) as answer:
            await answer.read()
    return len(posted)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
