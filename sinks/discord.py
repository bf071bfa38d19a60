"""Posts events as embeds to a Discord channel, through one of the channel's webhooks."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from daemon.clock import wall_now
from daemon.contract import Delivered, Delivery, Pace, Rejected, Report, Sink, Summary, TryLater, Unreachable
from daemon.http import USER_AGENT, Answer, CallFailed, Http
from sinks._discord_answer import EVERY_WEBHOOK, document_of, guild_of, holds, verdict
from sinks._discord_message import MOST_EMBEDS, Embed, body, pack, summary_embeds
from sinks._discord_settings import DiscordSettings, parse_address
from sinks._envelope import encode
from sinks._http import answer_text, judge_failure, safe_line
from sinks._text import plain

_HEADERS = {"User-Agent": f"DiscordBot ({USER_AGENT.replace('/', ', ')})", "Content-Type": "application/json"}
"""The form Discord demands: https://docs.discord.com/developers/reference#user-agent"""
_ANSWER_LIMIT = 128 * 1024
"""Bytes: the answer repeats the whole message, escaped, and its id may come last."""
_LOOK_DEADLINE = timedelta(seconds=5)
_LATEST_BEGIN = 4.0
"""Seconds after which a call begins no further message: it would not end in the time that the caller gives it, and then
even those that arrived would be sent again."""
_MOMENT = timedelta(seconds=1)


class DiscordSink(Sink):
    """A channel's webhook. Sends one message at a time, since all share one rate limit."""

    Settings = DiscordSettings
    concurrency = 1
    batch_limit = MOST_EMBEDS

    def __init__(self, settings: DiscordSettings, http: Http) -> None:
        self._http = http
        self._settings = settings
        address = parse_address(settings.url.reveal())
        self._url = address.url
        self._thread_id = settings.thread_id or address.thread_id
        self._pace = address.pace
        self.paces = (Pace(EVERY_WEBHOOK), Pace(address.pace, settings.rate.number, settings.rate.per))
        self._guild: str | None = None
        """None as long as nobody asked."""

    async def deliver(self, delivery: Delivery) -> Report:
        """Post one event and wait for Discord to say that the message is stored."""
        (report,) = await self.deliver_batch([delivery])
        return report

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        """Post the events in as few messages as hold them; what one answer forbids is not sent after it."""
        reports: list[Report] = []
        began = time.monotonic()
        for packet in pack((delivery.event for delivery in deliveries), self._settings):
            number = len(packet.embeds)
            report = (reports and _postponed(reports[-1], began)) or await self._post(packet.embeds)
            if isinstance(report.outcome, Rejected) and number > 1:
                reports += await self._one_by_one(packet.embeds, report, began)
            else:
                reports += [report] * number
        return reports

    async def deliver_summary(self, summary: Summary) -> Report:
        """Post several events as one embed."""
        return await self._post(summary_embeds(summary, self._settings))

    def render(self, delivery: Delivery) -> str:
        """The body, readable."""
        (packet,) = pack([delivery.event], self._settings)
        return json.dumps(body(packet.embeds, self._settings), indent=2, ensure_ascii=False)

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

    async def _one_by_one(self, embeds: Sequence[Embed], last: Report, began: float) -> list[Report]:
        """Discord refused a message: let only those of its events be rejected that it refuses alone."""
        reports = []
        for embed in embeds:
            last = _postponed(last, began) or await self._post([embed])
            reports.append(last)
        return reports

    async def _post(self, embeds: Sequence[Embed]) -> Report:
        sent = encode(body(embeds, self._settings))
        query = f"?wait=true&thread_id={self._thread_id}" if self._thread_id else "?wait=true"
        try:
            answer = await self._call("POST", self._url + query, sent)
        except CallFailed as failure:
            return Report(judge_failure(failure), sent)
        guild = await self._guild_of_message(answer)
        outcome = verdict(answer, in_thread=self._thread_id is not None, now=wall_now(), guild=guild)
        return Report(outcome, sent, answer_text(answer), holds=holds(answer, outcome, self._pace))

    async def _guild_of_message(self, answer: Answer) -> str:
        """Where the channel is, for links to messages: Discord says so only of the webhook. Asked once, never again."""
        if self._guild is None and "channel_id" in document_of(answer):
            self._guild = ""
            with suppress(CallFailed):
                self._guild = guild_of(await self._call("GET", self._url, deadline=_LOOK_DEADLINE))
        return self._guild or ""

    async def _call(
        self, method: str, url: str, content: bytes | None = None, *, deadline: timedelta | None = None
    ) -> Answer:
        most = self._settings.timeout if deadline is None else min(deadline, self._settings.timeout)
        return await self._http.call(method, url, headers=_HEADERS, content=content, deadline=most, limit=_ANSWER_LIMIT)


def _postponed(last: Report, began: float) -> Report | None:
    """What becomes of those that were to go out after this answer, in a call that began then; None if they may."""
    match last.outcome:
        case Delivered() | Rejected() if last.holds or time.monotonic() - began > _LATEST_BEGIN:
            wait = max(last.holds.values(), default=_MOMENT)
            later = TryLater("no more at once; it goes with a later message", wait, throttled=True)
            return Report(later, holds=last.holds)
        case Delivered() | Rejected():
            return None
        case outcome:
            return Report(outcome, holds=last.holds)
