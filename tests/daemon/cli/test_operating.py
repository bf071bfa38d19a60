"""`replay`, `sinks`, `pause` and `resume`: through a running daemon, and through the database where none runs."""

import os
import threading

import pytest

from daemon.cli import session
from daemon.store.place import take_lock
from tests.daemon.cli.conftest import ended, until


@pytest.fixture
def delivered(ferry, stand_ins):
    """Three events that every sink has; their ids."""
    ids = stand_ins.happen({"samples": 3})
    ferry.ok("once")
    return ids


def test_a_delivery_is_replayed_with_its_id_by_the_running_daemon(ferry, stand_ins, delivered):
    posted = stand_ins.received("discord")
    daemon = ferry.start("run")
    until(lambda: "daemon.started" in ferry.log(), ferry.log)
    assert ferry.ok("replay", delivered[0], "--sink", "webhook") == "1 due again\n"
    until(lambda: len(stand_ins.received("webhook")) == 4, ferry.log)
    assert ended(daemon) == 0
    assert stand_ins.received("webhook").count(f"builtbybit-{delivered[0]}-webhook") == 2
    assert stand_ins.received("discord") == posted
    assert stand_ins.state()["completed"] == dict.fromkeys(delivered, 1), "nothing is completed twice for it"


def test_a_command_waits_for_a_daemon_that_is_just_starting(ferry, stand_ins, delivered, monkeypatch):
    """Whoever has the database and cannot be asked yet is waited for; who keeps it for longer is named."""
    monkeypatch.setattr(session, "OWNER_SECONDS", 0.2)
    lock = take_lock(ferry.folder / "eventferry.db")
    refused = ferry("pause")
    assert (refused.returncode, f"in use by the process {os.getpid()}" in refused.stderr) == (75, True)
    monkeypatch.setattr(session, "OWNER_SECONDS", 60.0)
    letting_go = threading.Timer(0.5, os.close, [lock])
    letting_go.start()
    ferry.ok("pause")
    letting_go.join()


def test_without_a_daemon_a_replay_waits_in_the_database(ferry, stand_ins, delivered):
    done = ferry.ok("replay", f"builtbybit:{delivered[0]}", "--yes")
    assert done == "3 due again; they go out when the daemon runs\n"
    assert ferry.ok("once") == "stored 0 | delivered 3 | completed 0 | waiting 0\n"


def test_more_than_one_delivery_is_asked_for(ferry, stand_ins, delivered):
    done = ferry("replay", delivered[0])
    assert done.returncode == 2
    assert "Send 3 deliveries again? There is nobody to ask here: add --yes" in done.stderr
    assert ferry.ok("once") == "stored 0 | delivered 0 | completed 0 | waiting 0\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what to replay"),
        (("--state", " , "), "say what to replay"),
        (("--to", "webhook"), "say what to replay"),
        (("--dead", "--state", "rejected"), "take one of them"),
        (("--dead", "--to", "webhook"), "--to sends whole events"),
        (("1", "--sink", "email", "--to", "webhook"), "--to sends whole events"),
    ],
)
def test_a_replay_never_means_everything_by_accident(ferry, stand_ins, arguments, words):
    done = ferry("replay", *arguments, "--yes")
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (("--since", "1h"), 9),
        (("--since", "1h", "--sink", "email", "--sink", "discord"), 6),
        (("--state", "delivered,skipped", "--sink", "email"), 3),
    ],
)
def test_what_is_meant_is_counted(ferry, stand_ins, delivered, arguments, number):
    assert ferry.json("replay", *arguments, "--yes") == {"deliveries": number, "left_out": 0}


def without_email(ferry):
    """The config no longer has this sink; what it was."""
    config = ferry.folder / "config.toml"
    text = config.read_text()
    start, end = text.index("[sinks.email]"), text.index("[daemon]")
    config.write_text(text[:start] + text[end:])
    return text


