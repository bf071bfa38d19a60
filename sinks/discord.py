"""Posts each event as an embed to a Discord channel, through one of the channel's webhooks."""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from pydantic import field_validator

from daemon.clock import wall_now
from daemon.contract import Delivered, Delivery, Event, Report, Sink, TryLater, Unreachable
from daemon.expression import Template
from daemon.http import USER_AGENT, Answer, CallFailed, Http
from daemon.people import PeopleSettings
from daemon.redaction import remember
from daemon.secrets import Secret
from sinks._discord_answer import document_of, quiet_time, verdict
from sinks._discord_message import build
from sinks._envelope import encode
from sinks._http import Timeout, answer_text, is_discord, judge_failure, safe_line, split_url, unwrap
from sinks._layout import compose, headline
from sinks._text import plain, units

_HEADERS = {"User-Agent": f"DiscordBot ({USER_AGENT.replace('/', ', ')})", "Content-Type": "application/json"}
"""The form Discord demands: https://docs.discord.com/developers/reference#user-agent"""
_OFFICIAL = re.compile(r"/api(?:/v\d+)?/webhooks/(\d{1,20})/([\w-]{1,200})(?:/slack|/github)?/?", re.ASCII)
_LOCAL = re.compile(r"(.*/webhooks/[\w-]+/([\w-]+))/?", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SNOWFLAKE = re.compile(r"[1-9][0-9]{0,19}")
_PLAIN_URL = re.compile(r"[^\x00-\x20\x7f-\U0010ffff\"<>^`{|}]+")
_ANSWER_LIMIT = 128 * 1024
"""Bytes: the answer repeats the whole message, escaped, and its id may come last."""
_LONGEST_PAUSE = 10.0
"""Seconds that a delivery waits for its turn inside the sink; beyond that it is tried later."""


class DiscordSink(Sink):
    """A channel's webhook. Sends one message at a time, since all share one rate limit."""

    concurrency = 1

    class Settings(PeopleSettings):
        """The keys of a `type = "discord"` sink."""

        url: Secret
        thread_id: str | None = None
        username: str | None = None
        avatar_url: str | None = None
        title: Template | None = None
        timeout: Timeout = timedelta(seconds=20)

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

    def __init__(self, settings: Settings, http: Http) -> None:
        self._http = http
        self._settings = settings
        address = parse_address(settings.url.reveal())
        self._url = address.url
        self._thread_id = settings.thread_id or address.thread_id
        self._quiet_until = time.monotonic()

    async def deliver(self, delivery: Delivery) -> Report:
        """Post one event and wait for Discord to say that the message is stored."""
        body = encode(self._body(delivery.event))
        while (pause := self._quiet_until - time.monotonic()) > 0:
            if pause > _LONGEST_PAUSE:
                wait = timedelta(seconds=pause)
                return Report(TryLater("waiting as long as Discord asked", wait, throttled=True), body)
            await asyncio.sleep(pause)
        query = f"?wait=true&thread_id={self._thread_id}" if self._thread_id else "?wait=true"
        try:
            answer = await self._call("POST", self._url + query, body)
        except CallFailed as failure:
            return Report(judge_failure(failure), body)
        outcome = verdict(answer, in_thread=self._thread_id is not None, now=wall_now())
        if quiet := quiet_time(answer, outcome):
            self._quiet_until = max(self._quiet_until, time.monotonic() + quiet.total_seconds())
        return Report(outcome, body, answer_text(answer))

    def render(self, delivery: Delivery) -> str:
        """The body, readable."""
        return json.dumps(self._body(delivery.event), indent=2, ensure_ascii=False)

    async def check(self) -> str:
        """Ask for the webhook's own description, which posts nothing."""
        try:
            answer = await self._call("GET", self._url)
        except CallFailed as failure:
            raise Unreachable(failure.reason) from None
        outcome = verdict(answer, in_thread=False, now=wall_now())
        if not isinstance(outcome, Delivered):
            raise Unreachable(outcome.reason)
        return f'the webhook "{safe_line(plain(document_of(answer).get("name")), 80)}" is there'

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    def _body(self, event: Event) -> dict[str, Any]:
        message, settings = compose(event, self._settings), self._settings
        title = headline(settings.title, event, message.title)
        return build(message, title, username=settings.username, avatar_url=settings.avatar_url)

    async def _call(self, method: str, url: str, body: bytes | None = None) -> Answer:
        deadline = self._settings.timeout
        return await self._http.call(
            method, url, headers=_HEADERS, content=body, deadline=deadline, limit=_ANSWER_LIMIT
        )


@dataclass(frozen=True, slots=True)
class Address:
    """Where a webhook is, in the form that all ways to write it come down to."""

    url: str
    """With the API version pinned: older ones answer rate limits in milliseconds."""
    thread_id: str | None


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


def _require_username(username: str) -> None:
    """https://docs.discord.com/developers/resources/webhook#create-webhook and the rules for names it refers to."""
    folded = username.casefold()
    if not 1 <= units(username) <= 80:
        raise ValueError("must have 1 to 80 characters")
    if "discord" in folded or "clyde" in folded or folded in ("everyone", "here"):
        raise ValueError('Discord allows no name with "discord" or "clyde" in it, nor "everyone" or "here"')
    if not username.isprintable():
        raise ValueError("must hold no line ends or control characters")
