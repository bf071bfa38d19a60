"""What waits to be told together: `check`, `status`, `sinks` and `show` say for what, and until when."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from daemon.cli.status_view import gathered
from daemon.cli.text import Times


@pytest.fixture
def digest_at(ferry, stand_ins):
    """Two events that wait for the digest of the Discord sink, in some hours; when that is."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=6)
    at = due.astimezone(ZoneInfo("Asia/Tokyo"))  # not that of the daemon
    config = ferry.folder / "config.toml"
    more = f'timezone = "Asia/Tokyo"\nreport = "weekly"\ndigest = "{at:%H:%M}"'
    config.write_text(config.read_text().replace('type = "discord"', f'type = "discord"\n{more}'))
    stand_ins.happen({"samples": 2, "kind": "purchase"})
    ferry("once")
    return at


def test_what_waits_for_a_digest_is_told_with_its_time(ferry, stand_ins, digest_at):
    status = ferry("status").stdout
    assert "0 delivered, 2 waiting" in status
    assert re.search(r"\n    next weekly report in [^:]+: Mon .*09:00 JST\n", status)
    assert f"    2 wait for the digest at {digest_at:%a %H:%M} JST" in status
    assert f"discord: 2 wait for the digest at {digest_at:%a %H:%M} JST" in ferry.ok("sinks")
    (discord,) = [sink for sink in ferry.json("sinks") if sink["name"] == "discord"]
    assert discord["health"] == "ok", "waiting is no failing"
    (kept,) = discord["gathered"]
    assert (kept["cause"], kept["waiting"]) == ("digest", 2)
    assert datetime.fromisoformat(kept["due_at"]) == digest_at
    key = ferry.json("events")[0]["key"]
    shown = ferry.ok("show", key)
    assert f"discord: waiting, due in 5 h ({digest_at:%a %H:%M} JST), waits for the digest" in shown


def test_check_says_when_the_next_digest_is_and_when_it_is_quiet(ferry, stand_ins, digest_at):
    text = ferry.ok("check")
    assert f"discord: next digest {digest_at:%a %Y-%m-%d %H:%M} JST" in text
    config = ferry.folder / "config.toml"
    hushed = f'quiet_hours = "{digest_at:%H}:00-{digest_at + timedelta(hours=1):%H}:00"'
    config.write_text(config.read_text().replace('type = "discord"', f'type = "discord"\n{hushed}'))
    text = ferry.ok("check")
    assert f"discord: quiet hours {digest_at:%H}:00" in text
    assert "sinks.discord.digest: falls into its quiet hours, and so comes when they are over" in text


def test_what_waits_alone_is_said_so_and_each_cause_fits_a_terminal_of_80_columns():
    times = Times(ZoneInfo("Asia/Tokyo"))
    due_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    causes = ("digest", "quiet", "burst", "late")
    alone, many = (
        list(gathered({"gathered": [{"cause": cause, "waiting": n, "due_at": due_at} for cause in causes]}, times))
        for n in (1, 10_000)
    )
    assert all(told.startswith("1 waits ") for told in alone)
    assert all(told.startswith("10000 wait ") and len(f"    {told}") <= 80 for told in many)


@pytest.mark.parametrize("key", ['digest = "09:00"', 'burst = "20/1m"', 'quiet_hours = "22:00-07:00"'])
def test_a_sink_of_programs_has_no_such_hours_and_says_why(ferry, stand_ins, key):
    config = ferry.folder / "config.toml"
    config.write_text(config.read_text().replace('type = "webhook"', f'type = "webhook"\n{key}'))
    done = ferry("check")
    assert done.returncode == 78
    name = key.partition(" ")[0]
    assert f"sinks.webhook.{name}: is only for sinks that people read (discord, email, apprise)" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "error" in line]) == 1
