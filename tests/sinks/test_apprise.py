"""What is sent through Apprise, and what its answers mean."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from daemon.contract import Closed, Delivered, Summary, TryLater, Unreachable, summary_id
from sinks.apprise import AppriseSink
from tests.events import HOSTILE, delivery, event
from tests.notifiers import sink_of
from tests.receivers import HttpReceiver, http_receiver, reply

UNTOLD = TryLater("the service did not take it, or could not be reached; Apprise tells no more")


def with_receiver(use: Callable[[AppriseSink, HttpReceiver], Awaitable[Any]], **values: Any) -> Any:
    async def run() -> Any:
        async with http_receiver() as receiver:
            return await use(sink_of(f"json://127.0.0.1:{receiver.port}/", **values), receiver)

    return asyncio.run(run())


def sent(of: Any = None, **values: Any) -> tuple[str, str]:
    """The title and the text that arrive."""

    async def use(sink: AppriseSink, receiver: HttpReceiver) -> tuple[str, str]:
        assert isinstance((await sink.deliver(delivery(of))).outcome, Delivered)
        body = json.loads(receiver.requests[0].body)
        return body["title"], body["message"]

    result: tuple[str, str] = with_receiver(use, **values)
    return result


# What is sent


def test_an_event_becomes_a_title_and_a_text() -> None:
    title, text = sent()
    assert title == "New purchase: Sky"
    assert text.splitlines()[-1] == "2026-03-04 05:06:07 UTC, builtbybit:4711"
    assert "Steve" not in text


def test_the_owner_can_word_both() -> None:
    values = {"title": "{{ username }} bought", "body": "*{{ resource_title }}*", "audience": "full"}
    assert sent(**values) == ("Steve bought", "*Sky*")


def test_a_text_in_markdown_escapes_what_is_filled_in() -> None:
    hostile = event({"resource_title": "[a](https://evil.example)"})
    assert sent(hostile, markdown="**{{ resource_title }}**")[1].startswith(r"**\[a\]")


def test_an_alert_is_told_as_it_is_whatever_templates_there_are_for_sales() -> None:
    alert = event({"text": "sales stopped"}, kind="alert.sink", source="eventferry")
    for wording in ({"title": "Sold", "body": "Thanks!"}, {"markdown": "Thanks!"}):
        title, text = sent(alert, **wording)
        assert title == "Eventferry: sink"
        assert text.startswith("sales stopped")


@pytest.mark.parametrize("key", ["title", "body", "markdown"])
def test_a_template_that_fails_loses_nothing(key: str) -> None:
    built_in = sent()
    title, text = sent(**{key: "{{ resource_title + 1 }}"})
    assert title == built_in[0]
    assert text.replace("\\", "") == built_in[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_an_event_calls_anybody(name: str) -> None:
    title, text = sent(event(HOSTILE[name]), audience="full")
    for mention in ("@everyone", "@here", "<@", "<!"):
        assert mention not in title
        assert mention not in text


def test_mentions_of_the_owner_and_mail_addresses_stay() -> None:
    hostile = event({"message": "a@b.example @Steve <!channel> x@everyone", "resource_title": "Sky"})
    text = sent(hostile, body="<@&77> @here {{ message }}", audience="full")[1]
    assert text == "<@&77> @here a@b.example \uff20Steve \u2039!channel> x\uff20everyone"


def test_a_text_is_cut_to_what_the_service_takes_and_no_escape_is_cut_in_half() -> None:
    post = {"resource_title": "Sky", "message": "<&>" * 5000}
    sink = sink_of("tgram://123456789:canary-token-0123456789/1/", audience="full")

    async def run() -> None:
        service = await sink._load()
        shown = sink._post(delivery(event(post)))
        body = service.fit(shown.title, shown.write, shown.written_as)
        assert body.endswith("…")
        as_html = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert 3000 < len(as_html) + len(shown.title) <= 4096

    asyncio.run(run())


def test_a_summary_is_one_message_that_says_what_it_left_out() -> None:
    deliveries = [delivery(event({"resource_title": f"Sky {at:04}"}), number=at) for at in range(300)]
    summary = Summary(summary_id(deliveries), "burst", deliveries)

    async def use(sink: AppriseSink, receiver: HttpReceiver) -> None:
        for _ in range(2):
            assert isinstance((await sink.deliver_summary(summary)).outcome, Delivered)
        first, second = (json.loads(request.body)["message"] for request in receiver.requests)
        assert first == second
        assert "Sky 0000" in first
        assert summary.id in first

    with_receiver(use)

    async def run() -> None:
        service = await sink_of("pover://" + "u" * 30 + "@" + "t" * 30)._load()
        written = service.fit("title", lambda limit: "\n".join(["x" * (limit - 20), "… and 7 more"]), "text")
        assert len(written) <= 1024
        assert written.endswith("… and 7 more")

    asyncio.run(run())


# What it means


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_every_http_error_behind_apprise_is_tried_later(status: int) -> None:
    async def use(sink: AppriseSink, receiver: HttpReceiver) -> None:
        receiver.answer = reply(status)
        assert (await sink.deliver(delivery())).outcome == UNTOLD

    with_receiver(use)


def test_a_redirect_is_not_followed() -> None:
    async def use(sink: AppriseSink, receiver: HttpReceiver) -> None:
        receiver.answer = reply(307, Location="/elsewhere")
        assert (await sink.deliver(delivery())).outcome == UNTOLD
        assert len(receiver.requests) == 1

    with_receiver(use)


@pytest.mark.parametrize("url", ["nosuchservice://canary-token-1", "tgram://canary-token", "json://:"])
def test_a_url_that_apprise_does_not_know_stops_the_sink(url: str) -> None:
    async def run() -> None:
        sink = sink_of(url)
        outcome = (await sink.deliver(delivery())).outcome
        assert isinstance(outcome, Closed)
        assert "canary" not in outcome.reason
        with pytest.raises(Unreachable, match=r"Apprise (makes nothing of this URL|knows no)"):
            await sink.check()

    asyncio.run(run())
