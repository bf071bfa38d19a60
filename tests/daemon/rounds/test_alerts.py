"""What the daemon has to say is said once, by the sinks named for it, and never by the one it is about."""

import asyncio
import io
import json
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from daemon import log
from daemon.contract import Rejected
from daemon.rounds.alerts import Alerts
from daemon.store import Store
from tests.daemon.rounds.world import LEASE, Hand, look, opened
from tests.ledger import add, planned, send


class Ticking(Hand):
    """Two matters are never told at the very same time."""

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class Told:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.woken: list[str] = []

    def wake(self, names: Collection[str]) -> None:
        self.woken += names

    def texts(self) -> list[str]:
        rows = look(self.folder, "SELECT data FROM events WHERE source = 'eventferry' ORDER BY id")
        return [json.loads(data)["text"] for (data,) in rows]

    def carried_by(self) -> list[str]:
        return [row[0] for row in look(self.folder, "SELECT sink FROM deliveries ORDER BY id")]


def test_a_matter_is_told_once_a_day_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        for _ in range(3):  # restarts
            async with opened(tmp_path, clock) as store:
                alerts = Alerts(store, ["mail", "chat"], told.wake)
                for _ in range(5):
                    await alerts.tell("alert.source", "shop", "refused")
                    clock.advance(hours=1)
        assert told.texts() == ["refused"]
        assert told.carried_by() == ["mail", "chat"]
        assert sorted(told.woken) == ["chat", "mail"]
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail"], told.wake)
            clock.advance(hours=10)
            await alerts.tell("alert.source", "shop", "still refused")
            await alerts.tell("alert.source", "other", "refused")
            await alerts.tell("alert.completion", "shop", "refused")
        assert told.texts()[1:] == ["still refused", "refused", "refused"]

    asyncio.run(scenario())


def test_the_end_of_a_matter_is_told_if_its_beginning_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail"], told.wake)
            await alerts.over("alert.source", "shop", "answers again")
            assert told.texts() == []
            await alerts.tell("alert.source", "shop", "refused")
            for _ in range(3):
                await alerts.over("alert.source", "shop", "answers again")
            assert told.texts() == ["refused", "answers again"]
            await alerts.tell("alert.source", "shop", "refused")
            assert told.texts()[2:] == ["refused"]

    asyncio.run(scenario())


def test_what_has_no_end_is_told_once_for_good(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail"], told.wake)
            for _ in range(3):
                await alerts.tell("alert.unrouted", "tip", "no sink wants it", again_after=None)
                clock.advance(days=100)
        assert told.texts() == ["no sink wants it"]

    asyncio.run(scenario())


def test_the_sink_it_is_about_does_not_carry_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail", "chat"], told.wake)
            await alerts.tell("alert.sink", "mail", "mail stopped", about_sink="mail")
            await alerts.over("alert.sink", "mail", "mail works again", about_sink="mail")
            assert told.carried_by() == ["chat", "chat"]
            lonely = Alerts(store, ["mail"], told.wake)
            await lonely.tell("alert.sink", "mail", "mail stopped again", about_sink="mail")
            assert told.texts()[2:] == ["mail stopped again"]
            assert len(told.carried_by()) == 2

    asyncio.run(scenario())


def test_without_sinks_for_it_what_was_said_is_still_on_record(tmp_path: Path) -> None:
    async def scenario() -> None:
        told = Told(tmp_path)
        async with opened(tmp_path, Hand()) as store:
            await Alerts(store, [], told.wake).tell("alert.source", "shop", "refused")
        assert told.texts() == ["refused"]
        assert told.woken == []
        assert look(tmp_path, "SELECT acknowledged_by FROM events") == [("nobody",)]

    asyncio.run(scenario())


@pytest.mark.parametrize("key", ["\ud800", "a\0b\n", "k" * 5000, "", "日本", "alert-x:y"])
def test_a_matter_may_be_called_anything(tmp_path: Path, key: str) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail"], told.wake)
            for _ in range(2):
                await alerts.tell("alert.unrouted", key, f"about {key}")
            await alerts.over("alert.unrouted", key, "over")
            assert len(told.texts()) == 2
            claims = (await store.deliveries.claim("mail", limit=9, lease=LEASE)).claims
            assert [claim.delivery.event.source for claim in claims] == ["eventferry"] * 2

    asyncio.run(scenario())


def test_the_log_has_all_of_what_to_do_about_it(tmp_path: Path) -> None:
    trouble = "sales stopped: " + "Discord says a lot. " * 10 + "12 deliveries wait, nothing is lost."
    advice = f"Put a new URL into /etc/{'long/' * 20}sales, then: sudo systemctl restart eventferry"

    async def scenario() -> None:
        async with opened(tmp_path, Ticking()) as store:
            alerts = Alerts(store, [], Told(tmp_path).wake)
            await alerts.tell("alert.sink", "sales", f"{trouble} {advice}")
            await alerts.tell("alert.sink", "mail", "mail stopped. See: eventferry status")

    stream = io.StringIO()
    log.configure("warning", "json", stream)
    try:
        asyncio.run(scenario())
    finally:
        log.shutdown()
    long, short = map(json.loads, stream.getvalue().splitlines())
    assert (long["text"], long["advice"]) == (trouble, advice)
    assert short["text"] == "mail stopped. See: eventferry status"
    assert "advice" not in short


def test_an_alert_that_could_not_be_stored_counts_as_untold(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, told = Ticking(), Told(tmp_path)
        async with opened(tmp_path, clock) as store:
            alerts = Alerts(store, ["mail"], told.wake)
            await add(store, planned(1, "sales"), planned(2, "sales"))

            async def tell() -> None:
                await alerts.tell("alert.source", "shop", "refused", turn="refused")

            async def over() -> None:
                await alerts.over("alert.source", "shop", "answers again")

            async def dead() -> None:
                assert await alerts.dead_letters("sales", lambda dead: f"{dead.rejected} rejected")

            await send(store, "sales", Rejected("HTTP 400"))
            for say, text in ((tell, "refused"), (over, "answers again"), (dead, "2 rejected")):
                await forbid(store, "deliveries")
                with pytest.raises(IntegrityError, match="no room"):
                    await say()
                assert text not in told.texts()
                await allow(store)
                for _ in range(2):
                    await say()
                    clock.advance(hours=2)
                    assert told.texts().count(text) == 1
            assert told.carried_by()[2:] == ["mail"] * 3

    asyncio.run(scenario())


async def forbid(store: Store, table: str) -> None:
    """Let whatever would add to a table fail and be undone, as the end of the process would undo it."""
    trigger = f"CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END"
    await store.database.write(lambda connection, now: connection.exec_driver_sql(trigger))


async def allow(store: Store) -> None:
    await store.database.write(lambda connection, now: connection.exec_driver_sql("DROP TRIGGER broken"))
