"""docs/sinks/webhook.md shows what is really sent, and configs that really work."""

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest

from daemon.contract import Delivery, Event
from sinks.webhook import WebhookSink, identification, signing_key

TEXT = (Path(__file__).parents[2] / "docs" / "sinks" / "webhook.md").read_text()
SAMPLES = re.findall(r"```http\n(.*?)\n```", TEXT, re.DOTALL)
CONFIGS = re.findall(r"```toml\n(.*?)\n```", TEXT, re.DOTALL)
(SECRET,) = re.findall(r"`(whsec_\w+)`", TEXT)


def parts(sample: str) -> tuple[dict[str, str], bytes]:
    head, _, body = sample.partition("\n\n")
    return dict(line.split(": ", 1) for line in head.splitlines()[1:]), body.encode()


def shown() -> Delivery:
    """The delivery behind the samples."""
    headers, body = parts(SAMPLES[0])
    document = json.loads(body)
    event = Event(
        document["source"],
        document["event_id"],
        document["listener_id"],
        document["type"],
        datetime.fromisoformat(document["timestamp"]),
        document["data"],
    )
    return Delivery(headers["webhook-id"], event, attempt=1)


def settings(config: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> WebhookSink.Settings:
    (table,) = tomllib.loads(config.replace("shop-ca.pem", certifi.where()))["sinks"].values()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    for name in re.findall(r'"cred:(\w+)"', config):
        (folder / name).write_text("what-you-agreed-on" if name == "licences_secret" else SECRET)
    own = {key: value for key, value in table.items() if key not in ("type", "events")}
    return WebhookSink.Settings.model_validate(own)


def test_the_request_is_shown_as_it_is_sent() -> None:
    headers, body = parts(SAMPLES[0])
    assert WebhookSink.Settings(url="https://shop.example.com/").sent().of(shown()) == body
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    made = identification(shown(), body, [signing_key(SECRET)], moment)
    assert {name: headers[name] for name in made} == made


def test_the_body_of_ones_own_is_shown_as_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = [config for config in CONFIGS if ".json]" in config]
    headers, body = parts(SAMPLES[1])
    made = settings(config, tmp_path, monkeypatch).sent()
    assert (made.of(shown()), made.content_type) == (body, headers["Content-Type"])


@pytest.mark.parametrize("number", range(3))
def test_every_config_works(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CONFIGS) == 3
    settings(CONFIGS[number], tmp_path, monkeypatch)


def test_every_key_is_explained() -> None:
    fields = WebhookSink.Settings.model_fields
    keys = {field.alias or name for name, field in fields.items()}
    assert {key for key in keys if f"`{key}`" not in TEXT and f"[sinks.NAME.{key}]" not in TEXT} == set()
