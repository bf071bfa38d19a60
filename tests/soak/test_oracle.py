"""The judge of the ordeals must be able to find fault."""

from dataclasses import replace
from typing import Any

import pytest

from tests.soak.oracle import Attempt, Call, Completion, Delivery, Evidence, judge

CUT, OK, LATER = "cut_off", "delivered", "try_later"


def made(*attempts: tuple[int, str], state: str = "delivered", event: str = "1", sink: str = "hook") -> Delivery:
    """A delivery with its attempts, each the life it was made in and its outcome."""
    return Delivery(event, sink, state, tuple(Attempt(life, n, what) for n, (life, what) in enumerate(attempts, 1)))


def got(*lives: int, accepted: bool = True, event: str = "1", name: str = "builtbybit-1-hook") -> list[Call]:
    return [Call(life, "hook", event, name, accepted) for life in lives]


GOOD = Evidence(
    listed=["1"],
    under_way={"hook": 4},
    killed=[True, True, False],
    calls=got(0, 2),
    deliveries=[made((0, CUT), (2, OK))],
    completions=[Completion(2, True, ("1",))],
)


def test_a_repeat_after_a_kill_is_explained() -> None:
    verdict = judge(GOOD)
    assert verdict.problems == []
    assert (verdict.repeats, verdict.cut_off, verdict.after_lost_answer) == (1, 1, 0)
    assert str(verdict) == "0 lost, 0 early, 1 repeats, each explained"


def test_a_repeat_after_a_lost_answer_is_explained() -> None:
    verdict = judge(replace(GOOD, calls=got(2, 2), deliveries=[made((2, LATER), (2, OK))]))
    assert verdict.problems == []
    assert (verdict.repeats, verdict.after_lost_answer) == (1, 1)


def test_a_completion_whose_answer_the_kill_took_may_be_repeated() -> None:
    verdict = judge(replace(GOOD, completions=[Completion(1, True, ("1",)), Completion(2, True, ("1",))]))
    assert verdict.problems == []
    assert verdict.completed_again == 1


def test_what_three_processes_died_of_is_given_up_and_not_lost() -> None:
    given_up = made((0, CUT), (1, CUT), (2, CUT), state="gave_up")
    evidence = replace(GOOD, killed=[True] * 3 + [False], calls=got(0, 1, 2), deliveries=[given_up])
    assert judge(evidence).problems == []
    assert judge(evidence).given_up == 1
    beside_it = made(state="gave_up", sink="mail")
    both = replace(evidence, under_way={"hook": 4, "mail": 4}, deliveries=[given_up, beside_it])
    assert judge(both).problems == []
    in_two_lives = made((0, CUT), (1, CUT), (1, CUT), state="gave_up")
    assert judge(replace(evidence, deliveries=[in_two_lives])).lost


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"completions": []}, "never completed"),
        ({"pending": ["1"]}, "never completed"),
        ({"deliveries": []}, "no delivery to hook is stored (I3)"),
        ({"deliveries": [made((0, CUT), state="waiting")], "calls": got(0)}, "waiting, not delivered"),
        ({"deliveries": [made((2, "rejected"), state="rejected")], "calls": []}, "rejected, not delivered"),
        ({"calls": []}, "the receiver has not got it"),
        ({"calls": got(2, accepted=False)}, "the receiver has not got it"),
        ({"early": ["1"]}, "completed before it was settled on disk (I2)"),
        ({"calls": got(0, 0, 2)}, "2 calls in life 0, 1 attempts on record (I7)"),
        ({"calls": got(0, 1, 2)}, "1 calls in life 1, 0 attempts on record (I7)"),
        ({"deliveries": [made((0, "closed"), (2, OK))]}, "accepted 1 times in life 0"),
        ({"deliveries": [made((0, CUT), (1, OK), (2, OK))]}, "1 times said to be delivered in life 1"),
        ({"calls": [*got(0), *got(2, name="builtbybit-1-other")]}, "several ids (I6)"),
        ({"calls": [*got(0, 2), *got(2, event="7")]}, "which nobody sent there"),
        ({"strangers": ["7"]}, "stored, but never listed"),
        ({"completions": [Completion(2, True, ("1", "7"))]}, "7: completed, but never listed"),
        ({"completions": [Completion(2, False, ("1",)), Completion(2, True, ("1",))]}, "without a reason (W6)"),
        ({"completions": [Completion(1, False, ("1",)), Completion(2, True, ("1",))]}, "without a reason (W6)"),
        ({"under_way": {"hook": 0}}, "more than may be (I5)"),
        ({"killed": [False, True, False]}, "which was not killed"),
    ],
)
def test_each_fault_is_found(changes: dict[str, Any], complaint: str) -> None:
    problems = judge(replace(GOOD, **changes)).problems
    assert any(complaint in problem for problem in problems), problems


def test_an_attempt_that_is_on_record_twice_is_found() -> None:
    twice = replace(made((0, CUT), (2, OK)), attempts=(Attempt(0, 1, CUT), Attempt(2, 1, OK)))
    assert judge(replace(GOOD, deliveries=[twice])).problems == ["1 at hook: an attempt is on record twice"]
