"""What a status of the API leads to: trouble that waits, a refusal that is told, a gate that shuts (I16, F29-F32)."""

import json

import pytest

from tests.input.answers import body, chunked, error, head, in_turn, page, raw
from tests.input.asking import TOKEN, Case, Table, collects, stored
from tests.input.watch import watched
from tests.receivers import http_receiver, reply

GOOD = page(1)
HTML = b"<!DOCTYPE html><html><title>Log in to the guest network</title></html>"
NO_ENVELOPE = "without its envelope: an outage, or a proxy in between"
LIMITED = "rate limit for reads until 2026-03-0"
REFUSED = "Ultimate ended, token deleted, Events scope missing, or account restricted."
RATE = error("RateLimitError", f"Too many requests with {TOKEN}")
DAY = 24 * 3600


def failing(status: int, content: bytes = b"", says: str = "", **headers: str) -> Case:
    """Trouble after which the source is asked again 2 s later."""
    says = says or f"BuiltByBit answers HTTP {status} {NO_ENVELOPE}"
    return Case(body(content, status, **headers), "failing", says, requests=1, wait=(2, 2.3))


def refused(status: int, content: bytes, code: str = "") -> Case:
    """The token is not accepted; within 30 s it is looked at again, and asked with only if it changed."""
    return Case(body(content, status), "refused", f"({f'{status} {code}'.strip()}): {REFUSED}", requests=1, wait=30)


def limited(
    content: bytes, given: str | None, seconds: float | tuple[float, float] = (1, 1.7), status: int = 429
) -> Case:
    """A gate that stays shut for so long; a wait that makes no sense becomes the shortest of ours."""
    headers = {} if given is None else {"Retry_After": given}
    return Case(body(content, status, **headers), "throttled", LIMITED, requests=1, wait=seconds)


