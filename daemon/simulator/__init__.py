"""A stand-in for BuiltByBit and for the receivers: for `demo`, for tests, for users' own trials."""

from daemon.simulator.exchange import Hook, Seen, Stage
from daemon.simulator.faults import Behaviour, Faults, MailBehaviour
from daemon.simulator.server import TOKEN, Options, Simulator, serve

__all__ = [
    "TOKEN",
    "Behaviour",
    "Faults",
    "Hook",
    "MailBehaviour",
    "Options",
    "Seen",
    "Simulator",
    "Stage",
    "serve",
]
