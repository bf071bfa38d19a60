"""Waits that a peer asks for: read in every spelling, obeyed where they make sense."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.http import retry_after, sane_wait

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("0.5", 0.5),
        ("86400", 86400),
        ("86400.1", None),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("5 s", None),
        ("Wed, 04 Mar 2026 05:06:17 GMT", 10),
        ("Wed, 04 Mar 2026 05:06:17 -0000", 10),
        ("Wed, 04 Mar 2026 06:06:17 +0100", 10),
        ("Wed, 04 Mar 2026 05:06:07 GMT", None),
        ("Wed, 04 Mar 2025 05:06:17 GMT", None),
        ("Wed, 04 Mar 2027 05:06:17 GMT", None),
        ("Wed, 04 Mar 99999999999999999999 05:06:17 GMT", None),
        ("Wed, 04 Mar 2026 05:06:17 +99999999999999", None),
        ("Wed, 32 Foo 2026 25:61:61 GMT", None),
    ],
)
def test_a_wait_is_read_as_seconds_or_a_date(text: str, seconds: float | None) -> None:
    wait = retry_after({"retry-after": text}, NOW)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


def test_without_the_header_there_is_no_wait() -> None:
    assert retry_after({}, NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,25} [A-Z][a-z]{2} \d{1,25} \d{1,9}:\d\d:\d\d [+-]?\w{1,25}"))
def test_no_header_can_break_the_reading_of_a_wait(text: str) -> None:
    wait = retry_after({"retry-after": text}, NOW)
    assert wait is None or timedelta() <= wait <= timedelta(hours=24)


@pytest.mark.parametrize(
    ("seconds", "sane"),
    [
        (1, True),
        (1e-3, True),
        (86400, True),
        (86401, False),
        (0, False),
        (-1, False),
        (float("nan"), False),
        (float("inf"), False),
    ],
)
def test_a_wait_that_is_obeyed_is_positive_and_at_most_a_day(seconds: float, sane: bool) -> None:
    assert sane_wait(seconds) == (timedelta(seconds=seconds) if sane else None)
