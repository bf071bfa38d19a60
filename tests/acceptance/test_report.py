"""Reports, seen from outside: due while the daemon was down, killed while it makes them, read by two audiences."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

SINKS = """
[sinks.mail]
type = "email"
host = "{0.smtp_host}"
port = {0.smtp_port}
security = "none"
from = "shop@example.org"
to = ["me@example.org"]
audience = "full"
report = "daily"
events = ["!*"]

[sinks.chat]
type = "discord"
url = "{1}"
report = "daily"
events = ["!*"]
"""


def test_a_report_that_fell_due_while_the_daemon_was_down_comes_once_whatever_happens_then(world):
    async def story():
        async with world() as w:
            sinks = SINKS.format(w.sim, w.sim.discord_url("chat")) + w.webhook("hook")
            w.configure(sinks=sinks, daemon='timezone = "UTC"')
            for data in ({"final_price": "9.99", "currency": "EUR"}, {"final_price": 5}):
                w.sim.upstream.add("purchase", {"resource_id": 5, "resource_title": "Skyline", **data})
            w.sim.upstream.add("review", {"resource_id": 5, "rating": "4"})
            await w.start()
            await w.until(lambda: len(w.sim.upstream.completed) == 3)
            await w.until(lambda: len(w.rows("SELECT 1 FROM meta WHERE name LIKE 'reported:%'")) == 2)
            assert await w.stop() == 0
            yesterday(w.folder / "eventferry.db")
            await w.start()
            await w.until(lambda: w.rows("SELECT 1 FROM events WHERE kind = 'report.daily'"))
            w.kill()
            await w.process.wait()
            for _ in range(2):
                polls = len(w.sim.upstream.calls)
                await w.start()
                await w.until(lambda before=polls: len(w.sim.upstream.calls) > before)
                await w.until(lambda: reported(w) == [("chat", "delivered"), ("mail", "delivered")])
                assert await w.stop() == 0
            mails = {mail.id: mail.message for mail in w.sim.mail.received}
            chats = {call.json()["embeds"][0]["footer"]["text"]: call.json() for call in w.sim.inbox.received("chat")}
            (mail,), (chat,) = mails.values(), chats.values()
            text = mail.get_body(("plain",)).get_content()
            for figure in ("Sold: 2", "9.99 EUR", "5.00 USD", "Skyline (2 sold)", "4.0 stars", "Refunds are not"):
                assert figure in text
            assert "Daily report" in mail["Subject"]
            assert "Skyline" in str(chat)
            assert not any(secret in str(chat) for secret in ("9.99", "5.00", "EUR"))

    asyncio.run(story())


def yesterday(database):
    """Let all that was counted have happened yesterday, and the last report be due two days ago."""
    now = datetime.now(UTC).replace(tzinfo=None)
    due = now - timedelta(hours=(now.hour - 9) % 24)  # a report tells of the day before the last 9:00
    noon = datetime.combine(due.date() - timedelta(days=1), datetime.min.time()) + timedelta(hours=12)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE counters SET hour = ?", (noon.isoformat(" ", "microseconds"),))
        until = (now - timedelta(days=2)).replace(tzinfo=UTC).isoformat()
        connection.execute("UPDATE meta SET value = ? WHERE name LIKE 'reported:%'", (until,))


def reported(w):
    return w.rows(
        "SELECT d.sink, d.state FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE e.kind = 'report.daily' ORDER BY d.sink"
    )
