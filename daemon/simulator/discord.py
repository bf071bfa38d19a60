"""How Discord answers a webhook's calls: the addresses, the message it makes of one, its errors.

https://docs.discord.com/developers/resources/webhook and .../topics/rate-limits
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daemon.simulator.answers import Answer, in_json
from daemon.simulator.discord_rules import errors_in, hazards_in, is_empty

_DIGEST_CHARACTERS = 43
_EPOCH_MS = 1_420_070_400_000
"""The first second of 2015, from which Discord's ids count."""
_ERRORS = {
    400: (0, "400: Bad Request"), 401: (50027, "Invalid Webhook Token"), 403: (50013, "Missing Permissions"),
    404: (10015, "Unknown Webhook"), 405: (0, "405: Method Not Allowed"), 413: (40005, "Request entity too large"),
}  # fmt: skip


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"eventferry simulator {name}".encode()).digest()


def webhook_id(name: str) -> str:
    """A webhook's id: like Discord's, and the same for a name at every start."""
    return str(10**17 + int.from_bytes(_digest(name)[:7]) % (8 * 10**17))


def webhook_token(name: str) -> str:
    """A webhook's token; it ends in the name, so that any name has an address without being announced."""
    return f"{base64.urlsafe_b64encode(_digest(name)).decode().rstrip('=')}-{name}"


def webhook_path(name: str) -> str:
    """Where the webhook of a name is, behind the address of the receivers."""
    return f"/api/webhooks/{webhook_id(name)}/{webhook_token(name)}"


def name_behind(given_id: str, token: str) -> str | None:
    """The name an address stands for; None when there is no such webhook or the token is not its own."""
    name = token[_DIGEST_CHARACTERS + 1 :]
    return name if (webhook_id(name), webhook_token(name)) == (given_id, token) else None


def described(name: str) -> Answer:
    """What GET answers: who the webhook is."""
    return in_json(200, {
        "type": 1, "id": webhook_id(name), "name": name, "avatar": None, "channel_id": webhook_id(f"{name} channel"),
        "guild_id": webhook_id("guild"), "application_id": None, "token": webhook_token(name),
    })  # fmt: skip


def error(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """One of Discord's errors, by its status."""
    code, message = _ERRORS.get(status, (0, f"{status}: Error"))
    return in_json(status, {"message": message, "code": code}, headers)


def unknown_channel() -> Answer:
    """What calls get that name a thread which is not there."""
    return in_json(404, {"message": "Unknown Channel", "code": 10003})


def throttled(wait: float, *, everywhere: bool = False) -> Answer:
    """A 429: the wait in seconds, as a fraction in the body and rounded up in the header."""
    seconds = math.ceil(wait * 1000) / 1000
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
    headers = {"Retry-After": str(math.ceil(wait)), "X-RateLimit-Scope": "global" if everywhere else "user"}
    return in_json(429, body, {**headers, "X-RateLimit-Global": "true"} if everywhere else headers)


def rate_headers(name: str, limit: int, left: int, resets_in: float, wall: float) -> dict[str, str]:
    """The headers with which Discord lets its callers pace themselves; `wall` is the epoch time."""
    return {
        "Via": "1.1 google",
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": f"{wall + resets_in:.3f}",
        "X-RateLimit-Reset-After": f"{resets_in:.3f}",
        "X-RateLimit-Bucket": hashlib.sha256(name.encode()).hexdigest()[:32],
    }


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a message."""

    answer: Answer
    message_id: str = ""
    """Empty when no message was made."""
    hazards: tuple[str, ...] = ()


def judge(name: str, body: bytes, wait: bool, number: int, wall: float) -> Judged:
    """Hold a message against the rules; make the `number`th message of this simulator if it passes."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        return Judged(in_json(400, {"message": "The request body contains invalid JSON.", "code": 50109}))
    errors = errors_in(message)
    if errors:
        return Judged(in_json(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors}))
    if is_empty(message):
        return Judged(in_json(400, {"message": "Cannot send an empty message", "code": 50006}))
    message_id = str((int(wall * 1000) - _EPOCH_MS << 22) + number)
    made = in_json(200, _message(name, message, message_id, wall)) if wait else Answer(204)
    return Judged(made, message_id, hazards_in(message))


def _message(name: str, message: Mapping[str, Any], message_id: str, wall: float) -> dict[str, Any]:
    author = {
        "id": webhook_id(name), "username": message.get("username") or name, "avatar": None, "discriminator": "0000",
        "public_flags": 0, "flags": 0, "bot": True, "global_name": None, "primary_guild": None,
    }  # fmt: skip
    return {
        "id": message_id, "type": 0, "channel_id": webhook_id(f"{name} channel"), "webhook_id": webhook_id(name),
        "author": author, "content": message.get("content") or "",
        "embeds": [{"type": "rich", **embed} for embed in message.get("embeds") or []],
        "components": message.get("components") or [], "attachments": [], "mentions": [], "mention_roles": [],
        "mention_everyone": False, "pinned": False, "tts": bool(message.get("tts")),
        "flags": message.get("flags") or 0, "timestamp": datetime.fromtimestamp(wall, UTC).isoformat(),
        "edited_timestamp": None,
    }  # fmt: skip
