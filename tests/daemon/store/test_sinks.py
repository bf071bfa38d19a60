"""What is known about each sink between restarts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.contract import TryLater
from daemon.http import LONGEST_RETRY_AFTER
from daemon.lane import Lane, resumed, stopped_by_operator
from tests.ledger import NOON, ManualClock, Stores, add, claim, enroll, planned, rows, send, story

STOPPED = Lane(
    since=NOON,
    health="stopped",
    reason="HTTP 401",
    stopped_by="receiver",
    probes=3,
    last_probed=7,
    held_until=NOON + timedelta(hours=1),
)


@story
async def test_a_new_sink_begins_with_a_fresh_lane(make_store: Stores) -> None:
    async with make_store() as store:
        assert await enroll(store, "hook", "mail") == {"hook": resumed(NOON), "mail": resumed(NOON)}
        assert await rows(store, "SELECT name, kind FROM sinks") == [("hook", "webhook"), ("mail", "webhook")]


@story
async def test_a_lane_survives_a_restart_and_a_pause_in_the_config(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        assert await store.sinks.set_lane("hook", STOPPED)
    clock.advance(minutes=5)
    async with make_store() as store:
        assert await enroll(store, "other") == {"other": resumed(clock())}
        assert await enroll(store, "hook") == {"hook": STOPPED}


@story
async def test_i12_a_hold_from_a_clock_that_was_wrong_lasts_a_day_at_most(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await store.sinks.set_lane("hook", replace(STOPPED, held_until=NOON + timedelta(days=4000)))
        assert (await enroll(store, "hook"))["hook"].held_until == NOON + LONGEST_RETRY_AFTER


@story
async def test_changed_settings_resume_what_was_stopped_and_release_what_waits(
    make_store: Stores, clock: ManualClock
) -> None:
    async with make_store() as store:
        await enroll(store, "hook", "mail", settings='{"url": "old"}')
        await store.sinks.set_lane("hook", STOPPED)
        await add(store, planned(1, "hook", "mail"))
        await send(store, outcome=TryLater("500", timedelta(hours=20)))
        await send(store, "mail", outcome=TryLater("500", timedelta(hours=20)))
    clock.advance(minutes=1)
    async with make_store() as store:
        assert await enroll(store, "mail", settings='{"url": "old"}')
        assert await enroll(store, "hook", settings='{"url": "new"}') == {"hook": resumed(clock())}
        assert len(await claim(store)) == 1
        assert await claim(store, "mail") == ()
        assert (await enroll(store, "hook", settings='{"url": "new"}'))["hook"] == resumed(clock())
        assert await rows(store, "SELECT first_seen_at FROM sinks WHERE name = 'hook'") == [
            "2026-03-04 12:00:00.000000"
        ]


@story
async def test_changed_settings_do_not_resume_what_the_operator_stopped(make_store: Stores) -> None:
    lane = stopped_by_operator(resumed(NOON), NOON)
    async with make_store() as store:
        await enroll(store, "hook", settings="old")
        await store.sinks.set_lane("hook", lane)
        assert await enroll(store, "hook", settings="new") == {"hook": lane}
        assert await enroll(store, "hook", settings="new") == {"hook": lane}


@story
async def test_i17_settings_are_kept_only_as_a_keyed_hash(make_store: Stores) -> None:
    async with make_store() as store:
        await enroll(store, "hook", settings="https://receiver.example/secret-token")
        ((fingerprint, *_),) = [[*row] for row in await rows(store, "SELECT fingerprint, name FROM sinks")]
        assert len(fingerprint) == 32
        assert b"secret-token" not in fingerprint


@story
async def test_a_command_can_release_what_waits(make_store: Stores, clock: ManualClock) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await add(store, planned(1, "hook"))
        await send(store, outcome=TryLater("500"))
        await store.sinks.set_lane("hook", resumed(clock()))
        assert await claim(store) == ()
        await store.sinks.set_lane("hook", resumed(clock()), release=True)
        assert len(await claim(store)) == 1


@pytest.mark.parametrize("release", [True, False])
@story
async def test_a_sink_that_nobody_knows_is_not_made_by_a_command(make_store: Stores, release: bool) -> None:
    async with make_store() as store:
        assert not await store.sinks.set_lane("typo", resumed(NOON), release=release)
        assert await rows(store, "SELECT count(*) FROM sinks") == [0]
