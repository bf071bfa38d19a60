"""What tests of the daemon's parts share: a clock moved by hand, and stores on real files."""

from pathlib import Path

import pytest

from tests.ledger import ManualClock, Stores, opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "eventferry.db"


@pytest.fixture
def make_store(database: Path, clock: ManualClock) -> Stores:
    """Opens the same file each time, as a process does that is started again."""
    return lambda: opened(database, clock)
