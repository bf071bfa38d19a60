"""`status`, `events` and `show`: they only look, beside a running daemon or without one."""

import asyncio
from typing import Annotated

import typer

from daemon.cli.errors import Failed, Misused
from daemon.cli.options import Config, Json

STATES = ("waiting", "delivered", "rejected", "gave_up", "discarded", "skipped", "unrouted", "unacknowledged")
LONGEST_WORD = 200
SINCE_HELP = 'Only what came since: "2h", "3d", or "2026-01-31 18:00".'


def status(config: Config = None, json: Json = False) -> None:
    """Tell how sources and sinks are doing, what waits, and what to do. Exit code 1 if something is wrong."""
    from daemon.cli import session, status_view
    from daemon.cli.text import print_either

    loaded = session.load(config)
    seen = asyncio.run(status_view.look(loaded))
    print_either(seen, lambda: status_view.lines(seen, loaded), json=json)
    raise typer.Exit(1 if seen["troubles"] else 0)


def events(
    config: Config = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"With a delivery in this state, or so: {', '.join(STATES)}.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="With a dead letter: rejected or gave_up.")] = False,
    sink: Annotated[str | None, typer.Option(metavar="NAME", help="That go to this sink.")] = None,
    trigger: Annotated[str | None, typer.Option(metavar="WORD", help="Whose trigger contains this word.")] = None,
    kind: Annotated[str | None, typer.Option(hidden=True, help="An older name of --trigger.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=SINCE_HELP)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="At most so many.")] = 50,
    unidentified: Annotated[
        bool, typer.Option("--unidentified", help="Instead: what was listed without a usable id.")
    ] = False,
    json: Json = False,
) -> None:
    """List events, newest first, with what became of each delivery."""
    from daemon.cli import events_view, session
    from daemon.cli.text import Times, print_either, zone_of
    from daemon.store import EventFilter
    from daemon.store.text import storable

    if state is not None and state not in STATES:
        raise Misused(f"--state {state}: there are {', '.join(STATES)}")
    if dead and state is not None:
        raise Misused("--dead and --state: take one of them")
    trigger = kind if trigger is None else trigger
    if trigger is not None and len(trigger) > LONGEST_WORD:
        raise Misused(f"--trigger: no trigger is longer than {LONGEST_WORD} characters")
    loaded = session.load(config)
    wanted = EventFilter(
        "dead" if dead else state,
        sink and storable(sink),
        trigger and storable(trigger),
        session.moment(since, loaded),
        limit,
    )
    if unidentified:
        found = asyncio.run(events_view.aside(loaded.database))
        lines = events_view.aside_lines
    else:
        found = asyncio.run(events_view.listed(loaded.database, wanted))
        lines = events_view.dead_lines if dead else events_view.lines
    print_either(found, lambda: lines(found, Times(zone_of(loaded))), json=json)


def show(
    event: Annotated[
        str,
        typer.Argument(
            metavar="EVENT", help="Its key (builtbybit:123), its id, or a delivery's id as receivers got it."
        ),
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Show all that is known of an event: what came, who got it, each attempt with its proof."""
    from daemon.cli import events_view, session, show_view
    from daemon.cli.text import print_either

    loaded = session.load(config)
    found = asyncio.run(events_view.shown(loaded, event))
    if not found:
        raise Failed(f"no event is known as {event}; see: eventferry events")
    print_either(found, lambda: show_view.lines(found, loaded), json=json)
