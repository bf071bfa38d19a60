"""`init`, `check` and `config`: getting a config right."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import Config, Json

_FROM_FILE = 'A file that holds it; "-" reads it from stdin.'


def init(
    directory: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where to. Default: /etc/eventferry for root if it exists, else here."),
    ] = None,
    token_file: Annotated[str | None, typer.Option(metavar="FILE", help=f"BuiltByBit's token. {_FROM_FILE}")] = None,
    discord_url_file: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"The URL of a Discord webhook. {_FROM_FILE}")
    ] = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Whether customers can see that Discord channel.")
    ] = None,
    trouble: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE", help='Where to report trouble: "same" channel, "none", or a file with another URL.'
        ),
    ] = None,
    test_message: Annotated[bool, typer.Option("--test-message", help="Post a test message at the end.")] = False,
) -> None:
    """Write a first config, step by step. Overwrites nothing."""
    from daemon.cli.dialog import Flags, set_up

    flags = Flags(token_file, discord_url_file, public, trouble, test_message)
    raise typer.Exit(set_up(directory, flags))


def check(
    config: Config = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also reach BuiltByBit and each sink; nothing is sent or completed.")
    ] = False,
    json: Json = False,
) -> None:
    """Find all that is wrong with the config, by the code that run starts with."""
    from daemon.app.check import check, exit_code
    from daemon.cli import check_view
    from daemon.cli.text import print_either
    from daemon.settings import find

    path = find(config, os.environ)
    findings = asyncio.run(check(path, os.environ, connect=connect))
    print_either(check_view.document(path, findings), lambda: check_view.lines(findings), json=json)
    raise typer.Exit(exit_code(findings))


config_app = typer.Typer(name="config", help="Show the config in force, or the schema of all configs.")


@config_app.command(name="show")
def show_config(config: Config = None, json: Json = False) -> None:
    """Print the whole config in force, defaults and environment included, as TOML without secrets."""
    import tomllib

    from daemon.cli import session
    from daemon.cli.text import print_json
    from daemon.settings import masked

    text = masked(session.load(config))
    if json:
        print_json(tomllib.loads(text))
    else:
        print(text, end="")


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    from daemon.app.build import config_schema
    from daemon.cli.text import print_json

    print_json(config_schema())
