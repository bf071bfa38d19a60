import asyncio
import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.app.samples import SAMPLES
from daemon.contract import Closed, Delivered, Delivery, Outcome, Pace, Rejected, Summary, TryLater, Unreachable
from daemon.http import Http
from daemon.settings.model import SinkCommon, table_model
from sinks.discord import DiscordSink
from tests.events import delivery, event
from tests.receivers import Answer, HttpReceiver, Request, Writer, http_receiver, reply
from tests.sinks.discord_settings import OFFICIAL, settings

SECONDS_9 = timedelta(seconds=9)
STORED = reply(200, b'{"id": "99"}', Content_Type="application/json")
Use = Callable[[DiscordSink, HttpReceiver], Awaitable[Any]]


def with_sink(use: Use, answer: Answer = STORED, **values: Any) -> Any:
    async def run() -> Any:
        async with http_receiver(answer) as receiver:
            values.setdefault("url", f"{receiver.url}/api/webhooks/1/local-token-canary")
            values.setdefault("audience", "full")
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
        assert body["embeds"][0]["title"] == "Steve_ got Sky"

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


def test_a_used_up_bucket_holds_the_webhook() -> None:
    answer = reply(200, b'{"id": "1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="0.4")

    async def use(sink: DiscordSink, _: HttpReceiver) -> None:
        report = await sink.deliver(delivery())
        assert report.outcome == Delivered("message 1")
        assert report.holds == {sink.paces[1].name: timedelta(seconds=0.4)}

    with_sink(use, answer)


@pytest.mark.parametrize(
    ("answer", "pace"),
    [
        (reply(429, b'{"retry_after": 30.0, "global": false}', Retry_After="12"), 1),
        (reply(429, b'{"retry_after": 30.0, "global": true}'), 0),
    ],
)
def test_a_rate_limit_holds_the_webhook_or_all_of_them(answer: Answer, pace: int) -> None:
    async def use(sink: DiscordSink, _: HttpReceiver) -> None:
        report = await sink.deliver(delivery())
        assert isinstance(report.outcome, TryLater)
        assert report.outcome.throttled
        assert report.holds == {sink.paces[pace].name: timedelta(seconds=30)}

    with_sink(use, answer)


def test_the_ban_of_an_edge_holds_all_that_goes_to_discord_for_ten_minutes() -> None:
    async def use(sink: DiscordSink, _: HttpReceiver) -> None:
        assert (await sink.deliver(delivery())).holds == {"discord": timedelta(minutes=10)}

    with_sink(use, reply(429, b"error code: 1015\n", Retry_After="30"))


def test_paces_are_shared_by_all_ways_to_write_a_url_and_hold_no_secret() -> None:
    one, other, third = (
        DiscordSink(settings(url=url, rate="5/10s"), Http())
        for url in (OFFICIAL, OFFICIAL.replace("/v10", "") + "?wait=true", OFFICIAL.replace("aB3", "xB3"))
    )
    assert one.paces == other.paces == (Pace("discord"), Pace(one.paces[1].name, 5, timedelta(seconds=10)))
    assert one.paces[1].name != third.paces[1].name
    assert not any(part in one.paces[1].name for part in ("123456789012345678", "aB3"))
    assert DiscordSink(settings(), Http()).paces[1].messages == 30


# Several events


def batch(number: int, **data: Any) -> list[Delivery]:
    return [
        delivery(event({"resource_title": f"Title{each}"} | data, external_id=str(each)), each)
        for each in range(number)
    ]


def titles(request: Request) -> list[str]:
    return [embed["title"] for embed in json.loads(request.body)["embeds"]]


def test_each_delivery_reports_the_message_it_travelled_in() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        reports = await sink.deliver_batch(batch(5, message="x" * 2500))
        assert [len(titles(request)) for request in receiver.requests] == [2, 2, 1]
        bodies = [request.body for request in receiver.requests]
        assert [report.body for report in reports] == [bodies[0], bodies[0], bodies[1], bodies[1], bodies[2]]
        assert {report.outcome for report in reports} == {Delivered("message 99")}

    with_sink(use)


def refusing(*guilty: str) -> Answer:
    """Discord, which refuses every message with one of these in it."""

    async def answer(request: Request, writer: Writer) -> None:
        bad = [number for number, title in enumerate(titles(request)) if any(name in title for name in guilty)]
        errors = {"embeds": {str(number): {"title": {"_errors": [{"message": "No."}]}} for number in bad}}
        refusal = json.dumps({"message": "Invalid Form Body", "code": 50035, "errors": errors}).encode()
        await (reply(400, refusal) if bad else STORED)(request, writer)

    return answer


def test_a_refused_message_of_several_costs_only_the_guilty_their_delivery() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        reports = await sink.deliver_batch(batch(4))
        assert [type(report.outcome) for report in reports] == [Delivered, Rejected, Delivered, Delivered]
        assert isinstance(reports[1].outcome, Rejected)
        assert "embeds.0.title No." in reports[1].outcome.reason
        assert [len(titles(request)) for request in receiver.requests] == [4, 1, 1, 1, 1]
        assert [report.body for report in reports] == [request.body for request in receiver.requests[1:]]

    with_sink(use, refusing("Title1"))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(429, b'{"retry_after": 9}'), TryLater("Discord's rate limit for this webhook", SECONDS_9, True)),
        (reply(404, b'{"code": 10015}'), Closed("Discord says this webhook was deleted (HTTP 404 Not Found)", False)),
        (
            reply(200, b'{"id": "99"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="9"),
            TryLater("no more at once; it goes with a later message", SECONDS_9, True),
        ),
    ],
)
def test_what_an_answer_forbids_is_not_sent_after_it(answer: Answer, outcome: Outcome) -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        first, _, *others = await sink.deliver_batch(batch(5, message="x" * 2500))
        assert len(receiver.requests) == 1
        assert first.body == receiver.requests[0].body
        assert [(report.outcome, report.body) for report in others] == [(outcome, b"")] * 3

    with_sink(use, answer)


