"""All commands together, and the process around them."""

import asyncio
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TextIO

import typer

from daemon import __version__
from daemon.cli import configuring, operating, reading, running, trying
from daemon.cli.errors import INTERRUPTED, report
from daemon.cli.options import CONFIG_HELP

_FIRST, _DAILY, _TRIAL = "First steps", "Day to day", "To try things out"
_EXAMPLES = """\
Examples:
  eventferry demo                       see it work, without an account
  sudo eventferry init                  write a first config
  eventferry check --connect            is it right, and is everybody there?
  eventferry events --dead              what could not be delivered
  eventferry replay --dead --sink mail  send that again
"""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=_EXAMPLES,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"eventferry {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _eventferry(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="PATH", help=CONFIG_HELP)] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Carry BuiltByBit's API events to Discord, webhooks, mail and files, and lose none."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


app.command(rich_help_panel=_FIRST)(configuring.init)
app.command(rich_help_panel=_FIRST)(configuring.check)
app.command(rich_help_panel=_FIRST)(running.run)
app.command(rich_help_panel=_FIRST)(reading.status)
app.command(rich_help_panel=_FIRST)(reading.events)
app.command(rich_help_panel=_FIRST)(reading.show)
app.command(rich_help_panel=_DAILY, epilog=operating.REPLAY_EXAMPLES)(operating.replay)
app.add_typer(operating.sinks_app, rich_help_panel=_DAILY)
app.command(rich_help_panel=_DAILY)(operating.pause)
app.command(rich_help_panel=_DAILY)(operating.resume)
app.command(rich_help_panel=_DAILY)(running.once)
app.add_typer(configuring.config_app, rich_help_panel=_DAILY)
app.command(name="test", rich_help_panel=_TRIAL, epilog=trying.TEST_EXAMPLES)(trying.try_out)
app.command(rich_help_panel=_TRIAL)(trying.demo)
app.command(rich_help_panel=_TRIAL)(trying.simulate)


def main() -> None:
    """Run the command that was typed; the process ends with its exit code."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = carry_out(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        _drop_what_nobody_takes(stream)
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Put /dev/null where a standard stream was closed, or the next file to be opened would take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            os.dup2(null := os.open(os.devnull, os.O_RDWR), number)
            if null != number:
                os.close(null)
            setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115, PTH123 - a number, to stay open


def _drop_what_nobody_takes(stream: TextIO) -> None:
    """At its end Python would try again to write what could not be written, and complain."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def carry_out(arguments: Sequence[str]) -> int:
    """Do one command, telling of all that goes wrong; the exit code."""
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except (KeyboardInterrupt, EOFError, typer.Abort, asyncio.CancelledError):
        if sys.stderr.isatty():
            print(file=sys.stderr)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # the latter is how rich, which writes --help, tells of the former
        return 0  # whoever read our output has seen enough
    except Exception as error:  # noqa: BLE001 - the last place where anything becomes a line and an exit code
        return report(error)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    """What typer itself does, less its own ways to end and to tell of errors."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("eventferry", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0
