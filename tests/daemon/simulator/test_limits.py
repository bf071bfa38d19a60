"""Rate limits: counted in a sliding window, announced in every form, remembered until their end."""

import random

import pytest

from daemon.simulator.faults import RetryAfter
from daemon.simulator.limits import Dice, Limits, announce


def test_a_window_takes_so_many_and_says_when_it_takes_the_next() -> None:
    limits = Limits()
    assert [limits.admit("read", 2, 10, now) for now in (100, 103, 104, 109.5)] == [0, 0, 6, 0.5]
    assert limits.admit("read", 2, 10, 110) == 0
    assert limits.admit("read", 2, 10, 111) == 2
    assert limits.admit("write", 2, 10, 111) == 0
    assert limits.admit("none", 0, 10, 111) == 10


def test_what_is_left_and_when_the_window_is_empty_again() -> None:
    limits = Limits()
    limits.admit("hook", 5, 2, 100)
    limits.admit("hook", 5, 2, 101)
    assert limits.left("hook", 5) == 3
    assert limits.resets_in("hook", 2, 101.5) == 1.5
    assert limits.resets_in("other", 2, 101.5) == 0


def test_a_call_is_too_early_until_the_announced_end_and_only_for_its_own_key() -> None:
    limits = Limits()
    limits.announce("read", 105)
    assert limits.too_early("read", 104.999)
    assert not limits.too_early("read", 105)
    assert not limits.too_early("write", 104)


@pytest.mark.parametrize(
    ("form", "header", "seconds"),
    [
        ("ms", "1500", 1.5),
        ("fraction", "1500.2", 1.5002),
        ("missing", None, None),
        ("zero", "0", None),
        ("negative", "-1500", None),
        ("huge", "1000000000000", None),
        ("text", "in a while", None),
        ("date", "Tue, 14 Nov 2023 22:13:22 GMT", 2),
        ("edge", "2", 2),
        ("edge_date", "Tue, 14 Nov 2023 22:13:22 GMT", 2),
    ],
)
def test_a_wait_is_spelt_in_every_form(form: RetryAfter, header: str | None, seconds: float | None) -> None:
    announced = announce(form, 1.5, 1_700_000_000)
    assert announced.header == header
    assert announced.seconds == (None if seconds is None else pytest.approx(seconds))


def test_dice_hit_a_share_and_no_more_than_so_many() -> None:
    assert [Dice(random.Random(1), times=2).hit() for _ in range(1)] == [True]
    dice = Dice(random.Random(1), times=2)
    assert [dice.hit() for _ in range(4)] == [True, True, False, False]
    dice = Dice(random.Random(1), share=0.3)
    assert 200 < sum(dice.hit() for _ in range(1000)) < 400
    assert not any(Dice(random.Random(1), share=0).hit() for _ in range(9))