@pytest.mark.parametrize("running", [True, False])
def test_nothing_becomes_due_to_a_sink_that_is_not_in_the_config(ferry, stand_ins, delivered, running):
    without_email(ferry)
    if running:
        ferry.start("run")
        until(lambda: "daemon.started" in ferry.log(), ferry.log)
    for chosen in (("--sink", "email"), ("--sink", "email", "--sink", "webhook"), (delivered[0], "--to", "email")):
        done = ferry("replay", *chosen, "--yes")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "eventferry: email is not in the config; " in done.stderr
    told = ferry.ok("replay", "--since", "1h", "--yes")
    assert told.startswith("6 due again")
    assert "3 left out: their sinks are not in the config" in told
    assert not [sink for sink in ferry.json("sinks") if sink["type"] is None and sink["waiting"]]


def test_where_only_sinks_that_are_gone_have_it_a_replay_says_so(ferry, stand_ins):
    text = left_over(ferry, stand_ins)
    ferry.ok("sinks", "discard", "email", "--yes")
    done = ferry("replay", "--state", "discarded", "--yes")
    assert done.returncode == 1
    assert "nothing to replay" in done.stderr
    assert "2 left out: their sinks are not in the config" in done.stderr
    (ferry.folder / "config.toml").write_text(text)
    assert ferry.ok("replay", "--state", "discarded", "--yes").startswith("2 due again")


def test_dead_letters_are_replayed_and_nothing_else(ferry, stand_ins):
    stand_ins.set(receivers={"webhook": {"statuses": [200, 422]}})
    stand_ins.happen({"samples": 2})
    ferry.ok("once")
    assert ferry.ok("replay", "--dead") == "1 due again; they go out when the daemon runs\n"
    ferry.ok("once")
    assert len(stand_ins.received("webhook")) == 2
    done = ferry("replay", "--dead")
    assert done.returncode == 1
    assert "nothing to replay" in done.stderr


def test_events_can_be_sent_to_a_sink_that_did_not_have_them(ferry, stand_ins, delivered):
    config = ferry.folder / "config.toml"
    config.write_text(config.read_text() + '\n[sinks.archive]\ntype = "file"\npath = "a.jsonl"\nevents = ["!*"]\n')
    done = ferry("replay", delivered[0], "--to", "archive")
    assert done.returncode == 1, "no daemon has seen this sink yet"
    assert "no sink is called archive" in done.stderr
    ferry.ok("once")
    assert "1 due again" in ferry.ok("replay", delivered[0], "--to", "archive")
    assert "Send 2 deliveries again?" in ferry("replay", "--since", "1h", "--to", "archive").stderr, (
        "the first waits already"
    )
    ferry.ok("once")
    assert (ferry.folder / "a.jsonl").read_text().count("\n") == 1
    assert len(stand_ins.received("webhook")) == 3, "the others got nothing again"


@pytest.mark.parametrize("running", [True, False])
def test_a_sink_is_stopped_and_resumed(ferry, stand_ins, running):
    ferry.ok("once")
    if running:
        ferry.start("run")
        until(lambda: "daemon.started" in ferry.log(), ferry.log)
    assert "webhook is stopped" in ferry.ok("sinks", "stop", "webhook")
    stand_ins.happen({"samples": 1})
    if running:
        until(lambda: stand_ins.received("discord"), ferry.log)
    else:
        ferry("once")
    states = {sink["name"]: (sink["health"], sink["waiting"]) for sink in ferry.json("sinks")}
    assert states["webhook"] == ("stopped", 1)
    assert states["discord"][0] == "ok"
    assert ferry.json("sinks", "resume", "webhook") == {"sink": "webhook", "health": "ok"}
    if not running:
        ferry.ok("once")
    until(lambda: len(stand_ins.received("webhook")) == 1, ferry.log)


def test_an_unknown_sink_is_named(ferry, stand_ins, delivered):
    for arguments in (("sinks", "stop", "nosuch"), ("sinks", "resume", "nosuch")):
        done = ferry(*arguments)
        assert (done.returncode, done.stderr) == (1, "eventferry: no sink is called nosuch; see: eventferry sinks\n")


def left_over(ferry, stand_ins):
    """Two deliveries wait for the sink `email`, which is then taken out of the config."""
    ferry.ok("once")
    ferry.ok("sinks", "stop", "email")
    stand_ins.happen({"samples": 2})
    ferry("once")
    return without_email(ferry)


