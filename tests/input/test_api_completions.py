"""What the API answers to a completion: done, set aside, or asked again later; nothing more is believed (I19)."""

import json
from dataclasses import dataclass

import pytest

from tests.daemon.rounds.world import Shop, look, settle
from tests.input.answers import body, bomb, drip, endless, error, head, in_turn, page, raw
from tests.input.asking import SUCCESS, TOKEN, Api, Health, Table, completed, given_up
from tests.input.watch import one_line, watched
from tests.receivers import Answer, Request, Writer, hang_up, keep_silent

BROKEN = "BuiltByBit cannot be reached: "
LATE = "BuiltByBit cannot be reached: no full answer within 30 s"
NO_ENVELOPE = "without its envelope: an outage, or a proxy in between"
LACKS = "cannot complete: the token lacks the right"
LIMITED = "rate limit for writes until 2026-03-0"
HTML = b"<html>Log in</html>"
DAY = 24 * 3600


@dataclass(frozen=True)
class Case:
    """What the API answers to the completion of one event, and what must come of it."""

    answer: Answer
    health: Health
    says: str = ""
    done: bool = False
    set_aside: str = ""
    """Why the id alone is to blame; it is tried again after a quarter of an hour."""
    wait: float = 0.0
    hangs: bool = False


def unclear(answer: Answer, says: str = BROKEN) -> Case:
    """It may have been done there or not: it is asked again."""
    return Case(answer, "failing", says)


def done(content: bytes, status: int = 200) -> Case:
    return Case(body(content, status), "ok", done=True)


def refusal(status: int, content: bytes, says: str) -> Case:
    return Case(body(content, status), "ok", set_aside=says)


def limited(content: bytes, seconds: float = 1.0, status: int = 429, **headers: str) -> Case:
    return Case(body(content, status, **headers), "throttled", LIMITED, wait=seconds)


def late(answer: Answer) -> Case:
    return Case(answer, "failing", LATE, hangs=True)


