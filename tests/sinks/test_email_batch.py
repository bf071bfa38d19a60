"""Many mails over one connection: each with its own verdict, and none sent twice for the sake of another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from daemon.contract import Closed, Delivered, Delivery, Outcome, Rejected, Report, Summary, TryLater, summary_id
from daemon.simulator import MailBehaviour, Simulator
from sinks.email import EmailSink
from tests.daemon.rounds.lanes import until
from tests.events import delivery, event
from tests.mailers import ANN, mailer_of
from tests.receivers import mailbox

BEN = "ben@y.example"
QUOTA = "550 5.4.5 Daily user sending limit exceeded"


def with_simulator(use: Callable[[EmailSink, Simulator], Awaitable[Any]], **values: Any) -> Any:
    async def run() -> Any:
        async with Simulator.start() as sim:
            return await use(mailer_of(host=sim.smtp_host, port=sim.smtp_port, **values), sim)

    return asyncio.run(run())


def batch(number: int) -> list[Delivery]:
    return [delivery(event({"resource_title": f"Title{each}"}), number=each) for each in range(number)]


def numbers(sim: Simulator) -> list[int]:
    """Which deliveries the server has accepted, in order."""
    return [int(mail.id.split("-")[1]) for mail in sim.mail.received if mail.accepted]


def send(number: int, behaviour: MailBehaviour, **values: Any) -> tuple[Sequence[Report], list[int], int]:
    """Reports on a batch of so many, what the server accepted, and how often it was connected to."""

    async def use(mailer: EmailSink, sim: Simulator) -> tuple[Sequence[Report], list[int], int]:
        sim.mail.behaviour = behaviour
        reports = await mailer.deliver_batch(batch(number))
        return reports, numbers(sim), sim.mail.connections

    result: tuple[Sequence[Report], list[int], int] = with_simulator(use, **values)
    return result


def kinds(reports: Sequence[Report]) -> list[type[Outcome]]:
    return [type(report.outcome) for report in reports]


def test_a_batch_travels_over_one_connection_with_one_login() -> None:
    behaviour = MailBehaviour(user="shop@shop.example", password="correct-horse")
    reports, accepted, connections = send(20, behaviour, username="shop@shop.example", password="correct-horse")
    assert kinds(reports) == [Delivered] * 20
    assert accepted == list(range(20))
    assert connections == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("451 4.7.0 greylisted", TryLater("the mail server says: 451 4.7.0 greylisted")),
        ("554 5.6.0 broken content", Rejected("the mail server refuses: 554 5.6.0 broken content")),
    ],
)
def test_a_mail_that_is_refused_holds_up_none_behind_it(reply: str, outcome: Outcome) -> None:
    reports, accepted, connections = send(4, MailBehaviour(data=("", reply)))
    assert [report.outcome for report in reports if not isinstance(report.outcome, Delivered)] == [outcome]
    assert accepted == [0, 2, 3]
    assert connections == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (MailBehaviour(mail=("", "", "421 4.3.2 closing")), "the mail server says: 421 4.3.2 closing"),
        (MailBehaviour(data=("", "", "421 4.3.2 closing")), "the mail server says: 421 4.3.2 closing"),
    ],
)
def test_after_a_doubt_nothing_more_goes_over_that_connection(behaviour: MailBehaviour, reason: str) -> None:
    reports, accepted, connections = send(5, behaviour)
    assert kinds(reports) == [Delivered, Delivered, TryLater, TryLater, TryLater]
    assert accepted == [0, 1]
    assert connections == 1
    assert reports[2].outcome == TryLater(reason)
    assert {report.outcome for report in reports[3:]} == {
        TryLater("not sent yet: the mail server broke off, or took too long", timedelta(seconds=1), throttled=True)
    }
    assert all(report.body == b"" for report in reports[3:])


def test_what_was_accepted_before_the_connection_broke_is_not_sent_again() -> None:
    """I5: the retry repeats the one mail whose reply was lost, with the same Message-ID, and no other."""

    async def use(mailer: EmailSink, sim: Simulator) -> None:
        reports = await mailer.deliver_batch(batch(1))
        sim.mail.behaviour = MailBehaviour(drop="after", times=1)
        reports = [*reports, *await mailer.deliver_batch(batch(4)[1:])]
        assert kinds(reports) == [Delivered, TryLater, TryLater, TryLater]
        again = [one for one, report in zip(batch(4), reports, strict=True) if isinstance(report.outcome, TryLater)]
        assert kinds(await mailer.deliver_batch(again)) == [Delivered] * 3
        assert numbers(sim) == [0, 1, 1, 2, 3]

    with_simulator(use)


def test_a_server_that_ends_a_connection_between_two_mails_is_connected_to_again() -> None:
    """Servers limit the mails of a connection; one that says so in time costs no attempt."""

    async def run() -> None:
        async with mailbox() as box:

            async def closing(server: SMTP, session: Any, envelope: Any) -> str:
                assert server.transport
                asyncio.get_running_loop().call_soon(server.transport.close)
                return "421 4.7.0 too many mails in this connection"

            box.handle_RSET = closing  # type: ignore[attr-defined]
            reports = await mailer_of(port=box.port).deliver_batch(batch(3))
            assert kinds(reports) == [Delivered] * 3
            assert [mail for _, mail in box.mails] == [report.body for report in reports]
            assert len(box.sessions) == 3

    asyncio.run(run())


def test_a_quota_ends_the_batch_and_none_behind_it_is_tried() -> None:
    reports, accepted, connections = send(5, MailBehaviour(data=("", "", QUOTA)))
    assert kinds(reports) == [Delivered, Delivered, TryLater, TryLater, TryLater]
    assert accepted == [0, 1]
    assert connections == 1
    paused = TryLater(f"the mail server takes no more for now: {QUOTA}", timedelta(hours=1), throttled=True)
    assert [report.outcome for report in reports[2:]] == [paused] * 3


def test_a_login_that_is_refused_is_tried_once_for_all_of_them() -> None:
    async def use(mailer: EmailSink, sim: Simulator) -> None:
        sim.mail.behaviour = MailBehaviour(user="shop@shop.example", password="another-password")
        reports = await mailer.deliver_batch(batch(5))
        assert kinds(reports) == [Closed] * 5
        assert sim.mail.connections == 1
        assert sim.mail.received == []

    with_simulator(use, username="shop@shop.example", password="correct-horse")


def test_a_server_that_is_not_there_is_tried_once_for_all_of_them() -> None:
    async def use(_: EmailSink, sim: Simulator) -> None:
        reports = await mailer_of(host="localhost", port=1).deliver_batch(batch(5))
        assert {report.outcome for report in reports} == {TryLater("the mail server refused the connection")}

    with_simulator(use)


def test_a_slow_server_gets_as_many_as_it_takes_in_time_and_the_rest_stay_unsent() -> None:
    reports, accepted, _ = send(12, MailBehaviour(latency=0.3), timeout="4s")
    sent = [report for report in reports if isinstance(report.outcome, Delivered)]
    assert 0 < len(sent) < 12
    assert accepted == list(range(len(sent)))
    assert {report.outcome for report in reports[len(sent) :]} == {
        TryLater("not sent yet: the mail server broke off, or took too long", timedelta(seconds=1), throttled=True)
    }


def test_a_server_that_falls_silent_costs_one_mail_its_attempt() -> None:
    async def use(mailer: EmailSink, sim: Simulator) -> None:
        sim.mail.behaviour = MailBehaviour(hang=True)
        reports = await mailer.deliver_batch(batch(3))
        assert reports[0].outcome == TryLater("no answer from the mail server within 1.5 s")
        assert [getattr(report.outcome, "throttled", None) for report in reports] == [False, True, True]
        assert numbers(sim) == [0]

    with_simulator(use, timeout="1500ms")


def test_a_stop_half_way_reports_what_was_accepted() -> None:
    """I5: what the server has taken is not sent again after the restart."""

    async def use(mailer: EmailSink, sim: Simulator) -> None:
        sim.mail.behaviour = MailBehaviour(latency=0.05)
        task = asyncio.create_task(mailer.deliver_batch(batch(20)))
        await until(lambda: len(sim.mail.received) >= 3)
        task.cancel()
        reports = await task
        assert len(reports) == 20
        reported = [at for at, report in enumerate(reports) if isinstance(report.outcome, Delivered)]
        assert len(reported) >= 2
        assert reported == list(range(len(reported)))
        assert set(numbers(sim)) - set(reported) <= {len(reported)}
        assert all(getattr(report.outcome, "throttled", True) for report in reports)

    with_simulator(use)


def test_recipients_in_a_batch_are_counted_for_each_mail() -> None:
    async def use(mailer: EmailSink, sim: Simulator) -> None:
        sim.mail.behaviour = MailBehaviour(rcpt=("", "450 4.2.1 busy", "", "550 5.1.1 unknown"))
        reports = await mailer.deliver_batch(batch(2))
        assert reports[0].progress == {"done": [ANN], "refused": []}
        assert reports[1].progress == {"done": [ANN], "refused": [BEN]}
        assert kinds(reports) == [TryLater, Delivered]

    with_simulator(use, to=[ANN, BEN])


def summary(**changes: Any) -> Summary:
    deliveries = batch(3)
    return Summary(summary_id(deliveries), "burst", deliveries, **changes)


def test_a_summary_is_one_mail_with_an_id_that_stays_the_same() -> None:
    async def use(mailer: EmailSink, sim: Simulator) -> None:
        for _ in range(2):
            assert isinstance((await mailer.deliver_summary(summary())).outcome, Delivered)
        first, second = sim.mail.received
        assert first.id == second.id == f"<{summary().id}@shop.example>"
        for part in first.message.walk():
            if not part.is_multipart():
                assert all(f"Title{each}" in part.get_content() for each in range(3))

    with_simulator(use)


def test_a_summary_goes_again_only_to_those_who_lack_it() -> None:
    async def use(mailer: EmailSink, sim: Simulator) -> None:
        sim.mail.behaviour = MailBehaviour(rcpt=("", "450 4.2.1 busy"))
        report = await mailer.deliver_summary(summary())
        assert isinstance(report.outcome, TryLater)
        report = await mailer.deliver_summary(summary(progress=report.progress))
        assert isinstance(report.outcome, Delivered)
        assert [mail.recipients for mail in sim.mail.received] == [(ANN,), (BEN,)]

    with_simulator(use, to=[ANN, BEN])
