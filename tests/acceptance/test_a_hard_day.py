"""A day on which everything happens: it ends with every delivery accounted for, and with nobody flooded."""

import asyncio
import json
import re
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from time import monotonic

from daemon.simulator.faults import Behaviour, MailBehaviour

PATIENCE = 120.0
"""Seconds for a step of the day, on a machine that has much else to do."""
RUSH = 800
MOST, WINDOW = 20, 5
"""So many messages at most in so many seconds."""
QUOTA = "550 5.4.5 Daily user sending limit exceeded"
PEOPLE = ("sales", "ledger", "night")
SINKS = (*PEOPLE, "mail", "shop")
_COUNTED = re.compile(r"([\d,]+) (?:events|purchases?)")


class Day:
    """The shop, the daemon, and what its receivers got."""

    def __init__(self, world):
        self.w = world
        self.sold = []

    def configure(self):
        w = self.w
        limit = f'burst = "{MOST}/{WINDOW}s"'
        sinks = w.webhook("shop")
        for name, url, more in (
            ("sales", w.sim.discord_url("sales"), limit),
            ("ledger", "cred:ledger", f'audience = "full"\n{limit}'),
            (
                "night",
                w.sim.discord_url("night"),
                f'audience = "full"\nquiet_hours = "22:00-07:00"\n{limit}',
            ),
        ):
            sinks += f'[sinks.{name}]\ntype = "discord"\nurl = "{url}"\n{more}\n'
        sinks += (
            f'[sinks.mail]\ntype = "email"\nhost = "{w.sim.smtp_host}"\nport = {w.sim.smtp_port}\nsecurity = "none"\n'
            f'from = "shop@example.org"\nto = ["me@example.org"]\naudience = "full"\nburst = "10/{WINDOW}s"\n'
        )
        w.configure(sinks=sinks, daemon='alerts = ["shop", "mail"]')

    def use(self, ledger):
        """Put the URL of a webhook into its file."""
        (self.w.folder / "secrets").mkdir(exist_ok=True)
        (self.w.folder / "secrets" / "ledger").write_text(self.w.sim.discord_url(ledger))

    async def start(self, at):
        """Start the daemon in a place where it is this time of day."""
        now = datetime.now(UTC).replace(tzinfo=None)
        off = (datetime.combine(now, time.fromisoformat(at)) - now + timedelta(hours=12)) % timedelta(hours=24)
        west = timedelta(hours=12) - off  # as POSIX counts: hours west of Greenwich
        zone = f"HERE{'-' if west < timedelta() else ''}{str(abs(west)).partition('.')[0]}"
        before = self.w.log().count("daemon.started")
        await self.w.start(under=("env", f"TZ={zone}"))
        # A command that came sooner would take the database, and keep the daemon out.
        await self.until(lambda: self.w.log().count("daemon.started") > before)

    async def operate(self, *arguments):
        """Run a command beside the daemon."""
        daemon, command = self.w.process, await self.w.start(*arguments)
        self.w.process = daemon
        async with asyncio.timeout(PATIENCE):
            assert await command.wait() == 0

    async def sell(self, number):
        sold = [self.w.sim.upstream.add_sample("purchase") for _ in range(number)]
        self.sold += sold
        await self.until(lambda: len(self.w.sim.inbox.calls) >= len(self.sold) and {*sold} <= {*self.shop()})

    async def until(self, what):
        """Wait for something, looking ten times a second."""
        looked = 0.0

        def look():
            nonlocal looked
            if (now := monotonic()) < looked + 0.1:
                return False
            looked = now
            return what()

        await self.w.until(look, PATIENCE)

    def shop(self):
        """The events that the shop's server accepted."""
        ids = [delivery.split("-") for delivery in self.w.accepted("shop")]
        return [event_id for source, event_id, *_ in ids if source == "builtbybit"]

    def told(self):
        """What the daemon had to say to the shop's server."""
        calls = [call for call in self.w.sim.inbox.received("shop") if not call.id.startswith("builtbybit-")]
        return [call.json()["data"]["text"] for call in calls if call.accepted]

    def waiting(self, sink):
        (row,) = self.w.rows("SELECT count(*) FROM deliveries WHERE sink = ? AND state = 'waiting'", sink)
        return row[0]

    def completed(self):
        """How many events the ledger knows to be completed."""
        ((number,),) = self.w.rows(
            "SELECT count(*) FROM events WHERE source = 'builtbybit' AND acknowledged_at IS NOT NULL"
        )
        return number

    def health(self, sink):
        ((lane,),) = self.w.rows("SELECT lane FROM sinks WHERE name = ?", sink)
        return json.loads(lane)["health"]

    def messages(self, *names):
        """What Discord made messages of."""
        return [call.json() for name in names for call in self.w.sim.inbox.received(name) if call.accepted]

    def mails(self):
        """Subject and Message-ID of what the mail server took, without what the daemon itself had to say."""
        found = [(mail.message["Subject"], mail.id) for mail in self.w.sim.mail.received if mail.accepted]
        return [each for each in found if not each[0].startswith("Eventferry")]


def told_in(messages):
    """Ids of the events that have an embed of their own, and how many were told in summaries."""
    single, counted = [], 0
    for message in messages:
        assert len(message["embeds"]) <= 10
        keys = [embed["footer"]["text"] for embed in message["embeds"] if "footer" in embed]
        if all(key.startswith("builtbybit:") for key in keys):
            single += [key.removeprefix("builtbybit:") for key in keys]
        else:
            counted += count_in(message["embeds"][0]["title"])
    return single, counted


