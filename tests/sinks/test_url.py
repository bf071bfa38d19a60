import pytest

from daemon.redaction import redact, remember
from sinks._url import is_in_clear, parse_url, remember_credentials


def test_a_url_loses_its_user_information_to_a_header() -> None:
    target = parse_url(' "https://ann:p%40ss-w0rd@[::1]:8443/hook?a=b#frag" ')
    assert target.url == "https://[::1]:8443/hook?a=b"
    assert target.authorization == "Basic YW5uOnBAc3MtdzByZA=="
    assert redact("p@ss-w0rd YW5uOnBAc3MtdzByZA==") == "*** ***"


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com/x", "ftp://example.com/", "https:///x", "https://a b/", "https://a\r\nX: y/", "http://[::1"),
        *("http://a:0", "http://a:70000/", "https://a\\b/", "file:///etc/passwd", "http://:80/", "http://exa mple/"),
    ],
)
def test_what_is_no_web_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"web address|no spaces") as refusal:
        parse_url(url)
    assert not url or url not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://discord.com/api/webhooks/1/x",
        "https://discordapp.com/api/v8/webhooks/1/x?wait=true",
        "<https://canary.discord.com/api/webhooks/1/x/>",
        "https://ptb.discord.com/api/webhooks/1/x/slack",
        "HTTPS://DISCORD.COM/api/v10/webhooks/1/x",
        "https://u:p@discord.com:443/api/webhooks/1/x",
        " discord.com/api/webhooks/1/x",
    ],
)
def test_a_discord_webhook_is_sent_to_its_own_kind_of_sink(url: str) -> None:
    with pytest.raises(ValueError, match='type = "discord"'):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "in_clear"),
    [
        ("http://shop.example.com/hook", True),
        ("http://8.8.8.8/", True),
        ("http://[2606:4700::1111]:8080/", True),
        ("https://shop.example.com/hook", False),
        ("http://127.0.0.1:8080/", False),
        ("http://10.1.2.3/", False),
        ("http://100.64.0.1/", False),
        ("http://[::1]/", False),
        ("http://[fd00::1]/", False),
        ("http://receiver:8080/", False),
        ("http://nas.local./", False),
        ("http://shop.internal/", False),
    ],
)
def test_what_can_be_read_on_the_way_is_known(url: str, in_clear: bool) -> None:
    assert is_in_clear(url) == in_clear


@pytest.mark.parametrize("header", ["Bearer t0ken-of-mine", "Basic YW5uOnQwa2VuLW9mLW1pbmU="])
def test_credentials_are_redacted_without_their_scheme_and_decoded(header: str) -> None:
    remember(header)  # as Secret does
    remember_credentials(header)
    assert redact(f"unknown: {header.split(' ')[-1]}, t0ken-of-mine") == "unknown: ***, ***"
