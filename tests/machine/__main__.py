"""Plays at length and says what came of it: `python -m tests.machine --examples 1000 --steps 50 --seed 1`."""
# ruff: noqa: T201

import argparse
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shrink", action="store_true", help="look for the shortest way to a failure; takes long")
    arguments = parser.parse_args()
    began = time.monotonic()
    phases = [Phase.generate, Phase.shrink] if arguments.shrink else [Phase.generate]
    played = settings(
        max_examples=arguments.examples,
        stateful_step_count=arguments.steps,
        phases=phases,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    what = "every promise held"
    try:
        run_state_machine_as_test(seed(arguments.seed)(Machine), settings=played)
    except Exception as error:  # noqa: BLE001 - whatever it is, the machine found it
        repeats = isinstance(error, FlakyStrategyDefinition)
        what = "threads did not repeat exactly, so Hypothesis gave up" if repeats else "a promise was BROKEN"
        for each in getattr(error, "exceptions", [error]):
            print(*getattr(each, "__notes__", ()), each, sep="\n")
    seconds = time.monotonic() - began
    print(f"seed {arguments.seed}: {Machine.examples} examples, {Machine.steps} steps, {seconds:.0f} s: {what}")
    return 0 if what == "every promise held" else 1


if __name__ == "__main__":
    sys.exit(main())
