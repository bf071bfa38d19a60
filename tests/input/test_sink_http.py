"""What receivers that speak HTTP answer: one outcome each, one line, little memory, and the sink goes on (F39-F42)."""

import gzip
import json

import pytest

from tests.input.answers import body, bomb, byte_by_byte, chunked, drip, endless, head, raw
from tests.input.sending import Board, Case, State, delivers
from tests.receivers import Answer, hang_up, keep_silent
from tests.rigs import SECRETS, TOKEN

MIB = 2**20
ECHO = f"You sent {TOKEN} to us.".encode()
"""What receivers like to repeat."""
LATE = "no full answer within 30 s"
GONE = "the receiver says that it is gone for good"
REDIRECT = "redirects are not followed; put the final URL into the config"
CHUNKED = {"Transfer_Encoding": "chunked"}
HOUR, DAY = 3600, 24 * 3600


def taken(answer: Answer, says: str = "HTTP 200") -> Case:
    return Case(answer, "delivered", says)


def later(status: int, says: str = "", **headers: str) -> Case:
    """A failure that counts, and is tried again."""
    return Case(body(ECHO, status, **headers), "waiting", says or f"HTTP {status}")


def asked(status: int, given: str, seconds: float) -> Case:
    """A wait that is obeyed."""
    answer = body(ECHO, status, Retry_After=given)
    return Case(answer, "waiting", f"HTTP {status}", "slowed" if status == 429 else "ok", wait=seconds)


def never(status: int, says: str = "", **headers: str) -> Case:
    """The same again would get the same answer."""
    return Case(body(ECHO, status, **headers), "rejected", says or f"HTTP {status}")


def broken(answer: Answer) -> Case:
    """What is no HTTP, or ends too soon; the receiver may have it all the same."""
    return Case(answer, "waiting", "the connection")


def late(answer: Answer) -> Case:
    """What would never end, however promptly each piece of it comes."""
    return Case(answer, "waiting", LATE, hangs=True)


