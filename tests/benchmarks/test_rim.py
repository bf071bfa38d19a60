import http.client
import json
from typing import Any

from benchmarks.rig import rim
from benchmarks.rim import Ledger


def ids(page: bytes) -> list[int]:
    return [event["event_id"] for event in json.loads(page)["data"]["events"]]


def stats_of(page: bytes) -> Any:
    return json.loads(page)["data"]["stats"]


def test_what_is_completed_is_listed_no_more_and_the_later_pages_move_up() -> None:
    ledger = Ledger(first_id=11)
    ledger.add(5)
    assert ids(ledger.page(1, 2)) == [11, 12]
    assert ids(ledger.page(3, 2)) == [15]
    assert stats_of(ledger.page(3, 2)) == {"total": 5, "page": 3, "per_page": 2, "max_page": 3}
    ledger.complete([11, 12, 99])
    assert ids(ledger.page(1, 2)) == [13, 14]
    assert ledger.stats()["completed"] == 2
    assert stats_of(Ledger(first_id=1).page(1, 100)) == {"total": 0, "page": 1, "per_page": 100, "max_page": 1}


def test_a_repeat_does_not_count_as_a_delivery_and_waits_count_from_the_first_listing() -> None:
    ledger = Ledger(first_id=1)
    ledger.add(1)
    ledger.page(1, 100)
    listed = ledger.listed[1]
    for body in (b'{"id": 5, "event_id": "1"}', b'{"event_id":1}', b"{}"):
        ledger.page(1, 100)
        ledger.arrive("hook", body)
    stats = ledger.stats()
    assert (stats["delivered"], stats["repeats"], stats["requests"]) == ({"hook": 1}, {"hook": 1}, {"unknown": 1})
    assert ledger.waits() == {"hook": [ledger.arrived["hook"][1] - listed]}
    assert stats["first_arrival"] == stats["last"] == ledger.arrived["hook"][1]


def test_the_process_speaks_http_and_counts_requests_by_kind() -> None:
    with rim(first_id=7) as upstream:
        upstream.add(3)
        connection = http.client.HTTPConnection(upstream.url.removeprefix("http://"), timeout=30)
        calls = [
            ("GET", "/v2/events?page=1&per_page=100", None),
            ("POST", "/hook/shop", b'{"event_id": "7"}'),
            ("POST", "/late/1/shop", b'{"event_id": "8"}'),
            ("POST", "/v2/events/complete", b'{"event_ids": [7, 8]}'),
            ("GET", "/v2/health", None),
        ]
        for method, target, body in calls:
            connection.request(method, target, body)
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
        connection.close()
        stats = upstream.until(lambda stats: stats["completed"] == 2)
    assert stats["delivered"] == {"shop": 2}
    assert stats["pending"] == 1
    assert stats["requests"] == {"list": 1, "complete": 1, "other": 1}
    assert stats["first_listed"] < stats["last"]
