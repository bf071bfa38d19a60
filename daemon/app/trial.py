"""`eventferry test`: one made-up event through the ledger, the lane and the sink, as a real one would go."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from daemon.app.build import build_sinks
from daemon.app.samples import RESOURCE
from daemon.clock import wall_now
from daemon.contract import OWN_SOURCE, Delivery, Event, delivery_id
from daemon.control import CommandRefused
from daemon.lane import OUT_OF_ORDER
from daemon.quantities import span
from daemon.rounds.deliver import Deliver
from daemon.routing import parse_rule
from daemon.settings import Loaded
from daemon.store import Store

PATIENCE_SECONDS = 45.0
"""Whoever asks through the control socket waits for a minute."""
LONGEST_TURN = timedelta(seconds=10)
"""So long the sink's rate limit is waited for."""
LONGEST_TRIGGER = 190

_PERSON = {"user_id": "0", "username": "Marlowe", "user_url": "https://builtbybit.com/members/0/"}
_SAMPLES: Mapping[str, Mapping[str, str]] = {
    "purchase": _PERSON | RESOURCE | {
        "addon_id": "0", "addon_title": "", "bundle_id": "0", "bundle_title": "", "renewal": "none",
        "list_price": "12.99", "final_price": "9.99", "purchase_date": "1767225600",
    },
    "review": _PERSON | RESOURCE | {"rating": "5", "review": "Works well, and help came within the hour."},
    "update": RESOURCE | {"version": "2.1.0", "update_title": "v2.1.0", "update": "Adds a menu. Fixes a crash."},
    "publish": RESOURCE | {"category": "Plugins", "list_price": "12.99"},
}  # fmt: skip


def sample(trigger: str, changes: Mapping[str, str]) -> dict[str, str]:
    """Placeholders by BuiltByBit's names, with a person's changes; a trigger that is not known has a resource."""
    return {**_SAMPLES.get(trigger.casefold(), _PERSON | RESOURCE), **changes}


def shows_test(loaded: Loaded, sink: str, trigger: str, data: Mapping[str, str]) -> bool:
    """Whether anything in what the sink sends tells a test from the real thing."""
    alone = replace(loaded.settings, sinks={sink: loaded.settings.sinks[sink]})
    built = build_sinks(replace(loaded, settings=alone))[sink].sink
    moment = wall_now()
    shown = []
    for source, kind in ((OWN_SOURCE, f"test.{trigger}"), ("builtbybit", trigger)):
        event = Event(source, "1", None, kind, moment, data)
        shown.append(built.render(Delivery(delivery_id("builtbybit", "1", sink), event, attempt=1)).casefold())
    return shown[0].count("test") > shown[1].count("test")


def unwanted(loaded: Loaded, sink: str, trigger: str, data: Mapping[str, str]) -> str:
    """Why a real event like this would not go to the sink; empty if it would."""
    settings = loaded.settings.sinks[sink]
    decision = parse_rule(settings.events, settings.where).decide(
        Event("builtbybit", "1", None, trigger, wall_now(), data)
    )
    return "" if decision.wanted else decision.explanation


async def try_out(store: Store, lane: Deliver, trigger: str, data: Mapping[str, str]) -> dict[str, Any]:
    """Send a test and wait for what comes of it. Raises CommandRefused if nothing may be sent now.

    A sink that is failing or stopped is tried all the same: a person asks for it.
    """
    before = lane.lane
    if lane.paused:
        raise CommandRefused("everything is paused; go on with: eventferry resume")
    if store.database.disk_full:
        raise CommandRefused("the disk is full; make room, then try again")
    await _turn(store, lane)
    moment = store.database.clock()
    external_id = f"test-{moment:%Y%m%dT%H%M%S%f}"
    await store.events.add_own(f"test.{trigger}", external_id, data, [])
    trial = asyncio.create_task(_sent(store, lane, external_id))
    done, _ = await asyncio.wait([trial], timeout=PATIENCE_SECONDS)
    if done:
        found = trial.result()
    else:
        trial.add_done_callback(lambda task: task.cancelled() or task.exception())
        found = {"outcome": "unknown", "reason": f"no answer within {PATIENCE_SECONDS:g} s", "answer": ""}
    return {
        "sink": lane.name,
        "id": delivery_id(OWN_SOURCE, external_id, lane.name),
        **found,
        "before": {"health": before.health, "reason": before.reason},
        "health": lane.lane.health,
    }


async def _turn(store: Store, lane: Deliver) -> None:
    """Wait for what the sink's receiver asked for, within reason."""
    own_hold = lane.lane.held_until if lane.lane.health in ("ok", "slowed") else None
    now = store.database.clock()
    wait = max((until - now for until in (own_hold, lane.turn.held()) if until is not None), default=timedelta())
    if wait > LONGEST_TURN:
        text = f"{lane.name} takes no messages now, its receiver asked for fewer; try again in {span(wait)}"
        raise CommandRefused(text)
    await asyncio.sleep(max(0.0, wait.total_seconds()))


async def _sent(store: Store, lane: Deliver, external_id: str) -> dict[str, Any]:
    claimed = await store.trials.claim(external_id, lane.name, lease=lane.lease)
    if lane.lane.health in OUT_OF_ORDER:
        # An answer during a hold counts as belated; this one is asked for now, and is to tell whether the sink works.
        lane.lane = replace(lane.lane, held_until=None)
    await lane.send_apart(claimed.claims)
    return await store.trials.conclude(claimed.claims[0].row_id)
