"""One call of a sink: whatever the sink does becomes one report for each delivery, and a verdict."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from daemon import log
from daemon.contract import Closed, Delivered, Outcome, Rejected, Report, Sink, TryLater
from daemon.store import Claim

OUTCOME_NAMES: dict[type, str] = {
    Delivered: "delivered",
    TryLater: "try_later",
    Rejected: "rejected",
    Closed: "closed",
}
STOPPED = TryLater("the daemon was stopped while this was under way; the receiver may have it", throttled=True)

_log = log.get(__name__)


async def ask(
    name: str, sink: Sink, claims: Sequence[Claim], *, deadline: timedelta, stopping: Callable[[], bool]
) -> Sequence[Report]:
    """Hand the deliveries to the sink, for at most `deadline`; cut off by a stop, all report `STOPPED`."""
    seconds = deadline.total_seconds()
    outcome: Outcome
    try:
        async with asyncio.timeout(seconds):
            reports = await sink.deliver_batch([claim.delivery for claim in claims])
        if [type(report) for report in reports] == [Report] * len(claims):
            return reports
        outcome = TryLater("the sink did not answer with one report for each delivery it was given")
    except TimeoutError:
        outcome = TryLater(f"no answer within {seconds:g} s; the receiver may have it")
    except asyncio.CancelledError:
        # Without a stop it is the sink's own doing, and must not be tried again without end.
        outcome = STOPPED if stopping() else TryLater("the sink itself failed (CancelledError)")
    except Exception as error:  # noqa: BLE001 - a sink that breaks its promise must not take the lane with it
        _log.error("sink.raised", sink=name, exc_info=error)
        outcome = TryLater(f"the sink itself failed ({type(error).__name__})")
    return [Report(outcome)] * len(claims)
