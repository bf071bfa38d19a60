"""`demo` and `simulate`: Eventferry without an account."""

import asyncio
from typing import Annotated

import typer


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running at the end, until ctrl-C, and its files in place.")
    ] = False,
) -> None:
    """See it work: a simulated BuiltByBit, the real daemon, every sink; needs no account and no network."""
    from daemon.cli.demo import play

    raise typer.Exit(asyncio.run(play(keep=keep)))


def simulate(
    port: Annotated[int, typer.Option(help="Of BuiltByBit's API; 0 takes any free one.", min=0, max=65535)] = 8470,
    inbox_port: Annotated[
        int, typer.Option(help="Of the Discord and webhook receivers and the controls.", min=0, max=65535)
    ] = 8471,
    smtp_port: Annotated[int, typer.Option(help="Of the mail server.", min=0, max=65535)] = 8472,
    rate: Annotated[float, typer.Option(help="Made-up events per minute.", min=0)] = 6.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A switch of the API, such as read_limit=1 or error_status=503."),
    ] = None,
) -> None:
    """Stand in for BuiltByBit and for the receivers, on loopback, until ctrl-C."""
    from daemon.cli.simulation import simulate

    asyncio.run(simulate(port=port, inbox_port=inbox_port, smtp_port=smtp_port, rate=rate, switches=fault or []))
