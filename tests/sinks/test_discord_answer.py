import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import Answer
from sinks._discord_answer import EVERY_WEBHOOK, guild_of, holds, verdict

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, httpx.Headers({k.replace("_", "-"): v for k, v in headers.items()}), raw, False, "")


def judged(status: int, body: Any = None, *, in_thread: bool = False, **headers: str) -> Outcome:
    return verdict(answer(status, body, **headers), in_thread=in_thread, now=NOW)


def test_a_stored_message_is_known_by_its_id() -> None:
    assert judged(200, {"id": "1234567890123456789", "content": ""}) == Delivered("message 1234567890123456789")


@pytest.mark.parametrize("body", [b"", b"<html>", {"id": "x\r\ny"}, {"id": 7 * 10**40}, {"id": None}, [1], b"\xff" * 9])
def test_delivered_is_delivered_even_without_a_readable_id(body: Any) -> None:
    assert judged(200, body) == Delivered("HTTP 200")


def test_no_content_is_delivered_too() -> None:
    assert judged(204, b"") == Delivered("HTTP 204")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"message": "Invalid Webhook Token", "code": 50027}),
        (403, {"message": "Missing Access", "code": 50001}),
        (404, {"message": "Unknown Webhook", "code": 10015}),
        (404, {"message": "Unknown Channel", "code": 10003}),
        (404, b"<html>"),
        (403, b""),
    ],
)
def test_a_webhook_that_is_gone_closes_the_sink_and_is_never_probed(status: int, body: Any) -> None:
    outcome = judged(status, body)
    assert isinstance(outcome, Closed)
    assert not outcome.probe
    if isinstance(body, dict):
        assert str(body["code"]) in outcome.reason


def test_a_thread_that_is_gone_is_not_the_webhook() -> None:
    thread = judged(404, {"message": "Unknown Channel", "code": 10003}, in_thread=True)
    webhook = judged(404, {"message": "Unknown Webhook", "code": 10015}, in_thread=True)
    assert thread == Closed("Discord says the thread is gone, not the webhook (10003): change thread_id", probe=False)
    assert isinstance(webhook, Closed)
    assert webhook.reason.startswith("Discord says this webhook was deleted")


@pytest.mark.parametrize("code", [220001, 220002, 220003])
def test_a_forum_without_a_thread_stops_the_sink_instead_of_rejecting_every_event(code: int) -> None:
    outcome = judged(400, {"message": "Webhooks posted to forum channels must have a thread_id", "code": code})
    assert isinstance(outcome, Closed)
    assert "thread_id does not fit" in outcome.reason


def test_a_stored_message_is_linked_to_where_all_its_parts_are_known() -> None:
    stored = answer(200, {"id": "33", "channel_id": "22"})
    assert verdict(stored, in_thread=False, now=NOW, guild="11") == Delivered("https://discord.com/channels/11/22/33")
    assert verdict(stored, in_thread=False, now=NOW) == Delivered("message 33")
    assert judged(200, {"id": "33", "channel_id": "2/../2"}) == Delivered("message 33")
    assert [guild_of(answer(200, {"guild_id": each})) for each in ("11", None, "1/x", ["1"])] == ["11", "", "", ""]


