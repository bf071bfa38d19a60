"""A sink is in trouble, and the daemon (a real process) tells so, keeps everything, and goes on once it is mended."""

import asyncio
import json
from pathlib import Path
from typing import Any

from daemon.simulator.faults import Behaviour

ALERTS = 'alerts = ["hook", "chat"]'


def texts(w: Any, name: str = "hook") -> list[str]:
    """The alerts that a webhook receiver got, each once: a killed daemon may repeat one."""
    bodies = {call.id: json.loads(call.body) for call in w.sim.inbox.received(name) if call.accepted}
    return [body["data"]["text"] for body in bodies.values() if body["type"].startswith("alert.")]


def discord(w: Any, name: str, more: str = "") -> str:
    """A Discord sink whose URL is in a file of its own."""
    (w.folder / f"{name}_url").write_text(w.sim.discord_url(name))
    return f'[sinks.{name}]\ntype = "discord"\nurl = "file:{name}_url"\n{more}\n'


def is_anywhere(folder: Path, secret: str) -> bool:
    return any(secret.encode() in path.read_bytes() for path in folder.glob("eventferry.db*") if path.is_file())


def test_a_deleted_webhook_is_told_elsewhere_and_all_arrives_once_its_secret_file_was_replaced(world):
    """Section 8's sentence, count and command; the new content of the file resumes the sink by itself."""

    async def story():
        async with world() as w:
            sinks = w.webhook("hook", 'events = ["!*"]') + discord(w, "chat", "burst = false")
            w.configure(sinks=sinks, daemon=ALERTS)
            w.sim.inbox.behave("chat", Behaviour(deleted=True))
            for _ in range(12):
                w.sim.upstream.add_sample(kind="purchase")
            await w.start()
            await w.until(lambda: texts(w))
            (text,) = texts(w)
            assert text.startswith("chat stopped: ")
            assert "12 deliveries wait, nothing is lost." in text
            assert f"Put a new URL into {w.folder / 'chat_url'}, then: " in text
            assert str(w.sim.discord_url("chat")) not in text + w.log()
            assert await w.stop() == 0
            await w.start()  # as it is, nothing changes, and the dead webhook is not called again
            await w.until(lambda: w.log().count("daemon.started") == 2)
            calls = len(w.sim.inbox.received("chat"))
            w.sim.upstream.add_sample(kind="purchase")
            await w.until(lambda: w.rows("SELECT count(*) FROM deliveries WHERE sink = 'chat'") == [(13,)])
            assert await w.stop() == 0
            assert len(w.sim.inbox.received("chat")) == calls
            (w.folder / "chat_url").write_text(w.sim.discord_url("fresh"))
            await w.start()
            await w.until(
                lambda: w.rows("SELECT count(*) FROM deliveries WHERE sink = 'chat' AND state = 'delivered'") == [(13,)]
            )
            await w.until(lambda: len(texts(w)) == 2)
            assert texts(w)[1].startswith("chat works again.")
            assert await w.stop() == 0
            assert w.rows("SELECT count(*) FROM deliveries WHERE state NOT IN ('delivered')") == [(0,)]
            assert not is_anywhere(w.folder, w.sim.discord_url("chat").rsplit("/", 1)[1])

    asyncio.run(story())


def test_f52_after_a_typo_intake_goes_on_and_renamed_from_says_what_becomes_of_the_rest(world):
    async def story():
        async with world() as w:
            stopped = Behaviour(status=410)
            w.sim.inbox.behave("sales", stopped)
            w.configure(sinks=w.webhook("hook", 'events = ["!*"]') + w.webhook("sales"), daemon='alerts = ["hook"]')
            first = {w.sim.upstream.add_sample() for _ in range(3)}
            await w.start()
            await w.until(lambda: texts(w))
            assert await w.stop() == 0
            before = {call.id for call in w.sim.inbox.received("sales")}

            typo = w.webhook("hook", 'events = ["!*"]') + w.webhook("sails")
            w.configure(sinks=typo, daemon='alerts = ["hook"]')
            second = {w.sim.upstream.add_sample() for _ in range(2)}
            await w.start()
            await w.until(lambda: len(w.accepted("sails")) == 2 and len(texts(w)) == 2)
            assert texts(w)[1] == (
                "3 deliveries wait for sales, but no sink of this name is in the config. If it was renamed, write "
                'renamed_from = "sales" into its new table; if not, and nobody wants them any more: '
                f"eventferry sinks discard sales --config {w.folder}/config.toml"
            )
            assert await w.stop() == 0

            w.configure(sinks=typo + 'renamed_from = "sales"\n', daemon='alerts = ["hook"]')
            await w.start()
            await w.until(lambda: len(w.accepted("sails")) == 5)
            assert set(w.accepted("sails")) == {
                *(f"builtbybit-{each}-sales" for each in first), *(f"builtbybit-{each}-sails" for each in second),
            }  # fmt: skip
            assert before <= set(w.accepted("sails")), "what was tried under the old name keeps its id"
            assert await w.stop() == 0

    asyncio.run(story())
