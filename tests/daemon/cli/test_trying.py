"""`simulate` and `demo`."""

import json
import os
import re
import signal
import urllib.request

import pytest

from daemon.cli.demo_ledger import AT_ONCE, Ledger, Message
from daemon.contract import summary_id
from daemon.simulator import Simulator
from tests.daemon.cli.conftest import ended, until
from tests.ledger import LEASE, add, planned, story

ALL_PORTS = ("--port=0", "--inbox-port=0", "--smtp-port=0")


def test_what_simulate_prints_is_a_config_that_works(ferry):
    simulator = ferry.start("simulate", *ALL_PORTS, "--rate=6000", "--fault", "ids=str", "--fault", "cap_per_page=5")
    assert simulator.stdout is not None
    printed = ""
    while "_sim/state" not in printed:
        line = simulator.stdout.readline()
        assert line, ferry.log()
        printed += line
    config = ferry.folder / "config.toml"
    config.write_text(printed[printed.index("[sources") : printed.index("Let something")])
    found = ferry.json("check", "--connect")
    assert (found["ok"], [one["verdict"] for one in found["findings"] if one["phase"] == "connect"]) == (
        True,
        ["ok"] * 4,
    )
    state = re.findall(r"curl (http://127\.0\.0\.1:\S+/_sim/state)", printed)[0]
    until(lambda: len(json.load(urllib.request.urlopen(state))["pending"]) > 3)
    assert ended(simulator, signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "oder=newest"), 'unknown switch "oder"; did you mean "order"?'),
        (("--fault", "read_limit=many"), "read_limit must be int, not str"),
        (("--fault", "order"), "write KEY=VALUE"),
        (("--rate", "-1"), "--rate"),
    ],
)
def test_a_wrong_switch_is_one_line(ferry, arguments, words):
    done = ferry("simulate", *ALL_PORTS, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named(ferry, stand_ins):
    port = json.dumps(stand_ins.url).rpartition(":")[2].strip('"/')
    done = ferry("simulate", "--port", port)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_the_demo_shows_batches_a_burst_and_a_digest_proves_them_and_cleans_up(ferry):
    done = ferry.process("demo", env={"TMPDIR": str(ferry.folder)})
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert sum(" -> " in line for line in lines) == 5
    assert sum(line.startswith("  coupon_redeemed ") for line in lines) == 1
    text = " ".join(done.stdout.split())
    embeds = re.search(r"discord \d+ messages, of ([\d+ ]+) embeds", text)[1].split(" + ")
    assert sum(map(int, embeds)) == 35
    assert max(map(int, embeds)) > 1
    assert re.search(r'and one for the rest: "Many at once: \d+ purchases"', text)
    assert re.search(r'evening one message: "Digest: (40 events|\d+)', text)
    reached = " | ".join(f"{sink} 40/40" for sink in ("webhook", "file", "discord", "email", "evening"))
    assert reached in lines
    assert "stored 40 | completed 40 | pending upstream 0" in lines
    assert "Proved: each of the 40 events reached each receiver exactly once" in done.stdout
    assert [line for line in lines if len(line) > 80 and str(ferry.folder) not in line] == []
    assert list(ferry.folder.iterdir()) == []
    assert "\x1b" not in done.stdout


def test_the_demo_can_be_kept_running_until_ctrl_c(ferry):
    demo = ferry.start("demo", "--keep", TMPDIR=str(ferry.folder))
    assert demo.stdout is not None
    shown = ""
    while "goes on running" not in shown:
        line = demo.stdout.readline()
        assert line, shown
        shown += line
    (folder,) = ferry.folder.glob("eventferry-demo-*")
    assert ferry.json("status", "--config", str(folder / "config.toml"))["troubles"] == []
    assert ended(demo, signal.SIGINT) == 0
    assert (folder / "eventferry.db").exists()
    assert f"What it made is in {folder}" in demo.stdout.read()


def test_a_demo_that_is_ended_early_leaves_neither_process_nor_files(ferry):
    demo = ferry.start("demo", TMPDIR=str(ferry.folder))
    assert demo.stdout is not None
    shown = ""
    while "process " not in shown:
        line = demo.stdout.readline()
        assert line, shown
        shown += line
    assert ended(demo, signal.SIGTERM) == 130
    pid = re.findall(r"process (\d+)", shown)[0]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert list(ferry.folder.glob("eventferry-demo-*")) == []


@story
async def test_the_proof_names_what_is_missing_repeated_or_unasked(tmp_path):
    async with Simulator.start() as sim:
        ledger = Ledger(sim, tmp_path / "events.jsonl")
        ledger.ids = [sim.upstream.add_sample("purchase") for _ in range(2)]
        first, second = ledger.ids
        ledger.file.write_text("".join(json.dumps({"event_id": name}) + "\n" for name in (first, first, second, "9")))
        sim.upstream.complete([first])
        ledger.look()
        assert not ledger.reached(AT_ONCE, ledger.ids)
        assert ledger.reached(["file"], ledger.ids)
        assert ledger.sums(2) == (
            "webhook 0/2 | file 2/2 | discord 0/2 | email 0/2 | evening 0/2\n"
            "stored 2 | completed 1 | pending upstream 1"
        )
        assert list(ledger.doubts()) == [
            f"webhook never got: {first}, {second}",
            f"file got more than once: {first}",
            "file got unasked: 9",
            f"discord never got: {first}, {second}",
            f"email never got: {first}, {second}",
            f"evening never got: {first}, {second}",
            f"BuiltByBit, as completed, never got: {second}",
            f"still pending upstream: {second}",
        ]


@story
async def test_a_summary_counts_for_the_events_that_its_id_is_made_of_and_any_other_is_a_doubt(tmp_path, make_store):
    async with Simulator.start() as sim, make_store() as store:
        ledger = Ledger(sim, tmp_path / "events.jsonl")
        ledger.ids = ["1", "2", "3"]
        await add(store, *(planned(number, "evening") for number in ledger.ids))
        await store.database.write(
            lambda connection, _: connection.exec_driver_sql("UPDATE deliveries SET gathered = 'digest'")
        )
        claims = (await store.deliveries.claim("evening", limit=10, lease=LEASE)).claims
        right = summary_id([claim.delivery for claim in claims])
        ledger.unread = [Message("evening", (), right, "Digest"), Message("evening", (), "s-other", "Who knows")]
        await ledger.open_summaries(store)
        assert ledger.reached(["evening"], ledger.ids)
        assert [message.summary for message in ledger.unread] == ["s-other"]
        assert 'evening got a summary of who knows what: "Who knows"' in list(ledger.doubts())
