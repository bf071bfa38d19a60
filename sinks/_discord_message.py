"""What Discord is sent: messages of up to ten embeds that keep every limit, in which nobody is called unasked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from discord_webhook import DiscordEmbed, DiscordWebhook

from daemon.contract import Event, Summary
from daemon.expression import clean, cut, cut_markdown, markdown, one_line, units
from sinks._discord_settings import DiscordSettings
from sinks._layout import Message, compose, filled
from sinks._placeholders import Field, Topic
from sinks._summary import Line, summarize

# https://docs.discord.com/developers/resources/message#embed-object-embed-limits
TITLE, DESCRIPTION, FIELD_NAME, FIELD_VALUE, FOOTER = 256, 4096, 256, 1024, 256
MOST_FIELDS = 25
MOST_EMBEDS = 10
TOTAL = 6000
"""UTF-16 units over title, description, field names, field values and footer of all embeds of a message; which unit
is undocumented, and this one never counts too little."""
SILENT = 1 << 12
"""https://docs.discord.com/developers/resources/message#message-object-message-flags"""

BODY_KEYS = ("content", "embeds", "allowed_mentions", "username", "avatar_url", "flags")
"""Of what discord-webhook puts into its JSON (its own settings and proxies among it), what we mean to send."""

Embed = dict[str, Any]

_COLOURS: dict[Topic, int] = {
    "purchase": 0x57F287,
    "review": 0xFEE75C,
    "update": 0x5865F2,
    "publish": 0xEB459E,
    "own": 0xED4245,
    "other": 0x99AAB5,
}
_MORE_ROOM = 40
_SHORT = 40
"""What is seen of a value, without its link, up to which fields stand side by side."""
_LONGEST_LINK_BESIDE = 512
"""A longer link in a text or a field would take the room of everything else."""
_LONGEST_LINE = 240
_MORE_LINES_ROOM = 80


@dataclass(slots=True)
class Packet:
    """What travels as one message."""

    embeds: list[Embed] = field(default_factory=list)
    room: int = TOTAL

    def takes(self, embed: Embed) -> bool:
        """Put an embed in; False if there is no room for it."""
        size = _size(embed)
        if len(self.embeds) == MOST_EMBEDS or size > self.room:
            return False
        self.embeds.append(embed)
        self.room -= size
        return True

    def links_to(self, link: str | None) -> bool:
        """Whether one of its embeds has this link behind its title."""
        return link is not None and any(embed.get("url") == link for embed in self.embeds)


def pack(events: Iterable[Event], settings: DiscordSettings) -> Iterator[Packet]:
    """Let as many events travel together as one message holds, in order.

    Of several embeds with one link Discord shows only the first, so those that follow name it in a field instead.
    """
    packet = Packet()
    for event in events:
        message = compose(event, settings)
        if not packet.takes(_event_embed(event, message, settings, linked=not packet.links_to(message.link))):
            yield packet
            packet = Packet()
            packet.takes(_event_embed(event, message, settings, linked=True))
    yield packet


def body(embeds: Sequence[Embed], settings: DiscordSettings) -> dict[str, Any]:
    """The body of one execute-webhook call."""
    webhook = DiscordWebhook(
        "",
        content=" ".join(settings.ping) or None,
        username=settings.username,
        avatar_url=settings.avatar_url,
        allowed_mentions=_allowed(settings.ping),
        flags=None if settings.notify else SILENT,
    )
    for embed in embeds:
        webhook.add_embed(embed)
    return {key: value for key, value in webhook.json.items() if key in BODY_KEYS and value is not None}


def _allowed(ping: Sequence[str]) -> dict[str, list[str]]:
    """Whom a message calls, and nobody else.

    https://docs.discord.com/developers/resources/message#allowed-mentions-object
    """
    roles = [mention[3:-1] for mention in ping if mention.startswith("<@&")]
    users = [mention[2:-1] for mention in ping if not mention.startswith("<@&")]
    return {"parse": [], **({"roles": roles} if roles else {}), **({"users": users} if users else {})}


