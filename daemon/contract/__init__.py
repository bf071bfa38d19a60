"""What the daemon hands to a source or a sink, and what it wants back."""

from daemon.contract.events import OWN_SOURCE, Cause, Delivery, Event, Summary, delivery_id, is_test, summary_id
from daemon.contract.outcomes import Closed, Delivered, Outcome, Rejected, Report, TryLater
from daemon.contract.sinks import Kinds, Pace, Sink, SinkKind, Unreachable
from daemon.contract.sources import (
    Access,
    AcknowledgementRefused,
    Gates,
    Incoming,
    Page,
    Source,
    SourceKind,
    SourceRefused,
    SourceThrottled,
    SourceTrouble,
    SourceUnavailable,
    Unidentified,
)

__all__ = [
    "OWN_SOURCE",
    "Access",
    "AcknowledgementRefused",
    "Cause",
    "Closed",
    "Delivered",
    "Delivery",
    "Event",
    "Gates",
    "Incoming",
    "Kinds",
    "Outcome",
    "Pace",
    "Page",
    "Rejected",
    "Report",
    "Sink",
    "SinkKind",
    "Source",
    "SourceKind",
    "SourceRefused",
    "SourceThrottled",
    "SourceTrouble",
    "SourceUnavailable",
    "Summary",
    "TryLater",
    "Unidentified",
    "Unreachable",
    "delivery_id",
    "is_test",
    "summary_id",
]
