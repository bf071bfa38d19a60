"""Durations and sizes as people write them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from daemon.quantities import Duration, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("180d", 15552000), ("1w", 604800), ("1h 30m", 5400), ("1.5s", 1.5)],
)
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", "s", "-5s", "5 s", "5x", "5s5", "1e3s", 5, 5.0, True, None, ["5s"], "9999999d"]
)
def test_anything_else_is_no_duration(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(value)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
def test_a_duration_survives_being_written_and_read(duration: timedelta) -> None:
    written = duration_text(duration)
    assert abs(parse_duration(written) - duration) <= timedelta(milliseconds=1)


def test_a_duration_is_written_as_the_config_takes_it() -> None:
    assert TypeAdapter(Duration).dump_python(timedelta(minutes=90)) == "1h30m"
