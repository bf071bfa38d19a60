import asyncio
import errno
import fcntl
import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.contract import Delivered, Report, TryLater, Unreachable
from daemon.http import Http
from daemon.secrets import relative_to
from sinks.file import FileSink
from tests.events import delivery, event


def sink(path: Path) -> FileSink:
    return FileSink(FileSink.Settings.model_validate({"path": path}), Http())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def append(to: FileSink, *numbers: int) -> list[Report]:
    return list(asyncio.run(to.deliver_batch([delivery(number=number) for number in numbers])))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_each_event_becomes_a_line_with_its_delivery_id(path: Path) -> None:
    reports = append(sink(path), 1, 2)
    assert [report.outcome for report in reports] == [Delivered("on disk")] * 2
    first, second = lines(path)
    assert (first["delivery_id"], second["delivery_id"]) == ("builtbybit-1-sales", "builtbybit-2-sales")
    assert first["key"] == "builtbybit:4711"
    assert first["data"] == event().data
    assert b"".join(report.body for report in reports) == path.read_bytes()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_file_is_readable_for_its_group_and_nobody_else(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        append(sink(path), 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_was_there_keeps_its_mode_and_content(path: Path) -> None:
    path.write_text('{"old": 1}\n')
    path.chmod(0o600)
    append(sink(path), 1)
    assert lines(path)[0] == {"old": 1}
    assert len(lines(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_last_line_spoils_no_other(path: Path) -> None:
    path.write_text('{"whole": 1}\n{"torn": ')
    append(sink(path), 1, 2)
    whole, torn, *rest = path.read_text().splitlines()
    assert (whole, torn) == ('{"whole": 1}', '{"torn": ')
    assert [json.loads(line)["delivery_id"] for line in rest] == ["builtbybit-1-sales", "builtbybit-2-sales"]


def test_a_renamed_file_is_left_and_a_new_one_begun(path: Path) -> None:
    rotating = sink(path)
    append(rotating, 1)
    old = path.rename(path.with_suffix(".1"))
    append(rotating, 2)
    path.unlink()
    append(rotating, 3)
    assert [line["delivery_id"] for line in lines(old)] == ["builtbybit-1-sales"]
    assert [line["delivery_id"] for line in lines(path)] == ["builtbybit-3-sales"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system writes up to the limit and then refuses, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_write_that_stops_half_way_leaves_no_half_line(path: Path) -> None:
    full = sink(path)
    append(full, 1)
    size = path.stat().st_size
    with no_file_larger_than(size + 100):
        (report,) = append(full, 2)
    assert isinstance(report.outcome, TryLater)
    assert path.stat().st_size == size
    append(full, 2)
    assert [line["delivery_id"] for line in lines(path)] == ["builtbybit-1-sales", "builtbybit-2-sales"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_device_is_no_place_for_lines(tmp_path: Path) -> None:
    (report,) = append(sink(Path("/dev/full")), 1)
    assert report.outcome == TryLater("cannot write the file: not a plain file")


def test_a_pipe_in_its_place_does_not_hang(path: Path) -> None:
    os.mkfifo(path)

    async def run() -> Report:
        async with asyncio.timeout(5):
            return await sink(path).deliver(delivery())

    assert asyncio.run(run()).outcome == TryLater("cannot write the file: not a plain file")


@pytest.mark.parametrize("place", ["missing/events.jsonl", "."])
def test_a_place_that_cannot_be_written_is_tried_later(tmp_path: Path, place: str) -> None:
    (report,) = append(sink(tmp_path / place), 1)
    assert isinstance(report.outcome, TryLater)
    assert report.outcome.reason.startswith("cannot write the file: ")
    assert str(tmp_path) not in report.outcome.reason


def test_a_full_disk_is_given_a_minute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    (report,) = append(sink(path), 1)
    assert report.outcome == TryLater("cannot write the file: No space left on device", timedelta(minutes=1))


def test_what_the_disk_did_not_confirm_is_not_delivered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path.touch()
    monkeypatch.setattr(os, "fsync", broken)
    (report,) = append(sink(path), 1)
    assert report.outcome == TryLater("cannot write the file: Input/output error")


def test_batches_side_by_side_never_mix_their_lines(path: Path) -> None:
    shared = sink(path)

    async def run() -> None:
        big = event({"message": "x" * 50_000})
        batches = [[delivery(big, number=10 * batch + one) for one in range(5)] for batch in range(8)]
        await asyncio.gather(*(shared.deliver_batch(batch) for batch in batches))
        await shared.close()

    asyncio.run(run())
    numbers = [int(line["delivery_id"].split("-")[1]) for line in lines(path)]
    assert sorted(numbers) == [10 * batch + one for batch in range(8) for one in range(5)]
    assert all(numbers[at + 1] == numbers[at] + 1 for at in range(len(numbers) - 1) if numbers[at] % 10 < 4)


def test_a_line_that_somebody_else_is_writing_is_not_taken_for_a_torn_one(path: Path) -> None:
    async def run() -> Report:
        with path.open("ab", buffering=0) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            other.write(b'{"other": ')
            task = asyncio.create_task(sink(path).deliver(delivery()))
            await asyncio.wait([task], timeout=0.3)
            other.write(b"1}\n")
            fcntl.flock(other, fcntl.LOCK_UN)
            return await task

    assert asyncio.run(run()).outcome == Delivered("on disk")
    first, second = lines(path)
    assert (first, second["delivery_id"]) == ({"other": 1}, "builtbybit-1-sales")


def test_a_link_to_a_file_that_is_not_there_yet_makes_that_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target.jsonl"
    path.symlink_to(target)
    (report,) = append(sink(path), 1)
    assert report.outcome == Delivered("on disk")
    assert [line["delivery_id"] for line in lines(target)] == ["builtbybit-1-sales"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_that_is_cut_to_nothing_by_who_copied_it_goes_on(path: Path) -> None:
    rotated = sink(path)
    append(rotated, 1)
    os.truncate(path, 0)
    append(rotated, 2)
    assert [line["delivery_id"] for line in lines(path)] == ["builtbybit-2-sales"]


def test_a_relative_path_counts_from_the_config_file(tmp_path: Path) -> None:
    with relative_to(tmp_path):
        settings = FileSink.Settings.model_validate({"path": "events.jsonl"})
    assert settings.path == tmp_path / "events.jsonl"


def test_checking_writes_nothing(path: Path) -> None:
    checked = sink(path)
    assert asyncio.run(checked.check()) == f"{path} can be written"
    assert not path.exists()
    path.write_text("x")
    asyncio.run(checked.check())
    assert path.read_text() == "x"


@pytest.mark.parametrize("place", ["missing/events.jsonl", "."])
def test_checking_a_place_that_cannot_be_written_says_so(tmp_path: Path, place: str) -> None:
    with pytest.raises(Unreachable, match="cannot"):
        asyncio.run(sink(tmp_path / place).check())


def test_a_line_can_be_shown(path: Path) -> None:
    shown = json.loads(sink(path).render(delivery()))
    assert shown["delivery_id"] == "builtbybit-1-sales"
    assert not path.exists()
