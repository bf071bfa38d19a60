"""How the API's answers travel: sizes, framing, encodings and drips end in one line and cost little (I16, F36, F38)."""

import gzip
import json
import zlib

import pytest

from tests.input.answers import (
    body,
    bomb,
    byte_by_byte,
    chunked,
    drip,
    endless,
    event,
    head,
    listed,
    numbered,
    page,
    raw,
)
from tests.input.asking import TOKEN, Case, Table, collects
from tests.receivers import Answer, hang_up, keep_silent

MIB = 2**20
BROKEN = "BuiltByBit cannot be reached: "
LATE = "BuiltByBit cannot be reached: no full answer within 60 s"
COMPRESSED = "BuiltByBit answers compressed although that was not asked for"
NO_ENVELOPE = "without its envelope: an outage, or a proxy in between"
TOO_LARGE = "a page is larger than 32 MiB; asking for 25 events at a time now"
TOO_FULL = "a page is larger than 300,000 values; asking for 25 events at a time now"
GOOD = page(1)
LONG = len(GOOD)
CHUNKED = {"Transfer_Encoding": "chunked"}


def broken(answer: Answer, says: str = BROKEN) -> Case:
    """What is no HTTP, or ends too soon."""
    return Case(answer, "failing", says)


def late(answer: Answer) -> Case:
    """What would never end, however promptly each piece of it comes."""
    return Case(answer, "failing", LATE, deadline=60.0)


def encoded(name: str, content: bytes) -> Case:
    """An encoding that nobody asked for; it is not unpacked."""
    return Case(body(content, Content_Encoding=name), "failing", COMPRESSED, requests=1)


def read(answer: Answer) -> Case:
    """An odd way to send an ordinary answer."""
    return Case(answer, stored=("1",))


def large(byte: bytes) -> Answer:
    """More than a page may hold."""
    return endless(head(200, Content_Length=10**15), byte * 65_536)


def overfull(value: bytes) -> Answer:
    """A page of a few hundred KB that would unfold to a thousand times as much."""
    return body(listed(value * 310_000 + b"0"))


