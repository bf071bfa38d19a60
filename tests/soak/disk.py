"""What a disk may hold after a power cut, of all that was written to it."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tests.soak.recording import Create, Flush, Rename, Step, Told, Truncate, Unlink, Write

SECTOR = 512
SURVIVING = 0.6
"""The share of what was not flushed that is on the disk all the same."""

State = Mapping[str, bytes]
"""Files by name."""


@dataclass(slots=True)
class _File:
    flushed: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)


class Disk:
    """Promises only what POSIX does: bytes are safe once their file was flushed, names once their folder was."""

    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        """As programs see them."""
        self._safe_names: dict[str, _File] = {}
        self._pending_names: list[dict[str, _File]] = []
        """The names after each change since they were last safe."""

    def take(self, step: Step) -> None:
        """Do as the daemon did."""
        match step:
            case Write(name) | Truncate(name):
                self._names[name].pending.append(step)
            case Flush(""):
                self._safe_names, self._pending_names = self._names, []
            case Flush(name):
                file = self._names[name]
                _apply(file.flushed, file.pending)
                file.pending.clear()
            case Create(name):
                if name not in self._names:
                    self._rename({**self._names, name: _File()})
            case Unlink(name):
                self._rename({other: file for other, file in self._names.items() if other != name})
            case Rename(name, new_name):
                rest = {other: file for other, file in self._names.items() if other != name}
                self._rename({**rest, new_name: self._names[name]})
            case Told():
                pass

    def _rename(self, names: dict[str, _File]) -> None:
        self._names = names
        self._pending_names.append(names)

    def as_seen(self) -> State:
        """Everything: what programs see as long as the power is on."""
        return {name: _with(file, file.pending) for name, file in self._names.items()}

    def flushed(self) -> State:
        """Only what is safe."""
        return {name: bytes(file.flushed) for name, file in self._safe_names.items()}

    def partly_flushed(self, chance: random.Random) -> State:
        """Some of what was written since, in its order."""
        return {
            name: _with(file, [each for each in file.pending if chance.random() < SURVIVING])
            for name, file in chance.choice([self._safe_names, *self._pending_names]).items()
        }

    def torn(self, chance: random.Random) -> State:
        """Some of the sectors of what was written since, in any order."""
        state = {}
        for name, file in chance.choice([self._safe_names, *self._pending_names]).items():
            sectors = [sector for each in file.pending for sector in _sectors(each)]
            surviving = [sector for sector in sectors if chance.random() < SURVIVING]
            chance.shuffle(surviving)
            state[name] = _with(file, surviving)
        return state


def _with(file: _File, changes: Iterable[Write | Truncate]) -> bytes:
    content = bytearray(file.flushed)
    _apply(content, changes)
    return bytes(content)


def _apply(content: bytearray, changes: Iterable[Write | Truncate]) -> None:
    for change in changes:
        size = change.size if isinstance(change, Truncate) else change.offset + len(change.data)
        if len(content) < size:
            content.extend(bytes(size - len(content)))
        if isinstance(change, Truncate):
            del content[size:]
        else:
            content[change.offset : size] = change.data


def _sectors(change: Write | Truncate) -> list[Write | Truncate]:
    """A write, cut where the disk's sectors end."""
    if isinstance(change, Truncate):
        return [change]
    cuts = [0, *range(SECTOR - change.offset % SECTOR, len(change.data), SECTOR), len(change.data)]
    return [Write(change.name, change.offset + start, change.data[start:end]) for start, end in pairwise(cuts)]
