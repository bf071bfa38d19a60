"""What the benchmarks share: the rim and Eventferry as processes, on a real disk, and what the kernel says of them."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRATCH = "/var/tmp"
"""Survives a restart by convention, so it is a disk; /tmp often is memory, where an fsync costs nothing."""
PATIENCE = 900.0


class Rim:
    """The process of `benchmarks.rim`, from outside."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def add(self, count: int) -> None:
        self._control(f"add?count={count}")

    def stats(self) -> Any:
        return self._control("stats")

    def waits(self) -> Mapping[str, list[float]]:
        found: Mapping[str, list[float]] = self._control("waits")
        return found

    def until(self, condition: Callable[[Any], bool]) -> Any:
        """The statistics as soon as they fulfil a condition; looks rarely, to leave the processor alone."""
        deadline = time.monotonic() + PATIENCE
        while not condition(stats := self.stats()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still not done after {PATIENCE:.0f} s: {stats}")
            time.sleep(0.1)
        return stats

    def _control(self, call: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/control/{call}", timeout=60) as answer:
            return json.load(answer)


@contextmanager
def rim(first_id: int = 1) -> Iterator[Rim]:
    with _process([sys.executable, "-m", "benchmarks.rim", str(first_id)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Rim(int(process.stdout.readline()))


class Ferry:
    """A running `eventferry run`, and what the kernel knows of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_seconds(self) -> float:
        # The kernel's clock of another process (clock_getcpuclockid): finer than the ticks under /proc.
        return time.clock_gettime(~self.pid << 3 | 2)

    def rest(self) -> None:
        """Wait until it has nothing to do, such as the check of a large database that follows a start."""
        before, used = 0.0, self.cpu_seconds()
        while used - before > 0.02:
            time.sleep(2)
            before, used = used, self.cpu_seconds()

    def resident_mb(self) -> float:
        return self._memory("VmRSS")

    def peak_mb(self) -> float:
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="eventferry-bench-", dir=SCRATCH) as folder:
        yield Path(folder)


@contextmanager
def eventferry(
    rim: Rim, folder: Path, *, poll: str = "30s", sinks: Mapping[str, str] | None = None, at_once: int | None = None
) -> Iterator[Ferry]:
    """The real process with its defaults; `sinks` are webhooks by name, each with its path at the rim."""
    config = folder / "config.toml"
    lines = [
        "[daemon]",
        'stop_timeout = "1s"',
        "[sources.builtbybit]",
        'type = "builtbybit"',
        f'base_url = "{rim.url}/v2"',
        'token = "bench"',
    ]
    lines.append(f'poll = "{poll}"')
    for name, path in (sinks or {"hook": "/hook/hook"}).items():
        lines += [f"[sinks.{name}]", 'type = "webhook"', f'url = "{rim.url}{path}"']
        lines += [f"concurrency = {at_once}"] if at_once else []
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "daemon.cli", "--config", str(config), "run"]
        with _process(command, stdout=log, stderr=log) as process:
            yield Ferry(process.pid)


@contextmanager
def _process(command: list[str], **streams: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **streams)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
