"""What tests of the store share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def as_somebody_else() -> Iterator[Path]:
    """A folder of ours, while the test runs without root's right to ignore permissions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        own = folder / "own"
        if os.getuid() != 0:
            own.mkdir()
            yield own
            return
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            own.mkdir()
            yield own
        finally:
            os.setresuid(0, 0, 0)
