"""Anything in any order: after each step the promises hold, and in the end everything comes to its end."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.world import World


def test_whatever_happens_in_whatever_order_the_promises_hold_and_everything_comes_to_its_end() -> None:
    """I1 to I9, I11, I19; F9, F46 and F56 in part. The long form: `python -m tests.machine`."""
    run_state_machine_as_test(Machine, settings=settings(max_examples=15, stateful_step_count=30))


@pytest.fixture
def world() -> Iterator[World]:
    """One event delivered to three sinks and completed; one that is listed and not yet seen."""
    world = World()
    world.upstream.list_("1", ("purchase", 1))
    world.sweep()
    world.sweep()
    world.upstream.list_("2", ("purchase", 2))
    world.model.check()
    yield world
    world.close()


def sql(statement: str) -> Callable[[World], None]:
    def meddle(world: World) -> None:
        with closing(sqlite3.connect(world.folder / "eventferry.db")) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(statement)
            connection.commit()

    return meddle


def ask_too_early(world: World) -> None:
    world.upstream.strikes["read"] = [30.0]
    world.upstream.request("read")
    world.upstream.request("read")


FAULTS: dict[str, tuple[str, Callable[[World], None]]] = {
    "completed unseen": ("I2: 2 is completed and was never stored\nI1: neither", lambda world: complete(world, "2")),
    "gone": ("I1: neither pending nor on disk", lambda world: world.upstream.pending.clear()),
    "lost with its tombstone": ("I4: .* vanished", sql("DELETE FROM events")),
    "a delivery lost": ("I4: the delivery of .* to two vanished", sql("DELETE FROM deliveries WHERE sink = 'two'")),
    "sent again unasked": ("I4: .* was .*, is ", sql("UPDATE deliveries SET state = 'waiting', due_at = '2027-01-01'")),
    "given up for nothing": ("I4: .* was .*, is ", sql("UPDATE deliveries SET state = 'gave_up'")),
    "overwritten": ("I9: .* was overwritten", sql("UPDATE events SET data = '{\"n\":9}'")),
    "asked too early": ("I11: a read 30 s before it may", ask_too_early),
}


def complete(world: World, external_id: str) -> None:
    world.upstream.complete([external_id])


@pytest.mark.parametrize("name", FAULTS)
def test_the_model_finds_fault(world: World, name: str) -> None:
    expected, meddle = FAULTS[name]
    meddle(world)
    with pytest.raises(AssertionError, match=expected):
        world.model.check()
