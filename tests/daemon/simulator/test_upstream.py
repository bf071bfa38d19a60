"""What the made-up account holds: both answers to each question that only a live account could settle."""

import json
from typing import Any

import pytest

from daemon.simulator.faults import Faults
from daemon.simulator.upstream import Refusal, Upstream


def account(count: int = 5, **switches: Any) -> Upstream:
    upstream = Upstream(seed=1, faults=Faults(**switches))
    for _ in range(count):
        upstream.add_sample("purchase")
    return upstream


def page(upstream: Upstream, number: int = 1, size: int = 25) -> tuple[list[str], Any]:
    data = json.loads(upstream.page(number, size))
    return [str(event["event_id"]) for event in data["events"]], data.get("stats")


def sweep(upstream: Upstream, size: int, pages: int) -> list[str]:
    return [event_id for number in range(1, pages + 1) for event_id in page(upstream, number, size)[0]]


def status(refusal: Refusal | None) -> int | None:
    return refusal and refusal.status


def test_pages_follow_the_order_that_is_set() -> None:
    upstream = account(6)
    oldest = upstream.pending
    assert sweep(upstream, 4, 2) == oldest
    upstream.faults = Faults(order="newest")
    assert sweep(upstream, 4, 2) == oldest[::-1]
    upstream.faults = Faults(order="shuffled")
    shuffled = sweep(upstream, 4, 2)
    assert sorted(shuffled) == sorted(oldest)
    assert shuffled not in (oldest, oldest[::-1])
    assert sweep(upstream, 4, 2) == shuffled


def test_paging_can_be_ignored_or_capped() -> None:
    upstream = account(30, ignore_paging=True)
    assert page(upstream, 3, 100)[0] == upstream.pending[:25]
    upstream.faults = Faults(ignore_paging=True, cap_per_page=1000)
    assert page(upstream, 3, 1)[0] == upstream.pending
    upstream.faults = Faults(cap_per_page=10)
    shown, stats = page(upstream, 3, 100)
    assert shown == upstream.pending[20:]
    assert stats == {"total": 30, "page": 3, "per_page": 10, "max_page": 3}


def test_pages_can_repeat_what_the_page_before_ended_with() -> None:
    upstream = account(5, repeat_across_pages=True)
    ids = upstream.pending
    assert page(upstream, 1, 2)[0] == ids[:2]
    assert page(upstream, 2, 2)[0] == ids[1:4]
    assert page(upstream, 3, 2)[0] == ids[3:]
    assert page(upstream, 4, 2)[0] == []


def test_stats_can_be_missing_nonsense_or_stale() -> None:
    upstream = account(3)
    upstream.complete(upstream.pending[:2])
    assert page(upstream)[1]["total"] == 1
    upstream.faults = Faults(stats="stale")
    assert page(upstream)[1]["total"] == 3
    upstream.faults = Faults(stats="missing")
    assert page(upstream)[1] is None
    upstream.faults = Faults(stats="nonsense")
    assert page(upstream)[1]["total"] == "many"


def test_an_unknown_id_is_ignored_or_refuses_the_whole_batch() -> None:
    upstream = account(2)
    first, second = upstream.pending
    assert upstream.complete([first, "1"]) is None
    assert upstream.completed == {first: 1}
    for refused in (404, 422):
        upstream.faults = Faults(unknown_id=refused)
        assert status(upstream.complete([second, "1"])) == refused
        assert upstream.pending == [second]
    assert upstream.unknown == ["1", "1", "1"]


def test_a_withdrawn_event_is_unlisted_and_unknown_but_was_once_known() -> None:
    upstream = account(2, unknown_id=404)
    first, second = upstream.pending
    upstream.withdraw(first)
    assert upstream.pending == [second]
    assert status(upstream.complete([first, second])) == 404
    assert upstream.unknown == []


def test_a_bad_id_stays_listed_and_refuses_its_batch() -> None:
    upstream = account(3)
    first, bad, third = upstream.pending
    upstream.faults = Faults(bad_ids=(bad,), unknown_id=404)
    assert status(upstream.complete([first, bad, third])) == 404
    assert upstream.complete([first, third]) is None
    assert page(upstream)[0] == [bad]


def test_completing_again_is_agreed_to_and_counted_or_refused() -> None:
    upstream = account(2)
    first, second = upstream.pending
    upstream.complete([first])
    assert upstream.complete([first]) is None
    assert upstream.completed == {first: 2}
    upstream.faults = Faults(repeated_id=409)
    assert status(upstream.complete([second, first])) == 409
    assert upstream.pending == [second]


def test_an_empty_list_and_a_large_one_can_be_refused() -> None:
    upstream = account(3)
    assert upstream.complete([]) is None
    upstream.faults = Faults(empty_list=400, batch_limit=2)
    assert status(upstream.complete([])) == 400
    assert status(upstream.complete(upstream.pending)) == 413
    assert upstream.complete(upstream.pending[:2]) is None


def test_what_is_completed_can_be_listed_some_times_more() -> None:
    upstream = account(1, relist=2)
    (event_id,) = upstream.pending
    upstream.complete([event_id])
    assert upstream.pending == []
    assert page(upstream)[0] == [event_id]
    upstream.complete([event_id])
    assert page(upstream)[0] == [event_id]
    assert page(upstream)[0] == []
    assert upstream.completed == {event_id: 2}


def test_the_same_id_can_come_again_with_other_content() -> None:
    upstream = account(0)
    event_id = upstream.add("purchase", {"price": "1"}, event_id=7)
    upstream.add("purchase", {"price": "2"}, event_id=7)
    assert page(upstream)[0] == [event_id, event_id]
    upstream.complete([event_id])
    assert page(upstream)[0] == []
    upstream.add("purchase", {"price": "1"}, event_id=7)
    assert upstream.pending == [event_id]


@pytest.mark.parametrize(
    ("blanks", "shown"),
    [
        ("usual", {"addon_id": "0", "addon_title": "", "username": "Zoë"}),
        ("null", {"addon_id": None, "addon_title": None, "username": "Zoë"}),
        ("omitted", {"username": "Zoë"}),
        ("empty", {"addon_id": "", "addon_title": "", "username": "Zoë"}),
        ("zero", {"addon_id": "0", "addon_title": "0", "username": "Zoë"}),
    ],
)
def test_a_placeholder_without_a_value_appears_as_set(blanks: str, shown: dict[str, Any]) -> None:
    upstream = account(0, blanks=blanks)
    upstream.add("purchase", {"addon_id": None, "addon_title": None, "username": "Zoë"})
    assert json.loads(upstream.page(1, 25))["events"][0]["trigger_data"] == shown


def test_empty_data_can_be_a_list_and_times_can_be_milliseconds() -> None:
    upstream = account(0, empty_data="list", created_at="ms")
    upstream.add("tip", {}, created_at=1_700_000_000, extra=True)
    (event,) = json.loads(upstream.page(1, 25))["events"]
    assert (event["trigger_data"], event["created_at"], event["extra"]) == ([], 1_700_000_000_000, True)
    upstream.faults = Faults()
    (event,) = json.loads(upstream.page(1, 25))["events"]
    assert (event["trigger_data"], event["created_at"]) == ({}, 1_700_000_000)


@pytest.mark.parametrize("raw", ["{", "[]", '{"event_id": true}', '{"event_id": ""}', '{"x": 1}', "[" * 100_000])
def test_a_raw_event_without_a_usable_id_has_none(raw: str) -> None:
    upstream = account(0)
    assert upstream.add_raw(raw) is None
    assert upstream.pending == []
    assert raw in upstream.page(1, 25)
