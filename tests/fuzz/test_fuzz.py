"""The quick form of `python -m tests.fuzz`: a few thousand inputs, everywhere the same, and all that once failed."""

import re
import time
from pathlib import Path

import pytest

from tests.fuzz.run import EXAMPLES, LARGEST, TARGETS, attempt, bounded, input_of, shares, try_all
from tests.fuzz.target import Target, json_of

INPUTS, SEED = 3_000, 1


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_comes_from_outside_is_unhandled(name: str, tmp_path: Path) -> None:
    """I16, S9, S17: a short run of each target; a failure shows the input, made small."""
    tally = try_all(TARGETS[name], SEED, range(shares(INPUTS)[name]), lambda target, data: tmp_path)
    assert tally.failures == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_what_once_failed_is_handled(path: Path) -> None:
    with bounded():
        assert attempt(TARGETS[path.name.partition(".")[0]], path.read_bytes()) is None


def test_the_shares_are_of_all_inputs() -> None:
    assert sum(shares(1_000_000).values()) == 1_000_000
    assert min(shares(INPUTS).values()) >= 10


def test_an_input_is_told_by_its_number() -> None:
    target = TARGETS["settings"]
    assert input_of(target, 1, 777) == input_of(target, 1, 777)
    assert len({input_of(target, 1, number) for number in range(300)}) > 250
    assert input_of(target, 1, 0) == target.samples[0]


def test_json_stays_json_as_a_rule() -> None:
    target = TARGETS["documents"]
    inputs = [input_of(target, 1, number) for number in range(200)]
    assert sum(json_of(data) is not None for data in inputs) > 180
    assert len({*inputs}) > 150


def _dislikes(word: bytes) -> Target:
    def check(data: bytes) -> None:
        assert word not in data, "there it is"

    return Target("planted", 1, [b"an innocent text " * 5], check, tokens=(b"bad word",))


def test_a_planted_fault_is_found_once_and_made_small(tmp_path: Path) -> None:
    kept: list[bytes] = []

    def keep(target: Target, data: bytes) -> Path:
        kept.append(data)
        return tmp_path

    tally = try_all(_dislikes(b"bad word"), SEED, range(500), keep)
    assert kept == [b"bad word"]
    (failure,) = tally.failures
    assert re.match(r"planted, input \d+: AssertionError at test_fuzz\.py:\d+: there it is", failure)


def test_an_input_that_never_ends_is_ended(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        while data:
            pass

    began = time.process_time()
    target = Target("planted", 1, [b"x"], check)
    (failure,) = try_all(target, SEED, range(1), lambda target, data: tmp_path, seconds=0.2).failures
    assert "TooSlow" in failure
    assert time.process_time() - began < 30


def test_an_input_that_takes_too_much_memory_is_told_and_no_later_one_blamed(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        assert len(data * LARGEST)

    greedy, modest = Target("greedy", 1, [b"x"], check), Target("modest", 1, [b"x"], lambda data: None)
    assert len(try_all(greedy, SEED, range(1), lambda target, data: tmp_path).failures) == 1
    assert try_all(modest, SEED, range(1), lambda target, data: tmp_path).failures == []
