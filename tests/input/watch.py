"""What holds while any input is dealt with: little memory, little time, no traceback, no secret, one line each."""

import io
import json
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daemon import log

MEMORY = 16 * 1024 * 1024
SECONDS = 20.0
"""Many times what any case takes, since a machine may be busy; what hangs is found all the same."""


@contextmanager
def watched(secrets: Sequence[str], memory: int = MEMORY) -> Iterator[None]:
    """Raises AssertionError if what happens inside costs too much or says what it must not."""
    written = io.StringIO()
    log.configure("debug", "json", written)
    tracemalloc.start(1)
    began, before = time.monotonic(), tracemalloc.get_traced_memory()[0]
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
        assert peak < memory, f"{peak / 2**20:.1f} MiB more"
        assert time.monotonic() - began < SECONDS
    finally:
        tracemalloc.stop()
        log.shutdown()
    for line in written.getvalue().splitlines():
        said = json.loads(line)
        assert not {"exception", "stack"} & said.keys(), said
        assert said["level"] not in ("error", "critical"), said
        assert len(line) < 4000
    assert not [secret for secret in secrets if secret in written.getvalue()]


def nothing_stored(secrets: Sequence[str], folder: Path) -> bool:
    """Whether no file of the database holds any of these."""
    kept = b"".join(path.read_bytes() for path in folder.glob("eventferry.db*"))
    return not any(secret.encode() in kept for secret in secrets)


def one_line(text: str, longest: int = 500) -> bool:
    """Whether people can be shown this as it is."""
    return text.isprintable() and len(text) <= longest and "://" not in text
