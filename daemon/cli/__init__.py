"""The `eventferry` command."""

from daemon.cli.program import main

__all__ = ["main"]
