"""What can be configured, where it is read from, and what is wrong with it."""

from daemon.settings.load import PLACES, Loaded, find, load
from daemon.settings.model import DaemonSettings, Settings, SinkCommon, SourceCommon
from daemon.settings.present import masked, schema
from daemon.settings.problems import ConfigError, Problem

__all__ = [
    "PLACES",
    "ConfigError",
    "DaemonSettings",
    "Loaded",
    "Problem",
    "Settings",
    "SinkCommon",
    "SourceCommon",
    "find",
    "load",
    "masked",
    "schema",
]
