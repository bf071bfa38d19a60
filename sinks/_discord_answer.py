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
_SHUT_THREAD = (50083, 160005)
"""It is archived, or locked."""
_FROM_THE_CONFIG = {"allowed_mentions", "avatar_url", "content", "flags", "thread_id", "username"}
"""What every message has in common, so that each would be refused for it."""
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
        case 400 if code in _SHUT_THREAD:
            return Closed(f"{detail}: open the thread again, or change thread_id")
        case 401 | 403 | 404:
            # Asking again earns a ban of the whole address after 10,000 such answers in ten minutes:
            # https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
            why = _REFUSALS.get(code) if isinstance(code, int) else None
            return Closed(f"{why or 'Discord refuses this webhook'} ({detail})", probe=False)
        case 400 if not document:
            return TryLater(f"{said}, not from Discord itself")
        case 400:
            errors = document["errors"] if isinstance(document.get("errors"), dict) else _old_errors(document)
            complaints = "; ".join(islice(_complaints(errors), 3))
            reason = safe_line(f"{detail}: {complaints}" if complaints else detail, 300)
            return Closed(reason) if errors and errors.keys() <= _FROM_THE_CONFIG else Rejected(reason)
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
    whose = "all webhooks here" if _is_for_all(answer, document) else "this webhook"
    return TryLater(f"Discord's rate limit for {whose}", max(waits, default=_UNKNOWN_WAIT), throttled=True)


def holds(answer: Answer, outcome: Outcome, pace: str) -> dict[str, timedelta]:
    """For how long nothing more may be sent: through this webhook, or through any.

    A limit is waited for until it is over, a used-up bucket until it is full again:
    https://docs.discord.com/developers/topics/rate-limits#header-format
    """
    if isinstance(outcome, TryLater) and outcome.throttled and outcome.wait:
        return {EVERY_WEBHOOK if _is_for_all(answer, document_of(answer)) else pace: outcome.wait}
    if answer.headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = _seconds(answer.headers.get("x-ratelimit-reset-after"))
        return {pace: reset} if reset else {}
    return {}


def _is_for_all(answer: Answer, document: dict[str, Any]) -> bool:
    """Whether a rate limit is one for all that comes from here: its body or its headers say so, or it has no body."""
    said = (answer.headers.get("x-ratelimit-global", "").lower(), answer.headers.get("x-ratelimit-scope", "").lower())
    return not document or document.get("global") is True or "true" in said or "global" in said


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


def _old_errors(document: dict[str, Any]) -> dict[str, Any]:
    """A form that Discord still answers in at times: `{"embeds": ["0"]}`."""
    return {
        name: {"_errors": [{"message": each} for each in said]}
        for name, said in document.items()
        if isinstance(said, list)
    }


def _complaints(errors: object, path: str = "", depth: int = 0) -> Iterator[str]:
    """What Discord says about each field, one line each."""
    if not isinstance(errors, dict) or depth > 10:
        return
    for name, inner in errors.items():
        if name == "_errors" and isinstance(inner, list):
            yield from (f"{path} {plain(error.get('message'))}" for error in inner if isinstance(error, dict))
        else:
            yield from _complaints(inner, f"{path}.{name}".lstrip("."), depth + 1)
