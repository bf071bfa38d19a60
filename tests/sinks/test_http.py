from datetime import UTC, datetime, timedelta

import httpx
import pytest

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import Answer, CallFailed
from daemon.redaction import remember
from sinks._http import answer_text, judge, judge_failure

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def answer(status: int, body: bytes = b"", encoding: str = "", **headers: str) -> Answer:
    return Answer(status, httpx.Headers({k.replace("_", "-"): v for k, v in headers.items()}), body, False, encoding)


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ([200, 201, 202, 204, 299], Delivered),
        ([100, 199, 408, 425, 429, 500, 501, 502, 503, 504, 505, 507, 599, 600, 999], TryLater),
        ([300, 301, 302, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 411, 418, 421, 451, 499], TryLater),
        ([400, 409, 413, 415, 422], Rejected),
        ([410], Closed),
    ],
)
def test_the_status_decides_the_outcome(statuses: list[int], kind: type[Outcome]) -> None:
    assert [status for status in statuses if not isinstance(judge(answer(status), NOW), kind)] == []


def test_f40_being_turned_away_is_told_apart_from_trouble() -> None:
    def refused(status: int) -> bool:
        outcome = judge(answer(status), NOW)
        return isinstance(outcome, TryLater) and outcome.refused

    turned_away = {status for status in range(100, 600) if refused(status)}
    assert {301, 302, 304, 307, 401, 402, 403, 404, 405, 407, 451} <= turned_away
    assert not turned_away & {*range(100, 300), 400, 408, 409, 410, 413, 415, 422, 425, 429, *range(500, 600)}


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("0.5", timedelta(seconds=0.5)),
        ("Wed, 04 Mar 2026 05:07:07 GMT", timedelta(minutes=1)),
        ("0", None),
        ("-5", None),
        ("1e12", None),
        ("nan", None),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 404])
def test_retry_after_is_passed_on_when_it_makes_sense(status: int, header: str, wait: timedelta | None) -> None:
    outcome = judge(answer(status, Retry_After=header), NOW)
    assert isinstance(outcome, TryLater)
    assert (outcome.wait, outcome.throttled) == (wait, status == 429)


def test_reasons_name_the_status_in_our_own_words() -> None:
    assert judge(answer(503), NOW) == TryLater("HTTP 503 Service Unavailable")
    assert judge(answer(599), NOW) == TryLater("HTTP 599")
    assert judge(answer(200), NOW) == Delivered("HTTP 200")


def test_no_answer_is_tried_again() -> None:
    assert judge_failure(CallFailed("connection refused", maybe_sent=False)) == TryLater("connection refused")


def test_an_answer_is_kept_clean_short_and_without_secrets() -> None:
    remember("s3cret-canary-in-answer")
    shown = answer_text(answer(200, b"got s3cret-canary-in-\x00answer \xff\x1b[31m " + b"x" * 5000))
    assert shown.startswith("got *** \ufffd[31m xxx")
    assert len(shown) == 1024


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    remember("s3cret-canary-at-the-cut")
    assert "s3cret" not in answer_text(answer(200, b"x" * 1015 + b"s3cret-canary-at-the-cut"))


def test_an_encoded_answer_is_not_read() -> None:
    assert answer_text(answer(200, b"", encoding="gzip")) == "(encoded although plain text was asked for; not read)"