CASES = {
    "silence": late(keep_silent),
    "half a status line, and silence": late(raw(b"HTTP/1.1 2", then="wait")),
    "headers, and silence": late(raw(head(200, Content_Length=LONG), then="wait")),
    "half a body, and silence": late(raw(head(200, Content_Length=LONG) + GOOD[:50], then="wait")),
    "a chunk that does not come": late(raw(head(200, **CHUNKED), b"ff\r\n" + GOOD[:50], then="wait")),
    "a status line that drips": late(drip(b"HTTP/1.1 200 ", b"O")),
    "headers that drip": late(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    "one header that drips": late(drip(b"HTTP/1.1 200 OK\r\nX: ", b"y")),
    "a body that drips": late(drip(head(200, Content_Length=10**9) + GOOD)),
    "a body that drips until it closes": late(drip(head(200) + GOOD)),
    "chunks that drip": late(drip(head(200, **CHUNKED), b"1\r\n \r\n")),
    "100 Continue for ever": late(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "a good answer, byte by byte": read(byte_by_byte(GOOD)),
    "a header of 10 MB": broken(raw(b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * MIB] * 10, b"\r\n\r\n" + GOOD)),
    "a header without end": broken(endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65_536)),
    "headers without end": broken(endless(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 8_000)),
    "large headers without end": broken(endless(b"HTTP/1.1 200 OK\r\n", (b"X: " + b"y" * 4_000 + b"\r\n") * 16)),
    "a status line without end": broken(endless(b"HTTP/1.1 200 ", b"O" * 65_536)),
    "a chunk size without end": late(endless(head(200, **CHUNKED), b"0" * 65_536)),
    "a chunk extension without end": late(endless(head(200, **CHUNKED) + b"5;", b"x" * 65_536)),
    "trailers without end": broken(endless(head(200, **CHUNKED) + chunked(GOOD, end=b"0\r\n"), b"X: y\r\n" * 10_000)),
    "a body without end": Case(large(b" "), "failing", TOO_LARGE, memory=112 * MIB, requests=1),
    "a body without end, without a length": Case(
        endless(head(200), b"x" * 65_536), "failing", TOO_LARGE, memory=112 * MIB, requests=1
    ),
    "chunks without end": Case(
        endless(head(200, **CHUNKED), b"8000\r\n" + b"[" * 32_768 + b"\r\n"), "failing", TOO_LARGE, memory=112 * MIB
    ),
    "300,000 empty objects": Case(overfull(b"{},"), "failing", TOO_FULL, requests=1),
    "300,000 empty arrays": Case(overfull(b"[],"), "failing", TOO_FULL, requests=1),
    "300,000 numbers": Case(overfull(b"1,"), "failing", TOO_FULL, requests=1),
    "300,000 arrays in each other": Case(
        body(listed(b"[" * 310_000 + b"]" * 310_000)), "failing", TOO_FULL, requests=1
    ),
    "an error without end": Case(
        endless(head(500, Content_Length=10**15), b"[{},{}]," * 8_000), "failing", NO_ENVELOPE, memory=112 * MIB
    ),
    "one event of 4 MB": Case(
        body(listed(json.dumps(event(1, trigger_data={"message": "x" * 4_000_000})).encode())),
        stored=("1",),
        memory=64 * MIB,
    ),
    "500 events on one page": Case(body(listed(*numbered(1, 501))), stored=tuple(map(str, range(1, 501)))),
    "hung up at once": broken(hang_up),
    "hung up after the headers": broken(raw(head(200, Content_Length=LONG), then="reset")),
    "hung up in the middle": broken(raw(head(200, Content_Length=LONG) + GOOD[: LONG // 2], then="reset")),
    "closed in the middle": broken(raw(head(200, Content_Length=LONG) + GOOD[: LONG // 2])),
    "closed within the headers": broken(raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
    "closed within the status line": broken(raw(b"HTTP/1.1 20")),
    "a length too large": broken(raw(head(200, Content_Length=LONG + 1) + GOOD)),
    "a length too small": Case(raw(head(200, Content_Length=LONG - 1) + GOOD), "failing", "BuiltByBit "),
    "a length of nothing": Case(raw(head(200, Content_Length=0) + GOOD), "failing", "BuiltByBit "),
    "a length below nothing": broken(raw(head(200, Content_Length=-5) + GOOD)),
    "a length in words": broken(raw(head(200, Content_Length="all of it") + GOOD)),
    "a length of 5,000 digits": broken(raw(head(200, Content_Length="9" * 5_000) + GOOD)),
    "a length beyond 64 bits": broken(raw(head(200, Content_Length=2**64 + LONG) + GOOD)),
    "two lengths": broken(raw(head(200, Content_Length=LONG)[:-2] + b"Content-Length: 5\r\n\r\n" + GOOD)),
    "two lengths on one line": broken(raw(head(200, Content_Length=f"{LONG}, 5") + GOOD)),
    "chunks": read(raw(head(200, **CHUNKED) + chunked(GOOD[:40], GOOD[40:]), then="go on")),
    "chunks of one byte": read(raw(head(200, **CHUNKED) + chunked(*(b"%c" % one for one in GOOD)), then="go on")),
    "a chunk size that is none": broken(raw(head(200, **CHUNKED) + b"xyz\r\n" + GOOD)),
    "a chunk size below nothing": broken(raw(head(200, **CHUNKED) + b"-5\r\n" + GOOD)),
    "a chunk size of 100 digits": broken(raw(head(200, **CHUNKED) + b"f" * 100 + b"\r\n" + GOOD)),
    "a chunk longer than it says": broken(raw(head(200, **CHUNKED) + b"5\r\n" + GOOD)),
    "chunks without their end": broken(raw(head(200, **CHUNKED) + chunked(GOOD, end=b""))),
    "called chunked, sent plain": broken(raw(head(200, **CHUNKED) + GOOD)),
    "a transfer encoding nobody knows": broken(raw(head(200, Transfer_Encoding="telepathy, chunked") + GOOD)),
    "a greeting of a mail server": broken(raw(b"220 mail.example ESMTP\r\n")),
    "the beginning of TLS": broken(raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))),
    "a preface of HTTP/2": broken(raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18))),
    "SSH": broken(raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "the body alone": broken(raw(GOOD)),
    "empty lines only": broken(raw(b"\r\n" * 100)),
    "a request for an answer": broken(raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
    "random bytes": broken(raw(bytes(range(255, 0, -1)) * 20)),
    "a version that is none": broken(raw(head("HTTP/9.x 200 OK") + GOOD)),
    "a status of two digits": broken(raw(head("HTTP/1.1 20 OK") + GOOD)),
    "a status in words": broken(raw(head("HTTP/1.1 OK 200") + GOOD)),
    "a status below nothing": broken(raw(head("HTTP/1.1 -200 OK") + GOOD)),
    "a header without a colon": broken(raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n" + GOOD)),
    "NUL in a header": broken(raw(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n" + GOOD)),
    "a name of a header that is none": broken(raw(b"HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n" + GOOD)),
    "no words in the status line": read(raw(head("HTTP/1.1 200") + GOOD)),
    "HTTP/1.0": read(raw(head("HTTP/1.0 200 OK") + GOOD)),
    "100 headers": read(raw(head(200, Content_Length=LONG, **{f"X{n}": n for n in range(100)}) + GOOD, then="go on")),
    "headers in latin-1": read(raw(head(200, Content_Length=LONG, X="Gr\xfc\xdfe \xff") + GOOD, then="go on")),
    "a cookie with the token": read(body(GOOD, Set_Cookie=f"session={TOKEN}; Path=/")),
    "garbage behind the answer": read(raw(head(200, Content_Length=LONG) + GOOD + b"HTTP/1.1 500 \r\n\r\n")),
    "gzip": encoded("gzip", gzip.compress(GOOD)),
    "gzip, in capitals": encoded("GZip", gzip.compress(GOOD)),
    "gzip in gzip, 200 MB in some hundred bytes": encoded("gzip, gzip", bomb()),
    "gzip in gzip, named once": encoded("gzip", bomb()),
    "deflate": encoded("deflate", zlib.compress(GOOD)),
    "br": encoded("br", b"\x0b\x02\x80" + GOOD),
    "zstd": encoded("zstd", b"\x28\xb5\x2f\xfd" + GOOD),
    "an encoding nobody knows": encoded("rot13", GOOD),
    "gzip in name only": encoded("gzip", GOOD),
    "gzip that is cut off": encoded("gzip", gzip.compress(GOOD)[:30]),
    "five encodings": encoded("gzip, deflate, br, zstd, compress", GOOD),
    "an encoding without end": Case(
        endless(head(200, Content_Encoding="gzip"), b"\0" * 65_536), "failing", COMPRESSED, requests=1
    ),
    "identity": read(body(GOOD, Content_Encoding="identity")),
    "gzip that nobody names": Case(body(gzip.compress(GOOD)), "failing", NO_ENVELOPE, requests=1),
}


@pytest.mark.parametrize("name", CASES)
def test_however_an_answer_travels_it_costs_little_and_ends_in_one_line(name: str, table: Table) -> None:
    """F38: and the next good answer is dealt with as ever."""
    collects(table, CASES[name])


def test_the_bomb_is_small_and_would_be_large() -> None:
    """M8."""
    packed = bomb()
    assert len(packed) < 2_000
    inner = gzip.decompress(packed)
    one = inner[: len(inner) // 200]
    assert (inner, len(gzip.decompress(one))) == (one * 200, 1_000_000)
