"""The disk of the power cuts keeps what was flushed, and nothing else for sure."""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.soak.disk import SECTOR, Disk
from tests.soak.recording import DATABASE, Create, Flush, Rename, Step, Told, Truncate, Unlink, Write, parse

A, B = b"a" * 3 * SECTOR, b"b" * 3 * SECTOR
BORN: list[Step] = [Create("db"), Flush("")]


def disk(steps: Sequence[Step]) -> Disk:
    made = Disk()
    for step in steps:
        made.take(step)
    return made


def test_what_was_not_flushed_is_seen_but_not_safe() -> None:
    written = disk([*BORN, Write("db", 0, A), Flush("db"), Write("db", SECTOR, b"x"), Truncate("db", 2 * SECTOR)])
    assert written.as_seen() == {"db": A[:SECTOR] + b"x" + A[: SECTOR - 1]}
    assert written.flushed() == {"db": A}


def test_a_file_is_lost_with_a_name_that_was_not_flushed() -> None:
    written = disk([Create("db"), Write("db", 0, A), Flush("db")])
    assert written.flushed() == {}
    written.take(Flush(""))
    assert written.flushed() == {"db": A}


def test_a_file_that_was_renamed_or_removed_may_still_have_its_old_name() -> None:
    written = disk([*BORN, Write("db", 0, A), Flush("db"), Rename("db", "new"), Unlink("new")])
    names = {tuple(written.partly_flushed(random.Random(seed))) for seed in range(20)}
    assert names == {("db",), ("new",), ()}
    assert written.flushed() == {"db": A}


def test_what_is_pending_survives_in_part_and_a_write_may_be_torn_at_a_sector() -> None:
    written = disk([*BORN, Write("db", 0, A), Flush("db"), Write("db", 0, B), Write("db", len(B), b"b")])
    whole = {written.partly_flushed(random.Random(seed))["db"] for seed in range(30)}
    assert whole == {A, A + b"b", B, B + b"b"}
    torn = {written.torn(random.Random(seed))["db"] for seed in range(30)}
    assert B[:SECTOR] + A[SECTOR:] in torn
    assert {content[start : start + SECTOR] for content in torn for start in range(0, len(A), SECTOR)} == {
        A[:SECTOR],
        B[:SECTOR],
    }


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def test_a_flush_counts_from_its_return_and_all_else_from_its_beginning() -> None:
    folder = Path("/somewhere")
    database = f"7<{hexed(f'/somewhere/{DATABASE}')}>"
    log = f"2<{hexed('/somewhere/log')}>"
    body = hexed('{"event_ids": [1, 2]}')
    lines = [
        f'9 openat(AT_FDCWD<{hexed("/")}>, "{hexed(f"/somewhere/{DATABASE}")}", O_RDWR|O_CREAT, 0600) = {database}',
        f'9 write({log}, "{hexed("words")}", 5) = 5',
        f'10 pwrite64({database}, "{hexed("page")}", 4, 4096 <unfinished ...>',
        "10 <... pwrite64 resumed>) = 4",
        f"10 fdatasync({database} <unfinished ...>",
        f'9 sendto(5<{hexed("socket:[1]")}>, "{body}", 21, 0, NULL, 0) = 21',
        "10 <... fdatasync resumed>) = 0",
        f'10 unlink("{hexed(f"/somewhere/{DATABASE}-wal")}") = -1 ENOENT (No such file or directory)',
        f"10 fsync(8<{hexed('/somewhere')}>) = 0",
        f"10 fdatasync({database}) = ?",
        "10 +++ killed by SIGKILL +++",
    ]
    assert list(parse(lines, folder)) == [
        Create(DATABASE),
        Write(DATABASE, 4096, b"page"),
        Told(("1", "2")),
        Flush(DATABASE),
        Flush(""),
    ]
