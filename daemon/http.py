"""How we speak HTTP: one client per peer, a total deadline, a capped and never decompressed answer."""

import asyncio
import email.utils
import math
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import aiohttp
import httpx
from yarl import URL

from daemon import __version__
from daemon.names import Names, NeverCalled, connect, guarded_socket

USER_AGENT = f"eventferry/{__version__}"
CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 75.0
LONGEST_RETRY_AFTER = timedelta(hours=24)
PIECEMEAL_FROM = 1024 * 1024
"""Bytes."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_CANNOT_BE_MADE = "the request could not be made (check the URL and headers)"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
"""What we send in a header: a token, https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2, and a line of ASCII."""


class CallFailed(Exception):
    """No usable answer came. The text is ours: a client library's own spells out URLs, which can be secrets."""

    def __init__(self, reason: str, *, maybe_sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.maybe_sent = maybe_sent
        """Whether the peer may have received the request all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes
    cut: bool
    """The body went on past the limit and was not read further."""
    encoding: str
    """A Content-Encoding the peer used although identity was asked for; the body is then unread."""


@cache
def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """How we check certificates: against this file of authorities, or the usual ones. Not to be changed by callers."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()


class Http:
    """One peer's HTTP client: its own connections, no cookies, no redirects, no environment."""

    def __init__(self, *, proxy: str | None = None) -> None:
        self._proxy = proxy
        self._ca_file: Path | None = None
        self._session: aiohttp.ClientSession | None = None

    def trust(self, ca_file: Path) -> None:
        """Check certificates against this file of authorities alone; to be said before the first call."""
        self._ca_file = ca_file

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many calls are made at once is for the callers to say. Names are looked up at each connect.
                connector=aiohttp.TCPConnector(
                    limit=0,
                    ssl=tls_context(self._ca_file),
                    keepalive_timeout=KEEPALIVE_SECONDS,
                    use_dns_cache=False,
                    resolver=Names(),
                    socket_factory=guarded_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                auto_decompress=False,
                # What stands before a receiver may add a policy of many kilobytes; it has taken the event all the same.
                max_field_size=32 * 1024,
                trust_env=False,
            )
            # It would send an unanswered GET again without a word; that is for our callers. There is no public switch.
            self._session._retry_connection = False
        return self._session

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        content: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Answer:
        """Send one request and read at most `limit` bytes of the answer within `deadline`.

        Raises CallFailed when no answer came, with a reason that names no URL.
        """
        if not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in headers.items()):
            raise CallFailed(_CANNOT_BE_MADE, maybe_sent=False)
        try:
            async with (
                asyncio.timeout(deadline.total_seconds()),
                self._opened().request(
                    method, _target(url), headers=headers, data=_body(content), allow_redirects=False, proxy=self._proxy
                ) as response,
            ):
                return await _read(response, limit)
        except (aiohttp.ClientError, httpx.InvalidURL, OSError, ValueError) as error:
            reason, maybe_sent = _explain(error, deadline)
            raise CallFailed(reason, maybe_sent=maybe_sent) from None

    async def reach(self, url: str, *, deadline: timedelta) -> None:
        """Open and close a connection to the URL's host, or to the proxy if there is one, sending no request.

        Raises CallFailed, as `call` does.
        """
        try:
            target = _target(self._proxy or url)
            tls = tls_context(self._ca_file) if target.scheme == "https" else None
            async with asyncio.timeout(deadline.total_seconds()):
                writer = await connect(str(target.raw_host), int(target.port or 80), tls)
        except TimeoutError:
            raise CallFailed(f"no connection within {deadline.total_seconds():g} s", maybe_sent=False) from None
        except (httpx.InvalidURL, OSError, ValueError) as error:
            raise CallFailed(_explain(error, deadline, connecting=True)[0], maybe_sent=False) from None
        writer.transport.abort()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _body(content: bytes | None) -> bytes | BytesIO | None:
    """A large body is written piece by piece: aiohttp would block the loop to write it at once, and warns of it."""
    return BytesIO(content) if content is not None and len(content) > PIECEMEAL_FROM else content


@lru_cache(maxsize=128)
def _target(url: str) -> URL:
    """The URL as it goes out. Raises ValueError or httpx.InvalidURL.

    httpx escapes what must be and leaves alone what is; yarl itself would rewrite `%20` in a query.
    """
    escaped = httpx.URL(url)
    if escaped.scheme not in ("http", "https") or not escaped.raw_host or not 0 < (escaped.port or 80) < 65536:
        raise ValueError("not a web address")
    return URL(str(escaped), encoded=True)


async def _read(response: aiohttp.ClientResponse, limit: int) -> Answer:
    encoding = ", ".join(response.headers.getall("Content-Encoding", ())).strip().lower()
    if encoding in ("", "identity"):
        encoding = ""
    body = bytearray()
    while not encoding and len(body) <= limit and (chunk := await response.content.readany()):
        body += chunk
    cut = len(body) > limit
    del body[limit:]
    return Answer(response.status, response.headers, bytes(body), cut, encoding)


def _explain(error: Exception, deadline: timedelta, *, connecting: bool = False) -> tuple[str, bool]:
    """What to tell people about a client error, and whether the peer may have got the request."""
    match error:
        case NeverCalled() | aiohttp.ClientConnectorError(os_error=NeverCalled()):
            return "it lies at a link-local or cloud metadata address, which is never called", False
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause) | (
            ssl.SSLCertVerificationError() as cause
        ):
            why = getattr(cause, "verify_message", "it is for another name")
            return f"its TLS certificate is not accepted: {why} (is this machine's clock right?)", False
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_SECONDS:g} s", False
        case TimeoutError() if not connecting:
            return f"no full answer within {deadline.total_seconds():g} s", True
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return "the proxy refused", False
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return "its name could not be resolved", False
        case aiohttp.ClientConnectorError(os_error=cause):
            return _no_connection(cause), False
        case aiohttp.InvalidURL() | httpx.InvalidURL():
            return _CANNOT_BE_MADE, False
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientResponseError():
            return "the connection broke or spoke no HTTP before an answer came", True
        case OSError() if connecting:
            return _no_connection(error), False
        case aiohttp.ClientError() | OSError():
            return f"the connection failed ({type(error).__name__})", True
        case _:
            return _CANNOT_BE_MADE, False


def _no_connection(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no connection by TLS; it may speak plain http there, or too old a TLS"
    # Where a name has several addresses and all refuse, asyncio says so in words only.
    refused = isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error)
    return "connection refused" if refused else "no connection"


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read a standard Retry-After: seconds (some send fractions) or an HTTP date, RFC 9110 10.2.3.

    None when there is none or it makes no sense: not positive, unreadable, over 24 hours.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return sane_wait(seconds)


def sane_wait(seconds: float) -> timedelta | None:
    """A wait that somebody asked for, if it is one that we obey: positive, at most 24 hours."""
    if not math.isfinite(seconds) or seconds <= 0 or seconds > LONGEST_RETRY_AFTER.total_seconds():
        return None
    return timedelta(seconds=seconds) or None  # less than a microsecond is nothing
