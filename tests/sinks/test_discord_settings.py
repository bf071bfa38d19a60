from typing import Any

import pytest
from pydantic import ValidationError

from daemon.redaction import redact
from sinks._discord_settings import parse_address
from tests.sinks.discord_settings import OFFICIAL, TOKEN, settings


@pytest.mark.parametrize(
    "url",
    [
        f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://discord.com/api/v10/webhooks/123456789012345678/{TOKEN}/",
        f"https://discordapp.com/api/webhooks/123456789012345678/{TOKEN}?wait=true",
        f"https://canary.discord.com/api/v9/webhooks/123456789012345678/{TOKEN}",
        f"https://ptb.discordapp.com/api/webhooks/123456789012345678/{TOKEN}",
        f"https://DISCORD.com/api/webhooks/123456789012345678/{TOKEN}/slack",
        f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}/github?wait=1#x",
        f"http://discord.com:80/api/webhooks/123456789012345678/{TOKEN}",
        f"discord.com/api/webhooks/123456789012345678/{TOKEN}",
        f" <https://discord.com/api/webhooks/123456789012345678/{TOKEN}> \n",
        f"\"'https://discord.com/api/webhooks/123456789012345678/{TOKEN}'\"",
    ],
)
def test_a_webhook_url_is_understood_in_every_form_people_copy(url: str) -> None:
    address = parse_address(url)
    assert (address.url, address.thread_id) == (OFFICIAL, None)
    assert redact(f"at {TOKEN}!") == "at ***!"


def test_a_thread_in_the_url_is_kept() -> None:
    assert parse_address(f"{OFFICIAL}?wait=true&thread_id=987654321098765432").thread_id == "987654321098765432"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_a_webhook_on_loopback_stays_as_it_is(host: str) -> None:
    address = parse_address(f"http://{host}/api/webhooks/1/local-token/?thread_id=5")
    assert (address.url, address.thread_id) == (f"http://{host}/api/webhooks/1/local-token", "5")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/api/webhooks/123456789012345678/token",
        "https://discord.com.evil.example/api/webhooks/123456789012345678/token",
        "https://evildiscord.com/api/webhooks/123456789012345678/token",
        "https://discord.com/channels/123456789012345678/123456789012345678",
        "https://discord.com/api/webhooks/123456789012345678",
        "https://discord.com/api/webhooks/notanumber/token",
        "https://discord.com/api/webhooks/123456789012345678/to%20ken",
        "http://10.0.0.1/api/webhooks/123456789012345678/token",
        "http://user@127.0.0.1/webhooks/123456789012345678/token",
        "https://discord.com/api/webhooks/123456789012345678/token?thread_id=abc",
        "nonsense",
        "",
    ],
)
def test_what_is_no_discord_webhook_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"Discord|thread_id|web address") as refusal:
        parse_address(url)
    assert "123456789012345678" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("username", name) for name in ("", "  ", "x" * 81, "👍" * 41, "My Discord", "CLYDE2", "everyone", "Here")),
        ("username", "two\nlines"),
        *(("thread_id", thread) for thread in ("abc", "0", "-5", "1" * 21, True, 1.5)),
        *(("avatar_url", url) for url in ("x", "ftp://a/b", "https://a/ö", "https://a/" + "b" * 2048, 'https://a/"b')),
        ("title", "{{ broken"),
        ("fields", {"x": "{{ broken"}),
        *(("fields", {name: "x"}) for name in ("", " ", "x" * 257, "two\nlines")),
        ("fields", {str(number): "x" for number in range(26)}),
        *(("ping", [each]) for each in ("123456789012345678", 123456789012345678, "@everyone", "role:x", "<#5>", "")),
        ("ping", [f"role:{number}" for number in range(1, 22)]),
        *(("rate", rate) for rate in ("0/1m", "30", "30/0s", "-1/1m", "1.5/1m", 30, "30/minute")),
        ("url", "https://example.com/token-canary"),
        ("wait", True),
    ],
)
def test_a_setting_that_discord_would_refuse_is_an_error_at_once(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**{key: value})
    (only,) = error.value.errors(include_input=False, include_url=False)
    assert only["loc"][0] == key
    assert "canary" not in str(error.value)


def test_settings_are_tidied() -> None:
    made = settings(thread_id=123456789012345678, username=" Sales ", avatar_url="<https://example.com/a.png>")
    assert (made.thread_id, made.username) == ("123456789012345678", "Sales")
    assert made.avatar_url == "https://example.com/a.png"
    assert TOKEN not in repr(made) + made.model_dump_json()
