"""What becomes of settings: who is gathered for, in which zone, and what counts as changed."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.app.build import build_sinks, load_settings, route
from daemon.gathering import Gathering
from daemon.log import MOST_DOUBTS
from daemon.quantities import Rate
from daemon.store import Enrolled
from daemon.timing import parse_digest, parse_quiet_hours
from tests.events import event

CONFIG = """\
[daemon]
timezone = "Europe/Berlin"
[sources.shop]
type = "builtbybit"
token = "0123456789abcdef0123456789abcdef"
[sinks.sales]
type = "discord"
url = "https://discord.com/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz"
title = "x {{ trigger }}"
[sinks.hook]
type = "webhook"
url = "https://example.com/x"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
[sinks.mail]
type = "email"
host = "mail.example"
from = "a@b.example"
to = ["a@b.example"]
[sinks.lines]
type = "file"
path = "/var/lib/sales.jsonl"
"""
RETRIES = (
    '["0:00:05", "0:00:30", "0:02:00", "0:10:00", "0:30:00", "2:00:00", "5:00:00", "10:00:00", "14:00:00", '
    '"20:00:00", "1 day, 0:00:00"]'
)
COMMON = '"concurrency": null, "events": null, "give_up_after": "30 days, 0:00:00"'
OF_0_2_0 = {
    "sales": f'{{"avatar_url": null, {COMMON}, "retries": {RETRIES}, "thread_id": null, "timeout": "0:00:20", '
    '"title": "Template(\'x {{ trigger }}\')", "type": "discord", "url": "https://discord.com/api/webhooks/'
    '123456789012345678/abcdefghijklmnopqrstuvwxyz", "username": null}',
    "hook": f'{{{COMMON}, "headers": {{}}, "retries": {RETRIES}, "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlh'
    'YmNkZWY=", "timeout": "0:00:20", "type": "webhook", "url": "https://example.com/x"}',
    "mail": f'{{"ca_file": null, {COMMON}, "host": "mail.example", "password": null, "port": null, '
    f'"retries": {RETRIES}, "security": "starttls", "sender": "a@b.example", "subject": null, "timeout": "0:00:30", '
    '"to": ["a@b.example"], "type": "email", "username": null}',
    "lines": f'{{{COMMON}, "path": "/var/lib/sales.jsonl", "retries": {RETRIES}, "type": "file"}}',
}
"""What release 0.2.0 made of this config, from which it made its fingerprints."""


def built(folder: Path, text: str) -> dict[str, Enrolled]:
    (folder / "config.toml").write_text(text)
    return {name: sink.enrolled for name, sink in build_sinks(load_settings(folder / "config.toml", {})).items()}


def settings(folder: Path, text: str) -> dict[str, str]:
    return {name: enrolled.settings for name, enrolled in built(folder, text).items()}


def gatherings(folder: Path, text: str) -> dict[str, Gathering | None]:
    return {name: enrolled.gathering for name, enrolled in built(folder, text).items()}


def test_an_upgrade_from_0_2_0_changes_no_fingerprint_and_so_resumes_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, CONFIG) == OF_0_2_0


def test_another_zone_of_the_daemon_is_no_change_of_its_sinks(tmp_path: Path) -> None:
    assert settings(tmp_path, CONFIG.replace("Berlin", "Paris")) == OF_0_2_0


def test_new_keys_that_are_given_count_as_a_change(tmp_path: Path) -> None:
    for given in ('digest = "09:00"', 'quiet_hours = "22:00-07:00"', "burst = false", 'timezone = "UTC"'):
        changed = settings(tmp_path, CONFIG.replace('type = "discord"', f'type = "discord"\n{given}'))
        assert [name for name, text in changed.items() if text != OF_0_2_0[name]] == ["sales"], given


def test_people_are_told_by_their_settings_in_their_zone_and_programs_at_once(tmp_path: Path) -> None:
    plain = gatherings(tmp_path, CONFIG)
    berlin = ZoneInfo("Europe/Berlin")
    assert plain == {
        "sales": Gathering(None, Rate(20, timedelta(minutes=1)), None, berlin),
        "hook": None,
        "mail": Gathering(None, Rate(20, timedelta(hours=1)), None, berlin),
        "lines": None,
    }
    more = 'digest = "mon 09:00"\nburst = false\nquiet_hours = "22:00-07:00"\ntimezone = "Asia/Tokyo"'
    given = gatherings(tmp_path, CONFIG.replace('type = "discord"', f'type = "discord"\n{more}'))
    quiet = parse_quiet_hours("22:00-07:00")
    assert given["sales"] == Gathering(parse_digest("mon 09:00"), None, quiet, ZoneInfo("Asia/Tokyo"))
    assert gatherings(tmp_path, CONFIG.replace('type = "discord"', 'type = "discord"\nburst = false'))["sales"] is None


def test_a_condition_that_cannot_be_worked_out_is_logged_once_for_each_sink_and_reason_and_loses_no_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = "where = 'a / b < 1'"
    text = CONFIG.replace("[sinks.hook]", f"[sinks.hook]\n{where}").replace("[sinks.lines]", f"[sinks.lines]\n{where}")
    (tmp_path / "config.toml").write_text(text)
    sinks = build_sinks(load_settings(tmp_path / "config.toml", {}))

    def logged() -> int:
        return caplog.text.count("where.failed")

    for number in range(5):
        assert set(route(sinks, event(external_id=str(number), data={"a": "1", "b": "0"}))) == set(sinks)
    assert logged() == 2
    assert set(route(sinks, event(data={"a": "2", "b": "0"}))) == set(sinks)
    assert logged() == 4, "another reason"
    for number in range(200):
        assert set(route(sinks, event(data={"a": str(number), "b": "0"}))) == set(sinks)
    assert logged() == 2 * MOST_DOUBTS
