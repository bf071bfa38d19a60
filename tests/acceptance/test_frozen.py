"""A daemon that is stopped in the middle of its work and goes on: F6. Long form: `python -m tests.soak.frozen`."""

import asyncio

from tests.soak.frozen import freeze


def test_a_daemon_that_was_stopped_for_a_while_goes_on_without_a_burst_or_a_false_dead_letter(tmp_path):
    """F6, I5, I6, I12: what waited for an answer meanwhile is tried again under the same id, and at most that."""
    tally = asyncio.run(freeze(tmp_path, 3, timeout=2))
    assert tally.problems == []
    assert tally.in_flight
    assert tally.timed_out >= 2