EVERY_KIND: dict[str, Case] = {
    "silence": late(keep_silent),
    "half a status line, and silence": late(raw(b"HTTP/1.1 2", then="wait")),
    "headers, and silence": late(raw(head(200, Content_Length=5), then="wait")),
    "a status line that drips": late(drip(b"HTTP/1.1 200 ", b"O")),
    "headers that drip": late(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    "a body that drips": late(drip(head(200, Content_Length=10**9), b".")),
    "100 Continue for ever": late(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "hung up at once": broken(hang_up),
    "hung up after the headers": broken(raw(head(200, Content_Length=50), then="reset")),
    "closed in the middle": broken(raw(head(200, Content_Length=50) + b"half")),
    "closed within the status line": broken(raw(b"HTTP/1.1 20")),
    "a length below nothing": broken(raw(head(200, Content_Length=-5) + b"ok")),
    "a length in words": broken(raw(head(200, Content_Length="some") + b"ok")),
    "two lengths": broken(raw(head(200, Content_Length=2)[:-2] + b"Content-Length: 5\r\n\r\nok")),
    "a chunk size that is none": broken(raw(head(200, **CHUNKED) + b"xyz\r\nok")),
    "chunks without their end": broken(raw(head(200, **CHUNKED) + chunked(b"ok", end=b""))),
    "a greeting of a mail server": broken(raw(b"220 mail.example ESMTP\r\n")),
    "the beginning of TLS": broken(raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))),
    "SSH": broken(raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "random bytes": broken(raw(bytes(range(255, 0, -1)) * 20)),
    "our own request": broken(raw(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + ECHO)),
    "a status of two digits": broken(raw(head("HTTP/1.1 20 OK"))),
    "a header without a colon": broken(raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\nok")),
    "a header of 10 MB": broken(raw(b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * MIB] * 10, b"\r\n\r\nok")),
    "headers without end": broken(endless(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 8_000)),
    "trailers without end": broken(endless(head(200, **CHUNKED) + b"2\r\nok\r\n0\r\n", b"X: y\r\n" * 10_000)),
    "a body without end": taken(endless(head(200, Content_Length=10**15), b"x" * 65_536)),
    "a refusal without end": Case(endless(head(422), b"\x1b[2J" * 16_384), "rejected", "HTTP 422"),
    "byte by byte": taken(byte_by_byte(b"ok")),
    "chunks of one byte": taken(raw(head(200, **CHUNKED) + chunked(*[b"."] * 500))),
    "HTTP/1.0": taken(raw(head("HTTP/1.0 200 OK") + b"ok")),
    "103 before it": taken(raw(head("HTTP/1.1 103 Early Hints"), head(200, Content_Length=2) + b"ok")),
    "NUL bytes": taken(body(bytes(50_000))),
    "every byte there is": taken(body(bytes(range(256)) * 100)),
    "what was sent": taken(body(ECHO)),
    "what was sent, in JSON": taken(body(json.dumps({"message": ECHO.decode(), "code": 1}).encode())),
    "marks that deceive": taken(body("\u202e\u2066\x1b[31m\r\n\x00\ud7ff".encode() * 100)),
    "half of a character at the limit": taken(body(b"x" * 16_383 + "é".encode())),
    "100,000 deep": taken(body(b"[" * 100_000)),
    "gzip": taken(body(gzip.compress(ECHO), Content_Encoding="gzip")),
    "gzip in gzip, 200 MB in some hundred bytes": taken(body(bomb(), Content_Encoding="gzip, gzip")),
    "gzip in name only": taken(body(b"ok", Content_Encoding="gzip")),
    "201": taken(body(b"", 201), "HTTP 201"),
    "204": taken(raw(head(204)), "HTTP 204"),
    "302 to elsewhere": later(302, REDIRECT, Location="http://127.0.0.1:1/steal"),
    "303 to a page": later(303, REDIRECT, Location="/thanks"),
    "307 to itself": later(307, REDIRECT, Location="/"),
    "308 to a file": later(308, REDIRECT, Location="file:///etc/passwd"),
    "304": Case(raw(head(304)), "waiting", REDIRECT),
    "400": never(400),
    "406": later(406),
    "409": never(409),
    "413": never(413),
    "418": later(418),
    "422": never(422),
    "405": later(405),
    "408": later(408),
    "425": later(425),
    "500": later(500),
    "501": later(501),
    "502": later(502),
    "503": later(503),
    "503 with a wait of an hour": asked(503, "3600", HOUR),
    "503 with a wait of a day": asked(503, str(DAY), DAY),
    "503 with a wait of more": later(503, Retry_After=str(DAY + 1)),
    "503 with 1e12": later(503, Retry_After="1e12"),
    "503 with -5": later(503, Retry_After="-5"),
    "503 with NaN": later(503, Retry_After="nan"),
    "503 with 5,000 digits": later(503, Retry_After="9" * 5_000),
    "503 with words": later(503, Retry_After="when the sun shines"),
    "503 with a date in another century": later(503, Retry_After="Wed, 04 Mar 2126 05:07:07 GMT"),
    "504": later(504),
    "505": later(505),
    "599": later(599),
}
WEBHOOK: dict[str, Case] = {
    "401": later(401),
    "403 of an edge": later(403),
    "404 during a deploy": later(404),
    "407 of a proxy": later(407),
    "410": Case(body(ECHO, 410), "waiting", GONE, "stopped", wait=15 * 60),
    "429 with a wait": asked(429, "120", 120),
    "429 with a wait of a day": asked(429, str(DAY), DAY),
    "429 without a wait": Case(body(ECHO, 429), "waiting", "HTTP 429", "slowed", wait=2),
    "429 with 0": Case(body(ECHO, 429, Retry_After="0"), "waiting", "HTTP 429", "slowed", wait=2),
    "429 with 1e12": Case(body(ECHO, 429, Retry_After="1e12"), "waiting", "HTTP 429", "slowed", wait=2),
    "all our secrets": taken(body(" ".join(SECRETS).encode())),
    "all our secrets, with a refusal": Case(body(" ".join(SECRETS).encode(), 422), "rejected", "HTTP 422"),
    "a portal": taken(body(b"<html>Log in</html>")),
}
GONE_AT_DISCORD = "Discord refuses this webhook ("
DELETED = "Discord says this webhook was deleted ("
BAD_TOKEN = "Discord says the token in this webhook's URL is wrong ("
LIMIT = "Discord's rate limit for "


def encoded(content: object) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def discord(content: object, status: int, state: State, says: str) -> Case:
    return Case(body(encoded(content), status), state, says)


def shut(content: object, status: int, says: str, why: str = GONE_AT_DISCORD) -> Case:
    """The webhook is gone: calling it again would earn a ban, so it waits for people."""
    answer = body(encoded(content), status)
    return Case(answer, "waiting", why + says, "stopped", then="waits for people")


def limited(content: object, says: str = LIMIT, seconds: float = 60.0, **headers: str) -> Case:
    return Case(body(encoded(content), 429, **headers), "waiting", says, "slowed", wait=seconds)


DISCORD: dict[str, Case] = {
    "an id": discord({"id": "1234567890"}, 200, "delivered", "message 1234567890"),
    "an id that is a number": discord({"id": 77}, 200, "delivered", "message 77"),
    "an id of 5,000 digits": discord(b'{"id":' + b"7" * 5_000 + b"}", 200, "delivered", "HTTP 200"),
    "an id that is NaN": discord(b'{"id":NaN}', 200, "delivered", "HTTP 200"),
    "an id that moves the cursor": discord({"id": "1\x1b[2J"}, 200, "delivered", "HTTP 200"),
    "a list": discord([{"id": "1"}], 200, "delivered", "HTTP 200"),
    "no JSON": discord(b"<html>ok</html>", 200, "delivered", "HTTP 200"),
    "JSON in UTF-16": discord('{"id":"5"}'.encode("utf-16"), 200, "delivered", ""),
    "100,000 objects deep": discord(b'{"id":' * 20_000, 200, "delivered", "HTTP 200"),
    "401": shut({"message": "Invalid Webhook Token", "code": 50027}, 401, "HTTP 401 Unauthorized: Invalid", BAD_TOKEN),
    "403 of an edge": shut(b"<html>", 403, "HTTP 403 Forbidden)"),
    "404, unknown webhook": shut(
        {"message": "Unknown Webhook", "code": 10015}, 404, "HTTP 404 Not Found: Unknown", DELETED
    ),
    "404 without a body": shut(b"", 404, "HTTP 404 Not Found)"),
    "404 with a message that is an object": shut({"message": {"a": []}, "code": 1}, 404, "HTTP 404 Not Found: {a"),
    "404 with a message that echoes": shut(
        {"message": ECHO.decode(), "code": 5}, 404, "HTTP 404 Not Found: You sent *"
    ),
    "404 of a thread": Case(
        body(b'{"message":"Unknown Channel","code":10003}', 404),
        "waiting",
        "Discord says the thread is gone, not the webhook (10003): change thread_id",
        "stopped",
        settings=(("thread_id", "5"),),
        then="waits for people",
    ),
    "400": later(400, "HTTP 400 Bad Request, not from Discord itself"),
    "400 with errors": discord(
        {"code": 50035, "message": "Invalid", "errors": {"embeds": {"0": {"_errors": [{"message": "Too long"}]}}}},
        400,
        "rejected",
        "HTTP 400 Bad Request: Invalid (50035): embeds.0 Too long",
    ),
    "400 with errors that are a list": discord({"errors": [1, 2]}, 400, "rejected", "HTTP 400 Bad Request"),
    "400 with 5,000 errors": discord(
        {"errors": {str(n): {"_errors": [{"message": "m" * 20}]} for n in range(2_000)}}, 400, "rejected", "HTTP 400"
    ),
    "429, in the body": limited({"message": "limited", "retry_after": 64.57, "global": False}, seconds=64.0),
    "429, global": limited({"retry_after": 120, "global": True}, "rate limit for all webhooks here", 120),
    "429, in the header": limited({"message": "limited"}, seconds=90, Retry_After="90"),
    "429, the longer of two": limited({"retry_after": 5}, seconds=300, Retry_After="300"),
    "429, a day": limited({"retry_after": DAY}, seconds=DAY),
    "429, more than a day": limited({"retry_after": DAY + 1}),
    "429, -1": limited({"retry_after": -1}),
    "429, 0": limited({"retry_after": 0}),
    "429, NaN": limited(b'{"retry_after":NaN}'),
    "429, 1e400": limited(b'{"retry_after":1e400}'),
    "429, 400 digits": limited(b'{"retry_after":' + b"9" * 400 + b"}"),
    "429, words": limited({"retry_after": "soon"}),
    "429, a list": limited({"retry_after": [1]}),
    "429, null": limited({"retry_after": None}),
    "429 of the edge": limited(b"error code: 1015", "not from Discord itself: this address is held back", 600),
    "429 of the edge, longer": limited(b"<html>", "not from Discord itself", HOUR, Retry_After="3600"),
    "429 of the edge, junk": limited(b"\xff\xfe", "not from Discord itself", 600, Retry_After="junk"),
    "an empty bucket that fills at once": taken(
        body(b'{"id":"1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="0.01"), "message 1"
    ),
    "an empty bucket that fills never": taken(
        body(b'{"id":"1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="1e400"), "message 1"
    ),
    "an empty bucket that was full before": taken(
        body(b'{"id":"1"}', X_RateLimit_Remaining="0", X_RateLimit_Reset_After="-60"), "message 1"
    ),
}
TABLES = {"webhook": EVERY_KIND | WEBHOOK, "discord": EVERY_KIND | DISCORD}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in TABLES.items() for name in table])
def test_whatever_a_receiver_answers_has_one_outcome_and_the_sink_goes_on(kind: str, name: str, board: Board) -> None:
    """F38-F42."""
    delivers(kind, board, TABLES[kind][name])
