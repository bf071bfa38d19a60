"""Tries inputs, one after the other, each within bounds of its own; makes those that fail small, and keeps them."""

import hashlib
import os
import random
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from daemon import redaction
from tests.fuzz import commands, configs, receivers, sources, words
from tests.fuzz.mutate import mutated, mutated_json
from tests.fuzz.target import CANARY, Target
from tests.memory import peak, peak_from_now

EXAMPLES = Path(__file__).parent / "examples"
"""What once failed: `make test` tries it again."""
TARGETS = {
    target.name: target for module in (sources, configs, words, receivers, commands) for target in module.TARGETS
}
CPU_SECONDS = 5.0
"""Of this process, so that a busy machine is no failure; the slowest inputs take a fiftieth."""
LARGEST = 1024 * 1024 * 1024
"""Bytes of memory for a process that tries inputs."""
_PATIENCE = 60.0
_VARIABLES = {
    "FUZZ_SECRET": CANARY,
    "FUZZ_URL": f"https://shop.example/{CANARY}",
    "FUZZ_DISCORD": f"https://discord.com/api/webhooks/123456789012345678/{CANARY}",
}


class TooSlow(Exception):
    """An input took more time than any may take."""


@dataclass
class Tally:
    """What came of many inputs to one target."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    """One text for each kind of failure, with the input made small."""


def shares(inputs: int) -> dict[str, int]:
    """How many of so many inputs each target gets."""
    whole = sum(target.weight for target in TARGETS.values())
    counts = {name: inputs * target.weight // whole for name, target in TARGETS.items()}
    first = next(iter(counts))
    return counts | {first: counts[first] + inputs - sum(counts.values())}


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The input with this number; the first ones are the samples themselves."""
    if number < len(target.samples):
        return target.samples[number]
    rng = random.Random(f"{seed} {target.name} {number}")
    sample = rng.choice(target.samples)
    if target.is_json and rng.random() < 0.9:
        return mutated_json(sample, target.samples, rng)
    return mutated(sample, target.samples, target.tokens, rng)


def attempt(target: Target, data: bytes, seconds: float = CPU_SECONDS) -> Exception | None:
    """Try one input: what it raised that it should not."""
    redaction._known = redaction._Known()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        target.check(data)
    except Exception as error:  # noqa: BLE001 - finding whatever is raised is what this is for
        return error
    return None


def try_all(
    target: Target, seed: int, numbers: range, keep: Callable[[Target, bytes], Path], seconds: float = CPU_SECONDS
) -> Tally:
    """Try the inputs with these numbers."""
    tally = Tally(target.name, len(numbers))
    seen: set[str] = set()
    peak_from_now()
    began = time.process_time()
    with bounded():
        for number in numbers:
            data = input_of(target, seed, number)
            error = attempt(target, data, seconds)
            if error is not None and (place := _place(error)) not in seen:
                seen.add(place)
                small = shrunk(target, data, place, seconds)
                tally.failures.append(
                    f"{target.name}, input {number}: {place}: {str(error)[:500]}\n  {small[:2000]!r}\n"
                    f"  kept as {keep(target, small)}"
                )
    tally.seconds = time.process_time() - began
    if peak() > LARGEST:
        tally.failures.append(f"{target.name}, inputs {numbers.start}-{numbers.stop}: more than 1 GiB of memory")
    return tally


@contextmanager
def bounded() -> Iterator[None]:
    """Each input ends within CPU_SECONDS, a warning is a failure, and what configs refer to is there."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(_VARIABLES)
    handler = signal.signal(signal.SIGPROF, _too_slow)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow("more time than any input may take")


def _place(error: Exception) -> str:
    """What failed and where: two inputs that fail in the same place are one finding."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def shrunk(target: Target, data: bytes, place: str, seconds: float) -> bytes:
    """As small an input as fails in the same place, found by leaving out ever smaller pieces."""
    deadline = time.monotonic() + _PATIENCE
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.monotonic() < deadline:
            less = data[:at] + data[at + size :]
            error = attempt(target, less, seconds)
            if error is not None and _place(error) == place:
                data = less
            else:
                at += size
        size //= 2
    return data


def keep_example(target: Target, data: bytes) -> Path:
    """Keep an input as an example."""
    path = EXAMPLES / f"{target.name}.{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path
