"""The simulator on its own, with what to paste into a config."""

import asyncio
import json
import signal
from collections.abc import Sequence
from typing import Any

from daemon.cli.errors import Failed, Misused
from daemon.simulator import Faults, Options, Simulator, serve
from daemon.simulator.switches import read


async def simulate(*, port: int, inbox_port: int, smtp_port: int, rate: float, switches: Sequence[str]) -> None:
    """Run the stand-ins until SIGINT or SIGTERM. Raises Misused for a bad switch, Failed for a port that is taken."""
    options = Options(
        api_port=port, inbox_port=inbox_port, smtp_port=smtp_port, rate=rate, faults=faults_from(switches)
    )
    serving = asyncio.create_task(serve(options, _tell))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        pass
    except OSError as error:
        raise Failed(f"{error.strerror or error}; --port, --inbox-port and --smtp-port choose others") from None


def faults_from(switches: Sequence[str]) -> Faults:
    """Understand KEY=VALUE, the value being JSON or else text. Raises Misused."""
    given: dict[str, Any] = {}
    for switch in switches:
        key, sign, value = switch.partition("=")
        if not sign:
            raise Misused(f"--fault {switch}: write KEY=VALUE; docs/simulator.md lists the keys")
        try:
            given[key.strip()] = json.loads(value)
        except ValueError:
            given[key.strip()] = value.strip()
    try:
        return read(Faults, given)
    except ValueError as error:
        raise Misused(f"--fault: {error}") from None


def _tell(sim: Simulator) -> None:
    print(
        f"""\
The simulator runs, until ctrl-C. For a config:

{config_of(sim)}
Let something happen:  curl -d '{{"samples": 3}}' {sim.inbox_url}/_sim/events
See what arrived:      curl {sim.inbox_url}/_sim/state
Another Discord URL:   curl {sim.inbox_url}/_sim/discord/NAME""",
        flush=True,
    )


def config_of(sim: Simulator, *, poll: str = "5s", discord: str = "", email: str = "") -> str:
    """The tables of a config that connects to the stand-ins; `discord` and `email` are more lines for these."""
    return f"""\
[sources.builtbybit]
type = "builtbybit"
base_url = "{sim.api_url}"
token = "{sim.token}"
poll = "{poll}"

[sinks.webhook]
type = "webhook"
url = "{sim.webhook_url("webhook")}"

[sinks.discord]
type = "discord"
url = "{sim.discord_url("discord")}"
{discord}

[sinks.email]
type = "email"
host = "{sim.smtp_host}"
port = {sim.smtp_port}
security = "none"
from = "shop@example.com"
to = ["you@example.com"]
{email}
"""
