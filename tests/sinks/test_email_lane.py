"""A mail server's quota as the daemon lives through it: the sink pauses, over a restart too, and nothing is used up."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from daemon.contract import Delivery, Report
from daemon.simulator import MailBehaviour, Simulator
from sinks.email import EmailSink
from tests.daemon.rounds.lanes import STATES, Scripted, running, until
from tests.daemon.rounds.world import Hand, look
from tests.mailers import mailer_of

QUOTA = "550 5.4.5 Daily user sending limit exceeded"


class Mailing(Scripted):
    """A lane's sink that mails."""

    def __init__(self, mailer: EmailSink) -> None:
        super().__init__(mailer.deliver, concurrency=mailer.concurrency, batch_limit=mailer.batch_limit)
        self._mailer = mailer

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        self.batches.append([delivery.event.external_id for delivery in deliveries])
        return await self._mailer.deliver_batch(deliveries)


def test_a_quota_pauses_the_sink_for_an_hour_over_a_restart_and_uses_nothing_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Hand()
        async with Simulator.start() as sim:
            sim.mail.behaviour = MailBehaviour(data=("", "", QUOTA))
            sink = Mailing(mailer_of(host=sim.smtp_host, port=sim.smtp_port))
            async with running(tmp_path, clock, mail=sink) as lanes:
                await lanes.arrive(30, "mail")
                await until(lambda: lanes.settled == 2)
                await lanes.of["mail"].drained()
                assert lanes.of["mail"].lane.health == "slowed"
                assert len(sim.mail.received) == 3
                await lanes.pass_time(clock, minutes=58)
            again = Mailing(mailer_of(host=sim.smtp_host, port=sim.smtp_port))
            async with running(tmp_path, clock, mail=again) as lanes:
                await lanes.pass_time(clock, seconds=1)
                assert again.batches == []
                assert len(sim.mail.received) == 3
                assert look(tmp_path, STATES) == [("delivered", 2), ("waiting", 28)]
                assert look(tmp_path, "SELECT max(failures) FROM deliveries") == [(0,)]
                for _ in range(5):
                    await lanes.pass_time(clock, minutes=7)
                assert look(tmp_path, STATES) == [("delivered", 30)]
                assert lanes.of["mail"].lane.health == "ok"
            accepted = [mail.id for mail in sim.mail.received if mail.accepted]
            assert len(accepted) == len(set(accepted)) == 30

    asyncio.run(scenario())
