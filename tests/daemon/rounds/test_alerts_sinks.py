"""What the operator hears of a sink in trouble: in one sentence, in time, not twice, and by whom."""

import asyncio
import json
import re
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.app.operator import Operator
from daemon.contract import Closed, Delivery, Rejected, Report, TryLater
from daemon.redaction import remember
from tests.daemon.rounds.lanes import Answer, Lanes, Scripted, accept, always, running, until
from tests.daemon.rounds.world import Hand, arrive, look, opened
from tests.ledger import send

GONE = always(Closed("Discord says this webhook was deleted", probe=False))
DOWN = always(TryLater("HTTP 503"))
STEP = ". Put a new URL into /etc/eventferry/secrets/hook, then: sudo systemctl restart eventferry"
WAITS = "It is tried again by itself. See: eventferry status"


def told(folder: Path, kind: str = "%") -> list[str]:
    rows = look(folder, "SELECT data FROM events WHERE source = 'eventferry' AND kind LIKE ? ORDER BY id", kind)
    return [json.loads(data)["text"] for (data,) in rows]


def carried_by(folder: Path) -> list[str]:
    query = "SELECT sink FROM deliveries JOIN events ON events.id = event_id WHERE source = 'eventferry'"
    return sorted(row[0] for row in look(folder, query))


class Shop:
    """A sink `hook` that does as it is told, and `mail`, which hears of it; each start is a restart."""

    def __init__(self, folder: Path, answer: Answer = accept) -> None:
        self.folder = folder
        self.clock = Hand()
        self.hook = Scripted(answer, concurrency=2, waits=[timedelta(hours=1)] * 100)
        self.mail = Scripted()

    def open(self, *alert_sinks: str, **more: Scripted) -> AbstractAsyncContextManager[Lanes]:
        sinks: dict[str, Any] = {"hook": self.hook, "mail": self.mail, **more}
        return running(self.folder, self.clock, alert_sinks=alert_sinks or ("hook", "mail"), **sinks)

    def told(self) -> list[str]:
        return told(self.folder)


