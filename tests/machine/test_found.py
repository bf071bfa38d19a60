"""Ways through the machine that chance rarely takes, or that once found a fault: the rules, called in order."""

from collections.abc import Iterator

import pytest

from tests.machine.machine import PLANS, Machine


class Story(Machine):
    """The same rules, with the promises held after each."""

    def do(self, *steps: object) -> None:
        for _ in steps:
            self.promises_hold()


@pytest.fixture
def machine() -> Iterator[Story]:
    story = Story()
    yield story
    story.promises_hold()
    story.teardown()


def test_what_was_pruned_and_is_listed_again_is_completed_and_not_sent(machine: Story) -> None:
    """I9, W9: tombstones."""
    machine.do(machine.happen(2, "purchase"), machine.sweep(), machine.prune(3))
    machine.do(machine.list_again(0), machine.sweep(), machine.crash(), machine.wait_and_sweep(400.0))
    assert not machine.world.upstream.pending


def test_what_returns_again_and_again_is_completed_ever_more_slowly_and_told(machine: Story) -> None:
    """I19."""
    machine.do(machine.market_is("forgetful"), machine.happen(1, "purchase"))
    for seconds in (1.0, 1.0, 20.0, 20.0, 1.0, 400.0, 20.0, 400.0):
        machine.do(machine.wait_and_sweep(seconds))
    assert machine.world.upstream.completions["1"] < 7
    machine.do(machine.market_is("well"))


def test_the_one_that_kills_is_given_up_and_what_was_beside_it_is_delivered(machine: Story) -> None:
    """I8, F8: also while sent in one call with others."""
    machine.do(machine.happen(4, "purchase", sweep=False), machine.poison("two", 2), machine.poison("one", 3))
    machine.do(machine.sweep())
    for _ in range(8):
        machine.do(machine.wait(6.0))
    disk = machine.world.model.check()
    for (key, sink), owed in disk.deliveries.items():
        expected = "gave_up" if (key[1], sink) in (("1", "one"), ("2", "two")) else "delivered"
        assert owed.state == expected or key[1] in "12", (key, sink, owed)
    killed = {key: len(lives) for (key, _), lives in machine.world.model.killed.items()}
    assert killed == {"shop:1": 3, "shop:2": 3}


def test_a_crash_on_a_full_disk_with_the_clock_set_back_forgets_nothing(machine: Story) -> None:
    """F9, F46, F56."""
    machine.do(machine.receiver_answers("one", "swallow"), machine.happen(4, "review"))
    machine.do(machine.disk_is_full(crash=True), machine.clock_is_set_back(2 * 86400, noticed=False))
    machine.do(machine.receiver_is_well("one"), machine.restart(PLANS[1]), machine.disk_is_full(crash=False))


def test_a_rate_limit_is_obeyed_after_a_crash_and_with_the_clock_set_back(machine: Story) -> None:
    """I11."""
    machine.do(machine.market_throttles("read", [900.0]), machine.happen(1, "refund"))
    machine.do(machine.crash(), machine.sweep(), machine.clock_is_set_back(7200, noticed=True))
    machine.do(machine.wait(130.0), machine.sweep(), machine.clock_is_set_back(300, noticed=False), machine.sweep())


def test_what_is_listed_with_another_payload_is_kept_beside_the_first_which_is_sent(machine: Story) -> None:
    """I9: also two of them on one page."""
    machine.do(machine.market_is("refusing"), machine.receiver_answers("two", "later"), machine.happen(1, "purchase"))
    for beside in (False, True):
        machine.do(machine.sweep(), machine.change(0, beside), machine.sweep())
    machine.do(machine.receiver_is_well("two"), machine.wait(61.0))
    assert len(machine.world.model.check().events["shop", "1"].variants) == 2


def test_what_is_still_owed_is_completed_after_the_hold_and_not_forgotten_for_its_age(machine: Story) -> None:
    """I2, I4, I20."""
    machine.do(machine.receiver_answers("two", "hang"), machine.happen(2, "purchase"))
    assert set(machine.world.upstream.pending) == {"1", "2"}
    machine.do(machine.wait_and_sweep(400.0), machine.wait_and_sweep(400.0), machine.prune(3))
    assert not machine.world.upstream.pending


def test_completions_that_may_not_have_arrived_are_asked_for_again(machine: Story) -> None:
    """W6, I19."""
    machine.do(machine.happen(1, "purchase", sweep=False), machine.market_throttles("write", [1.0]), machine.sweep())
    machine.do(machine.market_is("down"), machine.wait(6.0), machine.complete(), machine.market_is("answer lost"))
    machine.do(machine.wait_and_sweep(400.0), machine.market_is("well"), machine.wait_and_sweep(400.0))


def test_verdicts_that_come_after_their_lease_settle_nothing(machine: Story) -> None:
    """I5, F6: the machine was suspended while calls were under way."""
    machine.do(machine.receiver_answers("one", "hang"), machine.receiver_answers("three", "accept slowly"))
    machine.do(machine.happen(4, "purchase"), machine.machine_is_suspended(130.0), machine.machine_is_suspended(7200.0))
    machine.do(machine.receiver_is_well("one"), machine.wait(130.0))
