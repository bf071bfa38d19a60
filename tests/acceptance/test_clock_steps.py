"""The wall clock is set again and again under a daemon at work: F46, I12. Long form: `python -m tests.soak.clock`."""

import asyncio

import pytest

from tests.soak.clock import LIBRARIES, set_again_and_again


@pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime")
def test_a_wall_clock_that_is_set_every_second_hastens_and_delays_nothing(tmp_path):
    """F46, I12: an hour back, two days on, to 1970, past 2038; what fails is tried again when it should be."""
    tally = asyncio.run(set_again_and_again(tmp_path, 6, rate=4))
    assert tally.problems == []
    assert tally.steps >= 4
    assert tally.retries
