"""Messages to Discord made of whatever a shop, or somebody who means it badly, may have happen."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from daemon.contract import OWN_SOURCE, Event, Summary
from daemon.simulator.samples import KINDS, Samples
from sinks._discord_message import body, pack, summary_embeds
from sinks._discord_settings import DiscordSettings
from sinks._envelope import encode
from tests.events import HOSTILE, delivery

TEMPLATES: dict[str, Any] = {
    "title": "**{{ trigger }}**: {{ resource_title or product_title }} {{ final_price }}",
    "body": "# {{ username }}\n{{ review }}{{ message }}{% for tag in tags %}\n- {{ tag }}{% endfor %}\n[all](https://x.example)",
    "fields": {
        "Price": "{{ final_price }}",
        "Who": "{{ username }} {{ user_url }}",
        "Always": "`x`",
        "N" * 256: "{{ x }}",
    },
}
SETTINGS: Sequence[dict[str, Any]] = (
    {},
    {"audience": "full"},
    {"audience": "full", "username": "Sales", "avatar_url": "https://example.com/a.png", "notify": False},
    {"ping": ["role:123456789012345678", "user:223456789012345678"]},
    {"audience": "full", **TEMPLATES},
    {"body": "", "fields": {}},
)
_PIECES = (
    "@everyone", "<@1>", "[a](https://evil.example)", "**", "||", "```", "\\", "\r\n", "\u202e", "\u200b", "\x00",
    "\ud800", "👍", "\U0001f469\u200d\U0001f467", "é", "ﷺ", "\u3164", "{{ 7*7 }}", "{% for x in y %}", "# ", "- ", " ",
    "\n", "a", "schön", "0", "9.99", "<t:0:R>", ":smile:", "https://builtbybit.com/x",
)  # fmt: skip


def configured(**values: Any) -> DiscordSettings:
    return DiscordSettings.model_validate(
        {"url": "http://127.0.0.1:1/api/webhooks/1/token", "timezone": "UTC"} | values
    )


def bodies(events: Sequence[Event], settings: DiscordSettings) -> list[dict[str, Any]]:
    """The bodies as Discord would read them from the wire."""
    return [json.loads(encode(body(packet.embeds, settings))) for packet in pack(events, settings)]


def summed_up(events: Sequence[Event], settings: DiscordSettings, cause: Any = "burst") -> dict[str, Any]:
    """The body of a summary."""
    summary = Summary("s-1", cause, [delivery(each, number) for number, each in enumerate(events)])
    parsed: dict[str, Any] = json.loads(encode(body(summary_embeds(summary, settings), settings)))
    return parsed


def many(number: int, seed: int) -> Iterator[dict[str, Any]]:
    """So many messages: single events, batches and summaries, under every configuration."""
    chance, made = random.Random(seed), 0
    configs = [configured(**values) for values in SETTINGS]
    while made < number:
        settings = chance.choice(configs)
        size = chance.choice((1, 1, 1, 2, 10, 60))
        events = [_event(chance) for _ in range(size)]
        messages = [summed_up(events, settings)] if size == 60 or chance.random() < 0.2 else bodies(events, settings)
        made += len(messages)
        yield from messages


def _event(chance: random.Random) -> Event:
    at = datetime(2026, 3, 4, tzinfo=UTC) + timedelta(seconds=chance.randrange(10**7))
    names: Literal["known", "guessed"] = chance.choice(("known", "guessed"))
    kind, data = Samples(chance.randrange(10**6)).make(chance.choice(KINDS), names, int(at.timestamp()))
    if chance.random() < 0.2:
        data = dict(HOSTILE[chance.choice(list(HOSTILE))])
    for name in list(data):
        if chance.random() < 0.2:
            data[name] = _text(chance)
    if chance.random() < 0.3:
        data |= {_text(chance)[:300]: _text(chance) for _ in range(chance.randrange(40))}
    source = OWN_SOURCE if chance.random() < 0.1 else "builtbybit"
    kind = chance.choice(("alert.sink", "report.weekly", f"test.{kind}")) if source == OWN_SOURCE else kind
    return Event(
        source, str(chance.randrange(10**9)), "7", kind if chance.random() < 0.9 else _text(chance) or "x", at, data
    )


def _text(chance: random.Random) -> str:
    pieces = "".join(chance.choice(_PIECES) for _ in range(chance.randrange(12)))
    return pieces * chance.choice((*(1,) * 40, 10, 30, 400))
