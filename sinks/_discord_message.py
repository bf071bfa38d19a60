"""What Discord is sent for an event: one embed that keeps every limit, in which nothing pings."""

from typing import Any

from discord_webhook import DiscordEmbed, DiscordWebhook

from sinks._layout import Field, Message, Topic
from sinks._text import cut, markdown, units

# https://docs.discord.com/developers/resources/message#embed-object-embed-limits
TITLE, DESCRIPTION, FIELD_NAME, FIELD_VALUE, FOOTER = 256, 4096, 256, 1024, 2048
MOST_FIELDS = 25
TOTAL = 6000
"""UTF-16 units over title, description, field names, field values and footer; which unit is undocumented,
and this one never counts too little."""

BODY_KEYS = ("embeds", "allowed_mentions", "username", "avatar_url")
"""Of what discord-webhook puts into its JSON (its own settings and proxies among it), what we mean to send."""

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
_LONGEST_FIELD_LINK = 512


def build(message: Message, title: str, *, username: str | None, avatar_url: str | None) -> dict[str, Any]:
    """The body of one execute-webhook call."""
    heading, text = markdown(title, TITLE), markdown(message.text, DESCRIPTION)
    footer = cut(message.key, 256, utf16=True)
    embed = DiscordEmbed(title=heading, description=text or None, url=message.link, color=_COLOURS[message.topic])
    if 2000 <= message.occurred_at.year < 2100:
        embed.set_timestamp(message.occurred_at)
    embed.set_footer(footer)
    for name, value in _fitting(message.fields, TOTAL - units(heading) - units(text) - units(footer)):
        embed.add_embed_field(name, value, inline=len(value) <= _SHORT)
    webhook = DiscordWebhook("", username=username, avatar_url=avatar_url, allowed_mentions={"parse": []})
    webhook.add_embed({key: _without_none(value) for key, value in vars(embed).items() if value})
    return {key: value for key, value in webhook.json.items() if key in BODY_KEYS}


def _fitting(fields: tuple[Field, ...], room: int) -> list[tuple[str, str]]:
    """As many fields as there is room for; where some are left out, the last one says how many."""
    fitting: list[tuple[str, str]] = []
    for number, field in enumerate(fields):
        name, value = markdown(field.name, FIELD_NAME), _value(field)
        is_last = number == len(fields) - 1
        room -= units(name) + units(value)
        if room < (0 if is_last else _MORE_ROOM) or len(fitting) == MOST_FIELDS - (not is_last):
            return [*fitting, ("…", f"{len(fields) - number} more")]
        fitting.append((name, value))
    return fitting


def _value(field: Field) -> str:
    if field.code:
        return f"`{cut(field.value.replace('`', chr(39)), FIELD_VALUE - 2, utf16=True)}`"
    link = field.link if field.link and len(field.link) <= _LONGEST_FIELD_LINK else None
    if link is None:
        return markdown(field.value, FIELD_VALUE)
    return link if field.value == link else f"[{markdown(field.value, FIELD_VALUE - len(link) - 4)}]({link})"


def _without_none(value: Any) -> Any:
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value