def test_a_refusal_that_uses_up_the_bucket_rejects_nobody_yet() -> None:
    answer = reply(400, b'{"code": 50035}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="9")

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        reports = await sink.deliver_batch(batch(3))
        assert len(receiver.requests) == 1
        assert {type(report.outcome) for report in reports} == {TryLater}
        assert reports[0].holds == {sink.paces[1].name: SECONDS_9}

    with_sink(use, answer)


def test_a_slow_discord_is_not_asked_for_more_than_the_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call as a whole has a deadline, at which all would be tried again, even those that arrived."""
    monkeypatch.setattr("sinks.discord._LATEST_BEGIN", -1.0)

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        reports = await sink.deliver_batch(batch(5, message="x" * 2500))
        assert len(receiver.requests) == 1
        assert [type(report.outcome) for report in reports] == [Delivered] * 2 + [TryLater] * 3

    with_sink(use)


def test_a_summary_is_one_message() -> None:
    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        report = await sink.deliver_summary(Summary("s-1", "burst", batch(40)))
        (request,) = receiver.requests
        assert report.outcome == Delivered("message 99")
        assert report.body == request.body
        assert [embed.get("title") for embed in json.loads(request.body)["embeds"]] == [
            "Many at once: 40 purchases",
            None,
        ]

    with_sink(use)


def test_messages_are_linked_and_where_their_channel_is_is_asked_once() -> None:
    async def answer(request: Request, writer: Writer) -> None:
        known = b'{"id": "3", "channel_id": "2"}' if request.method == "POST" else b'{"guild_id": "1"}'
        await reply(200, known)(request, writer)

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        for number in range(3):
            report = await sink.deliver(delivery(number=number))
            assert report.outcome == Delivered("https://discord.com/channels/1/2/3")
        assert [request.method for request in receiver.requests] == ["POST", "GET", "POST", "POST"]

    with_sink(use, answer)


def test_a_message_whose_channel_cannot_be_found_is_delivered_all_the_same() -> None:
    async def answer(request: Request, writer: Writer) -> None:
        if request.method == "GET":
            writer.transport.abort()
        else:
            await reply(200, b'{"id": "3", "channel_id": "2"}')(request, writer)

    async def use(sink: DiscordSink, receiver: HttpReceiver) -> None:
        for _ in range(2):
            assert (await sink.deliver(delivery())).outcome == Delivered("message 3")
        assert [request.method for request in receiver.requests] == ["POST", "GET", "POST"]

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


DOCS = (Path(__file__).parents[2] / "docs/sinks/discord.md").read_text()


def test_what_the_documentation_shows_is_what_is_sent() -> None:
    for config in re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL):
        table = tomllib.loads(config)["sinks"]["sales"] | {"url": OFFICIAL}
        table_model("discord", SinkCommon, DiscordSink.Settings).model_validate(table)
    (sample,) = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    sink = DiscordSink(settings(audience="full", ping=["role:1234567890123456789"]), Http())
    assert sink.render(delivery(SAMPLES["a purchase"])) == sample.rstrip()
    assert all(f"`{key}`" in DOCS for key in DiscordSink.Settings.model_fields if key not in ("currency", "timezone"))
