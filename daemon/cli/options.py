"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

CONFIG_HELP = "The config file. Else $EVENTFERRY_CONFIG, ./config.toml, /etc/eventferry/config.toml."


def _or_global(context: typer.Context, config: Path | None) -> Path | None:
    """What stands after a command wins over what stands before it."""
    before = context.parent
    while config is None and before is not None:
        config, before = before.params.get("config"), before.parent
    return config


Config = Annotated[Path | None, typer.Option("--config", "-c", metavar="PATH", help=CONFIG_HELP, callback=_or_global)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
