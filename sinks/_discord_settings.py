"""What can be set for a Discord channel, and where its webhook is."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs

from pydantic import BeforeValidator, Field, field_validator

from daemon.expression import MarkdownTemplate, units
from daemon.people import PeopleSettings
from daemon.quantities import Rate, RateText
from daemon.redaction import remember
from daemon.secrets import Secret
from sinks._http import Timeout
from sinks._url import is_discord, split_url, unwrap

_OFFICIAL = re.compile(r"/api(?:/v\d+)?/webhooks/(\d{1,20})/([\w-]{1,200})(?:/slack|/github)?/?", re.ASCII)
_LOCAL = re.compile(r"(.*/webhooks/[\w-]+/([\w-]+))/?", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SNOWFLAKE = re.compile(r"[1-9][0-9]{0,19}")
_MENTION = re.compile(rf"(?:(role:|<@&)|user:|<@!?)({_SNOWFLAKE.pattern})>?")
_PLAIN_URL = re.compile(r"[^\x00-\x20\x7f-\U0010ffff\"<>^`{|}]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a webhook is, in the form that all ways to write it come down to."""

    url: str
    """With the API version pinned: older ones answer rate limits in milliseconds."""
    thread_id: str | None

    @property
    def pace(self) -> str:
        """What its rate limit is called; tells nothing of the token."""
        return f"discord/{hashlib.sha256(self.url.encode()).hexdigest()[:16]}"


def parse_address(text: str) -> Address:
    """Understand a webhook URL in any form people copy. Raises ValueError, never naming the URL."""
    bare = unwrap(text)
    parts = split_url(bare if "://" in bare else f"https://{bare}")
    official = _OFFICIAL.fullmatch(parts.path) if is_discord(bare) else None
    is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.username is None
    local = _LOCAL.fullmatch(parts.path) if is_local else None
    if official:
        url, token = f"https://discord.com/api/v10/webhooks/{official[1]}/{official[2]}", official[2]
    elif local:
        url, token = f"http://{parts.netloc}{local[1]}", local[2]
    else:
        raise ValueError(
            "not the URL of a Discord webhook; in Discord: channel settings, Integrations, Webhooks, Copy Webhook URL"
        )
    remember(token)
    thread_id = parse_qs(parts.query).get("thread_id", [""])[0] or None
    if thread_id and not _SNOWFLAKE.fullmatch(thread_id):
        raise ValueError('"thread_id" in the URL is not a number')
    return Address(url, thread_id)


def _mention(text: Any) -> str:
    """A role or a user as a message names it."""
    match = _MENTION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError('write "role:ID" or "user:ID", with the number behind "Copy Role ID" or "Copy User ID"')
    return f"<@&{match[2]}>" if match[1] else f"<@{match[2]}>"


class DiscordSettings(PeopleSettings):
    """The keys of a `type = "discord"` sink."""

    url: Secret
    """Of the channel's webhook, in any form that Discord shows."""
    thread_id: str | None = None
    """The thread of the channel that messages go to."""
    username: str | None = None
    """The name above the message, instead of the webhook's."""
    avatar_url: str | None = None
    """The picture beside it."""
    title: MarkdownTemplate | None = None
    """The message's title, instead of the built-in one."""
    body: MarkdownTemplate | None = None
    """The text below it."""
    fields: Annotated[dict[str, MarkdownTemplate], Field(max_length=25)] | None = None
    """The fields below that, by their names; one that comes out empty is left out."""
    ping: Annotated[tuple[Annotated[str, BeforeValidator(_mention)], ...], Field(max_length=20)] = ()
    """Who is called by each message: "role:ID", "user:ID". Nobody else ever is."""
    notify: bool = True
    """Whether messages make a sound on the readers' devices."""
    rate: RateText = Rate(30, timedelta(minutes=1))
    """So many messages at most go through this webhook, whichever sinks use it."""
    timeout: Timeout = timedelta(seconds=20)
    """The whole time one attempt may take."""

    @field_validator("url")
    @classmethod
    def _url_is_understood(cls, url: Secret) -> Secret:
        parse_address(url.reveal())
        return url

    @field_validator("thread_id", mode="before")
    @classmethod
    def _thread_is_a_number(cls, thread_id: Any) -> Any:
        text = str(thread_id) if isinstance(thread_id, int) else thread_id
        if isinstance(text, str) and not _SNOWFLAKE.fullmatch(text):
            raise ValueError('must be the number behind "Copy Thread ID" in Discord')
        return text

    @field_validator("username")
    @classmethod
    def _username_is_allowed(cls, username: str | None) -> str | None:
        if username is not None:
            _require_username(username.strip())
        return username and username.strip()

    @field_validator("avatar_url")
    @classmethod
    def _avatar_is_a_url(cls, avatar_url: str | None) -> str | None:
        if avatar_url is None:
            return None
        url = split_url(avatar_url).geturl()
        if len(url) > 2048 or not _PLAIN_URL.fullmatch(url):
            raise ValueError("must be a web address of at most 2048 characters, percent-encoded where needed")
        return url

    @field_validator("fields")
    @classmethod
    def _fields_have_names(cls, fields: dict[str, MarkdownTemplate] | None) -> dict[str, MarkdownTemplate] | None:
        if any(not name.strip() or units(name) > 256 or not name.isprintable() for name in fields or ()):
            raise ValueError("a field's name has 1 to 256 characters on one line")
        return fields

    @field_validator("ping")
    @classmethod
    def _each_is_called_once(cls, ping: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ping))


def _require_username(username: str) -> None:
    """https://docs.discord.com/developers/resources/webhook#create-webhook and the rules for names it refers to."""
    folded = username.casefold()
    if not 1 <= units(username) <= 80:
        raise ValueError("must have 1 to 80 characters")
    if "discord" in folded or "clyde" in folded or folded in ("everyone", "here"):
        raise ValueError('Discord allows no name with "discord" or "clyde" in it, nor "everyone" or "here"')
    if not username.isprintable():
        raise ValueError("must hold no line ends or control characters")
