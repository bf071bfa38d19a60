"""The daemon in a dry run: shows on stdout what it would send, and leaves no trace anywhere."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from daemon.app.build import build_sinks
from daemon.app.daemon import Daemon
from daemon.contract import Delivered, Delivery, Report, Sink, TryLater
from daemon.log import printable
from daemon.settings import Loaded


@contextmanager
def rehearsal(loaded: Loaded) -> Iterator[Daemon]:
    """A daemon with a database of its own that is gone afterwards, whose sinks print and which completes nothing."""
    sending = loaded.settings.daemon.model_copy(update={"first_start": "send"})
    with tempfile.TemporaryDirectory(prefix="eventferry-dry-run-") as folder:
        apart = replace(
            loaded, settings=replace(loaded.settings, daemon=sending), database=Path(folder) / "eventferry.db"
        )

        def stop() -> None:
            daemon.stop_wanted.set()

        sinks = {
            name: replace(
                built,
                sink=_Shown(name, built.sink, stop),
                policy=replace(built.policy, concurrency=1, batch_limit=1, gathering=None),
                enrolled=replace(built.enrolled, gathering=None),  # nobody waits for tomorrow's digest
            )
            for name, built in build_sinks(apart).items()
        }
        daemon = Daemon(apart, sinks=sinks, acknowledging=False)
        yield daemon


class _Shown(Sink):
    """Prints what another sink would send, and calls it delivered."""

    def __init__(self, name: str, sink: Sink, on_closed: Callable[[], None]) -> None:
        self._name = name
        self._sink = sink
        self._on_closed = on_closed
        """Called when nobody reads the output any more."""

    async def deliver(self, delivery: Delivery) -> Report:
        """Print one event as the sink would send it."""
        shown = self._sink.render(delivery)
        lines = [f"--- {self._name} would get {delivery.event.key}:", *shown.splitlines(), ""]
        try:
            await asyncio.to_thread(print, "\n".join(map(printable, lines)), flush=True)
        except OSError:
            self._on_closed()
            return Report(TryLater("the output is closed"))
        return Report(Delivered("shown"))

    async def close(self) -> None:
        """Let go of what the other sink holds."""
        await self._sink.close()