CASES = {
    "a portal": failing(200, HTML),
    "a portal with a redirect in it": failing(200, b'<meta http-equiv="refresh" content="0;url=http://portal/">'),
    "a portal in JSON": failing(200, json.dumps({"error": "login required", "token": TOKEN}).encode()),
    "100 before it": Case(raw(head("HTTP/1.1 100 Continue"), head(200) + GOOD), stored=("1",)),
    "103 before it": Case(
        raw(head("HTTP/1.1 103 Early Hints", Link="</x>; rel=preload"), head(200) + GOOD), stored=("1",)
    ),
    "fifty of them before it": Case(raw(head("HTTP/1.1 102 Processing") * 50, head(200) + GOOD), stored=("1",)),
    "101, to another protocol": Case(
        raw(head("HTTP/1.1 101 Switching", Connection="Upgrade", Upgrade="websocket"), b"\x81\x05hello"),
        "failing",
        "BuiltByBit ",
    ),
    "201 with the list": Case(body(GOOD, 201), stored=("1",)),
    "203 with the list": Case(body(GOOD, 203), stored=("1",)),
    "206 with a part of it": failing(206, GOOD[:40], Content_Range="bytes 0-39/200"),
    "204": Case(raw(head(204)), "failing", f"HTTP 204 {NO_ENVELOPE}"),
    "204 with a body": Case(raw(head(204, Content_Length=len(GOOD)) + GOOD), "failing", "BuiltByBit "),
    "205": failing(205),
    "226": Case(body(GOOD, 226), stored=("1",)),
    "304": Case(raw(head(304, ETag='"x"')), "failing", f"HTTP 304 {NO_ENVELOPE}"),
    "301 to elsewhere on the same host": failing(301, Location="/v3/events"),
    "302 to a login": failing(302, HTML, Location="https://builtbybit.com/login?next=/v2/events"),
    "303": failing(303, Location="/v2/events"),
    "307 to itself": failing(307, Location="/v2/events?page=1&per_page=100"),
    "308 to a file": failing(308, Location="file:///etc/passwd"),
    "302 to nowhere": failing(302, Location=""),
    "302 with the list in it": failing(302, GOOD, "BuiltByBit answers with an error (HTTP 302)", Location="/x"),
    "300": failing(300, HTML),
    "400": failing(400, error("BadRequestError"), "BuiltByBit answers with an error (HTTP 400 BadRequestError)"),
    "402": failing(402, error("PaymentRequired"), "(HTTP 402 PaymentRequired)"),
    "404 in HTML": failing(404, HTML),
    "404 of the API": failing(404, error("ContentNotFoundError"), "(HTTP 404 ContentNotFoundError)"),
    "405": failing(405, HTML, Allow="POST"),
    "407, a proxy that wants a login": failing(407, HTML, Proxy_Authenticate="Basic realm=x"),
    "408": failing(408, HTML),
    "410": failing(410, HTML),
    "418": failing(418, b"short and stout"),
    "421": failing(421, HTML),
    "425": failing(425, HTML),
    "426": failing(426, HTML, Upgrade="HTTP/2.0"),
    "431": failing(431, HTML),
    "451": failing(451, HTML),
    "500 of the API": failing(500, error("ServerError"), "(HTTP 500 ServerError)"),
    "500 with the token in its code": failing(500, error(f"Error-{TOKEN}-x"), "(HTTP 500 Error--x)"),
    "500 with a code that moves the cursor": failing(500, error("\x1b[2J\r\nA\u202eB"), "(HTTP 500 2JAB)"),
    "500 with an endless code": failing(500, error("E" * 60_000), f"(HTTP 500 {'E' * 60})"),
    "500 with a code that is an object": failing(500, error({"a": [1]}), "(HTTP 500)"),
    "500 with an error that is a list": failing(500, b'{"result":"error","error":[1]}', "(HTTP 500)"),
    "500 with an error that is a text": failing(500, b'{"result":"error","error":"x"}', "(HTTP 500)"),
    "500 with the list in it": failing(500, GOOD, "BuiltByBit answers with an error (HTTP 500)"),
    "501": failing(501, HTML),
    "502 of a proxy": failing(502, b"<html>Bad gateway</html>", Server="cloudflare"),
    "503 without a wait": failing(503, HTML),
    "504": failing(504, HTML),
    "505": failing(505, HTML),
    "511, a portal that says so": failing(511, HTML),
    "521 of an edge": failing(521, HTML),
    "599": failing(599),
    "999": Case(body(b"", 999), "failing", "BuiltByBit "),
    "000": Case(raw(head("HTTP/1.1 000 Nothing") + GOOD), "failing", "BuiltByBit "),
    "a status of four digits": Case(raw(head("HTTP/1.1 2000 OK") + GOOD), "failing", "BuiltByBit "),
    "401 of the API": refused(401, error("TokenInvalidError"), "TokenInvalidError"),
    "401 with the token": refused(401, error(TOKEN, f"no user has {TOKEN}"), ""),
    "401 in HTML": refused(401, HTML),
    "401 without a body": refused(401, b""),
    "403, the upgrade lapsed": refused(403, error("UpgradeRequiredError"), "UpgradeRequiredError"),
    "403 of an edge": refused(403, HTML),
    "403 that claims success": refused(403, GOOD),
    "403 compressed": Case(body(b"\x1f\x8b", 403, Content_Encoding="gzip"), "refused", REFUSED, requests=1),
    "429, milliseconds": limited(RATE, "60000", 60),
    "429, a fraction of a millisecond": limited(RATE, "0.25", 0),
    "429, a whole day in milliseconds": limited(RATE, str(DAY * 1000), DAY),
    "429, more than a day": limited(RATE, str(DAY * 1000 + 1)),
    "429, 1e12": limited(RATE, "1e12"),
    "429, no header": limited(RATE, None),
    "429, an empty header": limited(RATE, ""),
    "429, 0": limited(RATE, "0"),
    "429, -5": limited(RATE, "-5"),
    "429, NaN": limited(RATE, "NaN"),
    "429, infinity": limited(RATE, "Infinity"),
    "429, words": limited(RATE, "in a while, dear"),
    "429, 400 digits": limited(RATE, "9" * 400),
    "429, 5,000 digits": limited(RATE, "1" * 5_000),
    "429, with units": limited(RATE, "60s"),
    "429, Arabic digits in latin-1": limited(RATE, "\xb2\xb3"),
    "429, two values": limited(RATE, "5000, 6000"),
    "429, a date": limited(RATE, "Wed, 04 Mar 2026 05:07:07 GMT", 60),
    "429, a date that is over": limited(RATE, "Wed, 04 Mar 2020 05:07:07 GMT"),
    "429, a date in a year that cannot be": limited(RATE, "Wed, 04 Mar 99999999999999999999 05:07:07 GMT"),
    "429, a day that is none": limited(RATE, "Wed, 99 Mar 2026 05:07:07 GMT"),
    "429 of the edge, seconds": limited(HTML, "60", 60),
    "429 of the edge, a whole day": limited(HTML, str(DAY), DAY),
    "429 of the edge, more than a day": limited(HTML, str(DAY + 1)),
    "429 of the edge, a date": limited(HTML, "Wed, 04 Mar 2026 06:06:07 GMT", 3600),
    "429 of the edge, 0": limited(HTML, "0"),
    "429 of the edge, -1": limited(HTML, "-1"),
    "429 of the edge, no header": limited(HTML, None),
    "429, no body": limited(b"", "5", 5),
    "429, broken JSON": limited(RATE[:-1], "5", 5),
    "429, too deep to decode": limited(b'{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "5", 5),
    "429, overfull": limited(b'{"result":"error","x":[' + b"{}," * 310_000 + b"0]}", "5", 5),
    "429, compressed": Case(
        body(b"\x1f\x8b" + bytes(50), 429, Retry_After="5", Content_Encoding="gzip"), "throttled", LIMITED, wait=5
    ),
    "429 in chunks": Case(
        raw(head(429, Retry_After="5000", Transfer_Encoding="chunked") + chunked(RATE), then="go on"),
        "throttled",
        LIMITED,
        wait=5,
    ),
    "503 of the API with a wait": limited(error("Maintenance"), "90000", 90, 503),
    "503 of a proxy with a wait": limited(HTML, "90", 90, 503),
    "503 with a wait that is none": limited(HTML, "later", status=503),
}


@pytest.mark.parametrize("name", CASES)
def test_a_status_leads_to_a_wait_and_never_to_a_storm(name: str, table: Table) -> None:
    """F29-F32, F36: nothing is asked before the time is over; then all is as ever."""
    collects(table, CASES[name])


def test_the_token_is_not_carried_to_where_a_redirect_leads(table: Table) -> None:
    """F36: another host sees no connection at all."""

    async def scenario() -> None:
        async with http_receiver() as elsewhere, table.shop() as (shop, api):
            for status in (301, 302, 303, 307, 308):
                api.read = reply(status, b"", Location=f"{elsewhere.url}/v2/events", Refresh=f"0; url={elsewhere.url}")
                with watched([TOKEN]):
                    wait = await shop.collect()
                table.clock.advance(seconds=wait.total_seconds() + 1)
            assert api.asked("GET") == 5
            assert elsewhere.connections == 0

    table.run(scenario())


def test_waits_grow_with_each_rate_limit_that_names_none(table: Table) -> None:
    """F31: from 1 s; and the first good answer begins anew."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            api.read = in_turn(*[body(RATE, 429)] * 6, *[body(GOOD)] * 2, body(RATE, 429))
            waits = []
            for _ in range(8):
                wait = await shop.collect()
                waits.append(wait.total_seconds())
                table.clock.advance(seconds=wait.total_seconds())
            assert all(2**n <= wait <= 1.1 * 2**n + 0.6 for n, wait in enumerate(waits[:6]))
            assert stored(shop) == ("1",)
            assert 1 <= waits[7] <= 1.7

    table.run(scenario())


def test_a_lapsed_subscription_is_told_once_to_those_who_want_alerts(table: Table) -> None:
    """F32: in one line, without the token, and deliveries go on."""

    async def scenario() -> None:
        async with table.shop(alert_sinks=("mail",)) as (shop, api):
            before = len(shop.told("alert.source"))
            api.read = body(GOOD)
            await shop.collect()
            api.read = in_turn(*(body(content, 403) for content in (error(TOKEN), HTML, b"", error("UpgradeMissing"))))
            with watched([TOKEN]):
                for _ in range(8):
                    wait = await shop.collect()
                    table.clock.advance(seconds=wait.total_seconds())
            (told,) = shop.told("alert.source")[before:]
            assert told.isprintable()
            assert shop.woken == ["hook", "mail"]
            assert stored(shop) == ("1",)

    table.run(scenario())
