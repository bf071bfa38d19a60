"""Sinks that go through Apprise, for tests, and a plug-in of it that does as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apprise.decorators import notify
from apprise.manager_plugins import NotificationManager

from daemon.http import Http
from sinks.apprise import AppriseSink
from tests.rigs import load_apprise


def sink_of(url: str, **values: Any) -> AppriseSink:
    load_apprise()
    return AppriseSink(AppriseSink.Settings.model_validate({"url": url, "timeout": "5s"} | values), Http())


class Stub:
    """A plug-in that answers as it is told, and counts how often it is called."""

    def __init__(self) -> None:
        self.answer: Callable[[], Any] = lambda: True
        self.calls: list[str] = []
        self.freed = threading.Event()
        self.ended = threading.Semaphore(0)

    def block(self) -> bool:
        self.freed.wait(60)
        return True


@contextmanager
def stubbed() -> Iterator[Stub]:
    """While this lasts, Apprise knows the scheme stub://."""
    load_apprise()
    stub = Stub()

    @notify(on="stub", name="Stub")  # type: ignore[no-untyped-call, untyped-decorator]
    def called(body: str, title: str, notify_type: Any, *args: Any, **kwargs: Any) -> Any:
        stub.calls.append(title)
        try:
            return stub.answer()
        finally:
            stub.ended.release()

    try:
        yield stub
    finally:
        stub.freed.set()
        NotificationManager().remove("stub")  # type: ignore[no-untyped-call]
