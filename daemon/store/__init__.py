"""All that must outlive the process: one object, its parts by subject, each method one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.lane import Lane
from daemon.store.acknowledgements import Acknowledgeable, Acknowledgements
from daemon.store.browse import Browse, EventFilter
from daemon.store.claims import Claimed
from daemon.store.database import Database
from daemon.store.deliveries import Deliveries, Suspect
from daemon.store.errors import StoreBroken, StoreClosed, StoreInUse, StoreRefused
from daemon.store.events import Added, Events, Planned
from daemon.store.gates import GateKeeper, put_gates
from daemon.store.notices import Notices
from daemon.store.pruning import Pruned, Pruning
from daemon.store.replays import Replays, Selection
from daemon.store.sinks import Enrolled, Sinks, save_lane
from daemon.store.sources import SourceMemory, Sources
from daemon.store.verdicts import Attempted, Claim
from daemon.store.waits import shift_waits

__all__ = [
    "Acknowledgeable",
    "Added",
    "Attempted",
    "Claim",
    "Claimed",
    "Enrolled",
    "EventFilter",
    "Planned",
    "Pruned",
    "Selection",
    "SourceMemory",
    "Store",
    "StoreBroken",
    "StoreClosed",
    "StoreInUse",
    "StoreRefused",
    "Suspect",
]


NO_LANES: Mapping[str, Lane] = MappingProxyType({})


class Store:
    """The ledger."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.database = Database(path, clock)
        self.events = Events(self.database)
        self.deliveries = Deliveries(self.database)
        self.acknowledgements = Acknowledgements(self.database)
        self.sinks = Sinks(self.database)
        self.sources = Sources(self.database)
        self.gates = GateKeeper(self.database)
        self.notices = Notices(self.database)
        self.replays = Replays(self.database)
        self.pruning = Pruning(self.database)
        self.browse = Browse(self.database)

    async def shift(self, step: timedelta, lanes: Mapping[str, Lane] = NO_LANES) -> None:
        """After the wall clock was set by `step`: everything that waits goes on for as long as before.

        To be called before anything else is written; the lanes were shifted already.
        """
        gates = self.gates.shift(step)

        def operation(connection: Connection, now: datetime) -> None:
            put_gates(connection, gates)
            shift_waits(connection, step)
            for name, lane in lanes.items():
                save_lane(connection, now, name, lane)

        await self.database.write(operation)