def test_deliveries_of_a_sink_that_left_the_config_are_not_forgotten(ferry, stand_ins):
    left_over(ferry, stand_ins)
    (email,) = [sink for sink in ferry.json("sinks") if sink["type"] is None]
    assert (email["name"], email["waiting"], email["health"]) == ("email", 2, None)
    told = ferry("status").stdout
    assert "email: no longer in the config, but 2 deliveries wait for it" in told
    assert 'write renamed_from = "email"' in told
    assert "eventferry sinks discard email" in told


@pytest.mark.parametrize("running", [True, False])
def test_what_is_left_of_a_sink_is_discarded_only_when_it_is_said(ferry, stand_ins, running):
    left_over(ferry, stand_ins)
    if running:
        ferry.start("run")
        until(lambda: "daemon.started" in ferry.log(), ferry.log)
    done = ferry("sinks", "discard", "email")
    assert done.returncode == 2
    assert "Discard 2 deliveries that wait for the sink email? There is nobody to ask here: add --yes" in done.stderr
    assert len(ferry.json("events", "--state", "discarded")) == 0
    assert "discarded 2 deliveries that wait for the sink email" in ferry.ok("sinks", "discard", "email", "--yes")
    assert len(ferry.json("events", "--state", "discarded")) == 2
    done = ferry("sinks", "discard", "email", "--yes")
    assert (done.returncode, done.stderr) == (
        1, "eventferry: nothing is left of email; see: eventferry sinks\n",
    )  # fmt: skip
    assert ferry.json("status")["orphans"] == {"deliveries": {}, "events": {}}


def test_what_is_in_the_config_cannot_be_discarded(ferry, stand_ins):
    text = left_over(ferry, stand_ins)
    for name in ("webhook", "nosuch", "builtbybit", "eventferry"):
        assert ferry("sinks", "discard", name, "--yes").returncode == 1
    (ferry.folder / "config.toml").write_text(text)
    done = ferry("sinks", "discard", "email", "--yes")
    assert "email is in the config" in done.stderr
    assert {sink["name"]: sink["waiting"] for sink in ferry.json("sinks")}["email"] == 2


def test_what_is_left_of_a_source_is_no_longer_to_be_completed(ferry, stand_ins):
    stand_ins.set(api={"scope": "write", "error_status": 500})
    stand_ins.happen({"samples": 2})
    ferry("once")
    config = ferry.folder / "config.toml"
    config.write_text(config.read_text().replace("[sources.builtbybit]", "[sources.other]"))
    status = ferry("status")
    assert "builtbybit: no longer in the config, but 2 of its events are not completed upstream" in status.stdout
    done = ferry.json("sinks", "discard", "builtbybit", "--yes")
    assert done == {"deliveries": 0, "events": 2}
    assert ferry.json("status")["orphans"] == {"deliveries": {}, "events": {}}


def test_a_renamed_sink_gets_what_waited_for_it(ferry, stand_ins):
    text = left_over(ferry, stand_ins)
    config = ferry.folder / "config.toml"
    config.write_text(text.replace("[sinks.email]", '[sinks.post]\nrenamed_from = "email"'))
    ferry("once")
    assert ferry.json("sinks")[-1]["name"] == "post"
    ferry.ok("sinks", "resume", "post")
    ferry.ok("once")
    assert len(stand_ins.state()["mail"]) == 2


def test_pausing_holds_everything_over_a_restart_until_it_is_resumed(ferry, stand_ins):
    ferry.ok("once")
    assert "everything is paused" in ferry.ok("pause")
    daemon = ferry.start("run")
    until(lambda: "daemon.started" in ferry.log(), ferry.log)
    calls = len(stand_ins.state()["calls"])
    stand_ins.happen({"samples": 1})
    assert ferry.json("status")["paused"] is True
    assert ferry.ok("resume") == "going on\n"
    until(lambda: stand_ins.received("webhook"), ferry.log)
    assert len(stand_ins.state()["calls"]) > calls
    assert ended(daemon) == 0
