"""What went wrong, told in lines that people understand, and the exit code that scripts do.

An exception with an `exit_code` has a text fit for people: ours here, StoreRefused, ConfigError, CommandRefused and
those of typer. docs/commands.md lists the codes.
"""

import sys
from contextlib import suppress

import typer

FAILED = 1
BUG = 70
FORBIDDEN = 77
INTERRUPTED = 130
_LONGEST_LINE = 2000


class Failed(Exception):
    """The command could not do what was asked."""

    exit_code = FAILED


class Misused(Failed):
    """The command was called in a way that makes no sense."""

    exit_code = 2


def report(error: Exception) -> int:
    """Tell on stderr what happened; the exit code."""
    from daemon.log import printable, scrub

    text, code = _explain(error)
    # Only a config has several mistakes; a line end elsewhere was quoted from somebody's text.
    with suppress(OSError):  # there may be nobody to tell
        for line in text.split("\n") if hasattr(error, "problems") else [text]:
            print(f"eventferry: {printable(scrub(line))[:_LONGEST_LINE]}", file=sys.stderr)
    return code


def _explain(error: Exception) -> tuple[str, int]:
    code = getattr(error, "exit_code", None)
    if isinstance(error, typer.TyperException):
        return f"{' '.join(error.format_message().split()).rstrip('.')} (see --help)", error.exit_code
    if isinstance(code, int):
        return str(error), code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}", FORBIDDEN if isinstance(error, PermissionError) else FAILED
    _log(error)
    return f"{type(error).__name__}: this is a bug in Eventferry; please report it with the line above", BUG


def _log(error: Exception) -> None:
    """Write the traceback as one line of JSON, free of secrets."""
    from daemon import log

    log.configure("error", "json")
    log.get(__name__).error("command.crashed", exc_info=error)
    log.shutdown()
