"""`status`, `events` and `show`: what they tell, of a running daemon and of none."""

import asyncio
import json
import sqlite3
from http import HTTPStatus

import pytest

from daemon.clock import wall_now
from daemon.store import Store
from tests.daemon.cli.conftest import ended, until

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202eback\r\n\ttab"


@pytest.fixture
def stored(ferry, stand_ins):
    """Two purchases and a review; discord is gone, the last event is hostile; ids in order."""
    stand_ins.set(receivers={"discord": {"deleted": True}, "webhook": {"statuses": [200, 422]}})
    ids = stand_ins.happen({"samples": 1, "kind": "purchase"})
    ferry("once")
    ids += stand_ins.happen({"samples": 1, "kind": "review"})
    ferry("once")
    ids += stand_ins.happen({"kind": f"purchase {HOSTILE}", "data": {"username": HOSTILE}})
    ferry("once")
    return ids


def test_status_of_a_running_daemon_that_is_well_is_0(ferry, stand_ins):
    stand_ins.happen({"samples": 2})
    daemon = ferry.start("run")
    until(lambda: len(stand_ins.state()["completed"]) == 2, ferry.log)
    text = ferry.ok("status")
    assert f"process {daemon.pid}" in text
    assert "2 events stored, 0 of them not yet completed upstream" in text
    seen = ferry.json("status")
    assert (seen["daemon"]["pid"], seen["troubles"], seen["paused"]) == (daemon.pid, [], False)
    assert [sink["delivered"] for sink in seen["sinks"]] == [2, 2, 2]
    assert ended(daemon) == 0


def test_status_says_what_is_wrong_since_when_and_what_to_do(ferry, stand_ins, stored):
    stand_ins.set(api={"error_status": 401})
    ferry("once")
    done = ferry("status")
    assert done.returncode == 1
    text = done.stdout
    assert "No daemon runs." in text
    assert "BuiltByBit refuses the token (401" in text
    assert "since 20" in text
    assert " CE" in text, "times are in the zone of the config"
    assert "stopped        0 delivered, 3 waiting" in text
    assert "eventferry sinks resume discord" in text
    assert "\n1 delivery failed for good: eventferry events --dead" in text
    assert "\x1b" not in text, "no colours where there is no terminal"
    troubles = ferry.json("status")["troubles"]
    assert [trouble.partition(":")[0] for trouble in troubles] == ["no daemon runs", "builtbybit (read)", "discord"]


def test_what_status_advises_fits_a_terminal_of_80_columns(ferry, stand_ins):
    stand_ins.set(receivers={"webhook": {"status": 503}, "discord": {"status": 400}})
    stand_ins.happen({"samples": 6, "kind": "purchase"})
    ferry("once")
    advice = [line for line in ferry("status").stdout.splitlines() if not line.startswith(("No daemon", "Database"))]
    (failing,) = [line for line in advice if "Nothing is lost: tried again in " in line]
    assert failing.endswith("; what waits is sent when it answers.")
    first = advice.index("6 deliveries failed for good: eventferry events --dead")
    assert advice[first + 1] == "  Once what was wrong is mended, send again: eventferry replay --dead"
    assert [line for line in advice if len(line) > 80] == []


def test_status_tells_of_a_pause_and_of_a_shut_gate(ferry, stand_ins):
    stand_ins.set(api={"error_status": 429, "limit_window": 600})
    ferry("once")
    ferry.ok("pause")
    text = ferry("status").stdout
    assert "Everything is paused" in text
    assert "rate limit: no reads from 127.0.0.1:" in text
    assert "throttled" in text


def test_status_tells_why_a_sink_that_is_well_sends_nothing(ferry, stand_ins):
    stand_ins.set(receivers={"discord": {"limit": 1, "limit_window": 60}})
    event_id, *_ = stand_ins.happen({"samples": 1})
    daemon = ferry.start("run")
    until(lambda: len(stand_ins.state()["completed"]) == 1, ferry.log)
    assert "    rate limit: nothing goes out before 20" in ferry.ok("status")
    assert "https://discord.com/channels/" in ferry.ok("show", event_id)
    assert ended(daemon) == 0


def test_reading_before_the_first_start_says_that_there_is_no_database_yet(ferry, stand_ins):
    for command in (("status",), ("events",), ("show", "1")):
        done = ferry(*command)
        assert done.returncode == 78
        assert "there is no database yet; it is made when the daemon first runs" in done.stderr
    assert "not yet asked" in ferry.ok("sinks"), "the config alone can be listed"


def test_events_are_listed_newest_first_with_what_became_of_them(ferry, stored):
    heading, *lines = ferry.ok("events", "--trigger", "e").splitlines()
    assert heading.split() == ["TIME", "EVENT", "TRIGGER", "SINKS"]
    ours = [line for line in lines if "builtbybit:" in line]
    assert [line.split()[2] for line in ours] == [f"builtbybit:{event_id}" for event_id in reversed(stored)]
    assert ours[1].endswith("✗ webhook  … discord  ✓ email")
    assert ours[1].index("review") == heading.index("TRIGGER") == 47, "an alert's long key pushes its own line alone"
    plain = ferry.process("events", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}).stdout
    assert "x webhook  . discord  + email" in plain, "what the terminal cannot show is written otherwise"


