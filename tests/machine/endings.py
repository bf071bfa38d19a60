"""Whether a delivery ended for a reason that the rim knows of (I4, I8)."""

from collections.abc import Sequence

from tests.machine.process import WAITS
from tests.machine.rim import Call
from tests.machine.snapshot import Owed

DEATHS = 3


def deserved(owed: Owed, calls: Sequence[Call], *, deaths: int, pruning: bool) -> bool:
    """Hold how it ended against the calls of its sink; `deaths`: so many processes died while its event was sent."""
    of_this = [call for call in calls if call.delivery.replays == owed.replays]
    last = of_this[-1] if of_this else None
    reason, ended = owed.reason or "", owed.outcomes[-1:]
    match owed.state:
        case "delivered":
            return last is not None and last.accepted and ended == ("delivered",)
        case "rejected":
            return last is not None and last.answer == "reject" and ended == ("rejected",)
        case "gave_up" if "died" in reason:
            return deaths >= DEATHS
        case "gave_up" if "was the last" in reason:
            return len(owed.outcomes) > len(WAITS)
        case "gave_up" if "waited longer" in reason:
            return pruning
    return False
