"""`simulate` and `demo`."""

import json
import os
import re
import signal
import urllib.request

import pytest

from daemon.cli.demo_ledger import Ledger
from daemon.simulator import Simulator
from tests.daemon.cli.conftest import ended, until
from tests.ledger import story

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


def test_the_demo_serves_every_sink_completes_everything_and_cleans_up(ferry):
    done = ferry.process("demo", env={"TMPDIR": str(ferry.folder)})
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    arrows = [line for line in lines if line.count(" -> ") == 4]
    assert len(arrows) == 40
    assert sum(line.startswith("  purchase ") for line in arrows) == 30
    assert sum(line.startswith("  coupon_redeemed ") for line in arrows) == 1
    assert (
        "stored 40 | webhook 40/40 | discord 40/40 | email 40/40 | file 40/40 | completed 40 | pending upstream 0"
        in lines
    )
    assert "Proved: each of the 40 events reached each receiver exactly once" in done.stdout
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
    while "(process " not in shown:
        shown += demo.stdout.readline()
    assert ended(demo, signal.SIGTERM) == 130
    pid = re.findall(r"\(process (\d+)\)", shown)[0]
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
        assert list(ledger.look()) == []
        assert not ledger.everywhere
        assert ledger.sums(2) == (
            "stored 2 | webhook 0/2 | discord 0/2 | email 0/2 | file 2/2 | completed 1 | pending upstream 1"
        )
        assert list(ledger.doubts()) == [
            f"webhook never got: {first}, {second}",
            f"discord never got: {first}, {second}",
            f"email never got: {first}, {second}",
            f"file got more than once: {first}",
            "file got unasked: 9",
            f"BuiltByBit, as completed, never got: {second}",
            f"still pending upstream: {second}",
        ]
