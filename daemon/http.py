"""How we speak HTTP: one client per peer, a total deadline, a capped and never decompressed answer."""

import asyncio
import email.utils
import math
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from daemon import __version__

USER_AGENT = f"eventferry/{__version__}"
CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 75.0
LONGEST_RETRY_AFTER = timedelta(hours=24)


class CallFailed(Exception):
    """No usable answer came. The text is ours: httpx's own spells out URLs, which can be secrets."""

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

    def __init__(self, *, proxy: str | None = None, ca_file: Path | None = None, connections: int = 16) -> None:
        self._proxy = proxy
        self._ca_file = ca_file
        self._connections = connections
        self._idle: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client to one request: httpx's own pool slows down severalfold when it is shared."""
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            yield client
        finally:
            if len(self._idle) < self._connections:
                self._idle.append(client)
            else:
                await client.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=tls_context(self._ca_file),
            proxy=self._proxy,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Answer:
        """Send one request and read at most `limit` bytes of the answer within `deadline`.

        Raises CallFailed when no answer came, with a reason that names no URL.
        """
        try:
            async with (
                asyncio.timeout(deadline.total_seconds()),
                self._client() as client,
                client.stream(method, url, headers=headers, content=content) as response,
            ):
                return await _read(response, limit)
        except TimeoutError as error:
            raise CallFailed(f"no full answer within {deadline.total_seconds():g} s", maybe_sent=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, OSError, ExceptionGroup) as error:
            # A port past 65535 comes as a group.
            reason, maybe_sent = _explain(error)
            raise CallFailed(reason, maybe_sent=maybe_sent) from None

    async def reach(self, url: str, *, deadline: timedelta) -> None:
        """Open and close a connection to the URL's host, or to the proxy if there is one, sending no request.

        Raises CallFailed, as `call` does.
        """
        try:
            target = httpx.URL(self._proxy or url)
            tls = tls_context(self._ca_file) if target.scheme == "https" else None
            port = target.port or (443 if tls else 80)
            async with asyncio.timeout(deadline.total_seconds()):
                _, writer = await asyncio.open_connection(target.raw_host.decode("ascii"), port, ssl=tls)
        except TimeoutError as error:
            raise CallFailed(f"no connection within {deadline.total_seconds():g} s", maybe_sent=False) from error
        except socket.gaierror:
            raise CallFailed("its name could not be resolved", maybe_sent=False) from None
        except (httpx.InvalidURL, ValueError, OverflowError, ssl.SSLError) as error:
            raise CallFailed(_explain(error)[0], maybe_sent=False) from None
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error)
            raise CallFailed("connection refused" if refused else "no connection", maybe_sent=False) from None
        writer.transport.abort()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        while self._idle:
            await self._idle.pop().aclose()


async def _read(response: httpx.Response, limit: int) -> Answer:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        encoding = ""
    body = bytearray()
    cut = False
    if not encoding:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                cut = True
                break
    return Answer(response.status_code, response.headers, bytes(body[:limit]), cut, encoding)


def _explain(error: Exception) -> tuple[str, bool]:
    """What to tell people about a client error, and whether the peer may have got the request."""
    causes = [error]
    while (deeper := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 8:
        if not isinstance(deeper, Exception):
            break
        causes.append(deeper)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its TLS certificate is not accepted: {cause.verify_message} (is this machine's clock right?)",
                False,
            )
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS:g} s", False
        case httpx.ConnectError():
            text = " ".join(str(cause) for cause in causes).lower()
            if "name or service" in text or "getaddrinfo" in text or "name resolution" in text:
                return "its name could not be resolved", False
            if "refused" in text or "all connection attempts failed" in text:
                return "connection refused", False
            return "no connection", False
        case httpx.ProxyError():
            return "the proxy refused", False
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return "the request could not be made (check the URL and headers)", False
        case httpx.RemoteProtocolError():
            return "the connection broke or spoke no HTTP before an answer came", True
        case httpx.HTTPError() | httpx.StreamError() | OSError():
            return f"the connection failed ({type(error).__name__})", True
        case _:
            return "the request could not be made (check the URL and headers)", False


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
    return timedelta(seconds=seconds)
