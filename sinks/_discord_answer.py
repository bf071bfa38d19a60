"""What Discord's answers mean for a delivery, and for when the next one may go out."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import Answer, retry_after, sane_wait
from sinks._http import describe, judge, safe_line
from sinks._text import plain

EVERY_WEBHOOK = "discord"
"""The pace of all that goes to Discord."""
_ID = re.compile("[0-9]{1,20}")
_UNKNOWN_CHANNEL = 10003
_FORUM = (220001, 220002, 220003)
"""A forum's webhook posts into threads only, any other channel's makes none."""
_REFUSALS: dict[int, str] = {
    10015: "Discord says this webhook was deleted",
    50027: "Discord says the token in this webhook's URL is wrong",
}
_EDGE_WAIT = timedelta(minutes=10)
"""After a 429 that does not come from Discord itself but from the edge before it, which bans by address."""
_UNKNOWN_WAIT = timedelta(minutes=1)


def verdict(answer: Answer, *, in_thread: bool, now: datetime, guild: str = "") -> Outcome:
    """What Discord's answer means for the delivery; with the id of the guild, one that arrived can be linked to.

    https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
    """
    document, said = document_of(answer), describe(answer.status)
    code = document.get("code")
    words = plain(document.get("message"), 100)
    detail = safe_line(f"{said}: {words} ({code})", 160) if words and isinstance(code, int) else said
    message_id = plain(document.get("id"), 30)
    match answer.status:
        case 200 | 204 if _ID.fullmatch(message_id):
            return Delivered(_whereabouts(document, message_id, guild))
        case 404 if in_thread and code == _UNKNOWN_CHANNEL:
            # Everything else that waits would be told the same: it is kept until the thread is mended.
            return Closed(f"Discord says the thread is gone, not the webhook ({code}): change thread_id", probe=False)
        case 400 if code in _FORUM:
            return Closed(f"{detail}: thread_id does not fit the webhook's channel", probe=False)
        case 401 | 403 | 404:
            # Asking again earns a ban of the whole address after 10,000 such answers in ten minutes:
            # https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
            why = _REFUSALS.get(code) if isinstance(code, int) else None
            return Closed(f"{why or 'Discord refuses this webhook'} ({detail})", probe=False)
        case 400:
            complaints = "; ".join(islice(_complaints(document.get("errors")), 3))
            return Rejected(safe_line(f"{detail}: {complaints}" if complaints else detail, 300))
        case 413:
            return Rejected(f"{detail}: the message is too large")
        case 429:
            return _throttled(answer, document, now)
        case _:
            return judge(answer, now)


def _throttled(answer: Answer, document: dict[str, Any], now: datetime) -> TryLater:
    asked = retry_after(answer.headers, now)
    if not document:
        return TryLater(
            "HTTP 429, not from Discord itself: this address is held back",
            max(asked or _EDGE_WAIT, _EDGE_WAIT),
            throttled=True,
        )
    waits = [wait for wait in (_seconds(document.get("retry_after")), asked) if wait]
    whose = "all webhooks here" if document.get("global") is True else "this webhook"
    return TryLater(f"Discord's rate limit for {whose}", max(waits, default=_UNKNOWN_WAIT), throttled=True)


def holds(answer: Answer, outcome: Outcome, pace: str) -> dict[str, timedelta]:
    """For how long nothing more may be sent: through this webhook, or through any.

    A limit is waited for until it is over, a used-up bucket until it is full again:
    https://docs.discord.com/developers/topics/rate-limits#header-format
    """
    if isinstance(outcome, TryLater) and outcome.throttled and outcome.wait:
        document = document_of(answer)
        whose = EVERY_WEBHOOK if not document or document.get("global") is True else pace
        return {whose: outcome.wait}
    if answer.headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = _seconds(answer.headers.get("x-ratelimit-reset-after"))
        return {pace: reset} if reset else {}
    return {}


def guild_of(answer: Answer) -> str:
    """The id of the guild that a webhook's description names; empty if it names none."""
    guild = plain(document_of(answer).get("guild_id"), 30)
    return guild if _ID.fullmatch(guild) else ""


def _whereabouts(document: dict[str, Any], message_id: str, guild: str) -> str:
    channel = plain(document.get("channel_id"), 30)
    if guild and _ID.fullmatch(channel):
        return f"https://discord.com/channels/{guild}/{channel}/{message_id}"
    return f"message {message_id}"


def _seconds(value: object) -> timedelta | None:
    try:
        return sane_wait(float(value)) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def document_of(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer; empty when there is none."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _complaints(errors: object, path: str = "", depth: int = 0) -> Iterator[str]:
    """What Discord says about each field, one line each."""
    if not isinstance(errors, dict) or depth > 10:
        return
    for name, inner in errors.items():
        if name == "_errors" and isinstance(inner, list):
            yield from (f"{path} {plain(error.get('message'))}" for error in inner if isinstance(error, dict))
        else:
            yield from _complaints(inner, f"{path}.{name}".lstrip("."), depth + 1)
