"""All that must outlive the process: one object, its parts by subject, each method one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.gathering import Gathering
from daemon.lane import Lane
from daemon.store.acknowledgements import Acknowledgeable, Acknowledgements
from daemon.store.browse import Browse, EventFilter
from daemon.store.claims import Claimed
from daemon.store.database import Database
from daemon.store.deliveries import Deliveries, Suspect
from daemon.store.errors import StoreBroken, StoreClosed, StoreInUse, StoreRefused
from daemon.store.events import Added, Events, Planned
from daemon.store.figures import Figures, Sums
from daemon.store.gates import GateKeeper, put_gates
from daemon.store.notices import DeadLetters, Notices
from daemon.store.orphans import Orphans, Owed
from daemon.store.paces import Paces, put_paces
from daemon.store.pruning import Pruning
from daemon.store.renames import Renames
from daemon.store.replays import Replays, Selection
from daemon.store.sinks import Enrolled, Sinks, save_lane
from daemon.store.sources import SourceMemory, Sources
from daemon.store.trials import Trials
from daemon.store.verdicts import Attempted, Claim
from daemon.store.waits import shift_waits
from daemon.store.writer import Operation

__all__ = [
    "Acknowledgeable",
    "Added",
    "Attempted",
    "Claim",
    "Claimed",
    "DeadLetters",
    "Enrolled",
    "EventFilter",
    "Operation",
    "Owed",
    "Planned",
    "Selection",
    "SourceMemory",
    "Store",
    "StoreBroken",
    "StoreClosed",
    "StoreInUse",
    "StoreRefused",
    "Sums",
    "Suspect",
]


NO_LANES: Mapping[str, Lane] = MappingProxyType({})


class Store:
    """The ledger."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.database = Database(path, clock)
        gatherings: dict[str, Gathering] = {}
        self.events = Events(self.database, gatherings)
        self.deliveries = Deliveries(self.database)
        self.acknowledgements = Acknowledgements(self.database)
        self.sinks = Sinks(self.database, gatherings)
        self.sources = Sources(self.database)
        self.gates = GateKeeper(self.database)
        self.paces = Paces(self.database)
        self.notices = Notices(self.database)
        self.replays = Replays(self.database)
        self.renames = Renames(self.database)
        self.orphans = Orphans(self.database)
        self.trials = Trials(self.database)
        self.pruning = Pruning(self.database)
        self.figures = Figures(self.database)
        self.browse = Browse(self.database)

    async def shift(self, step: timedelta, lanes: Mapping[str, Lane] = NO_LANES) -> None:
        """After the wall clock was set by `step`: everything that waits goes on for as long as before.

        To be called before anything else is written; the lanes were shifted already.
        """
        gates, paces = self.gates.shift(step), self.paces.shift(step)

        def operation(connection: Connection, now: datetime) -> None:
            put_gates(connection, gates)
            put_paces(connection, paces)
            shift_waits(connection, step)
            self.sinks.replan(connection, now)
            for name, lane in lanes.items():
                save_lane(connection, now, name, lane)

        await self.database.write(operation)
