"""How SQLite finds what the rounds ask for, however much is settled; and that PostgreSQL could be asked the same."""

import ast
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy
from sqlalchemy.dialects import postgresql

from daemon import store as package
from daemon.contract import Delivered, TryLater, Unidentified
from daemon.gathering import Gathering
from daemon.lane import resumed
from daemon.quantities import Rate
from daemon.store import Enrolled, EventFilter, Selection, Store
from daemon.timing import parse_digest, parse_quiet_hours
from tests.ledger import LEASE, NOON, Stores, add, attempted, claim, enroll, planned, record, send, story

MINUTE = timedelta(minutes=1)
SETTLED = 3000

UTC = ZoneInfo("UTC")
BURST = Gathering(None, Rate(2, MINUTE), None, UTC)
DIGEST = Gathering(parse_digest("09:00"), None, None, UTC)
QUIET = Gathering(None, None, parse_quiet_hours("11:00-13:00"), UTC)

ROUNDS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "claim": lambda store: store.deliveries.claim("hook", limit=4, lease=LEASE),
    "claim for people": lambda store: store.deliveries.claim("post", limit=4, lease=LEASE, gathering=BURST),
    "keep back for a digest": lambda store: store.deliveries.claim("post", limit=4, lease=LEASE, gathering=DIGEST),
    "keep back in quiet hours": lambda store: store.deliveries.claim("post", limit=4, lease=LEASE, gathering=QUIET),
    "plan anew": lambda store: store.sinks.enroll({"post": Enrolled("post", "email", "{}", DIGEST)}),
    "probe": lambda store: store.deliveries.claim_probe("hook", last_probed=3, lease=LEASE),
    "suspect": lambda store: store.deliveries.claim_suspect("hook", SETTLED + 1, lease=LEASE),
    "start": lambda store: store.deliveries.void_claims(),
    "shift": lambda store: store.shift(MINUTE),
    "record": lambda store: send(store, outcome=TryLater("500")),
    "release": lambda store: store.sinks.set_lane("hook", resumed(NOON), release=True),
    "due": lambda store: store.acknowledgements.due("builtbybit", hold=MINUTE, limit=100),
    "done": lambda store: store.acknowledgements.done("builtbybit", ["w1", "w2"]),
    "gone": lambda store: store.acknowledgements.gone("builtbybit", listed=set(), stored_before=NOON + MINUTE),
    "add": lambda store: add(store, planned("w1", "hook"), planned("new", "hook")),
    "report": lambda store: store.figures.between(NOON, NOON + MINUTE),
    "reported": lambda store: store.figures.reported_until("hook"),
    "give up": lambda store: store.pruning.give_up_waiting("hook", after=-MINUTE, limit=100),
    "prune": lambda store: store.pruning.step(keep=timedelta(), from_id=10, limit=100),
}


async def fill(store: Store) -> None:
    """Many settled events, and a few that wait."""
    await enroll(store, "hook")
    await add(store, *(planned(f"s{number}", "hook") for number in range(SETTLED)))
    while await send(store):
        pass
    await store.acknowledgements.done("builtbybit", [f"s{number}" for number in range(SETTLED)])
    await add(store, *(planned(f"w{number}", "hook", "mail", "post") for number in range(20)))


def statements_of(store: Store) -> list[tuple[str, Any]]:
    """Fills with what is executed from now on, and the first parameters it is executed with."""
    seen: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, ___: object, many: bool) -> None:
        seen.append((statement, parameters[0] if many else parameters))

    for engine in (store.database._write_engine, store.database._read_engine):
        assert engine is not None
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    return seen


@story
async def test_no_round_looks_at_what_is_settled(make_store: Stores) -> None:
    async with make_store() as store:
        await fill(store)
        seen = statements_of(store)
        for name, round_ in ROUNDS.items():
            seen.clear()
            await round_(store)
            plans = explained(store.database.path, seen)
            assert plans, name
            for statement, plan in plans.items():
                whole = [step for step in plan if step.startswith("SCAN") and not harmless(step)]
                assert not whole, f"{name}: {statement}: {whole}"


def harmless(step: str) -> bool:
    """Small tables, lists of parameters, and partial indexes: of what waits, what is not completed, what came back."""
    small = ("SCAN CONSTANT ROW", "SCAN (subquery", "SCAN sinks", "SCAN gates")
    partial = ("deliveries USING INDEX ix_deliveries_due", "events USING INDEX ix_events_unacknowledged")
    return step.startswith((*small, *(f"SCAN {each}" for each in partial), "SCAN tombstones USING COVERING INDEX"))


