import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.contract import Delivered, TryLater, Unreachable
from daemon.http import Http
from daemon.redaction import redact
from sinks.discord import DiscordSink, parse_address
from tests.events import delivery, event
from tests.receivers import Answer, HttpReceiver, Writer, http_receiver, reply

TOKEN = "aB3_-" * 12
OFFICIAL = f"https://discord.com/api/v10/webhooks/123456789012345678/{TOKEN}"
STORED = reply(200, b'{"id": "99"}', Content_Type="application/json")


@pytest.mark.parametrize(
    "url",
    [
        f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://discord.com/api/v10/webhooks/123456789012345678/{TOKEN}/",
        f"https://discordapp.com/api/webhooks/123456789012345678/{TOKEN}?wait=true",
        f"https://canary.discord.com/api/v9/webhooks/123456789012345678/{TOKEN}",
        f"https://ptb.discordapp.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://DISCORD.com/api/webhooks/123456789012345678/{TOKEN}/slack",
        f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}/github?wait=1#x",
        f"http://discord.com:80/api/webhooks/123456789012345678/{TOKEN}",
        f"discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f" <https://discord.com/api/webhooks/123456789012345678/{TOKEN}> \n",
        f"\"'https://discord.com/api/webhooks/123456789012345678/{TOKEN}'\"",
    ],
)
def test_a_webhook_url_is_understood_in_every_form_people_copy(url: str) -> None:
    address = parse_address(url)
    assert (address.url, address.thread_id) == (OFFICIAL, None)
    assert redact(f"at {TOKEN}!") == "at ***!"


def test_a_thread_in_the_url_is_kept() -> None:
    assert parse_address(f"{OFFICIAL}?wait=true&thread_id=987654321098765432").thread_id == "987654321098765432"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_a_webhook_on_loopback_stays_as_it_is(host: str) -> None:
    address = parse_address(f"http://{host}/api/webhooks/1/local-token/?thread_id=5")
    assert (address.url, address.thread_id) == (f"http://{host}/api/webhooks/1/local-token", "5")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/api/webhooks/123456789012345678/token",
        "https://discord.com.evil.example/api/webhooks/123456789012345678/token",
        "https://evildiscord.com/api/webhooks/123456789012345678/token",
        "https://discord.com/channels/123456789012345678/123456789012345678",
        "https://discord.com/api/webhooks/123456789012345678",
        "https://discord.com/api/webhooks/notanumber/token",
        "https://discord.com/api/webhooks/123456789012345678/to%20ken",
        "http://10.0.0.1/api/webhooks/123456789012345678/token",
        "http://user@127.0.0.1/webhooks/123456789012345678/token",
        "https://discord.com/api/webhooks/123456789012345678/token?thread_id=abc",
        "nonsense",
        "",
    ],
)
def test_what_is_no_discord_webhook_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"Discord|thread_id|web address") as refusal:
        parse_address(url)
    assert "123456789012345678" not in str(refusal.value)


def settings(**values: Any) -> DiscordSink.Settings:
    return DiscordSink.Settings.model_validate({"url": OFFICIAL} | values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("username", name) for name in ("", "  ", "x" * 81, "👍" * 41, "My Discord", "CLYDE2", "everyone", "Here")),
        ("username", "two\nlines"),
        *(("thread_id", thread) for thread in ("abc", "0", "-5", "1" * 21, True, 1.5)),
        *(("avatar_url", url) for url in ("x", "ftp://a/b", "https://a/ö", "https://a/" + "b" * 2048, 'https://a/"b')),
        ("title", "{{ broken"),
        ("url", "https://example.com/token-canary"),
        ("wait", True),
    ],
)
def test_a_setting_that_discord_would_refuse_is_an_error_at_once(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**{key: value})
    (only,) = error.value.errors(include_input=False, include_url=False)
    assert only["loc"][0] == key
    assert "canary" not in str(error.value)


def test_settings_are_tidied() -> None:
    made = settings(thread_id=123456789012345678, username=" Sales ", avatar_url="<https://example.com/a.png>")
    assert (made.thread_id, made.username) == ("123456789012345678", "Sales")
    assert made.avatar_url == "https://example.com/a.png"
    assert TOKEN not in repr(made) + made.model_dump_json()


Use = Callable[[DiscordSink, HttpReceiver], Awaitable[Any]]


def with_sink(use: Use, answer: Answer = STORED, **values: Any) -> Any:
    async def run() -> Any:
        async with http_receiver(answer) as receiver:
            values.setdefault("url", f"{receiver.url}/api/webhooks/1/local-token-canary")
            sink = DiscordSink(settings(**values), Http())
            try:
                return await use(sink, receiver)
            finally:
                await sink.close()

    return asyncio.run(run())


