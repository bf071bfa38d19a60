"""A service that Apprise reaches: made from its URL, and called in a thread that can be left behind.

What a call tells is whether the service took the message, no more: Apprise hides status codes and waits, and its logs
hold URLs, so that they are never read.
"""

import difflib
import logging
from collections.abc import Callable
from typing import Any, Literal

from apprise import Apprise, AppriseAsset, NotifyBase, OverflowMode
from apprise.conversion import convert_between
from apprise.plugins import N_MGR

Format = Literal["text", "markdown"]

_convert: Callable[[str, str, str], str] = convert_between  # it has no types of its own
_services: Any = N_MGR  # nor has this

_logger = logging.getLogger("apprise")
_logger.propagate = False
_logger.addHandler(logging.NullHandler())


class Unusable(Exception):
    """Apprise makes nothing of the URL; the text is fit for people and holds nothing of it but the scheme."""


class Service:
    """One service at one URL. Not for the event loop: making it takes long, and `send` as long as the service likes."""

    def __init__(self, url: str) -> None:
        """Raises Unusable."""
        # Nothing is left to threads of Apprise's own, which all sinks would share and the end of the process wait for.
        asset = AppriseAsset(async_mode=False, service_timeout=0, http_redirects=False)
        plugin = Apprise.instantiate(url, asset=asset)
        if plugin is None:
            raise Unusable(f"{_what_is_wrong(url)}; how each service's has to look: https://appriseit.com/services/")
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


def _what_is_wrong(url: str) -> str:
    scheme, known = url.partition("://")[0].lower(), list(_services.schemas())
    if scheme in known and not _services[scheme].enabled:
        return f'Apprise lacks another package for "{scheme}://"'
    if scheme in known:
        return "Apprise makes nothing of this URL"
    near = difflib.get_close_matches(scheme, known, 1)
    return f'Apprise knows no "{scheme}://"' + (f' (did you mean "{near[0]}://"?)' if near else "")
