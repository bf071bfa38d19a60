"""The receivers: Discord webhooks and plain ones, each with a behaviour of its own and a ledger of what it got."""

import itertools
import json
import math
import random
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from starlette.types import Receive, Scope, Send

from daemon.simulator import discord
from daemon.simulator.answers import NOTHING, PORTAL, Answer, in_html
from daemon.simulator.discord import Judged
from daemon.simulator.exchange import Exchange, Hook, Seen, Trouble, tell
from daemon.simulator.faults import Behaviour
from daemon.simulator.limits import Dice, Limits

Kind = Literal["webhook", "discord"]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WEBHOOK = re.compile(rf"/webhook/(?P<name>{_NAME.pattern})")
_DISCORD = re.compile(r"/api(/v\d+)?/webhooks/(?P<id>\d+)/(?P<token>[A-Za-z0-9_-]+)")
_ID_HEADERS = ("webhook-id", "x-github-delivery")
_DISCORD_WAIT = 1.0
"""Seconds that a scripted 429 of Discord's asks for when the script names none."""
_CLOUDFLARE_BAN = b"error code: 1015\n"


@dataclass(frozen=True, slots=True)
class Received:
    """One call as a receiver got it."""

    name: str
    kind: Kind
    id: str
    """What tells deliveries apart: the webhook-id; at Discord the id of the message made of it."""
    at: float
    """Monotonic seconds at which its headers were complete."""
    query: str
    headers: Mapping[str, str]
    """With lower-case names."""
    body: bytes
    status: int
    """What was answered, whether or not it got through; 0 when it was dropped unprocessed."""
    too_early: bool
    """It came within the wait that an earlier answer had announced."""
    hazards: tuple[str, ...] = ()
    """Discord only: what was let pass although it can hardly be meant."""

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it, even if its answer was lost."""
        return 200 <= self.status <= 299

    def json(self) -> Any:
        """The body, parsed. Raises ValueError."""
        return json.loads(self.body)


@dataclass(slots=True)
class _Receiver:
    behaviour: Behaviour
    statuses: deque[int]
    dice: Dice

    def next_status(self) -> int:
        return self.statuses.popleft() if self.statuses else self.behaviour.status or 200

    def trouble(self) -> Trouble:
        behaviour = self.behaviour
        return Trouble(behaviour.drop, behaviour.hang, behaviour.answer) if self.dice.hit() else Trouble()


class Inbox:
    """An ASGI application that is every receiver at once; any name exists."""

    def __init__(self, hook: Hook | None = None) -> None:
        self.calls: list[Received] = []
        """Everything received, in the order in which answers were decided."""
        self._hook = hook
        self._receivers: dict[str, _Receiver] = {}
        self._limits = Limits()
        self._numbers = itertools.count(1)

    def received(self, name: str) -> list[Received]:
        """What one receiver got, accepted or not, in order."""
        return [call for call in self.calls if call.name == name]

    def behave(self, name: str, behaviour: Behaviour) -> None:
        """Set how a receiver answers from now on; its sequence of statuses begins anew."""
        dice = Dice(random.Random(name), times=behaviour.times)
        self._receivers[name] = _Receiver(behaviour, deque(behaviour.statuses), dice)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one call from arrival to answer; what arrived whole is in the ledger even if its sender died."""
        exchange = Exchange(scope, receive, send)
        request = exchange.request
        kind, name = _receiver_at(exchange.path)
        seen = Seen(kind, name or "", request.method, exchange.path, b"")
        if name is None or request.method != "POST":
            await exchange.finish(self._aside(seen), Trouble(), None, seen)
            return
        receiver = self._receivers.get(name) or self._newcomer(name)
        too_early = self._limits.too_early(name, exchange.at)
        try:
            body = await exchange.body()
        except ConnectionResetError:
            return
        seen = replace(seen, body=body)
        await tell(self._hook, "received", seen)
        await exchange.pause(receiver.behaviour.latency)
        receiver = self._receivers[name]
        trouble = receiver.trouble()
        wants_message = request.query_params.get("wait", "") in ("true", "True", "1")
        judged = Judged(NOTHING)
        if trouble.drop != "before":
            judged = self._judge(kind, name, body, wants_message, in_thread="thread_id" in request.query_params)
        headers = dict(request.headers)
        call_id = judged.message_id or next((headers[key] for key in _ID_HEADERS if key in headers), "")
        self.calls.append(
            Received(
                name=name, kind=kind, id=call_id, at=exchange.at, query=exchange.query, headers=headers, body=body,
                status=judged.answer.status, too_early=too_early, hazards=judged.hazards,
            )
        )  # fmt: skip
        await exchange.finish(judged.answer, trouble, self._hook, seen)

    def _aside(self, seen: Seen) -> Answer:
        """The answer to a call that delivers nothing, e.g. a look at whether the webhook is there."""
        if not seen.name:
            return discord.error(404)
        if (seen.side, seen.method) != ("discord", "GET"):
            return discord.error(405)
        receiver = self._receivers.get(seen.name)
        behaviour = receiver.behaviour if receiver else Behaviour()
        status = 404 if behaviour.deleted else behaviour.status or 200
        return discord.described(seen.name) if status == 200 else discord.error(status)

    def _newcomer(self, name: str) -> _Receiver:
        self.behave(name, Behaviour())
        return self._receivers[name]

    def _judge(self, kind: Kind, name: str, body: bytes, wants_message: bool, *, in_thread: bool) -> Judged:
        receiver = self._receivers[name]
        behaviour, now, wall = receiver.behaviour, time.monotonic(), time.time()
        if kind == "discord" and behaviour.deleted:
            return Judged(discord.error(404))
        if kind == "discord" and behaviour.thread_gone and in_thread:
            return Judged(discord.unknown_channel())
        wait = self._limits.admit(name, behaviour.limit, behaviour.limit_window, now)
        if kind == "discord" and not wait:
            wait = self._limits.admit(f"{name} channel", behaviour.channel_limit, behaviour.channel_window, now)
        status = 429 if wait else receiver.next_status()
        if not 200 <= status <= 299:
            judged = Judged(self._failure(kind, name, status, wait))
        elif kind == "discord":
            judged = discord.judge(name, body, wants_message, next(self._numbers), wall)
        else:
            judged = Judged(Answer(status, b"ok\n", {"Content-Type": "text/plain"}))
        if kind == "webhook" or (behaviour.edge and not judged.message_id):
            return judged
        left = self._limits.left(name, behaviour.limit)
        resets_in = self._limits.resets_in(name, behaviour.limit_window, now)
        headers = discord.rate_headers(name, behaviour.limit, left, resets_in, wall)
        return replace(judged, answer=replace(judged.answer, headers={**headers, **judged.answer.headers}))

    def _failure(self, kind: Kind, name: str, status: int, limit_wait: float) -> Answer:
        """An error; the wait it asks for is remembered, so that who comes back too early shows."""
        behaviour = self._receivers[name].behaviour
        header = str(math.ceil(limit_wait)) if limit_wait else behaviour.retry_after
        wait = _seconds(header)
        if kind == "discord" and status == 429 and not behaviour.edge:
            wait = limit_wait or wait or _DISCORD_WAIT
        self._limits.announce(name, time.monotonic() + wait)
        headers = {"Retry-After": header} if header else {}
        if 300 <= status <= 399:
            headers["Location"] = f"/webhook/{name}-redirected"
        if behaviour.edge:
            return in_html(status, headers, _CLOUDFLARE_BAN if status == 429 else PORTAL)
        if kind == "discord" and status == 429:
            return discord.throttled(wait, everywhere=behaviour.global_limit)
        if kind == "discord":
            return discord.error(status, headers)
        return Answer(status, b"error\n", {"Content-Type": "text/plain", **headers})


def _receiver_at(path: str) -> tuple[Kind, str | None]:
    """Whose address a path is; None for nobody's."""
    if match := _WEBHOOK.fullmatch(path):
        return "webhook", match["name"]
    if match := _DISCORD.fullmatch(path):
        return "discord", discord.name_behind(match["id"], match["token"])
    return ("discord" if path.startswith("/api/") else "webhook"), None


def _seconds(header: str) -> float:
    """What a Retry-After obliges to; 0 when that cannot be said."""
    try:
        seconds = float(header)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds <= 86400 else 0.0


def require_name(name: str) -> str:
    """The name of a receiver as it is. Raises ValueError with what to take."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" cannot be a receiver\'s name; take letters, digits, "-" and "_"')
    return name
