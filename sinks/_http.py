"""How an HTTP answer becomes an outcome: once, for all who speak HTTP."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import responses
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import httpx
from pydantic import AfterValidator, Field

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.expression import clean, cut, one_line
from daemon.http import Answer, CallFailed, retry_after, tls_context
from daemon.quantities import Duration
from daemon.redaction import redact, remember
from daemon.secrets import ConfigPath

ANSWER_LIMIT = 16 * 1024
"""No more of an answer is read, in bytes."""
_ANSWER_KEPT = 1024

Timeout = Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=2))]
"""The whole time one attempt may take."""

_REJECTED = {400, 409, 413, 415, 422}
"""What says that this very event is at fault. All else may be the receiver's own trouble, and loses nothing."""
_LATER = {408, 425, 429}
"""Beside 5xx."""
SHORTEST_TOKEN = 16
"""A part of a URL, or a user's name, that is this long is taken for a token: receivers repeat what they are sent."""
_NEAR = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
"""Names that lead nowhere on the internet: RFC 6761, 6762, 8375; ICANN keeps .internal free; .lan is custom."""
_DISCORD_HOST = re.compile(r"(?:.+\.)?discord(?:app)?\.com\.?")


def _holds_certificates(path: Path) -> Path:
    try:
        tls_context(path)
    except OSError:
        raise ValueError("cannot be read as a PEM file of certificates") from None
    return path


CaFile = Annotated[ConfigPath, AfterValidator(_holds_certificates)]
"""A PEM file of the authorities to trust instead of the system's."""


def judge(answer: Answer, now: datetime) -> Outcome:
    """What an answer means for the delivery, by its status alone.

    After https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    status = answer.status
    said = describe(status)
    if 200 <= status < 300:
        return Delivered(f"HTTP {status}")
    if status == 410:
        return Closed(f"{said}: the receiver says that it is gone for good")
    if status in _REJECTED:
        return Rejected(said)
    wait = retry_after(answer.headers, now)
    if 300 <= status < 400:
        # Often a login or maintenance page for a while; and a new address is for people to see and to trust.
        return TryLater(f"{said}: redirects are not followed; put the final URL into the config", wait, refused=True)
    # A deploy of a minute answers 404 or 403, a lapsed plan 402, a proxy of ours 407.
    refused = 400 <= status < 500 and status not in _LATER
    return TryLater(said, wait, throttled=status == 429, refused=refused)


def judge_failure(failure: CallFailed) -> TryLater:
    """What it means that no usable answer came."""
    return TryLater(failure.reason)


def describe(status: int) -> str:
    """The status with its usual name, never the words of the receiver."""
    return f"HTTP {status} {responses.get(status, '')}".rstrip()


def answer_text(answer: Answer) -> str:
    """The beginning of an answer as clean text without secrets: receivers echo what they were sent."""
    if answer.encoding:
        return "(encoded although plain text was asked for; not read)"
    return safe(answer.body.decode("utf-8", "replace"), _ANSWER_KEPT)


def safe(text: str, limit: int) -> str:
    """Somebody else's words, fit for a report: clean, short and without secrets."""
    return cut(redact(clean(text)), limit)


def safe_line(text: str, limit: int) -> str:
    """The same on one line, fit for a reason."""
    return safe(one_line(text), limit)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send to, as a client wants it."""

    url: str
    """Without user information and fragment."""
    authorization: str | None
    """A header made of the user information in the URL."""


def parse_url(text: str) -> Target:
    """Understand a URL as people paste it. Raises ValueError with what is wrong, never the URL itself."""
    if is_discord(text):
        raise ValueError('this is a Discord webhook; write type = "discord" for this sink')
    parts = split_url(text)
    place = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    place = f"{place}:{parts.port}" if parts.port else place
    authorization = None
    if parts.username is not None:
        authorization = basic_authorization(unquote(parts.username), unquote(parts.password or ""))
    for part in (*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.username or ""):
        if len(part) >= SHORTEST_TOKEN:
            remember(part)
            remember(unquote(part))
    return Target(parts._replace(netloc=place, fragment="").geturl(), authorization)


def basic_authorization(username: str, password: str) -> str:
    """The header that logs in with these, kept out of all that people can read: RFC 7617."""
    header = f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
    remember_credentials(header)
    return header


def remember_credentials(header: str) -> None:
    """Treat what a header proves with as a secret by itself: receivers repeat it without its scheme, or decoded."""
    scheme, _, credentials = header.strip().partition(" ")
    remember(credentials.strip())
    if scheme.lower() == "basic":
        with suppress(ValueError):
            remember(base64.b64decode(credentials).decode().partition(":")[2])


def split_url(text: str) -> SplitResult:
    """Take a pasted http(s) URL apart. Raises ValueError with what is wrong, never the URL itself."""
    bare = unwrap(text)
    if re.search(r"[\s\x00-\x1f\x7f\\]", bare):
        raise ValueError("a URL holds no spaces, line ends or backslashes")
    try:
        parts = urlsplit(bare)
        httpx.URL(parts.geturl())
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        fit = False
    if not fit:
        raise ValueError('not a web address; it must look like "https://host/path"')
    return parts


def is_in_clear(url: str) -> bool:
    """Whether what goes there can be read on the way: plain http, to a host that nothing shows to be a near one."""
    parts = split_url(url)
    host = (parts.hostname or "").rstrip(".")
    try:
        near = not ip_address(host).is_global
    except ValueError:
        near = "." not in host or host.endswith(_NEAR)
    return parts.scheme == "http" and not near


def unwrap(text: str) -> str:
    """Take off what people copy around a URL."""
    return text.strip("<>\"' \t\r\n")


def is_discord(text: str) -> bool:
    """Whether this is an address at which Discord takes messages, in any of the forms that people copy."""
    bare = unwrap(text)
    try:
        parts = urlsplit(bare if "://" in bare else f"//{bare}")
    except ValueError:
        return False
    return bool(_DISCORD_HOST.fullmatch(parts.hostname or "")) and "/webhooks/" in parts.path
