"""`test`, `demo` and `simulate`: to see what would happen before it does."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from daemon.cli.errors import Failed, Misused
from daemon.cli.operating import ask
from daemon.cli.options import Config, Json, Yes

TEST_EXAMPLES = """\
Examples:
  eventferry test sales                              a purchase
  eventferry test sales --trigger review --set rating=2
"""


def try_out(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="The sink's name in the config.")],
    config: Config = None,
    trigger: Annotated[
        str, typer.Option(metavar="TRIGGER", help="What it is to look like: purchase, review, update, publish, …")
    ] = "purchase",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another value for a placeholder; repeatable."),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Send a made-up event to one sink, marked as a test, the way that real ones go; it counts nowhere."""
    from daemon.app.trial import LONGEST_TRIGGER, sample, shows_test, unwanted
    from daemon.cli import session
    from daemon.cli.text import line, print_json

    loaded = session.load(config)
    if sink not in loaded.settings.sinks:
        raise Failed(f"no sink is called {sink}; there are {', '.join(loaded.settings.sinks)}")
    if not trigger.strip() or len(trigger) > LONGEST_TRIGGER:
        raise Misused(f"--trigger: 1 to {LONGEST_TRIGGER} characters")
    data = sample(trigger, _changes(changes or []))
    if not yes and not shows_test(loaded, sink, trigger, data):
        ask(f"Nothing in what {sink} sends tells this test from a real {trigger}. Send it?")
    found = _sent(loaded, {"name": sink, "trigger": trigger, "data": data})
    if json:
        print_json(found)
        raise typer.Exit(0 if found["outcome"] == "delivered" else 1)
    _tell(found)
    if why := unwanted(loaded, sink, trigger, data):
        print(line(f"note: a real one like this would not come here: {why}"))


def _changes(given: Sequence[str]) -> dict[str, str]:
    changes = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name.strip():
            raise Misused(f"--set {each[:40]!r}: write NAME=VALUE, such as final_price=49.99")
        changes[name.strip()] = value
    return changes


def _sent(loaded: Any, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    from daemon import control, log
    from daemon.cli.service import one_test

    try:
        answer: Mapping[str, Any] = control.ask(control.socket_path(loaded.database), "test", arguments)
    except control.NotRunning:
        log.configure("error", loaded.settings.daemon.log_format)
        try:
            answer = asyncio.run(one_test(loaded, arguments))
        finally:
            log.shutdown()
    return answer


_FATES = {"rejected": "rejected", "try_later": "not delivered", "closed": "not delivered, and the sink is stopped"}


def _tell(found: Mapping[str, Any]) -> None:
    """What came of it, and what follows for the sink. Raises Failed if it did not arrive."""
    from daemon.cli.text import line
    from daemon.lane import OUT_OF_ORDER

    sink, before = found["sink"], found["before"]
    if before["health"] in OUT_OF_ORDER:
        print(line(f"{sink} was {before['health']} ({before['reason']}); it was tried all the same"))
    if found["outcome"] != "delivered":
        fate = _FATES.get(found["outcome"], "not known to have arrived")
        answer = f"; it answered: {found['answer']}" if found["answer"] else ""
        raise Failed(f"{sink}: {fate}: {found['reason']}{answer}. A test is not sent again by itself")
    kept = f"id {found['id']}" if "id" in found else "nothing was kept: there is no database yet"
    print(line(f"{sink}: delivered in {found['milliseconds']} ms: {found['reason']} ({kept})"))
    if before["health"] != found["health"]:
        print(line(f"{sink} is {found['health']} again"))
    elif found["health"] == "stopped":
        print(line(f"{sink} stays stopped; let it go on: eventferry sinks resume {sink}"))


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
