"""`run` and `once` as processes between stand-ins; tests/acceptance has the hard days."""

import asyncio
import json
import os
import signal
import sqlite3

from daemon.app import daemon as module
from daemon.cli import session
from daemon.store.place import take_lock
from tests.daemon.cli.conftest import ended, until


def test_run_delivers_and_completes_until_it_is_told_to_stop(ferry, stand_ins):
    (event_id,) = stand_ins.happen({"samples": 1, "kind": "purchase"})
    daemon = ferry.start("run")
    until(lambda: stand_ins.state()["completed"] == {event_id: 1}, ferry.log)
    assert ended(daemon) == 0
    state = stand_ins.state()
    assert stand_ins.received("webhook") == [f"builtbybit-{event_id}-webhook"]
    assert len(stand_ins.received("discord")) == len(state["mail"]) == 1
    events = [json.loads(line)["event"] for line in ferry.log().splitlines()]
    assert (events[0], events[-1]) == ("config.warning", "daemon.stopped")


def test_a_second_process_is_refused_with_75_and_the_first_goes_on(ferry, stand_ins):
    daemon = ferry.start("run")
    until(lambda: "daemon.started" in ferry.log(), ferry.log)
    done = ferry("run")
    assert done.returncode == 75
    assert f"in use by the process {daemon.pid}" in done.stderr.splitlines()[-1]
    assert ended(daemon) == 0


def test_a_daemon_that_starts_while_a_command_writes_waits_for_it(ferry, stand_ins, monkeypatch):
    assert module.COMMAND_SECONDS < 10
    monkeypatch.setattr(module, "COMMAND_SECONDS", 60.0)

    async def start():
        lock = take_lock(ferry.folder / "eventferry.db")
        daemon = module.Daemon(session.load(ferry.folder / "config.toml"))
        opening = asyncio.create_task(daemon.open())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not opening.done()
        os.close(lock)
        await opening
        await daemon.stop()

    asyncio.run(start())


def test_a_config_with_mistakes_is_refused_with_78_and_all_its_lines(ferry):
    (ferry.folder / "config.toml").write_text('[daemon]\nkeeep = "1d"\n[sinks.s]\ntype = "webhok"\n')
    done = ferry("run")
    assert done.returncode == 78
    assert 'config.toml:2: daemon.keeep: unknown key; did you mean "keep"?' in done.stderr
    assert 'config.toml:4: sinks.s.type: unknown type of sink; did you mean "webhook"?' in done.stderr
    assert all(line.startswith("eventferry: ") for line in done.stderr.splitlines())


def test_a_database_in_a_folder_that_is_missing_is_refused_with_78(ferry, stand_ins):
    done = ferry("run", "--config", "config.toml", env={"EVENTFERRY_DAEMON__DATABASE": "/nowhere/eventferry.db"})
    assert done.returncode == 78
    assert "/nowhere/eventferry.db: the folder /nowhere does not exist" in done.stderr


def test_a_damaged_database_is_refused_with_74(ferry, stand_ins):
    (ferry.folder / "eventferry.db").write_bytes(b"not a database at all" * 1000)
    done = ferry("run")
    assert done.returncode == 74
    assert str(ferry.folder / "eventferry.db") in done.stderr.splitlines()[-1]


def test_a_dry_run_shows_everything_and_leaves_no_trace(ferry, stand_ins):
    stand_ins.happen({"kind": "purchase", "data": {"resource_title": "Skyline"}})
    rehearsal = ferry.start("run", "--dry-run")
    assert rehearsal.stdout is not None
    shown = ""
    while not all(f"--- {sink} would get" in shown for sink in ("webhook", "discord", "email")):
        line = rehearsal.stdout.readline()
        assert line, ferry.log()
        shown += line
    assert ended(rehearsal, signal.SIGINT) == 0
    assert shown.startswith("Dry run: builtbybit -> webhook, discord, email. Nothing is sent, completed or kept.")
    assert "New purchase: Skyline" in shown + rehearsal.stdout.read()
    state = stand_ins.state()
    assert (state["received"], state["mail"], state["completed"]) == ({}, [], {})
    assert not any(call["method"] == "POST" for call in state["calls"])
    assert sorted(path.name for path in ferry.folder.iterdir()) == ["config.toml", "log"]


def test_a_dry_run_shows_each_event_that_a_digest_or_a_burst_would_tell_with_others(ferry, stand_ins):
    config = ferry.folder / "config.toml"
    kinds = {'type = "discord"': 'digest = "09:00"', 'type = "email"': 'burst = "1/1m"'}
    text = config.read_text()
    for kind, more in kinds.items():
        assert kind in text
        text = text.replace(kind, f"{kind}\n{more}")
    config.write_text(text)
    for number in range(3):
        stand_ins.happen({"kind": "purchase", "data": {"resource_title": f"Skyline {number}"}})
    rehearsal = ferry.start("run", "--dry-run")
    assert rehearsal.stdout is not None
    shown = ""
    while not all(shown.count(f"--- {sink} would get") == 3 for sink in ("webhook", "discord", "email")):
        line = rehearsal.stdout.readline()
        assert line, ferry.log()
        shown += line
    assert ended(rehearsal, signal.SIGINT) == 0


def test_what_a_dry_run_shows_cannot_act_on_the_terminal(ferry, stand_ins):
    ferry.plug_in("raw", 'return delivery.event.data["username"]')
    stand_ins.happen({"kind": "purchase", "data": {"username": "\x1b[2Jevil"}})
    rehearsal = ferry.start("run", "--dry-run", PYTHONPATH=str(ferry.folder))
    assert rehearsal.stdout is not None
    while "raw would get" not in (line := rehearsal.stdout.readline()):
        assert line, ferry.log()
    assert rehearsal.stdout.readline() == "\\x1b[2Jevil\n"
    assert ended(rehearsal, signal.SIGINT) == 0


def test_a_dry_run_whose_reader_has_gone_ends_by_itself(ferry, stand_ins):
    rehearsal = ferry.start("run", "--dry-run")
    assert rehearsal.stdout is not None
    assert rehearsal.stdout.readline()
    rehearsal.stdout.close()
    stand_ins.happen({"samples": 1})
    assert rehearsal.wait(30) == 0
    assert stand_ins.state()["completed"] == {}


def test_once_does_one_round_and_counts_it(ferry, stand_ins):
    ids = stand_ins.happen({"samples": 3})
    assert ferry.ok("once") == "stored 3 | delivered 9 | completed 3 | waiting 0\n"
    assert stand_ins.state()["completed"] == dict.fromkeys(ids, 1)
    assert ferry.json("once") == {"stored": 0, "delivered": 0, "completed": 0, "waiting": 0, "troubles": []}


def test_once_names_its_troubles_and_fails(ferry, stand_ins):
    stand_ins.happen({"samples": 1})
    stand_ins.set(api={"error_status": 403, "scope": "write"}, receivers={"discord": {"deleted": True}})
    done = ferry("once")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "stored 1 | delivered 2 | completed 0 | waiting 1"
    assert any(line.startswith("discord is stopped: ") for line in lines[1:])
    stand_ins.set(api={"error_status": 403})
    assert "BuiltByBit refuses the token (403" in ferry("once").stdout


def test_once_does_nothing_while_all_is_paused(ferry, stand_ins):
    ferry.ok("once")
    ferry.ok("pause")
    stand_ins.happen({"samples": 1})
    done = ferry("once")
    assert done.returncode == 1
    assert "everything is paused" in done.stderr
    with sqlite3.connect(ferry.folder / "eventferry.db") as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
    connection.close()
