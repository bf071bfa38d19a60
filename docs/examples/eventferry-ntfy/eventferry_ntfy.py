"""Publishes each event at an ntfy server, which shows it on phones."""

import json
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from daemon.clock import wall_now
from daemon.contract import Closed, Delivered, Delivery, Outcome, Rejected, Report, Sink, TryLater, Unreachable
from daemon.http import Answer, CallFailed, Http, retry_after
from daemon.quantities import Duration
from daemon.secrets import Secret

_LONGEST_TITLE, _LONGEST_MESSAGE = 200, 1000
"""Characters; ntfy makes an attachment of a message beyond 4,096 bytes: https://docs.ntfy.sh/publish/"""
_MOST_READ = 16 * 1024


class NtfySink(Sink):
    """One topic of an ntfy server."""

    class Settings(BaseModel):
        """The keys of a `type = "ntfy"` sink."""

        model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

        topic: Secret
        """A secret, since whoever knows a topic can read it."""
        server: Annotated[str, Field(pattern=r"^https?://[^/@?#]+/?$")] = "https://ntfy.sh"
        timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=1))] = timedelta(seconds=20)

    def __init__(self, settings: Settings, http: Http) -> None:
        self._settings = settings
        self._http = http

    async def deliver(self, delivery: Delivery) -> Report:
        """Publish one event."""
        message = self._message(delivery)
        body = json.dumps(message | {"topic": self._settings.topic.reveal()}).encode()
        shown = json.dumps(message).encode()
        try:
            answer = await self._http.call(
                "POST",
                self._settings.server,
                headers={"Content-Type": "application/json"},
                content=body,
                deadline=self._settings.timeout,
                limit=_MOST_READ,
            )
        except CallFailed as failure:
            return Report(TryLater(failure.reason), shown)
        return Report(_judge(answer), shown)

    def render(self, delivery: Delivery) -> str:
        """What would be published, without the topic."""
        return json.dumps(self._message(delivery), indent=2)

    async def check(self) -> str:
        """Ask the server how it is, which publishes nothing."""
        address = f"{self._settings.server.rstrip('/')}/v1/health"
        try:
            answer = await self._http.call("GET", address, deadline=self._settings.timeout, limit=_MOST_READ)
        except CallFailed as failure:
            raise Unreachable(failure.reason) from None
        if answer.status != 200:
            raise Unreachable(f"the ntfy server answers HTTP {answer.status}")
        return "the ntfy server is there; whether the topic takes messages shows only when one is sent"

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.close()

    def _message(self, delivery: Delivery) -> dict[str, str]:
        """Text for people: any placeholder may be missing, or be of another type than one thinks."""
        event = delivery.event
        title = " ".join(part for part in (event.trigger, _text(event.data.get("resource_title"))) if part)
        lines = [f"{name}: {text}" for name, value in event.data.items() if (text := _text(value))]
        return {
            "title": ("Test: " if event.is_test else "") + title[:_LONGEST_TITLE],
            "message": "\n".join(lines)[:_LONGEST_MESSAGE] or "nothing else is known",
        }


def _text(value: object) -> str:
    return " ".join(str(value).split())[:_LONGEST_TITLE] if isinstance(value, str | int | float) else ""


def _judge(answer: Answer) -> Outcome:
    """What the answer means for this delivery, and for the sink as a whole."""
    said = f"HTTP {answer.status}"
    if answer.status == 200:
        return Delivered(said)
    if answer.status in (401, 403):
        return Closed(f"{said}: the topic is protected, and this sink has no login")
    if answer.status in (400, 413):
        return Rejected(said)
    return TryLater(said, retry_after(answer.headers, wall_now()), throttled=answer.status == 429)
