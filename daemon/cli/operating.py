"""`replay`, `sinks`, `pause` and `resume`: what people tell a running daemon, or its database where none runs."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.errors import Failed, Misused
from daemon.cli.options import Config, Json, Yes
from daemon.cli.reading import SINCE_HELP

REPLAY_EXAMPLES = """\
Examples:
  eventferry replay builtbybit:4711                 one event, to every sink that had it
  eventferry replay --dead --sink mail              what one sink rejected or gave up on
  eventferry replay --since 2h --to archive         to a sink that did not have it
"""


def replay(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[EVENT]...", help="Keys or ids of events.")] = None,
    config: Config = None,
    sink: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only to this sink; repeatable.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATES", help="Only deliveries in these states, such as rejected,gave_up.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters: rejected and gave_up.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=SINCE_HELP)] = None,
    to: Annotated[
        str | None, typer.Option(metavar="NAME", help="To this sink alone, even if the events were not meant for it.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Send events again, with the id that receivers know. Asks first if more than one delivery is meant."""
    from daemon.cli import session
    from daemon.cli.text import print_json

    loaded = session.load(config)
    start = session.moment(since, loaded)
    arguments = _selection(keys or [], sink or [], state, dead, start.isoformat() if start else None, to)
    arguments["configured"] = list(loaded.settings.sinks)
    found = session.command(loaded.database, "replay", {**arguments, "count_only": True})
    number, left_out = found["deliveries"], f"{found['left_out']} left out: their sinks are not in the config"
    if not number:
        besides = f"; {left_out}" if found["left_out"] else ""
        raise Failed(f"nothing to replay: no delivery fits (what still waits is sent without this){besides}")
    if number > 1 and not yes:
        ask(f"Send {number} deliveries again?")
    done = session.command(loaded.database, "replay", arguments)
    if json:
        print_json(done)
    else:
        running = session.running(loaded.database) is not None
        print(f"{done['deliveries']} due again{'' if running else '; they go out when the daemon runs'}")
        if found["left_out"]:
            print(left_out)


def _selection(
    keys: list[str], sinks: list[str], state: str | None, dead: bool, since: str | None, to: str | None
) -> dict[str, Any]:
    """What the daemon understands. Raises Misused where it would mean everything, or nothing clear."""
    states = ["rejected", "gave_up"] if dead else [part.strip() for part in (state or "").split(",") if part.strip()]
    if not (keys or sinks or states or since):
        raise Misused("say what to replay: events, --sink, --state, --dead or --since")
    if dead and state:
        raise Misused("--dead and --state: take one of them")
    if to and (sinks or states):
        raise Misused(
            "--to sends whole events to one sink: name them by key or --since, without --sink, --state, --dead"
        )
    chosen = {"keys": keys, "sinks": [to] if to else sinks, "states": states, "since": since}
    return {name: value for name, value in chosen.items() if value} | ({"add_to": [to]} if to else {})


def ask(question: str) -> None:
    """Go on only if a person agrees. Raises Misused where there is nobody to ask, Abort for a no."""
    if not sys.stdin.isatty():
        raise Misused(f"{question} There is nobody to ask here: add --yes")
    if not typer.confirm(question, err=True):
        raise Failed("nothing was done")


sinks_app = typer.Typer(
    name="sinks",
    help="List the sinks; stop one, let it go on, discard what is left of one.",
    invoke_without_command=True,
)


@sinks_app.callback()
def _list(context: typer.Context, config: Config = None, json: Json = False) -> None:
    if context.invoked_subcommand is None:
        _sinks(config, json)


def _sinks(config: Path | None, json: bool) -> None:
    from daemon.cli import session, sinks_view
    from daemon.cli.text import print_either

    loaded = session.load(config)
    found = asyncio.run(sinks_view.look(loaded))
    print_either(found, lambda: sinks_view.lines(found, loaded), json=json)


@sinks_app.command()
def kinds(json: Json = False) -> None:
    """List the kinds of sink that a config here can name, and what others would need."""
    from dataclasses import asdict

    from daemon.app.kinds import kinds as known
    from daemon.cli import kinds_view
    from daemon.cli.text import print_either

    found = known()
    print_either([asdict(one) for one in found], lambda: kinds_view.lines(found), json=json)


Name = Annotated[str, typer.Argument(metavar="NAME", help="The sink's name in the config.")]


@sinks_app.command()
def stop(name: Name, config: Config = None, json: Json = False) -> None:
    """Send nothing more to a sink; what it should get waits."""
    _command(
        "stop_sink", {"name": name}, config, json, f"{name} is stopped; go on with: eventferry sinks resume {name}"
    )


@sinks_app.command(name="resume")
def resume_sink(name: Name, config: Config = None, json: Json = False) -> None:
    """Send to a sink again, at once and with all that waits."""
    told = f"{name} goes on; what was changed in the config or a secret counts from the next start"
    _command("resume_sink", {"name": name}, config, json, told)


@sinks_app.command()
def discard(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A sink, or a source, that the config no longer has.")],
    config: Config = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Want nothing more of what waits for a sink or source that was removed; it stays on record."""
    from daemon.cli import session
    from daemon.cli.text import line, print_json
    from daemon.quantities import many

    loaded = session.load(config)
    if name in loaded.settings.sinks:
        raise Failed(f"{name} is in the config; only what is left of one that is not can be discarded")
    arguments = {"name": name, "sources": list(loaded.settings.sources)}
    found = session.command(loaded.database, "discard", {**arguments, "count_only": True})
    parts = [
        f"{many(found['deliveries'], 'delivery that waits', 'deliveries that wait')} for the sink {name}"
        * bool(found["deliveries"]),
        f"the completion of {many(found['events'], 'event', 'events')} of the source {name}" * bool(found["events"]),
    ]
    what = " and ".join(filter(None, parts))
    if not what:
        raise Failed(f"nothing is left of {name}; see: eventferry sinks")
    if not yes:
        ask(f"Discard {what}?")
    done = session.command(loaded.database, "discard", arguments)
    if json:
        print_json(done)
    else:
        print(line(f"discarded {what}; kept on record: eventferry events --state discarded"))


def pause(config: Config = None, json: Json = False) -> None:
    """Stop polling, sending and completing until resumed, over restarts too."""
    _command("pause", {}, config, json, "everything is paused; go on with: eventferry resume")


def resume(config: Config = None, json: Json = False) -> None:
    """Go on after a pause."""
    _command("resume", {}, config, json, "going on")


def _command(name: str, arguments: dict[str, str], config: Path | None, json: bool, done: str) -> None:
    from daemon.cli import session
    from daemon.cli.text import line, print_json

    answer = session.command(session.load(config).database, name, arguments)
    if json:
        print_json(answer)
    else:
        print(line(done))