def test_dead_letters_are_listed_with_their_reasons(ferry, stored):
    heading, event, reason = ferry.ok("events", "--dead").splitlines()
    assert (heading.split()[0], reason) == ("TIME", f"    webhook: HTTP 422 {HTTPStatus(422).phrase}")
    assert f"builtbybit:{stored[1]}" in event
    assert ferry.json("events", "--dead")[0]["reasons"] == {"webhook": f"HTTP 422 {HTTPStatus(422).phrase}"}
    assert ferry.ok("events", "--dead", "--sink", "email") == "no events\n"


def test_events_can_be_filtered(ferry, stored):
    first, second, third = stored
    for filters, ids in {
        ("--dead",): [second],
        ("--state", "waiting", "--sink", "discord", "--trigger", "PURCHASE"): [third, first],
        ("--state", "delivered", "--sink", "webhook"): [third, first],
        ("--trigger", "purchase", "--limit", "1"): [third],
        ("--kind", "purchase", "--limit", "1"): [third],  # as --trigger was called
        ("--since", "2h", "--sink", "email"): [third, second, first],
        ("--since", "2999-01-01"): [],
        ("--state", "unacknowledged"): [third, second, first],
        ("--state", "unrouted"): [],
    }.items():
        assert [event["external_id"] for event in ferry.json("events", *filters)] == ids, filters


def test_a_time_that_is_none_is_named(ferry, stand_ins):
    done = ferry("events", "--since", "yesterday")
    assert done.returncode == 2
    assert "--since 'yesterday': write how long ago" in done.stderr


def test_what_came_without_an_id_is_listed_apart(ferry, stand_ins):
    stand_ins.happen({"raw": {"trigger_type": "purchase", "trigger_data": {"price": "\x1b[2J9.99"}}})
    ferry("once")
    text = ferry.ok("events", "--unidentified")
    assert "no event_id" in text
    assert "9.99" in text
    assert "\x1b" not in text
    assert ferry.json("events", "--unidentified")[0]["reason"] == "no event_id"
    assert ferry.ok("events", "--trigger", "nothing") == "no events\n"


def test_an_event_is_shown_by_key_by_id_and_by_what_receivers_call_it(ferry, stored):
    by_id = ferry.json("show", stored[0])
    assert [event["key"] for event in by_id] == [f"builtbybit:{stored[0]}"]
    assert ferry.json("show", f"builtbybit:{stored[0]}") == by_id
    assert ferry.json("show", f"builtbybit-{stored[0]}-email") == by_id
    alert = next(event["key"] for event in ferry.json("events") if event["source"] == "eventferry")
    assert ferry.json("show", alert)[0]["kind"].startswith("alert.")
    text = ferry.ok("show", alert, env={"EVENTFERRY_DAEMON__ALERTS": '["email"]'})
    assert text.count("daemon.alerts names it") == 1
    assert text.count("daemon.alerts does not name it") == 2
    done = ferry("show", "4711")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no event is known as 4711" in done.stderr


def test_everything_about_an_event_is_shown(ferry, stored):
    text = ferry.ok("show", stored[0])
    assert f"id       builtbybit-{stored[0]}-webhook" in text
    assert "routing  no filter: every event" in text
    assert "attempt 1" in text
    assert "HTTP 200" in text
    assert "answer ok" in text
    assert "Subject: New purchase" in text, "the last body that was sent"
    assert "upstream   not completed yet" in text
    rejected = ferry.ok("show", stored[1])
    assert "webhook: rejected 20" in rejected
    assert "HTTP 422" in rejected


def test_the_reasons_of_routing_are_those_of_the_config(ferry, stored):
    config = ferry.folder / "config.toml"
    config.write_text(config.read_text() + '\n[sinks.extra]\ntype = "console"\nevents = ["review", "!purchase*"]\n')
    event = ferry.json("show", stored[0])[0]
    assert event["routing"]["extra"] == 'excluded by "!purchase*"'
    assert 'extra: no delivery; by the config as it is now: excluded by "!purchase*"' in ferry.ok("show", stored[0])


def test_no_text_of_strangers_acts_on_the_terminal(ferry, stored):
    for command in (("events",), ("show", stored[2]), ("status",)):
        text = ferry(*command).stdout
        assert not {sign for sign in text if not sign.isprintable()} - {"\n"}
        assert "owned" in text or command == ("status",)
    assert ferry.json("show", stored[2])[0]["data"]["username"] == HOSTILE


def test_variants_and_what_has_no_known_form_are_shown(ferry, stand_ins):
    stand_ins.happen({"kind": "purchase", "data": {}, "event_id": 77, "extra": "odd member"})
    ferry("once")
    assert "odd member" in ferry.ok("show", "77")
    with sqlite3.connect(ferry.folder / "eventferry.db") as connection:
        connection.execute(
            "INSERT INTO variants (event_id, digest, kind, data, seen_at) VALUES (1, ?, 'purchase', ?, ?)",
            (b"x" * 32, json.dumps({"price": "other"}), "2026-01-01 00:00:00.000000"),
        )
    connection.close()
    assert "listed again with other content at 2026-01-01 01:00:00 CET" in ferry.ok("show", "77")


def test_a_report_is_shown_with_the_one_sink_that_it_was_made_for(ferry, stored):
    async def report():
        store = Store(ferry.folder / "eventferry.db", wall_now)
        await store.database.open()
        await store.events.add_own("report.day", "report.day-email-2026-01-01", {}, ["email"])
        await store.database.close()

    asyncio.run(report())
    (event,) = ferry.json("show", "eventferry:report.day-email-2026-01-01")
    assert event["routing"] == {"email": "a report, made for one sink"}
