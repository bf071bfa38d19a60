"""What happens in the demo, and how it is told."""

import textwrap
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from daemon.cli.demo_ledger import AT_ONCE, DIGEST, Ledger
from daemon.cli.text import line
from daemon.simulator.samples import Kind

_FIRST: tuple[Kind, ...] = ("purchase", "review", "update", "publish", "unknown")
_RUSH: tuple[Kind, ...] = ("purchase",) * 35
_DIGEST_PATIENCE = 90.0
"""Seconds. If the minute is full before all has happened, what is left comes with another digest a minute later."""

Watch = Callable[..., Awaitable[bool]]
"""Waits until something is the case, for so many seconds at most; whether it came to be."""

say = partial(print, flush=True)
"""At once, even into a pipe."""


async def perform(ledger: Ledger, watch: Watch) -> bool:
    """Let it all happen; False as soon as something does not arrive."""
    return await _few(ledger, watch, _FIRST) and await _many(ledger, watch, _RUSH) and await _digest(ledger, watch)


def _happen(ledger: Ledger, kinds: Sequence[Kind]) -> list[str]:
    happened = [ledger.sim.upstream.add_sample(kind) for kind in kinds]
    ledger.ids += happened
    return happened


async def _few(ledger: Ledger, watch: Watch, kinds: Sequence[Kind]) -> bool:
    """A line for each as it has arrived everywhere."""
    to_come = _happen(ledger, kinds)
    say(f"{len(kinds)} events happen at BuiltByBit:")

    def arrived() -> bool:
        for event_id in [*to_come]:
            if ledger.reached(AT_ONCE, [event_id]):
                to_come.remove(event_id)
                say(ledger.way(event_id))
        return not to_come

    return await watch(arrived)


async def _many(ledger: Ledger, watch: Watch, kinds: Sequence[Kind]) -> bool:
    """What each receiver got of it in all."""
    seen = len(ledger.messages)
    happened = _happen(ledger, kinds)
    say(f"A sale begins: {len(kinds)} purchases at once.")
    if not await watch(lambda: ledger.reached(AT_ONCE, happened)):
        return False
    for sink in AT_ONCE:
        got = [message for message in ledger.messages[seen:] if message.sink == sink]
        say(f"  {sink:<10} {_told(sink, [len(message.events) for message in got if message.events])}")
        for message in got:
            if message.summary:
                _quote("", f'and one for the rest: "{line(message.title)}"')
    return True


def _quote(sink: str, text: str) -> None:
    say(textwrap.fill(text, 80, initial_indent=f"  {sink:<10} ", subsequent_indent=" " * 13))


def _told(sink: str, sizes: Sequence[int]) -> str:
    match sink:
        case "webhook":
            return f"{len(sizes)} signed requests, one for each"
        case "file":
            return f"{len(sizes)} lines"
        case "discord":
            return f"{len(sizes)} messages, of {' + '.join(map(str, sizes))} embeds"
        case _:
            return f"{len(sizes)} mails of one event each"


async def _digest(ledger: Ledger, watch: Watch) -> bool:
    """What has been gathered all the time comes at the full minute."""
    say("The digest comes at the full minute of the shop's clock:")
    if not await watch(lambda: ledger.reached([DIGEST], ledger.ids), _DIGEST_PATIENCE):
        return False
    for message in ledger.messages:
        if message.sink == DIGEST:
            _quote(DIGEST, f'one message: "{line(message.title)}"')
    return True
