"""An upgrade that is killed, or that fails: F18, F56, W10. Long form: `python -m tests.soak.migration`."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.soak.migration import BREAKS, COPIES, HEAD, NAME, NEW, counted, kill_in_upgrade, next_release, start

RELEASE = Path(__file__).parent.parent / "releases" / "0.1.0.db"
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the database of a release lies, beside the release to come."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(RELEASE, folder / NAME)
    next_release(tmp_path)
    return folder


@needs_strace
@pytest.mark.parametrize(("call", "stride"), [("pwrite64", 30), ("fdatasync", 3)])
def test_an_upgrade_that_is_killed_is_undone_or_done_and_the_next_start_goes_on(home, call, stride):
    """F18, F56, W10, I13: each start is killed later in the upgrade than the one before, and finds what that left."""
    assert kill_in_upgrade(home, RELEASE, call, stride=stride)


def test_an_upgrade_that_fails_is_undone_says_so_in_one_line_and_the_right_version_goes_on(home, tmp_path):
    """F18, W10: an error that nobody foresaw, after half of the work."""
    before = counted(home / NAME)
    result = start(next_release(tmp_path, BREAKS), home / NAME)
    assert result.returncode == 74
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{home / NAME}: cannot be brought up to date (RuntimeError: not foreseen); nothing was")
    assert "install the version before again" in line
    (copy,) = home.glob(COPIES)
    assert counted(home / NAME) == counted(copy) == before
    assert start(next_release(tmp_path), home / NAME).returncode == 0
    assert counted(home / NAME).revision == NEW


def test_what_was_upgraded_is_refused_by_the_version_before_with_both_versions(world, tmp_path):
    """F18: the real command says which schema it found and which one it knows, and changes nothing."""

    async def story():
        async with world() as w:
            shutil.copy(RELEASE, w.folder / NAME)
            assert start(next_release(tmp_path), w.folder / NAME).returncode == 0
            after = counted(w.folder / NAME)
            w.configure()
            process = await w.start()
            assert await process.wait() == 74
            (line,) = [line for line in w.log().splitlines() if "newer" in line]
            assert f"schema {NEW}, this program has {HEAD}" in line
            assert "Traceback" not in w.log()
            assert counted(w.folder / NAME) == after

    asyncio.run(story())
