"""A client of ours, and a server that answers as a test wants it to."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from daemon.http import Http
from tests.receivers import Answer, HttpReceiver, http_receiver

SOON, LATER = timedelta(seconds=0.3), timedelta(seconds=20)


def with_server(answer: Answer, act: Callable[[Http, HttpReceiver], Awaitable[Any]], **options: Any) -> Any:
    async def scenario() -> Any:
        async with http_receiver(answer) as server:
            http = Http(**options)
            try:
                return await act(http, server)
            finally:
                await http.close()

    return asyncio.run(scenario())
