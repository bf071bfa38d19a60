"""`test`: a made-up event through the ledger, the lane and the sink; nothing else is touched by it."""

import json

import pytest

from tests.daemon.cli.conftest import ended, until
from tests.daemon.cli.terminal import at_terminal

SLOW = 'retries = ["1h"]'


def add(ferry, text):
    config = ferry.folder / "config.toml"
    config.write_text(f"{config.read_text()}\n{text}\n")


def bodies(stand_ins, name):
    return [call for call in stand_ins.state()["received"].get(name, []) if call["status"] == 200]


@pytest.mark.parametrize("sink", ["webhook", "discord", "email"])
def test_before_the_first_run_it_needs_no_database_and_leaves_none(ferry, stand_ins, sink):
    told = ferry.ok("test", sink)
    assert told.startswith(f"{sink}: delivered in ")
    assert "(nothing was kept: there is no database yet)" in told
    assert "id" not in ferry.json("test", sink)
    assert not list(ferry.folder.glob("eventferry.db*"))


def test_a_file_gets_it_with_the_mark_of_a_test_and_the_changes(ferry, stand_ins):
    add(ferry, '[sinks.lines]\ntype = "file"\npath = "lines.jsonl"')
    ferry.ok("test", "lines", "--trigger", "review", "--set", "rating=2", "--set", "review=a=b", "--set", "new=")
    (line,) = (ferry.folder / "lines.jsonl").read_text().splitlines()
    event = json.loads(line)
    assert (event["test"], event["type"], event["source"]) == (True, "review", "eventferry")
    assert event["data"]["user_id"] == "0"
    assert {name: event["data"][name] for name in ("rating", "review", "new")} == {
        "rating": "2", "review": "a=b", "new": "",
    }  # fmt: skip


@pytest.mark.parametrize("running", [True, False])
def test_it_counts_nowhere_and_completes_nothing(ferry, stand_ins, running):
    ids = stand_ins.happen({"samples": 2})
    ferry.ok("once")
    if running:
        ferry.start("run")
        until(lambda: "daemon.started" in ferry.log(), ferry.log)
    before = ferry.json("status")
    found = ferry.json("test", "webhook", "--trigger", "update")
    assert (found["outcome"], found["sink"], found["health"]) == ("delivered", "webhook", "ok")
    assert stand_ins.received("webhook").count(found["id"]) == 1
    shown = ferry.ok("show", found["id"])
    assert "routing  a test, sent to one sink by hand" in shown
    assert "discord" not in shown, "no other sink has anything to do with it"
    now = ferry.json("status")
    for seen in (before, now):
        assert (seen["events"]["stored"], seen["events"]["unacknowledged"], seen["dead_letters"]) == (2, 0, 0)
        assert {sink["delivered"] for sink in seen["sinks"]} == {2}
    assert stand_ins.state()["completed"] == dict.fromkeys(ids, 1)
    assert stand_ins.state()["unknown"] == []


@pytest.mark.parametrize("running", [True, False])
def test_a_stopped_sink_is_tried_all_the_same_and_nothing_that_waits_for_it_goes_out(ferry, stand_ins, running):
    ferry.ok("once")
    ferry.ok("sinks", "stop", "webhook")
    stand_ins.happen({"samples": 3})
    ferry("once")
    if running:
        ferry.start("run")
        until(lambda: "daemon.started" in ferry.log(), ferry.log)
    told = ferry.ok("test", "webhook")
    assert "webhook was stopped (stopped by the operator); it was tried all the same" in told
    assert "webhook stays stopped; let it go on: eventferry sinks resume webhook" in told
    assert len(stand_ins.received("webhook")) == 1
    assert {sink["name"]: sink["waiting"] for sink in ferry.json("sinks")}["webhook"] == 3


def test_a_sink_that_was_mended_goes_on_after_it(ferry, stand_ins):
    stand_ins.set(receivers={"discord": {"deleted": True}})
    stand_ins.happen({"samples": 1})
    ferry("once")
    done = ferry("test", "discord")
    assert done.returncode == 1
    assert "discord: not delivered, and the sink is stopped: Discord says this webhook was deleted" in done.stderr
    assert "A test is not sent again by itself" in done.stderr
    stand_ins.set(receivers={"discord": {}})
    assert "discord is ok again" in ferry.ok("test", "discord")
    ferry.ok("once")
    assert len(stand_ins.received("discord")) == 2


@pytest.mark.parametrize(
    ("statuses", "outcome", "words"),
    [([422], "rejected", "webhook: rejected: HTTP 422"), ([503], "try_later", "webhook: not delivered: HTTP 503")],
)
def test_what_fails_says_why_and_is_neither_tried_again_nor_a_dead_letter(ferry, stand_ins, statuses, outcome, words):
    ferry.ok("once")
    stand_ins.set(receivers={"webhook": {"statuses": statuses * 2}})
    done = ferry("test", "webhook")
    assert done.returncode == 1
    assert words in done.stderr
    failed = ferry("test", "webhook", "--json")
    assert (failed.returncode, json.loads(failed.stdout)["outcome"]) == (1, outcome)
    assert ferry.json("events", "--dead") == []
    assert ferry.json("status")["dead_letters"] == 0
    stand_ins.set(receivers={})
    assert ferry.ok("once") == "stored 0 | delivered 0 | completed 0 | waiting 0\n"
    assert stand_ins.received("webhook") == []


