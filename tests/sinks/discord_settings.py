"""The settings of a Discord sink."""

from typing import Any

from sinks.discord import DiscordSink

TOKEN = "aB3_-" * 12
OFFICIAL = f"https://discord.com/api/v10/webhooks/123456789012345678/{TOKEN}"


def settings(**values: Any) -> DiscordSink.Settings:
    return DiscordSink.Settings.model_validate({"url": OFFICIAL} | values)
