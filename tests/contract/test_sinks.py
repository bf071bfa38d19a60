"""What every kind of sink must do, whatever it is; a new kind needs nothing but a receiver in `tests/rigs.py`."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from daemon.contract import Delivered, TryLater
from sinks.registry import SinkKinds
from tests.events import EVENTS, HOSTILE, delivery, event
from tests.rigs import TOKEN, Rig, with_rig

every_kind = pytest.mark.parametrize("kind", SinkKinds().names())


# Delivering


@every_kind
def test_an_ordinary_event_is_delivered(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        report = await rig.sink.deliver(delivery())
        assert isinstance(report.outcome, Delivered)
        assert report.body
        assert len(report.answer) <= 1024

    with_rig(kind, tmp_path, use)


@every_kind
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_event_is_delivered_and_can_be_shown(kind: str, name: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for trigger in ("purchase", "review", "\u202e=?x?=\r\n\x00"):
            hostile = delivery(event(HOSTILE[name], kind=trigger))
            report = await rig.sink.deliver(hostile)
            assert isinstance(report.outcome, Delivered), report.outcome
            shown = rig.sink.render(hostile)
            assert isinstance(shown, str)
            shown.encode()

    with_rig(kind, tmp_path, use)


@every_kind
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(generated=EVENTS)
def test_any_event_can_be_shown(kind: str, generated: Any, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        assert rig.sink.render(delivery(generated))

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_repeat_is_known_by_the_same_id(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        for attempt in (1, 2, 3):
            await rig.sink.deliver(delivery(attempt=attempt, replays=attempt - 1))
        identities = rig.identities()
        assert kind == "console" or len(identities) == 3
        assert len(set(identities)) <= 1

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_batch_gets_a_report_for_each_in_order(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        events = [event({"resource_title": f"Title{number}"}, external_id=str(number)) for number in range(3)]
        batch = [delivery(one, number=number) for number, one in enumerate(events)]
        reports = await rig.sink.deliver_batch(batch)
        assert [isinstance(report.outcome, Delivered) for report in reports] == [True] * 3
        assert [f"Title{number}".encode() in report.body for number, report in enumerate(reports)] == [True] * 3

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_delivery_cancelled_half_way_leaves_the_sink_usable(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        stalled = rig.stall()
        task = asyncio.create_task(rig.sink.deliver(delivery()))
        if stalled is None:
            await asyncio.sleep(0)
        else:
            await asyncio.wait_for(stalled.wait(), 30)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 10
        rig.recover()
        assert isinstance((await rig.sink.deliver(delivery(number=2))).outcome, Delivered)

    with_rig(kind, tmp_path, use)


@every_kind
def test_a_receiver_that_hangs_is_left_at_the_deadline(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        if rig.stall() is None:
            return
        started = time.monotonic()
        report = await rig.sink.deliver(delivery())
        assert time.monotonic() - started < 10
        assert isinstance(report.outcome, TryLater)
        assert "within 1 s" in report.outcome.reason

    with_rig(kind, tmp_path, use, timeout="1s")


@every_kind
def test_a_closed_sink_can_be_closed_again_and_used_again(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        await rig.sink.close()
        await rig.sink.close()
        assert isinstance((await rig.sink.deliver(delivery())).outcome, Delivered)

    with_rig(kind, tmp_path, use)


# Connecting


@every_kind
def test_checking_delivers_nothing(kind: str, tmp_path: Path) -> None:
    async def use(rig: Rig) -> None:
        sentence = await rig.sink.check()
        assert sentence
        assert sentence.isprintable()

    with_rig(kind, tmp_path, use)
    assert not list(tmp_path.iterdir())


# Settings


@every_kind
def test_an_unknown_key_is_refused_without_naming_any_value(kind: str) -> None:
    with pytest.raises(ValidationError) as error:
        SinkKinds().load(kind).settings.model_validate(
            {"urll": TOKEN, "url": TOKEN, "secret": TOKEN, "password": TOKEN}
        )
    errors = error.value.errors(include_input=False, include_url=False, include_context=False)
    assert {"extra_forbidden"} <= {one["type"] for one in errors}
    assert TOKEN not in json.dumps(errors)


@every_kind
def test_settings_have_a_schema_for_editors(kind: str) -> None:
    schema = SinkKinds().load(kind).settings.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]
