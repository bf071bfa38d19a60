"""The long form: `python -m tests.fuzz --inputs 1000000 --seed 1`; exit code 1 if anything was found."""

import argparse
import multiprocessing
import os
import resource
import sys
import time

from tests.fuzz.run import TARGETS, Tally, keep_example, shares, try_all

_PIECE = 1000
_ADDRESSES = 4 * 1024**3
"""Bytes: a runaway becomes a MemoryError instead of somebody else's trouble."""

Piece = tuple[str, int, range]


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))


def _try(piece: Piece) -> Tally:
    name, seed, numbers = piece
    return try_all(TARGETS[name], seed, numbers, keep_example)


def _pieces(inputs: int, seed: int, only: str | None) -> list[Piece]:
    counts = {only: inputs} if only else shares(inputs)
    return [
        (name, seed, range(start, min(start + _PIECE, count)))
        for name, count in counts.items()
        for start in range(0, count, _PIECE)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--target", choices=list(TARGETS), help="only this one")
    wanted = parser.parse_args()
    began = time.monotonic()
    totals: dict[str, Tally] = {}
    failures: dict[str, None] = {}
    with multiprocessing.get_context("fork").Pool(wanted.jobs, _bound) as pool:
        for tally in pool.imap(_try, _pieces(wanted.inputs, wanted.seed, wanted.target)):
            total = totals.setdefault(tally.target, Tally(tally.target))
            total.inputs += tally.inputs
            total.seconds += tally.seconds
            for failure in tally.failures:
                kind = failure.split(": ")[1]
                if kind not in failures:
                    failures[kind] = None
                    total.failures.append(failure)
                    sys.stdout.write(f"{failure}\n")
                    sys.stdout.flush()
    for total in totals.values():
        rate = total.inputs / max(total.seconds, 1e-9)
        sys.stdout.write(
            f"{total.target:<20} {total.inputs:>8} inputs  {rate:>7.0f}/s of a core  {len(total.failures)} unhandled\n"
        )
    number = sum(total.inputs for total in totals.values())
    sys.stdout.write(f"{number} inputs: {len(failures)} unhandled ({time.monotonic() - began:.0f} s)\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
