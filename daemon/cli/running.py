"""`run` and `once`: the daemon itself."""

import asyncio
from typing import Annotated

import typer

from daemon.cli.options import Config, Json


def run(
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send, complete and keep nothing.")
    ] = False,
) -> None:
    """Run the daemon until it is told to stop, by SIGTERM or ctrl-C."""
    from daemon.cli.service import prepared, rehearse, serve

    with prepared(config) as loaded:
        code = asyncio.run(rehearse(loaded) if dry_run else serve(loaded))
    raise typer.Exit(code)


def once(config: Config = None, json: Json = False) -> None:
    """Do one full round (poll, deliver what is due, complete), then exit: for cron."""
    from daemon.cli.service import one_round, prepared
    from daemon.cli.text import line, print_json

    with prepared(config) as loaded:
        done = asyncio.run(one_round(loaded))
    if json:
        print_json(done)
    else:
        print(" | ".join(f"{name} {done[name]}" for name in ("stored", "delivered", "completed", "waiting")))
        for trouble in done["troubles"]:
            print(line(trouble))
    raise typer.Exit(1 if done["troubles"] else 0)