def test_an_event_is_posted_and_its_message_id_kept() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        report = await sink.deliver(delivery())
        (request,) = receiver.requests
        assert report.outcome == Delivered("message 99")
        assert (request.method, request.target) == ("POST", "/api/webhooks/1/local-token-canary?wait=true")
        assert request.headers["user-agent"].startswith("DiscordBot (eventferry, ")
        assert request.headers["content-type"] == "application/json"
        assert request.body == report.body
        assert json.loads(request.body)["embeds"][0]["title"] == "New purchase: Sky"

    with_sink(use)


def test_a_thread_name_and_picture_are_passed_on() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        await sink.deliver(delivery())
        (request,) = receiver.requests
        assert request.target.endswith("?wait=true&thread_id=42")
        body = json.loads(request.body)
        assert (body["username"], body["avatar_url"]) == ("Sales", "https://example.com/a.png")
        assert body["embeds"][0]["title"] == r"Steve\_ got Sky"

    with_sink(
        use,
        thread_id="42",
        username="Sales",
        avatar_url="https://example.com/a.png",
        title="{{ username }}_ got {{ resource_title }}",
    )


def test_a_long_answer_still_yields_the_message_id() -> None:
    answer = reply(200, json.dumps({"content": "ö" * 9000, "id": "77"}).encode())
    report = with_sink(lambda sink, _: sink.deliver(delivery()), answer)
    assert report.outcome == Delivered("message 77")


def test_the_next_message_waits_for_the_bucket_to_fill() -> None:
    answer = reply(200, b'{"id": "1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="0.4")

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> tuple[float, float]:
        started = time.monotonic()
        await sink.deliver(delivery())
        first = time.monotonic() - started
        await sink.deliver(delivery(number=2))
        assert len(receiver.requests) == 2
        return first, time.monotonic() - started

    first, second = with_sink(use, answer)
    assert first < 0.4 <= second


def test_nothing_is_sent_while_discord_wants_a_long_pause() -> None:
    answer = reply(429, b'{"message": "slow down", "retry_after": 30.0, "global": false}')

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        first = (await sink.deliver(delivery())).outcome
        second = (await sink.deliver(delivery(number=2))).outcome
        assert first == TryLater("Discord's rate limit for this webhook", timedelta(seconds=30), throttled=True)
        assert isinstance(second, TryLater)
        assert second.throttled
        assert second.wait is not None
        assert timedelta(seconds=25) < second.wait <= timedelta(seconds=30)
        assert len(receiver.requests) == 1

    with_sink(use, answer)


def test_a_cancelled_wait_harms_nothing() -> None:
    answer = reply(200, b'{"id": "1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="0.3")

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        await sink.deliver(delivery())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sink.deliver(delivery(number=2))
        assert len(receiver.requests) == 1
        assert isinstance((await sink.deliver(delivery(number=2))).outcome, Delivered)

    with_sink(use, answer)


def test_checking_asks_for_the_webhook_and_posts_nothing() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        assert await sink.check() == 'the webhook "Sales bot" is there'
        assert [(one.method, one.target) for one in receiver.requests] == [
            ("GET", "/api/webhooks/1/local-token-canary")
        ]

    with_sink(use, reply(200, b'{"name": "Sales\\u202e bot", "token": "local-token-canary"}'))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (reply(404, b'{"message": "Unknown Webhook", "code": 10015}'), "Unknown Webhook"),
        (reply(401, b'{"message": "local-token-canary", "code": 50027}'), "50027"),
        (reply(503), "503"),
    ],
)
def test_checking_a_webhook_that_is_gone_says_so(answer: Answer, complaint: str) -> None:
    async def use(sink: DiscordSink, _: HttpReceiver) -> None:
        with pytest.raises(Unreachable, match=complaint) as failure:
            await sink.check()
        assert "canary" not in str(failure.value)

    with_sink(use, answer)


def test_checking_a_dead_host_says_so() -> None:
    async def hang_up(_: Any, writer: Writer) -> None:
        writer.transport.abort()

    async def use(sink: DiscordSink, _: HttpReceiver) -> None:
        with pytest.raises(Unreachable, match="broke"):
            await sink.check()

    with_sink(use, hang_up)


def test_the_message_can_be_shown() -> None:
    shown = DiscordSink(settings(), Http()).render(delivery(event({"resource_title": "Größe"})))
    assert '"title": "New purchase: Größe"' in shown
