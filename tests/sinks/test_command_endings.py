"""Programs that get events: how they end, well or not, and what their end means."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from daemon.contract import Delivered, Outcome, Rejected, TryLater
from tests.events import delivery, event
from tests.memory import peak, peak_from_now
from tests.programs import Script, gone, run, sink, until


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("exit 0", Delivered("exit code 0")),
        ("exit 75", TryLater("the command asks to try later (exit code 75)")),
        ("exit 1", Rejected("the command failed with exit code 1")),
        ("exit 64", Rejected("the command failed with exit code 64")),
        ("exit 255", Rejected("the command failed with exit code 255")),
        ("exit 126", TryLater("the command did not run: it cannot be run (exit code 126)")),
        ("exit 127", TryLater("the command did not run: it was not found (exit code 127)")),
        ("nonsense-that-nobody-has", TryLater("the command did not run: it was not found (exit code 127)")),
        ("kill -TERM $$", TryLater("the command was ended by SIGTERM")),
        ("kill -SEGV $$", TryLater("the command was ended by SIGSEGV")),
        ("kill -40 $$", TryLater("the command was ended by signal 40")),
    ],
)
def test_each_ending_has_an_outcome(script: Script, ending: str, outcome: Outcome) -> None:
    assert run(script(ending)()).outcome == outcome


@pytest.mark.parametrize(
    ("interpreter", "mode", "reason"),
    [
        ("/bin/sh", 0o600, "Permission denied"),
        ("/nowhere/sh", 0o700, "No such file or directory"),
    ],
)
def test_what_cannot_be_started_is_tried_later(
    script: Script, tmp_path: Path, interpreter: str, mode: int, reason: str
) -> None:
    make = script("exit 0", interpreter)
    (tmp_path / "program").chmod(mode)
    report = run(make())
    assert report.outcome == TryLater(f"the command cannot be started: {reason}")
    assert report.body


def test_a_program_that_is_no_program_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"\x00\x01")
    (tmp_path / "program").chmod(0o700)
    assert run(sink([str(tmp_path / "program")])).outcome == TryLater(
        "the command cannot be started: Exec format error"
    )


def test_both_outputs_are_kept_with_the_attempt(script: Script) -> None:
    report = run(script("echo out; echo err >&2; exit 3")())
    assert report.answer == "out\nerr"


def test_the_end_of_a_long_output_is_kept_and_secrets_are_not(script: Script) -> None:
    """F44; a secret that the cut would halve goes as a whole."""
    secret = "canary-command-0123456789abcdef"
    make = script('i=0; while [ $i -lt 3000 ]; do echo "line $i $TOKEN"; i=$((i+1)); done; printf "%01010d" 5')
    report = run(make(env={"TOKEN": secret}))
    assert len(report.answer) == 1024
    assert report.answer.endswith("0005")
    assert "canary" not in report.answer
    assert not any(secret[at : at + 6] in report.answer for at in range(len(secret) - 6))


# What misbehaves


def test_one_that_hangs_is_ended_at_its_deadline_with_its_children(script: Script) -> None:
    """F44."""
    began = time.monotonic()
    report = run(script("echo $$; sleep 1000 & echo $!; sleep 1000")(timeout="500ms"))
    assert time.monotonic() - began < 10
    assert report.outcome == TryLater("the command was not done within 0.5 s, and was ended")
    processes = [int(line) for line in report.answer.splitlines()[:2]]
    assert all(gone(process) for process in processes)


def test_one_that_ignores_sigterm_is_killed(script: Script) -> None:
    """F44."""
    report = run(script("trap '' TERM; echo $$; sleep 1000; sleep 1000")(timeout="500ms"))
    assert report.outcome == TryLater("the command was not done within 0.5 s, and was ended")
    assert gone(int(report.answer))


def test_one_that_tidies_up_when_told_to_end_gets_the_time(script: Script) -> None:
    report = run(script("trap 'echo tidied; exit 0' TERM; sleep 1000 & wait")(timeout="500ms"))
    assert isinstance(report.outcome, TryLater)
    assert report.answer == "tidied"


def test_children_that_hold_the_output_do_not_hold_us(script: Script) -> None:
    """F44: the program's own end decides, and what it left behind ends with it."""
    began = time.monotonic()
    report = run(script("sleep 1000 & echo $!; (trap '' TERM; sleep 1000) & exit 0")(timeout="1m"))
    assert time.monotonic() - began < 20
    assert report.outcome == Delivered("exit code 0")
    assert gone(int(report.answer))


def test_one_that_left_its_group_does_not_hold_us_either(script: Script) -> None:
    began = time.monotonic()
    report = run(script("setsid sh -c 'echo $$; while echo x; do :; done' & sleep 0.3; exit 0")(timeout="1m"))
    assert time.monotonic() - began < 20
    assert report.outcome == Delivered("exit code 0")


def test_a_gigabyte_of_output_costs_no_memory(script: Script) -> None:
    """F44."""
    before = peak_from_now()
    report = run(script("head -c 1000000000 /dev/zero; echo done")(timeout="2m"))
    assert report.outcome == Delivered("exit code 0")
    assert report.answer.endswith("done")
    assert peak() - before < 32 * 1024 * 1024


def test_one_that_reads_nothing_gets_along_with_a_large_event(script: Script) -> None:
    """F44."""
    report = run(script("exec 0<&-; exit 0")(), delivery(event({"message": "x" * 2_000_000})))
    assert report.outcome == Delivered("exit code 0")


def test_one_that_closes_its_output_and_goes_on_is_waited_for(script: Script) -> None:
    assert run(script("exec 1>&- 2>&-; sleep 0.3; exit 75")()).outcome == TryLater(
        "the command asks to try later (exit code 75)"
    )


def test_what_it_may_use_is_limited(script: Script) -> None:
    """S8: from the moment at which we know of it."""
    report = run(script('while [ "$(ulimit -n)" -gt 1024 ]; do :; done; ulimit -f; ulimit -c')(timeout="1m"))
    blocks, core = report.answer.split()
    assert int(blocks) * 512 == 1024**3
    assert core == "0"


@pytest.mark.parametrize("ignoring", [False, True])
def test_being_stopped_ends_the_group(script: Script, tmp_path: Path, ignoring: bool) -> None:
    note = tmp_path / "note"
    trap = "trap '' TERM;" if ignoring else ""
    one = script(f"{trap} sleep 1000 & echo $$ $! > {note}.new; mv {note}.new {note}; wait; sleep 1000")()

    async def use() -> float:
        task = asyncio.create_task(one.deliver(delivery()))
        await until(note.exists)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        await one.close()
        return time.monotonic() - began

    assert asyncio.run(use()) < 5
    assert all(gone(int(process)) for process in note.read_text().split())


def test_nothing_is_left_behind(script: Script) -> None:
    """F44: no zombie, no open file."""

    async def use() -> tuple[int, int]:
        one = script("echo hello")(timeout="1m")
        await one.deliver(delivery())
        before = open_files()
        await asyncio.gather(*(one.deliver(delivery(number=number)) for number in range(40)))
        after = open_files()
        await one.close()
        return before, after

    before, after = asyncio.run(use())
    assert after == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
