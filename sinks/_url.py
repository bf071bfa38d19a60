"""Web addresses and logins as people paste them: understood, and known as secrets to all that is shown."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import httpx

from daemon.redaction import remember

SHORTEST_TOKEN = 16
"""A part of a URL, or a user's name, that is this long is taken for a token: receivers repeat what they are sent."""
_NEAR = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
"""Names that lead nowhere on the internet: RFC 6761, 6762, 8375; ICANN keeps .internal free; .lan is custom."""
_DISCORD_HOST = re.compile(r"(?:.+\.)?discord(?:app)?\.com\.?")


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
