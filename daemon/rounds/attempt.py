"""One call of a sink: whatever the sink does becomes one report for each delivery, and a verdict."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from daemon import log
from daemon.contract import Cause, Closed, Delivered, Outcome, Rejected, Report, Sink, Summary, TryLater, summary_id
from daemon.lane import Lane, after
from daemon.redaction import redact
from daemon.retry import Verdict, judge
from daemon.store import Attempted, Claim
from daemon.store.verdicts import REASON_KEPT

OUTCOME_NAMES: dict[type, str] = {
    Delivered: "delivered",
    TryLater: "try_later",
    Rejected: "rejected",
    Closed: "closed",
}
STOPPED = TryLater("the daemon was stopped while this was under way; the receiver may have it", throttled=True)

_log = log.get(__name__)


async def ask(
    name: str,
    sink: Sink,
    claims: Sequence[Claim],
    cause: Cause | None,
    *,
    deadline: timedelta,
    stopping: Callable[[], bool],
) -> Sequence[Report]:
    """Hand the deliveries to the sink, for at most `deadline`; cut off by a stop, all report `STOPPED`.

    With a `cause` they are told as one message, for which there is one report.
    """
    seconds = deadline.total_seconds()
    wanted = 1 if cause else len(claims)
    outcome: Outcome
    try:
        async with asyncio.timeout(seconds):
            if cause is None:
                reports = [*await sink.deliver_batch([claim.delivery for claim in claims])]
            else:
                reports = [await sink.deliver_summary(_summary_of(claims, cause))]
        if [type(report) for report in reports] != [Report] * wanted:
            outcome = TryLater("the sink did not answer with one report for each delivery it was given")
        elif not all(map(_makes_sense, reports)):
            outcome = TryLater("the sink reported what makes no sense")
        else:
            return reports
    except TimeoutError:
        outcome = TryLater(f"no answer within {seconds:g} s; the receiver may have it")
    except asyncio.CancelledError:
        # Without a stop it is the sink's own doing, and must not be tried again without end.
        outcome = STOPPED if stopping() else TryLater("the sink itself failed (CancelledError)")
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a sink that breaks its promise must not take the lane with it
        _log.error("sink.raised", sink=name, exc_info=error)
        outcome = TryLater(f"the sink itself failed ({type(error).__name__})")
    return [Report(outcome)] * wanted


def _makes_sense(report: Report) -> bool:
    """Whether each part is what it is said to be: other people write sinks too, and types are not checked for them."""
    outcome, progress = report.outcome, report.progress
    if type(outcome) not in OUTCOME_NAMES:
        return False
    words = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    wait = outcome.wait if isinstance(outcome, TryLater) else None
    parts = ((words, str), (report.body, bytes), (report.answer, str), (report.holds, Mapping))
    if not all(isinstance(part, wanted) for part, wanted in parts):
        return False
    if not all(isinstance(each, timedelta) for each in (*report.holds.values(), wait or timedelta())):
        return False
    try:
        return progress is None or bool(json.dumps(dict(progress)))
    except (TypeError, ValueError, RecursionError):
        return False


def _summary_of(claims: Sequence[Claim], cause: Cause) -> Summary:
    """What is told as one message."""
    deliveries = [claim.delivery for claim in claims]
    return Summary(summary_id(deliveries), cause, deliveries, deliveries[0].progress)


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what follows from reports for the deliveries and for the lane."""

    waits: Sequence[timedelta]
    now: datetime
    spread: Callable[[], float]
    probe: bool
    """It does not use up the delivery's own attempts."""

    def of_each(
        self, claims: Sequence[Claim], reports: Sequence[Report], lane: Lane, duration: timedelta
    ) -> tuple[list[Attempted], Lane]:
        """Each delivery has a report of its own."""
        attempted: list[Attempted] = []
        for claim, report in zip(claims, reports, strict=True):
            verdict, next_lane = self._verdict(report, lane, failures=claim.failures, row_id=claim.row_id)
            # Those that travelled in one message have one answer, which says no more about the sink than once.
            if not attempted or report.outcome is not attempted[-1].report.outcome:
                lane = next_lane
            attempted.append(Attempted(claim, report, OUTCOME_NAMES[type(report.outcome)], verdict, duration))
        return attempted, lane

    def of_summary(
        self, claims: Sequence[Claim], report: Report, lane: Lane, duration: timedelta
    ) -> tuple[list[Attempted], Lane]:
        """One message, one verdict: all are settled together, or wait for the same moment.

        What was sent is kept with the first of them only.
        """
        failures = min(claim.failures for claim in claims)
        verdict, lane = self._verdict(report, lane, failures=failures, row_id=claims[0].row_id)
        if len(claims) > 1:
            name = summary_id([claim.delivery for claim in claims])
            verdict = replace(verdict, reason=f"{verdict.reason} (one message for {len(claims)}: {name})".strip())
        reports = [report, *[replace(report, body=b"")] * (len(claims) - 1)]
        outcome = OUTCOME_NAMES[type(report.outcome)]
        return [Attempted(*each, outcome, verdict, duration) for each in zip(claims, reports, strict=True)], lane

    def _verdict(self, report: Report, lane: Lane, *, failures: int, row_id: int) -> tuple[Verdict, Lane]:
        outcome, spread = report.outcome, self.spread()
        verdict = judge(
            outcome, failures=failures, waits=self.waits, now=self.now, spread=spread, counts=not self.probe
        )
        if outcome is STOPPED:
            return replace(verdict, due_at=self.now), lane
        turned = after(lane, outcome, delivery=row_id, probe=self.probe, now=self.now, spread=spread)
        if turned.reason == lane.reason:
            return verdict, turned
        # It is told to people, together with what they are to do; a sink of somebody else's may quote anything.
        return verdict, replace(turned, reason=redact(turned.reason)[:REASON_KEPT])