def test_a_stop_is_told_at_once_with_what_waits_and_what_to_do_and_its_end_when_something_arrived(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        async with shop.open() as lanes:
            await lanes.arrive(12, "hook")
            await until(lambda: len(shop.mail.got) == 1)
            text = "hook stopped: Discord says this webhook was deleted. 12 deliveries wait, nothing is lost"
            assert shop.told() == [text + STEP]
        shop.hook.answer = accept
        async with shop.open() as lanes:
            await lanes.hour(shop.clock)
            assert len(shop.told()) == 1
            await Operator(lanes.store, lanes.of).resume_sink({"name": "hook"})
            await until(lambda: len(shop.mail.got) == 2)
            await lanes.pass_time(shop.clock)
            assert shop.told()[1].startswith("hook works again.")
            await lanes.arrive(3, "hook", first=50)
            await lanes.hour(shop.clock, minutes=300)
            assert len(shop.told()) == 2
        assert carried_by(tmp_path) == ["mail", "mail"]

    asyncio.run(scenario())


def test_resuming_alone_is_no_proof_that_a_sink_works(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        async with shop.open() as lanes:
            await lanes.arrive(2, "hook")
            await until(lambda: shop.told())
            for _ in range(3):
                await Operator(lanes.store, lanes.of).resume_sink({"name": "hook"})
                await lanes.pass_time(shop.clock, minutes=5)
            assert lanes.health("hook") == "stopped"
            assert len(shop.told()) == 1

    asyncio.run(scenario())


def test_a_sink_that_was_mended_in_vain_is_told_of_again_though_not_within_the_hour(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        async with shop.open() as lanes:
            await lanes.arrive(2, "hook")
            await until(lambda: shop.told())
            await lanes.hour(shop.clock, minutes=30)
            shop.hook.answer = always(Closed("Discord refuses the token", probe=False))
            await Operator(lanes.store, lanes.of).resume_sink({"name": "hook"})
            await lanes.hour(shop.clock, minutes=20)
            assert len(shop.told()) == 1
            await lanes.hour(shop.clock, minutes=180)
            assert [text.split(". ")[0] for text in shop.told()[1:]] == ["hook stopped: Discord refuses the token"]

    asyncio.run(scenario())


def test_failing_is_told_after_ten_minutes_and_not_at_all_if_it_is_over_by_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, DOWN)
        async with shop.open() as lanes:
            await lanes.arrive(9, "hook")
            await until(lambda: lanes.health("hook") == "failing")
            for _ in range(9):
                await lanes.pass_time(shop.clock, minutes=1)
                await lanes.troubles()
            assert shop.told() == []
        async with shop.open() as lanes:  # a restart does not begin the ten minutes anew
            await lanes.pass_time(shop.clock, minutes=1)
            await lanes.troubles()
            text = "hook has been failing for 10 minutes: HTTP 503. 9 deliveries wait, nothing is lost. " + WAITS
            assert shop.told() == [text]
            shop.hook.answer = accept
            await lanes.hour(shop.clock)
            assert re.fullmatch(r"hook works again. \d deliveries wait, to go out now.", *shop.told()[1:])
            shop.hook.answer = DOWN
            await lanes.hour(shop.clock)
            await lanes.arrive(9, "hook", first=100)
            await lanes.pass_time(shop.clock, minutes=5)
            assert lanes.health("hook") == "failing"
            shop.hook.answer = accept
            await lanes.hour(shop.clock, minutes=300)
            assert len(shop.told()) == 2

    asyncio.run(scenario())


def test_while_it_lasts_there_is_a_reminder_each_day_over_restarts(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        async with shop.open() as lanes:
            await lanes.arrive(1, "hook")
            await until(lambda: shop.told())
        for _ in range(49):
            async with shop.open() as lanes:
                shop.clock.advance(hours=1)
                await lanes.troubles()
        assert [text.split(":")[0] for text in shop.told()] == [
            "hook stopped", "hook stopped 24 hours ago", "hook stopped 2 days ago",
        ]  # fmt: skip
        assert all("1 delivery waits, nothing is lost" in text for text in shop.told())

    asyncio.run(scenario())


def test_a_sink_that_comes_and_goes_is_told_of_once_an_hour(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path)
        async with shop.open() as lanes:
            operator = Operator(lanes.store, lanes.of)
            for number in range(30):
                shop.hook.answer = GONE if number % 2 == 0 else accept
                await lanes.arrive(2, "hook", first=10 * number + 1)
                await lanes.hour(shop.clock, minutes=10)
                if lanes.health("hook") == "stopped":
                    await operator.resume_sink({"name": "hook"})
            trouble = told(tmp_path, "alert.sink")
            stops = [text for text in trouble if "stopped" in text]
            assert 4 <= len(stops) <= 5
            assert len(trouble) - len(stops) <= len(stops)

    asyncio.run(scenario())


def test_when_failing_turns_into_a_stop_that_is_told_too_though_not_within_the_hour(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, DOWN)
        async with shop.open() as lanes:
            await lanes.arrive(9, "hook")
            await until(lambda: lanes.health("hook") == "failing")
            await lanes.hour(shop.clock, minutes=20)
            assert len(shop.told()) == 1
            shop.hook.answer = GONE
            await lanes.hour(shop.clock, minutes=20)
            assert lanes.health("hook") == "stopped"
            assert len(shop.told()) == 1
        async with shop.open() as lanes:
            await lanes.hour(shop.clock, minutes=50)
            assert [text.split(":")[0] for text in shop.told()] == [
                "hook has been failing for 10 minutes",
                "hook stopped",
            ]

    asyncio.run(scenario())


def test_what_a_person_stopped_is_told_with_the_command_that_lets_it_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path)
        async with shop.open() as lanes:
            await lanes.arrive(1, "hook")
            await Operator(lanes.store, lanes.of).stop_sink({"name": "hook"})
            await lanes.hour(shop.clock)
            (text,) = shop.told()
            assert text.startswith("hook was stopped by the operator")
            assert text.endswith("Let it go on: eventferry sinks resume hook")

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_a_day_silences_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        async with shop.open() as lanes:
            await lanes.arrive(1, "hook")
            await until(lambda: shop.told())
        shop.clock.advance(days=-400)
        async with shop.open() as lanes:
            await lanes.hour(shop.clock)
            assert len(shop.told()) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("second_works", [True, False])
def test_a_sink_that_is_itself_in_trouble_carries_only_what_nobody_else_can(tmp_path: Path, second_works: bool) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, GONE)
        shop.mail = Scripted(GONE)
        chat = Scripted(accept if second_works else GONE)
        async with shop.open("mail", "chat", chat=chat) as lanes:
            await lanes.arrive(1, "mail", "chat")
            await until(lambda: lanes.health("mail") == "stopped")
            await lanes.pass_time(shop.clock)
            before = carried_by(tmp_path)
            await lanes.arrive(1, "hook", first=9)
            await until(lambda: lanes.health("hook") == "stopped")
            await lanes.pass_time(shop.clock)
            now = carried_by(tmp_path)
            for name in before:
                now.remove(name)
            assert now == (["chat"] if second_works else ["chat", "mail"])

    asyncio.run(scenario())


def test_dead_letters_are_told_in_one_message_an_hour_that_counts_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, always(Rejected("HTTP 400: embeds[0].title is too long.")))
        async with shop.open() as lanes:
            for number in range(7):
                await lanes.arrive(3 if number else 1, "hook", first=10 * number + 1)
                await lanes.pass_time(shop.clock, minutes=8)
                await lanes.troubles()
            # All are on record before the hour is over, in however many groups their verdicts were written.
            await lanes.hour(shop.clock, minutes=20)
            assert [text.split(",")[0].split(" rejected")[0] for text in shop.told()] == [
                "hook: a delivery was", "hook: 18 deliveries were",
            ]  # fmt: skip
        shop.hook.answer = accept
        async with shop.open() as lanes:
            await lanes.hour(shop.clock, minutes=300)
            assert len(shop.told()) == 2
        assert shop.told()[1] == (
            "hook: 18 deliveries were rejected, the last because: HTTP 400: embeds[0].title is too long. They are "
            "kept. See: eventferry events --dead --sink hook"
        )
        assert carried_by(tmp_path) == ["mail", "mail"]

    asyncio.run(scenario())


