"""What holds for every test: the same examples everywhere, no other test's secrets, and with NO_SKIP=1 no skip."""

import copy
import logging
import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import settings

from daemon import log, redaction

# No example is left to chance and none has a deadline: a busy machine is no failure.
settings.load_profile("ci")
# A shell that starts the suite in its background makes it, and so what it starts, deaf to ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _refuse_skip(report: Report) -> Report:
    """Turn a skip into a failure for .ci/run, so that a missing program hides no test; elsewhere it stays a skip."""
    if os.environ.get("NO_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        assert isinstance(report.longrepr, tuple)
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason} (nothing may be skipped with NO_SKIP)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_skip((yield))


@pytest.fixture(autouse=True)
def _no_secret_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test calls a secret must not be blanked out in the texts of the next; a process never forgets one."""
    monkeypatch.setattr(redaction, "_known", copy.deepcopy(redaction._known))


@pytest.fixture(autouse=True)
def _no_log_level_of_another_test(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """A log level that one test configures must silence no later one, nor a logger that was first used under it."""
    bridge = log._bridge
    monkeypatch.setattr(log, "_bridge", lambda level, *, cache: bridge(level, cache=False))
    yield
    bridge(logging.DEBUG, cache=False)
    logging.getLogger(log._OURS).setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
