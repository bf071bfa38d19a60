"""Switches are read strictly."""

from typing import Any

import pytest

from daemon.simulator.faults import Behaviour, Faults, MailBehaviour
from daemon.simulator.switches import plain, read


def test_switches_are_read_from_a_table_and_shown_again_without_the_defaults() -> None:
    given = {"latency": 1, "order": "newest", "bad_ids": ["7"], "read_limit": None, "ignore_paging": True}
    faults = read(Faults, given)
    assert faults == Faults(latency=1.0, order="newest", bad_ids=("7",), ignore_paging=True)
    assert plain(faults) == {"latency": 1.0, "order": "newest", "bad_ids": ("7",), "ignore_paging": True}
    assert read(MailBehaviour, {"recipients": {"a@example.org": "550 no"}}).recipients == {"a@example.org": "550 no"}
    assert plain(MailBehaviour()) == {}
    assert read(Behaviour, {"statuses": [500, 503]}).statuses == (500, 503)


@pytest.mark.parametrize(
    ("kind", "given", "line"),
    [
        (Faults, [], "switches must be a table of names and values, not list"),
        (Faults, {"latncy": 1}, 'unknown switch "latncy"; did you mean "latency"?'),
        (Faults, {"zzz": 1}, 'unknown switch "zzz"'),
        (Faults, {"latency": "1"}, "latency must be float, not str"),
        (Faults, {"latency": -1}, "latency must be at least 0, not -1.0"),
        (Faults, {"latency": float("nan")}, "latency must be at least 0, not nan"),
        (Faults, {"limit_window": 0}, "limit_window must be more than 0, not 0.0"),
        (Faults, {"share": 2}, "share must be between 0 and 1, not 2.0"),
        (Faults, {"ignore_paging": 1}, "ignore_paging must be bool, not int"),
        (Faults, {"read_limit": True}, "read_limit must be int, not bool"),
        (Faults, {"order": "sideways"}, "order must be one of oldest, newest, shuffled, not 'sideways'"),
        (Faults, {"order": None}, "order must be one of oldest, newest, shuffled, not None"),
        (Faults, {"bad_ids": "7"}, "bad_ids must be a list, not str"),
        (Faults, {"bad_ids": [7]}, "bad_ids must be str, not int"),
        (Faults, {"error_status": 42}, "error_status must be an HTTP status from 200 to 599, not 42"),
        (Behaviour, {"statuses": [1000]}, "status must be an HTTP status from 200 to 599, not 1000"),
        (Behaviour, {"limit": 0}, "limit must be more than 0, not 0"),
        (MailBehaviour, {"recipients": "550"}, "recipients must be a table, not str"),
        (
            MailBehaviour,
            {"data": ["no"]},
            "a reply begins with three digits, such as \"451 4.3.0 try later\", not 'no'",
        ),
        (MailBehaviour, {"data": ["250 a\r\nb"]}, "a reply begins with three digits"),
    ],
)
def test_a_mistake_is_named_in_one_line(kind: type[Any], given: Any, line: str) -> None:
    with pytest.raises(ValueError, match=r"switch|must|reply") as caught:
        read(kind, given)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_every_switch_has_a_name_that_can_be_read_from_json() -> None:
    for kind in (Faults, Behaviour, MailBehaviour):
        assert read(kind, {}) == kind()
