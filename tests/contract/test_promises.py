"""What every kind of sink owes to those who read what it carries, and to the ledger."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import OWN_SOURCE, Delivered, Delivery, Event, Report, Summary, TryLater, summary_id
from daemon.contract.events import Cause
from daemon.people import PeopleSettings
from daemon.settings import SinkCommon
from daemon.settings.problems import keys_of
from sinks.registry import KINDS, SinkKinds
from tests.events import HOSTILE, delivery, event
from tests.rigs import SECRETS, Rig, with_rig, words

DOCS = Path(__file__).parents[2] / "docs" / "sinks"
INSTALLED = SinkKinds().names()
PEOPLE = [kind for kind in INSTALLED if issubclass(SinkKinds().load(kind).settings, PeopleSettings)]
every_kind = pytest.mark.parametrize("kind", INSTALLED)
every_kind_for_people = pytest.mark.parametrize("kind", PEOPLE)
every_kind_of_ours = pytest.mark.parametrize("kind", KINDS)


def some(count: int, data: Any = None, kind: str = "purchase") -> list[Delivery]:
    events = [event(data or {"resource_title": f"Title{n}"}, kind=kind, external_id=str(n)) for n in range(count)]
    return [delivery(one, number=number) for number, one in enumerate(events)]


def summary(deliveries: list[Delivery], cause: Cause = "burst", **changes: Any) -> Summary:
    return Summary(summary_id(deliveries), cause, deliveries, **changes)


def require_storable(report: Report) -> None:
    """What the ledger needs of a report."""
    assert len(report.answer) <= 1024
    json.dumps(dict(report.progress or {}), allow_nan=False)
    assert not any(secret in words(report) for secret in SECRETS)


# Several at once


@every_kind
def test_a_full_batch_gets_a_report_for_each_however_large_its_events(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        limit = min(SinkKinds().load(kind).batch_limit, 10)
        for name in ("long", "wide", "empty"):
            reports = await rig.sink.deliver_batch(some(limit, HOSTILE[name]))
            assert [type(report.outcome) for report in reports] == [Delivered] * limit
            require_storable(reports[-1])

    with_rig(kind, tmp_path, use)


@every_kind_for_people
@pytest.mark.parametrize("cause", ["digest", "burst", "late", "quiet"])
def test_people_get_a_summary_in_one_message(kind: str, cause: Cause, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        report = await rig.sink.deliver_summary(summary(some(5), cause))
        assert isinstance(report.outcome, Delivered), report.outcome
        require_storable(report)
        assert len(set(rig.identities())) == 1
        (text, *_) = rig.received()
        assert all(f"Title{number}".encode() in text for number in range(5))

    with_rig(kind, tmp_path, use)


@every_kind_for_people
@pytest.mark.parametrize("name", HOSTILE)
def test_a_summary_of_hostile_events_is_delivered(kind: str, name: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for trigger in ("purchase", "review", "\u202e=?x?=\r\n\x00"):
            report = await rig.sink.deliver_summary(summary(some(60, HOSTILE[name], trigger)))
            assert isinstance(report.outcome, Delivered), report.outcome
            require_storable(report)

    with_rig(kind, tmp_path, use)


@every_kind_for_people
def test_a_repeated_summary_is_known_by_the_same_id(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for _ in range(2):
            await rig.sink.deliver_summary(summary(some(3)))
        assert len(set(rig.identities())) == 1
        await rig.sink.deliver_summary(summary(some(4)))
        assert len(set(rig.identities())) == 2

    with_rig(kind, tmp_path, use)


@every_kind_for_people
def test_a_summary_cancelled_half_way_leaves_the_sink_usable(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        stalled = rig.stall()
        assert stalled is not None
        task = asyncio.create_task(rig.sink.deliver_summary(summary(some(3))))
        await asyncio.wait_for(stalled.wait(), 30)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 10
        rig.recover()
        assert isinstance((await rig.sink.deliver_summary(summary(some(4)))).outcome, Delivered)

    with_rig(kind, tmp_path, use)


# What arrives


@every_kind
def test_no_event_adds_a_header_or_has_a_template_executed(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.sink.deliver(delivery(event({"resource_title": "{{ 7 * 191 }}", "username": "{% if x %}"})))
        for name in ("line ends", "encoded words", "templates", "bidi and control"):
            await rig.sink.deliver(delivery(event(HOSTILE[name], kind="{{ 7 * 191 }}\r\nX-Evil: 1")))
        assert not any(b"1337" in text for text in rig.received())
        assert not any(re.search(rb"(?m)^(?:Bcc|X-Evil):", text) for text in rig.received())
        ordinary, *others = rig.headers() or [set(), set()]
        assert all(names == ordinary for names in others)

    with_rig(kind, tmp_path, use)


@every_kind_for_people
def test_no_event_pings_anybody(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for trigger in ("purchase", "review", "other"):
            await rig.sink.deliver(delivery(event(HOSTILE["mentions"], kind=trigger)))
            await rig.sink.deliver_summary(summary(some(3, HOSTILE["mentions"], trigger)))
        for text in rig.received():
            pings = re.search(rb"@everyone|@here|<@&?\d", text)
            forbidden = b'"allowed_mentions":{"parse":[]' in text.replace(b" ", b"")
            assert forbidden or kind == "email" or not pings, text

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_test_event_is_marked_as_one(kind: str, tmp_path: Path) -> None:
    def tried(is_test: bool) -> Event:
        if is_test:
            return event(kind="test.purchase", source=OWN_SOURCE)
        return event()

    def mentions_test(text: bytes) -> bool:
        return re.search(rb"(?i)\btest\b", text) is not None

    async def use(rig: Rig) -> None:
        await rig.sink.deliver(delivery(tried(False)))
        before = rig.received()
        await rig.sink.deliver(delivery(tried(True)))
        assert not any(mentions_test(text) for text in before)
        assert mentions_test(rig.received()[-1])

    with_rig(kind, tmp_path, use)


# What is reported


@every_kind
def test_no_report_holds_a_secret_whether_it_went_well_or_not(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        require_storable(await rig.sink.deliver(delivery()))
        if rig.stall() is not None:
            report = await rig.sink.deliver(delivery())
            assert isinstance(report.outcome, TryLater)
            require_storable(report)

    with_rig(kind, tmp_path, use, timeout="1s")


@every_kind
@pytest.mark.parametrize("progress", [{}, {"nonsense": [1, None]}, {"served": 5}, {"served": {"a": []}}])
def test_progress_that_makes_no_sense_costs_no_delivery(kind: str, progress: dict[str, Any], tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        report = await rig.sink.deliver(delivery(progress=progress))
        assert isinstance(report.outcome, Delivered)

    with_rig(kind, tmp_path, use)


@every_kind
def test_what_was_done_already_is_not_done_again(kind: str, tmp_path: Path) -> None:
    """A sink that reports progress must honour it; who reports none does all of it again."""

    async def use(rig: Rig) -> None:
        first = await rig.sink.deliver(delivery())
        before = len(rig.received())
        if first.progress is None:
            return
        again = await rig.sink.deliver(delivery(attempt=2, progress=first.progress))
        assert isinstance(again.outcome, Delivered)
        assert len(rig.received()) == before

    with_rig(kind, tmp_path, use)


# Documented


@every_kind_of_ours
def test_every_key_of_a_kind_is_documented(kind: str) -> None:
    """Those that all sinks share are explained once, those about people too."""
    text = (DOCS / f"{kind}.md").read_text()
    if kind in PEOPLE:
        text += (DOCS / "README.md").read_text()
    keys = keys_of(SinkKinds().load(kind).settings).keys() - keys_of(SinkCommon).keys()
    missing = [
        key for key in keys if not re.search(rf"`{re.escape(key)}`|\b{re.escape(key)} = |\.{re.escape(key)}\]", text)
    ]
    assert not missing, f"docs/sinks/{kind}.md does not mention {missing}"


@every_kind_of_ours
def test_the_documentation_of_a_kind_says_what_people_ask(kind: str) -> None:
    text = (DOCS / f"{kind}.md").read_text()
    assert f'type = "{kind}"' in text
    for outcome in ("delivered", "(try|tried) later", "rejected"):
        assert re.search(outcome, text, re.IGNORECASE), outcome
    assert "```" in text
