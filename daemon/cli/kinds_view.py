"""The list of kinds, as `sinks kinds` prints it."""

from collections.abc import Sequence

from daemon.app.kinds import Kind
from daemon.cli.text import columns, line


def lines(found: Sequence[Kind]) -> list[str]:
    """One line for each kind, under a heading."""
    rows = [("KIND", "FROM", "DELIVERS")]
    rows += [(line(one.kind), line(one.origin), _delivers(one)) for one in found]
    return columns(rows)


def _delivers(one: Kind) -> str:
    if one.missing is not None:
        return f"nothing yet: {line(one.missing)}"
    return "messages to people" if one.for_people else "each event by itself"