CASES: dict[str, Case] = {
    "success": done(SUCCESS),
    "success with the envelope's data": done(b'{"result":"success","data":null}'),
    "success that lists what failed": done(b'{"result":"success","data":{"failed":[1]}}'),
    "success with a status of 201": done(SUCCESS, 201),
    "success, and 60 KB of it": done(b'{"result":"success","x":"' + b"y" * 60_000 + b'"}'),
    "success, and 100 KB of it": unclear(body(b'{"result":"success","x":"' + b"y" * 100_000 + b'"}'), NO_ENVELOPE),
    "success, and space without end": Case(endless(head(200) + SUCCESS, b" " * 65_536), "ok", done=True),
    "success, and nonsense without end": unclear(endless(head(200) + SUCCESS, b"x" * 65_536), NO_ENVELOPE),
    "an empty body": unclear(body(b""), f"HTTP 200 {NO_ENVELOPE}"),
    "204": unclear(raw(head(204)), f"HTTP 204 {NO_ENVELOPE}"),
    "null": unclear(body(b"null"), NO_ENVELOPE),
    "an array": unclear(body(b'["success"]'), NO_ENVELOPE),
    "a portal": unclear(body(HTML), NO_ENVELOPE),
    "success in capitals": unclear(body(b'{"result":"SUCCESS"}'), "with an error (HTTP 200)"),
    "an error in a 200": unclear(body(error("ServerError")), "with an error (HTTP 200 ServerError)"),
    "100,000 deep": unclear(body(b'{"result":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), NO_ENVELOPE),
    "cut off": unclear(body(SUCCESS[:-1]), NO_ENVELOPE),
    "UTF-16": unclear(body('{"result":"success"}'.encode("utf-16")), NO_ENVELOPE),
    "a bomb": unclear(body(bomb(), Content_Encoding="gzip, gzip"), "compressed although that was not asked for"),
    "silence": late(keep_silent),
    "headers, and silence": late(raw(head(200, Content_Length=20), then="wait")),
    "a body that drips": late(drip(head(200, Content_Length=10**6) + SUCCESS)),
    "headers that drip": late(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    "hung up": unclear(hang_up),
    "hung up in the middle": unclear(raw(head(200, Content_Length=50) + SUCCESS, then="reset")),
    "a greeting of a mail server": unclear(raw(b"220 mail.example ESMTP\r\n")),
    "random bytes": unclear(raw(bytes(range(255, 0, -1)) * 20)),
    "a header of 10 MB": unclear(raw(b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * 2**20] * 10, b"\r\n\r\n" + SUCCESS)),
    "302 to elsewhere": unclear(body(b"", 302, Location="http://127.0.0.1:1/"), f"HTTP 302 {NO_ENVELOPE}"),
    "307 to itself": unclear(body(SUCCESS, 307, Location="/v2/events/complete"), "with an error (HTTP 307)"),
    "400 for the id": refusal(400, error("InvalidIdError"), "HTTP 400 InvalidIdError"),
    "404 for the id": refusal(404, error("ContentNotFoundError"), "HTTP 404 ContentNotFoundError"),
    "404 in HTML": refusal(404, HTML, "HTTP 404"),
    "409": refusal(409, error("AlreadyCompleted"), "HTTP 409 AlreadyCompleted"),
    "422 with the token": refusal(422, error(f"Bad-{TOKEN}"), "HTTP 422 Bad-"),
    "422 with a code that moves the cursor": refusal(422, error("\x1b[2J\u202ex"), "HTTP 422 2Jx"),
    "413 for one id": unclear(body(HTML, 413), "refuses every completion (HTTP 413)"),
    "401": Case(body(error("TokenInvalidError"), 401), "refused", f"{LACKS} (401 TokenInvalidError)", wait=30),
    "403, no right to write": Case(body(error("ScopeError"), 403), "refused", f"{LACKS} (403 ScopeError)", wait=30),
    "403 of an edge, with the token": Case(body(TOKEN.encode(), 403), "refused", f"{LACKS} (403)", wait=30),
    "403 that claims success": Case(body(SUCCESS, 403), "refused", LACKS, wait=30),
    "405": unclear(body(HTML, 405), NO_ENVELOPE),
    "407": unclear(body(HTML, 407), NO_ENVELOPE),
    "410": unclear(body(HTML, 410), NO_ENVELOPE),
    "500": unclear(body(error("ServerError"), 500), "(HTTP 500 ServerError)"),
    "500 that claims success": unclear(body(SUCCESS, 500), "with an error (HTTP 500)"),
    "502": unclear(body(HTML, 502), NO_ENVELOPE),
    "503": unclear(body(HTML, 503), NO_ENVELOPE),
    "999": unclear(body(SUCCESS, 999), "BuiltByBit "),
    "429, milliseconds": limited(error("Limit"), 60, Retry_After="60000"),
    "429, a day in milliseconds": limited(error("Limit"), DAY, Retry_After=str(DAY * 1000)),
    "429, more than a day": limited(error("Limit"), Retry_After=str(DAY * 1000 + 1)),
    "429 of the edge": limited(HTML, 60, Retry_After="60"),
    "429 of the edge, a date": limited(HTML, 60, Retry_After="Wed, 04 Mar 2026 05:07:07 GMT"),
    "429 without a wait": limited(error("Limit")),
    "429, 0": limited(HTML, Retry_After="0"),
    "429, -1": limited(error("Limit"), Retry_After="-1"),
    "429, NaN": limited(error("Limit"), Retry_After="nan"),
    "429, words": limited(HTML, Retry_After="later"),
    "503 with a wait": limited(HTML, 90, 503, Retry_After="90"),
}


async def held(shop: Shop, api: Api, *ids: int) -> None:
    """Let events be stored and delivered, so that they are due to be completed."""
    api.read = body(page(*ids, total=len(ids)))
    await shop.collect()
    await settle(shop.store, "hook", 10_000)


@pytest.mark.parametrize("name", CASES)
def test_an_answer_to_a_completion_is_believed_no_further_than_it_goes(name: str, table: Table) -> None:
    """I16, I19, F33: and with the next good answer everything is completed, not before its time."""
    case = CASES[name]

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            await held(shop, api, 1)
            api.write = case.answer
            with watched([TOKEN]):
                act = shop.acknowledge()
                wait = await (given_up(table.loop, api, act, 30.0) if case.hangs else act)
            health = shop.line.health["write"]
            assert (health.health, completed(shop)) == (case.health, {"1"} if case.done else set()), health.reason
            assert case.says in health.reason
            assert one_line(health.reason)
            query = "SELECT coalesce(ack_reason, '') FROM events WHERE source = ? AND external_id = '1'"
            ((reason,),) = look(shop.folder, query, shop.line.name)
            assert one_line(reason)
            assert TOKEN not in reason + health.reason
            assert not case.set_aside or case.set_aside in reason
            if case.done:
                return
            assert wait is not None
            assert wait.total_seconds() >= (900 if case.set_aside else case.wait)
            api.write = body(SUCCESS)
            table.clock.advance(seconds=wait.total_seconds() - 0.6)
            await shop.acknowledge()
            assert api.asked("POST") == 1
            table.clock.advance(hours=25)
            await shop.acknowledge()
            assert completed(shop) == {"1"}
            assert shop.line.health["write"].health == "ok"

    table.run(scenario())


def test_one_id_that_is_refused_is_found_among_a_hundred(table: Table) -> None:
    """F33: halving, whatever the refusal looks like; all others are completed."""

    async def refuse_57(request: Request, writer: Writer) -> None:
        ids = json.loads(request.body)["event_ids"]
        await (body(HTML, 404) if 57 in ids else body(SUCCESS))(request, writer)

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            await held(shop, api, *range(1, 101))
            api.write = refuse_57
            with watched([TOKEN]):
                await shop.acknowledge()
            assert completed(shop) == {str(number) for number in range(1, 101)} - {"57"}
            assert api.asked("POST") <= 20

    table.run(scenario())


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_when_every_id_is_refused_the_round_backs_off(status: int, table: Table) -> None:
    """F33: it is not the ids then."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            await held(shop, api, *range(1, 101))
            api.write = body(error("NoError"), status)
            with watched([TOKEN]):
                await shop.acknowledge()
            assert shop.line.health["write"].health == "failing"
            assert api.asked("POST") < 30
            assert completed(shop) == set()

    table.run(scenario())


def test_what_is_listed_again_after_its_completion_is_completed_again_ever_more_slowly(table: Table) -> None:
    """I19, F34: an API that says success and does nothing is told of, and never flooded."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            await held(shop, api, 1, 2)
            asked = []
            with watched([TOKEN]):
                for _ in range(20):
                    await shop.acknowledge()
                    await shop.collect()
                    asked.append(api.asked("POST"))
                    table.clock.advance(seconds=30)
            assert 3 <= asked[-1] <= 7
            told = [text for text in shop.told("alert.returned") if shop.line.name in text]
            assert len(told) == 1
            assert one_line(told[0])

    table.run(scenario())


def test_a_completion_that_was_done_but_not_confirmed_is_settled_by_the_next_list(table: Table) -> None:
    """W6, F33, F34: the answer was lost; the event is no longer listed; it counts as ours."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            await held(shop, api, 1)
            api.write = in_turn(hang_up, body(SUCCESS))
            await shop.acknowledge()
            assert completed(shop) == set()
            api.read = body(page(total=0))
            table.clock.advance(minutes=1)
            await shop.collect()
            assert completed(shop) == {"1"}
            assert completed(shop, "elsewhere") == set()

    table.run(scenario())