def _event_embed(event: Event, message: Message, settings: DiscordSettings, *, linked: bool) -> Embed:
    """One event; unless `linked`, its link is a field instead of being behind the title."""
    title, text = markdown(message.title, TITLE), markdown(message.text, DESCRIPTION)
    fields = [(markdown(each.name, FIELD_NAME), _value(each)) for each in message.fields]
    if message.topic != "own":  # what we have to say ourselves fits no template that is meant for sales
        if settings.title and (line := one_line(filled(settings.title, event, settings, ""))):
            title = cut_markdown(f"Test: {line}" if event.is_test else line, TITLE)
        text = cut_markdown(clean(filled(settings.body, event, settings, text)), DESCRIPTION)
        if settings.fields is not None:
            made = {name: filled(template, event, settings, "") for name, template in settings.fields.items()}
            fields = [(name, cut_markdown(clean(value), FIELD_VALUE)) for name, value in made.items()]
    if message.link and not linked:
        fields.insert(0, ("Link", _value(Field("Link", message.link, message.link))))
    return _embed(
        title,
        text,
        fields,
        link=message.link if linked else None,
        colour=_COLOURS[message.topic],
        key=message.key,
        at=message.occurred_at,
    )


def summary_embeds(summary: Summary, settings: DiscordSettings) -> list[Embed]:
    """Several events as one: what there was in all, then as many lines as there is room for."""
    overview = summarize(summary, settings)
    title = markdown(overview.title, TITLE)
    totals = [(markdown(each.name, FIELD_NAME), _value(each)) for each in overview.totals]
    room = TOTAL - units(title) - FOOTER - sum(units(name) + units(value) for name, value in totals)
    text = _listed(overview.lines, min(DESCRIPTION, max(room, TOTAL // 4)))
    embed = _embed(
        title, text, totals, link=None, colour=_COLOURS["other"], key=overview.key, at=overview.occurred_at
    )  # fmt: skip
    # Of one embed, Discord shows the fields below the text.
    return [embed, {"description": embed.pop("description"), "color": embed["color"]}]


def _listed(lines: Sequence[Line], room: int) -> str:
    """A line for each event; where some are left out, the last one says how many, and where they are."""
    listed: list[str] = []
    for number, line in enumerate(lines):
        text = markdown(one_line(line.text), _LONGEST_LINE)
        if line.link and len(line.link) <= _LONGEST_LINK_BESIDE:
            text = f"[{text}]({line.link})"
        text = f"• {text}"
        room -= units(text) + 1
        if room < (0 if number == len(lines) - 1 else _MORE_LINES_ROOM):
            return "\n".join([*listed, f"… and {len(lines) - number} more; all of them: `eventferry events`"])
        listed.append(text)
    return "\n".join(listed)


def _embed(
    title: str,
    text: str,
    fields: Sequence[tuple[str, str]],
    *,
    link: str | None,
    colour: int,
    key: str,
    at: datetime,
) -> Embed:
    footer = cut(key, FOOTER, utf16=True)
    embed = DiscordEmbed(title=title, description=text or None, url=link, color=colour)
    if 2000 <= at.year < 2100:
        embed.set_timestamp(at)
    embed.set_footer(footer)
    shown = [(name, value) for name, value in fields if name and value]
    for name, value in _fitting(shown, TOTAL - units(title) - units(text) - units(footer)):
        embed.add_embed_field(name, value, inline=len(value.partition("](")[0]) <= _SHORT)
    return {key: _without_none(value) for key, value in vars(embed).items() if value}


def _fitting(fields: Sequence[tuple[str, str]], room: int) -> list[tuple[str, str]]:
    """As many fields as there is room for; where some are left out, the last one says how many."""
    fitting: list[tuple[str, str]] = []
    for number, (name, value) in enumerate(fields):
        is_last = number == len(fields) - 1
        room -= units(name) + units(value)
        if room < (0 if is_last else _MORE_ROOM) or len(fitting) == MOST_FIELDS - (not is_last):
            return [*fitting, ("…", f"{len(fields) - number} more")]
        fitting.append((name, value))
    return fitting


def _value(field: Field) -> str:
    if field.code:
        return f"`{cut(field.value.replace('`', chr(39)), FIELD_VALUE - 2, utf16=True)}`"
    link = field.link if field.link and len(field.link) <= _LONGEST_LINK_BESIDE else None
    if link is None:
        return markdown(field.value, FIELD_VALUE)
    return link if field.value == link else f"[{markdown(field.value, FIELD_VALUE - len(link) - 4)}]({link})"


def _size(embed: Embed) -> int:
    """What an embed counts for in the limit over all of them."""
    texts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    texts += [each[part] for each in embed.get("fields", ()) for part in ("name", "value")]
    return sum(units(text) for text in texts)


def _without_none(value: Any) -> Any:
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value
