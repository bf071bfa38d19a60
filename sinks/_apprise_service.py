"""A service that Apprise reaches: made from its URL, and called in a thread that can be left behind.

What a call tells is whether the service took the message, no more: Apprise hides status codes and waits, and its logs
hold URLs, so that they are never read.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, TypeVar

from apprise import Apprise, AppriseAsset, NotifyBase, OverflowMode
from apprise.conversion import convert_between

Format = Literal["text", "markdown"]
_Result = TypeVar("_Result")

_convert: Callable[[str, str, str], str] = convert_between  # it has no types of its own

_logger = logging.getLogger("apprise")
_logger.propagate = False
_logger.addHandler(logging.NullHandler())


class Unusable(Exception):
    """Apprise makes nothing of the URL."""


class Service:
    """One service at one URL. Not for the event loop: making it takes long, and `send` as long as the service likes."""

    def __init__(self, url: str) -> None:
        """Raises Unusable."""
        # Nothing is left to threads of Apprise's own, which all sinks would share and the end of the process wait for.
        asset = AppriseAsset(async_mode=False, service_timeout=0, http_redirects=False)
        plugin = Apprise.instantiate(url, asset=asset)
        if plugin is None:
            raise Unusable
        plugin.overflow_mode = OverflowMode.TRUNCATE
        self._plugin: NotifyBase = plugin
        self._apprise = Apprise(asset=asset)
        self._apprise.add(plugin)
        self.name = str(plugin.service_name)

    def fit(self, title: str, write: Callable[[int], str], written_as: Format) -> str:
        """The longest body that the service takes beside the title, after Apprise has escaped it as it does."""
        target, beside = self._plugin.resolve_format(written_as), self._plugin.title_maxlen > 0
        limit = self._plugin.body_maxlen - (
            0 if beside and not self._plugin.overflow_amalgamate_title else len(title) + 20
        )
        room, length = limit, 0
        while room > 0:
            body = write(room)
            if (length := len(_convert(written_as, target, body))) <= limit:
                return body
            room = room * limit // length - 1
        return write(1)

    def send(self, title: str, body: str, written_as: Format) -> bool:
        """Whether the service took it. May raise whatever a plug-in does."""
        return bool(self._apprise.notify(body, title=title, body_format=written_as))


def start(function: Callable[[], _Result]) -> Future[_Result]:
    """Call it in a thread of its own, which nobody has to wait for, not even the end of the process."""
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell
            future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))

    threading.Thread(target=run, name="apprise", daemon=True).start()
    return future
