"""A process that is killed here leaves its coroutines and generators as they were, and Python warns of each."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those warnings pass, for the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    """What was left behind is cleared away here, and not in the middle of somebody else's test."""
    yield
    gc.collect()