def test_a_refused_message_names_the_field() -> None:
    errors = {"embeds": {"0": {"title": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Too long."}]}}}}
    body = {"message": "Invalid Form Body", "code": 50035, "errors": errors}
    expected = "HTTP 400 Bad Request: Invalid Form Body (50035): embeds.0.title Too long."
    assert judged(400, body) == Rejected(expected)


def test_an_old_kind_of_complaint_names_the_field_too() -> None:
    assert judged(400, {"embeds": ["0"]}) == Rejected("HTTP 400 Bad Request: embeds 0")


@pytest.mark.parametrize("field", ["username", "avatar_url", "thread_id", "content", "allowed_mentions"])
def test_what_the_config_alone_is_to_blame_for_stops_the_sink_instead_of_rejecting_every_event(field: str) -> None:
    complaint = {field: {"_errors": [{"code": "X", "message": "Not allowed."}]}}
    body = {"message": "Invalid Form Body", "code": 50035, "errors": complaint}
    assert judged(400, body) == Closed(f"HTTP 400 Bad Request: Invalid Form Body (50035): {field} Not allowed.")
    assert isinstance(judged(400, {field: ["Not allowed."]}), Closed)
    also_the_event = {**complaint, "embeds": {"0": complaint}}
    assert isinstance(judged(400, {**body, "errors": also_the_event}), Rejected)


@pytest.mark.parametrize("code", [50083, 160005])
def test_a_thread_that_is_shut_keeps_what_waits_and_is_looked_at_again(code: int) -> None:
    outcome = judged(400, {"message": "Thread is archived", "code": code}, in_thread=True)
    assert isinstance(outcome, Closed)
    assert outcome.probe
    assert "thread_id" in outcome.reason


@pytest.mark.parametrize("body", [b"", b"<html>400 Bad Request</html>", [], {}])
def test_a_refusal_that_is_not_discords_own_rejects_nothing(body: Any) -> None:
    assert judged(400, body) == TryLater("HTTP 400 Bad Request, not from Discord itself")


def deep(levels: int) -> Any:
    return json.loads('{"a":' * levels + "{}" + "}" * levels)


@pytest.mark.parametrize(
    "body",
    [
        {"errors": deep(500), "message": deep(500), "code": 1},
        {"errors": {"_errors": "x", "b": {"_errors": [None, 1, {"message": deep(300)}]}}},
        {"errors": {"k" * 5000: {"_errors": [{"message": "m" * 5000}] * 50}}, "message": "w" * 5000, "code": 10**4000},
        {"message": "a\r\n\x1b[31mb\u202e", "code": True},
        b"[" * 50_000,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 413, 429, 500])
def test_nonsense_in_an_answer_gives_a_short_clean_reason(status: int, body: Any) -> None:
    outcome = judged(status, body)
    text = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    assert 5 < len(text) <= 300
    assert text.isprintable()


def test_too_large_is_rejected() -> None:
    assert isinstance(judged(413, {"message": "Request entity too large", "code": 40005}), Rejected)


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        ({"retry_after": 0.65, "global": False}, {}, 0.65),
        ({"retry_after": 0.65}, {"Retry_After": "2"}, 2),
        ({"retry_after": 30.5, "global": True}, {"Retry_After": "2"}, 30.5),
        ({"retry_after": 5, "global": False}, {"X_RateLimit_Global": "true"}, 5),
        ({"retry_after": 5}, {"X_RateLimit_Scope": "global"}, 5),
        ({"retry_after": 5}, {"X_RateLimit_Scope": "shared", "X_RateLimit_Remaining": "4"}, 5),
        ({"retry_after": -1}, {"Retry_After": "3"}, 3),
        ({"retry_after": 10**400}, {"Retry_After": "3"}, 3),
        ({"retry_after": "soon"}, {}, 60),
        ({"message": "slow"}, {}, 60),
        (b"error code: 1015", {}, 600),
        (b"<html>", {"Retry_After": "30"}, 600),
        (b"", {"Retry_After": "1800"}, 1800),
        ([], {}, 600),
    ],
)
def test_a_rate_limit_is_obeyed_and_is_no_failure(body: Any, headers: dict[str, str], wait: float) -> None:
    outcome = judged(429, body, **headers)
    assert isinstance(outcome, TryLater)
    assert (outcome.wait, outcome.throttled) == (timedelta(seconds=wait), True)
    everywhere = not isinstance(body, dict) or body.get("global") or {"true", "global"} & {*headers.values()}
    whose = EVERY_WEBHOOK if everywhere else "discord/one"
    assert holds(answer(429, body, **headers), outcome, "discord/one") == {whose: timedelta(seconds=wait)}


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_trouble_at_discord_is_tried_again(status: int) -> None:
    assert isinstance(judged(status, b"<html>"), TryLater)


@pytest.mark.parametrize(
    ("headers", "quiet"),
    [
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "1.5"}, 1.5),
        ({"X_RateLimit_Remaining": "1", "X_RateLimit_Reset_After": "1.5"}, None),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "nan"}, None),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "-3"}, None),
        ({"X_RateLimit_Remaining": "0"}, None),
        ({}, None),
    ],
)
def test_a_used_up_bucket_is_left_to_fill(headers: dict[str, str], quiet: float | None) -> None:
    expected = {} if quiet is None else {"discord/one": timedelta(seconds=quiet)}
    assert holds(answer(200, {"id": "1"}, **headers), Delivered(), "discord/one") == expected
