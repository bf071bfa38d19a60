"""The list of pending events, whatever the server makes of paging."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from daemon.simulator import Faults, Simulator
from daemon.sources._builtbybit_answer import trusted_stats
from daemon.sources.builtbybit import MOST_PAGES
from tests.daemon.sources.asking import against, event, ids, listing, opened, sweep


@dataclass
class Case:
    faults: Faults
    pending: int
    seen: int
    requests: int
    whole: bool
    crowded: bool


HONOURED = {
    "nothing": Case(Faults(), 0, 0, 1, whole=True, crowded=False),
    "one": Case(Faults(), 1, 1, 1, whole=True, crowded=False),
    "the default size": Case(Faults(), 25, 25, 1, whole=True, crowded=True),
    "a page": Case(Faults(), 100, 100, 1, whole=True, crowded=True),
    "a page and one": Case(Faults(), 101, 101, 2, whole=True, crowded=True),
    "many": Case(Faults(), 350, 350, 4, whole=True, crowded=True),
    "capped": Case(Faults(cap_per_page=7), 30, 30, 5, whole=True, crowded=True),
    "capped at one": Case(Faults(cap_per_page=1), 9, 9, 9, whole=True, crowded=True),
    "no stats, nothing": Case(Faults(stats="missing"), 0, 0, 1, whole=True, crowded=False),
    "no stats, few": Case(Faults(stats="missing"), 5, 5, 2, whole=True, crowded=False),
    "no stats, exactly a page": Case(Faults(stats="missing"), 100, 100, 2, whole=True, crowded=True),
    "no stats, many": Case(Faults(stats="missing"), 250, 250, 4, whole=True, crowded=True),
    "nonsense stats, capped": Case(Faults(stats="nonsense", cap_per_page=10), 30, 30, 4, whole=True, crowded=False),
    "ignored, all fit": Case(Faults(ignore_paging=True), 25, 25, 1, whole=True, crowded=True),
    "ignored, more than fit": Case(Faults(ignore_paging=True), 26, 25, 2, whole=False, crowded=True),
    "ignored, many": Case(Faults(ignore_paging=True), 400, 25, 2, whole=False, crowded=True),
    "ignored, no stats, few": Case(Faults(ignore_paging=True, stats="missing"), 5, 5, 2, whole=False, crowded=False),
    "ignored, no stats, many": Case(Faults(ignore_paging=True, stats="missing"), 60, 25, 2, whole=False, crowded=True),
    "ignored, nonsense": Case(Faults(ignore_paging=True, stats="nonsense"), 60, 25, 2, whole=False, crowded=True),
    "ignored, none pending": Case(Faults(ignore_paging=True, stats="missing"), 0, 0, 1, whole=True, crowded=False),
}


@pytest.mark.parametrize("name", HONOURED)
def test_a_sweep_is_right_whatever_the_server_makes_of_paging(name: str) -> None:
    case = HONOURED[name]

    async def scenario() -> None:
        async with Simulator.start(faults=case.faults) as sim, opened(sim.api_url, token=sim.token) as source:
            pending = [sim.upstream.add_sample() for _ in range(case.pending)]
            for _ in range(2):
                sim.upstream.calls.clear()
                pages = await sweep(source)
                assert ids(pages) == pending[: case.seen]
                assert len(sim.upstream.calls) == case.requests
                assert pages[-1].last == case.whole
                assert any(page.crowded for page in pages) == case.crowded

    asyncio.run(scenario())


@pytest.mark.parametrize("order", ["oldest", "newest", "shuffled"])
@pytest.mark.parametrize("stats", ["right", "missing", "nonsense", "stale"])
@pytest.mark.parametrize("paging", ["honoured", "capped", "repeated", "ignored"])
def test_every_event_is_listed_once_in_any_order_with_any_stats(order: Any, stats: Any, paging: str) -> None:
    faults = Faults(
        order=order,
        stats=stats,
        cap_per_page={"capped": 8, "repeated": 10}.get(paging),
        repeat_across_pages=paging == "repeated",
        ignore_paging=paging == "ignored",
    )

    async def scenario() -> None:
        async with Simulator.start(faults=faults) as sim, opened(sim.api_url, token=sim.token) as source:
            done = [sim.upstream.add_sample() for _ in range(3)]
            pending = {sim.upstream.add_sample() for _ in range(43)}
            sim.upstream.complete(done)
            pages = await sweep(source)
            assert len(ids(pages)) == len(set(ids(pages)))
            assert set(ids(pages)) <= pending
            assert len(ids(pages)) == (25 if paging == "ignored" else 43)
            assert pages[-1].last == (paging != "ignored" and stats != "stale")
            assert len(sim.upstream.calls) <= 8

    asyncio.run(scenario())


def test_a_list_without_end_is_left_at_a_hard_cap() -> None:
    pages, server = against(listing(lambda page, _: {"events": [event(page)]}), sweep)
    assert len(server.requests) == len(pages) == MOST_PAGES
    assert not pages[-1].last


def test_pages_beyond_the_last_that_stats_name_are_not_asked_for() -> None:
    def page_of(page: int, _: int) -> Any:
        stats = {"total": 4, "page": page, "per_page": 2, "max_page": 2}
        return {"events": [event(page)], "stats": stats}

    pages, server = against(listing(page_of), sweep)
    assert len(server.requests) == 2
    assert ids(pages) == ["1", "2"]
    assert not pages[-1].last


def test_stats_that_count_less_than_there_is_hide_nothing() -> None:
    def page_of(page: int, _: int) -> Any:
        stats = {"total": 1, "page": page, "per_page": 2, "max_page": 1}
        return {"events": [event(2 * page), event(2 * page + 1)] if page <= 3 else [], "stats": stats}

    pages, _ = against(listing(page_of), sweep)
    assert len(ids(pages)) == 6
    assert pages[-1].last


def test_ids_are_the_same_whatever_their_spelling_and_a_later_page_repeats_none() -> None:
    spellings = [[event(7), event(8)], [event("7"), event("007"), event(7.0)], [event(9), event(8)]]
    pages, _ = against(listing(lambda page, _: {"events": spellings[page - 1] if page <= 3 else []}), sweep)
    assert ids(pages) == ["7", "8"]
    pages, _ = against(
        listing(lambda page, _: {"events": [*spellings[0], event(page + 10)] if page <= 2 else []}), sweep
    )
    assert ids(pages) == ["7", "8", "11", "12"]


def test_twins_on_one_page_are_both_handed_on_since_they_may_differ() -> None:
    twins = [event(7, trigger_type="a"), event(7, trigger_type="b")]
    pages, _ = against(listing(lambda page, _: {"events": twins if page == 1 else []}), sweep)
    assert [item.event.kind for page in pages for item in page.events] == ["a", "b"]


def test_entries_without_an_id_are_set_aside_once_and_hide_nothing() -> None:
    odd: list[Any] = [{}, None, "text", event(None), event(True), [], event("")]

    def page_of(page: int, _: int) -> Any:
        return {"events": [*odd, event(page)] if page <= 2 else odd}

    pages, server = against(listing(page_of), sweep)
    assert ids(pages) == ["1", "2"]
    assert [json.loads(item.raw) for page in pages for item in page.unidentified] == [
        {}, None, "text", event(None), event(True), [], event("")
    ]  # fmt: skip
    assert len(server.requests) == 3


def test_a_page_of_nothing_but_entries_without_an_id_is_not_the_end() -> None:
    pages, _ = against(
        listing(lambda page, _: {"events": [{"n": page}] if page <= 2 else [event(1)] if page == 3 else []}), sweep
    )
    assert ids(pages) == ["1"]
    assert pages[-1].last


def test_entries_without_an_id_count_as_seen() -> None:
    stats = {"total": 2, "page": 1, "per_page": 100, "max_page": 1}
    pages, server = against(listing(lambda *_: {"events": [{"x": 1}, event(5)], "stats": stats}), sweep)
    assert len(server.requests) == 1
    assert pages[-1].last


@pytest.mark.parametrize(
    ("stats", "seen", "rows", "trusted"),
    [
        ({"total": 3, "page": 1, "per_page": 100, "max_page": 1}, 3, 3, (3, 1)),
        ({"total": 0, "page": 1, "per_page": 100, "max_page": 1}, 0, 0, (0, 1)),
        ({"total": 0, "page": 1, "per_page": 100, "max_page": 0}, 0, 0, (0, 0)),
        ({"total": 101, "per_page": 100, "max_page": 2}, 100, 100, (101, 2)),
        ({"total": 30, "per_page": 25, "max_page": 2, "more": True}, 25, 25, (30, 2)),
        ({"total": 30, "per_page": 25, "max_page": 1}, 25, 25, (None, None)),
        ({"total": 30, "per_page": 25, "max_page": 3}, 25, 25, (None, None)),
        ({"total": 30, "per_page": 10, "max_page": 3}, 25, 25, (None, None)),
        ({"total": 20, "per_page": 25, "max_page": 1}, 25, 25, (None, None)),
        ({"total": 3, "per_page": 0, "max_page": 1}, 3, 3, (None, None)),
        ({"total": 0, "per_page": 0, "max_page": 0}, 0, 0, (None, None)),
        ({"total": -1, "per_page": 25, "max_page": 1}, 0, 0, (None, None)),
        ({"total": "3", "per_page": "100", "max_page": "1"}, 3, 3, (None, None)),
        ({"total": 3.0, "per_page": 100, "max_page": 1}, 3, 3, (None, None)),
        ({"total": True, "per_page": 100, "max_page": 1}, 1, 1, (None, None)),
        ({"total": None, "per_page": None, "max_page": None}, 0, 0, (None, None)),
        ({"total": 3}, 3, 3, (None, None)),
        ({"total": 10**30, "per_page": 1, "max_page": 10**30}, 1, 1, (10**30, 10**30)),
        ({}, 0, 0, (None, None)),
        ([], 0, 0, (None, None)),
        (None, 0, 0, (None, None)),
        ("3", 0, 0, (None, None)),
    ],
)
def test_stats_are_believed_only_where_they_fit(stats: Any, seen: int, rows: int, trusted: Any) -> None:
    assert trusted_stats(stats, seen=seen, rows=rows) == trusted
