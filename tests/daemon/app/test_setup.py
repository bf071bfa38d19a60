"""What `init` writes."""

import asyncio
import tomllib

import pytest

from daemon.app.build import build_sinks, load_settings
from daemon.app.samples import SAMPLES
from daemon.app.setup import Answers, already_there, config_text, usable_discord_url, usable_token, write
from daemon.contract import Delivery

TOKEN, URL, OTHER = "tok-123", "https://discord.com/api/webhooks/1/abc", "https://discord.com/api/webhooks/2/def"


@pytest.mark.parametrize(
    ("public", "trouble", "alerts"),
    [
        (False, "same", ["sales"]),
        (False, "other", ["trouble", "sales"]),
        (False, "none", []),
        (True, "same", ["sales"]),
        (True, "other", ["trouble"]),
        (True, "none", []),
    ],
)
def test_trouble_is_reported_where_it_was_asked_for_and_not_to_customers_by_itself(tmp_path, public, trouble, alerts):
    config = tomllib.loads(config_text(tmp_path, Answers(TOKEN, URL, public, trouble, OTHER)))
    assert config["daemon"] == {"alerts": alerts}
    audience = "public" if public else "full"
    assert config["sinks"]["sales"] == {"type": "discord", "url": "cred:discord_url", "audience": audience}
    assert ("trouble" in config["sinks"]) is (trouble == "other")


def test_the_service_gets_its_database_where_systemd_lets_it_write(monkeypatch):
    from daemon.app.setup import SERVICE_DIRECTORY

    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    config = tomllib.loads(config_text(SERVICE_DIRECTORY, Answers(TOKEN, URL, False, "same")))
    assert config["daemon"]["database"] == "/var/lib/eventferry/eventferry.db"


def test_a_container_keeps_its_own_database_wherever_its_config_is(monkeypatch):
    from daemon.app.setup import SERVICE_DIRECTORY

    monkeypatch.setenv("STATE_DIRECTORY", "/data")
    assert "database" not in tomllib.loads(config_text(SERVICE_DIRECTORY, Answers(TOKEN, URL, False, "same")))["daemon"]


def test_the_config_holds_no_secret_and_says_what_customers_see(tmp_path):
    text = config_text(tmp_path, Answers(TOKEN, URL, True, "other", OTHER))
    assert not any(secret in text for secret in (TOKEN, URL, OTHER))
    assert "neither buyer nor price" in text
    private = config_text(tmp_path, Answers(TOKEN, URL, False, "same"))
    assert "Customers can see" not in private
    assert "name buyers and prices" in private


@pytest.mark.parametrize(("public", "told"), [(True, False), (False, True)])
def test_a_purchase_names_buyer_and_price_in_a_private_channel_alone(tmp_path, public, told):
    write(tmp_path, Answers(TOKEN, URL, public, "same"))
    sink = build_sinks(load_settings(tmp_path / "config.toml", {}))["sales"].sink
    message = sink.render(Delivery("d1", SAMPLES["a purchase"], attempt=1))
    asyncio.run(sink.close())
    assert "Skyline Economy" in message
    assert "https://builtbybit.com/resources/1234/" in message
    assert [private in message for private in ("Marlowe", "members/4711", "9.99")] == [told] * 3


def test_answers_do_not_show_their_secrets():
    assert TOKEN not in repr(Answers(TOKEN, URL, True, "same"))


def test_nothing_is_written_if_not_all_can_be(tmp_path):
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(FileExistsError):
        write(tmp_path, Answers(TOKEN, URL, False, "same"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["config.toml", "secrets/builtbybit_token", "secrets/discord_url"])
def test_any_file_in_the_way_is_found_beforehand(tmp_path, name):
    assert already_there(tmp_path) is None
    (tmp_path / "secrets").mkdir()
    (tmp_path / name).write_text("theirs")
    assert already_there(tmp_path) == tmp_path / name


def test_secrets_are_understood_as_they_are_pasted_and_never_repeated():
    assert usable_token(f' "Token {TOKEN}"\n') == TOKEN
    assert usable_discord_url(f" {URL}\n") == URL
    for usable in (usable_token, usable_discord_url):
        with pytest.raises(ValueError, match=r"not a token|a URL holds no") as caught:
            usable("canary words\x07 that are no secret")
        assert "canary" not in str(caught.value)