def test_dead_letters_that_were_held_back_are_told_by_the_next_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, always(Rejected("HTTP 400")))
        async with shop.open() as lanes:
            await lanes.arrive(1, "hook")
            await until(lambda: len(shop.told()) == 1)
            await lanes.arrive(4, "hook", first=5)
            await lanes.pass_time(shop.clock, minutes=1)
        shop.clock.advance(hours=1)
        async with shop.open() as lanes:
            await lanes.troubles()
            assert shop.told()[1].startswith("hook: 4 deliveries were rejected")

    asyncio.run(scenario())


def test_a_dead_letter_that_a_process_had_no_time_to_tell_is_told_however_late_the_next_one_starts(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, accept)
        async with opened(tmp_path, shop.clock, ["hook"]) as store:
            await arrive(store, 2, "hook")
            await send(store, "hook", Rejected("HTTP 400"))
        shop.clock.advance(days=3)
        async with shop.open() as lanes:
            await lanes.troubles()
        assert [text.split(" were")[0] for text in shop.told()] == ["hook: 2 deliveries"]

    asyncio.run(scenario())


def test_the_dead_letter_of_an_alert_makes_no_alert(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path, always(Rejected("HTTP 400")))
        shop.mail = Scripted(always(Rejected("550 no")))
        async with shop.open("mail", "hook") as lanes:
            await lanes.arrive(1, "hook")
            await lanes.hour(shop.clock, minutes=600)
            assert len(shop.told()) == 1
            assert len(shop.mail.got) == 1

    asyncio.run(scenario())


async def _given_up(lanes: Lanes) -> None:
    await lanes.store.pruning.give_up_waiting("hook", after=timedelta(hours=1), limit=100)
    await lanes.of["hook"].news.died()


def test_what_was_given_up_and_what_was_rejected_are_counted_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        shop = Shop(tmp_path)

        async def some(delivery: Delivery) -> Report:
            good = delivery.event.external_id == "1"
            return Report(Rejected("HTTP 422") if good else TryLater("HTTP 500"))

        shop.hook.answer = some
        async with shop.open() as lanes:
            await lanes.arrive(1, "hook")
            await until(lambda: len(shop.told()) == 1)
            await lanes.arrive(3, "hook", first=2)
            await lanes.pass_time(shop.clock, minutes=70)
            await _given_up(lanes)
            assert shop.told()[1].startswith(
                "hook: 3 deliveries were given up, the last because: waited longer than 1h"
            )

    asyncio.run(scenario())


def test_whatever_a_sink_says_of_its_end_no_secret_is_told_and_what_to_do_still_is(tmp_path: Path) -> None:
    remember("tok3n-of-the-receiver")

    async def scenario() -> None:
        shop = Shop(tmp_path, always(Closed("no tok3n-of-the-receiver " + "x" * 10_000, probe=False)))
        async with shop.open() as lanes:
            await arrive(lanes.store, 1, "hook")
            lanes.wake()
            await until(lambda: bool(shop.told()))
        (text,) = shop.told()
        assert text.startswith("hook stopped: no *** xxx")
        assert len(text) < 800

    asyncio.run(scenario())