def test_it_waits_for_no_digest_and_no_quiet_hours(ferry, stand_ins):
    text = (ferry.folder / "config.toml").read_text()
    quiet = 'type = "discord"\ndigest = "09:00"\nquiet_hours = "00:00-23:59"\n'
    (ferry.folder / "config.toml").write_text(text.replace('type = "discord"\n', quiet, 1))
    ferry.ok("test", "discord")
    assert len(stand_ins.received("discord")) == 1


def test_where_nobody_could_tell_it_from_a_real_one_it_asks_first(ferry, stand_ins):
    url = stand_ins.url + "/webhook/raw"
    add(ferry, f'[sinks.raw]\ntype = "webhook"\nurl = "{url}"\nbody = "raw"')
    done = ferry("test", "raw")
    assert done.returncode == 2
    assert "Nothing in what raw sends tells this test from a real purchase. Send it?" in done.stderr
    assert "--yes" in done.stderr
    with at_terminal(ferry.folder, "test", "raw") as person:
        person.answer("Send it?", "n")
        assert person.end() == 1
    assert bodies(stand_ins, "raw") == []
    with at_terminal(ferry.folder, "test", "raw") as person:
        person.answer("Send it?", "y")
        assert person.end() == 0
    ferry.ok("test", "raw", "--yes")
    assert len(bodies(stand_ins, "raw")) == 2


def test_it_says_when_a_real_one_would_not_come_here(ferry, stand_ins):
    add(
        ferry,
        '[sinks.lines]\ntype = "file"\npath = "a.jsonl"\nevents = ["purchase"]\nwhere = "final_price|float >= 50"',
    )
    assert "note: a real one like this would not come here" in ferry.ok("test", "lines", "--trigger", "review")
    assert "note: a real one like this would not come here" in ferry.ok("test", "lines")
    assert "note" not in ferry.ok("test", "lines", "--set", "final_price=49.99", "--set", "final_price=50")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nosuch",), 1, "no sink is called nosuch; there are webhook, discord, email"),
        (("webhook", "--set", "nonsense"), 2, "write NAME=VALUE"),
        (("webhook", "--set", "=1"), 2, "write NAME=VALUE"),
        (("webhook", "--trigger", " "), 2, "--trigger"),
        (("webhook", "--trigger", "x" * 191), 2, "--trigger"),
        ((), 2, "SINK"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(ferry, stand_ins, arguments, code, words):
    done = ferry("test", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert words in done.stderr
    assert stand_ins.received("webhook") == []


@pytest.mark.parametrize("value", ["\ud800 half", "@everyone {{ 7 * 7 }} \x1b[2J", "9" * 5000])
def test_any_value_may_be_set(ferry, stand_ins, value):
    for sink in ("webhook", "discord", "email"):
        ferry.ok("test", sink, "--trigger", "Ünknown trigger", "--set", f"odd name={value}")


def test_while_everything_is_paused_it_says_so(ferry, stand_ins):
    ferry.ok("once")
    ferry.ok("pause")
    done = ferry("test", "webhook")
    assert (done.returncode, "everything is paused" in done.stderr) == (1, True)


def test_a_sink_that_the_running_daemon_does_not_know_is_named(ferry, stand_ins):
    daemon = ferry.start("run")
    until(lambda: "daemon.started" in ferry.log(), ferry.log)
    add(ferry, '[sinks.lines]\ntype = "file"\npath = "a.jsonl"')
    done = ferry("test", "lines")
    assert (done.returncode, "the daemon that runs has no sink called lines" in done.stderr) == (1, True)
    assert ended(daemon) == 0


def test_one_that_the_daemon_died_over_is_not_sent_again_and_kept_on_record(ferry, stand_ins):
    ferry.ok("once")
    stand_ins.set(receivers={"webhook": {"hang": True}})
    daemon = ferry.start("run")
    until(lambda: "daemon.started" in ferry.log(), ferry.log)
    ferry.start("test", "webhook")
    until(lambda: any(event["kind"].startswith("test.") for event in ferry.json("events")), ferry.log)
    daemon.kill()
    daemon.wait()
    stand_ins.set(receivers={})
    assert ferry.ok("once") == "stored 0 | delivered 0 | completed 0 | waiting 0\n"
    (event,) = ferry.json("events", "--state", "discarded")
    assert event["deliveries"] == {"webhook": "discarded"}
    assert "the daemon ended while it was sent; a test is not sent again" in ferry.ok("show", event["key"])