def explained(path: Path, seen: list[tuple[str, Any]]) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            statement: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in seen
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")
        }


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("claim", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=? AND due_at<?)"),
        ("claim", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=?)"),  # when to look again
        ("claim for people", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=? AND due_at<?)"),
        ("plan anew", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=? AND due_at>?)"),
        ("probe", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=?)"),
        ("due", "SEARCH events USING INDEX ix_events_unacknowledged (source=?)"),
        ("due", "SEARCH tombstones USING COVERING INDEX ix_tombstones_relisted (source=? AND ack_due_at>?)"),
        ("gone", "SEARCH events USING INDEX ix_events_unacknowledged (source=?)"),
        ("release", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=? AND due_at>?)"),
        ("give up", "SEARCH deliveries USING INDEX ix_deliveries_due (sink=?)"),
    ],
)
@story
async def test_what_is_asked_all_the_time_is_served_by_a_partial_index(
    make_store: Stores, name: str, index: str
) -> None:
    async with make_store() as store:
        await enroll(store, "hook")
        await add(store, planned(1, "hook"))
        seen = statements_of(store)
        await ROUNDS[name](store)
        steps = [step for plan in explained(store.database.path, seen).values() for step in plan]
        assert index in steps


@story
async def test_a_claim_sorts_nothing(make_store: Stores) -> None:
    async with make_store() as store:
        await add(store, planned(1, "hook"))
        seen = statements_of(store)
        await ROUNDS["claim"](store)
        steps = [step for plan in explained(store.database.path, seen).values() for step in plan]
        assert not [step for step in steps if "TEMP B-TREE" in step]


@story
async def test_dead_letters_are_counted_by_their_index(make_store: Stores) -> None:
    async with make_store() as store:
        seen = statements_of(store)
        await store.browse.status()
        plans = explained(store.database.path, seen).values()
        assert ["SCAN deliveries USING INDEX ix_deliveries_dead"] in plans


# Nothing that PostgreSQL could not do


@story
async def test_every_statement_of_the_ledger_can_be_said_to_postgresql(make_store: Stores) -> None:
    said = []

    def note(_: object, clause: Any, *__: object) -> None:
        said.append(clause)

    async with make_store() as store:
        await fill(store)
        for engine in (store.database._write_engine, store.database._read_engine):
            assert engine is not None
            sqlalchemy.event.listen(engine, "before_execute", note)
        for round_ in ROUNDS.values():
            await round_(store)
        await everything_else(store)
    assert len(said) > 60
    dialect = postgresql.dialect()
    for clause in said:
        if "ON CONFLICT" not in str(clause):  # said by each dialect's own insert: see daemon/store/upsert.py
            clause.compile(dialect=dialect)


async def everything_else(store: Store) -> None:
    await store.sources.enroll("builtbybit")
    await store.sources.save("builtbybit", {}, swept=True)
    await store.sources.cursor("builtbybit")
    await store.sources.set_paused(False)
    await add(store, planned("w1", data={}), planned("m", "mail"), aside=[Unidentified("{}", "")], cursor="x")
    (one, *_) = await claim(store, "mail", limit=1)
    await store.deliveries.unclaim("mail", [one])
    (one, *_) = await claim(store, "mail", limit=1)
    await record(store, attempted(one, Delivered(), NOON, progress={"a": 1}), sink="mail", release=True)
    await store.acknowledgements.unclear("builtbybit", ["w1"], "")
    await store.acknowledgements.refused("builtbybit", "w1", "")
    await store.gates.shut("host", "read", MINUTE)
    await store.gates.load()
    await store.notices.is_news("x", again_after=None)
    await store.notices.is_over("x")
    await store.notices.is_news("y", again_after=MINUTE, turn="stopped", at_most_every=MINUTE)
    await store.notices.dead_letters("z", "hook", at_most_every=MINUTE)
    await store.events.add_own("test.purchase", "t1", {}, [])
    (one,) = (await store.trials.claim("t1", "mail", lease=MINUTE)).claims
    await store.trials.conclude(one.row_id)
    await store.orphans.waiting("hook")
    await store.orphans.owed(but_sinks=["hook"], but_sources=["builtbybit"])
    await store.orphans.discard("nosuch", sink=True, source=True)
    await store.renames.carry_out({"post": "mail"}, {"market": "builtbybit"})
    await store.renames.carry_out({"mail": "post"}, {"builtbybit": "market"})
    selection = Selection(keys=["builtbybit:s1", "s2"], sinks=["hook"], states=["delivered"], since=NOON)
    await store.replays.matching(selection)
    await store.replays.replay(selection, add_to=["new"])
    await store.pruning.remnants(keep=MINUTE)
    await store.browse.status()
    await store.browse.show("builtbybit:s1")
    await store.browse.unidentified()
    for state in (None, "dead", "waiting", "unrouted", "unacknowledged"):
        await store.browse.events(EventFilter(state=state, sink="hook", kind="x", since=NOON))


SQLITES_OWN = {"connections", "database", "errors", "place", "schema", "upsert", "writer"}
"""Modules that another database would have of its own, or which name every dialect."""


def test_only_what_opens_and_writes_the_file_speaks_sqlites_own_language() -> None:
    (folder,) = package.__path__
    for module in Path(folder).glob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Name)}
        called = {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}
        own = {"sqlite3", "exec_driver_sql", "driver_connection"} & (names | called)
        assert not own or module.stem in SQLITES_OWN, f"{module.name}: {own}"