def count_in(title):
    return int(_COUNTED.search(title)[1].replace(",", ""))


def test_a_hard_day_ends_with_every_delivery_accounted_for_and_nobody_flooded(world):
    async def story():
        async with world() as w:
            day = Day(w)
            day.use("ledger")
            day.configure()
            await day.start("19:00")
            await evening(day)
            await rush(day)
            await mending(day)
            await night(day)
            await morning(day)
            assert await w.stop() == 0
            everything_is_accounted_for(day)

    asyncio.run(story())


async def evening(day):
    """Ordinary sales, then somebody deletes a webhook: the sink stops at once, and the others are told."""
    await day.until(lambda: day.w.sim.upstream.calls)  # what waits before the first start may count as late
    await day.sell(5)
    await day.until(lambda: len(told_in(day.messages("ledger"))[0]) == 5)
    day.w.sim.inbox.behave("ledger", Behaviour(deleted=True))
    await day.sell(3)
    await day.until(lambda: day.health("ledger") == "stopped")
    await day.until(lambda: any("ledger" in text for text in day.told()))
    await day.until(lambda: not day.waiting("mail"))


async def rush(day):
    """800 sales, of which the mail server takes none: its quota is used up."""
    day.w.sim.mail.behaviour = MailBehaviour(recipients={"me@example.org": QUOTA})
    began = asyncio.get_running_loop().time()
    await day.sell(RUSH)
    await day.until(lambda: not day.waiting("sales") and not day.waiting("night"))
    took = asyncio.get_running_loop().time() - began
    for name in ("sales", "night"):
        assert len(day.messages(name)) <= 8 + MOST * (2 + took / WINDOW), "flooded"
    assert len([call for call in day.w.sim.inbox.received("ledger") if not call.accepted]) == 1, "never probed"
    assert day.waiting("ledger") == RUSH + 3
    assert day.waiting("mail") == RUSH
    assert 0 < len(day.w.sim.mail.refused) < 20, "a server that takes no more is not asked for each mail"


async def mending(day):
    """At night the webhook has a new URL and mails a new quota: both sinks go on, in few words."""
    assert await day.w.stop() == 0
    day.use("mended")
    day.w.sim.mail.behaviour = MailBehaviour()
    before = len(day.mails())
    await day.start("23:00")
    await day.operate("sinks", "resume", "mail")
    await day.until(lambda: not day.waiting("ledger") and not day.waiting("mail"))
    assert len(day.messages("mended")) <= MOST
    assert len(day.mails()) - before <= MOST


async def night(day):
    """Nobody is woken; what waits survives a power cut."""
    before = len(day.messages("night"))
    await day.sell(4)
    await day.until(lambda: not any(day.waiting(sink) for sink in SINKS if sink != "night"))
    await day.until(lambda: day.completed() == len(day.sold) - 4)  # the rest would have to be completed again
    day.w.kill()
    await day.w.process.wait()
    await day.start("03:00")
    await day.sell(3)
    held = (
        "SELECT count(*), min(due_at) FROM deliveries WHERE sink = 'night' AND state = 'waiting' AND gathered = 'quiet'"
    )
    ((number, due),) = day.w.rows(held)
    until_seven = datetime.fromisoformat(due).replace(tzinfo=UTC) - datetime.now(UTC)
    assert number == 7
    assert timedelta(hours=4) > until_seven > timedelta(hours=3)
    assert len(day.messages("night")) == before


async def morning(day):
    """One message tells of the night."""
    before = len(day.messages("night"))
    assert await day.w.stop() == 0
    await day.start("06:59:40")
    await day.until(lambda: not any(map(day.waiting, SINKS)))
    assert [count_in(message["embeds"][0]["title"]) for message in day.messages("night")[before:]] == [7]
    await day.until(lambda: len(day.w.sim.upstream.completed) == len(day.sold))


def everything_is_accounted_for(day):
    """The ledger's word, then that of each receiver."""
    sold = set(day.sold)
    assert len(sold) == RUSH + 15
    assert day.w.sim.upstream.completed == dict.fromkeys(day.w.sim.upstream.completed, 1)
    assert set(day.w.sim.upstream.completed) == sold
    states = Counter(
        day.w.rows(
            "SELECT d.sink, d.state FROM deliveries d JOIN events e ON e.id = d.event_id WHERE e.source = 'builtbybit'"
        )
    )
    assert states == {(sink, "delivered"): len(sold) for sink in SINKS}
    assert Counter(day.shop()) == Counter(sold)
    for names in (("sales",), ("ledger", "mended"), ("night",)):
        single, counted = told_in(day.messages(*names))
        assert set(single) <= sold
        assert len(set(single)) == len(single), "told twice"
        assert len(single) + counted == len(sold)
    mails = day.mails()
    assert len({each for _, each in mails}) == len(mails)
    in_summaries = [count_in(subject) for subject, each in mails if not each.startswith("<builtbybit-")]
    assert len(mails) - len(in_summaries) + sum(in_summaries) == len(sold)
    assert not any(call.too_early or call.hazards for call in day.w.sim.inbox.calls)
