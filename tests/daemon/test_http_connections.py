"""Connections: kept, replaced, proxied, checked, and merely tried."""

import asyncio
import ssl
from pathlib import Path

import pytest

from daemon.http import CallFailed, Http, tls_context
from tests.daemon.calling import LATER, with_server
from tests.receivers import (
    HttpReceiver,
    Request,
    Writer,
    http_receiver,
    keep_silent,
    make_certificate,
    needs_openssl,
    reply,
    served,
)


def test_the_environment_is_not_asked_for_a_proxy_or_a_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def act(http: Http, server: HttpReceiver) -> Request:
        await http.call("GET", server.url, deadline=LATER, limit=10)
        return server.requests[0]

    assert "authorization" not in with_server(reply(), act).headers


def test_a_proxy_that_was_asked_for_is_used() -> None:
    async def scenario() -> None:
        async with http_receiver() as proxy:
            http = Http(proxy=proxy.url)
            await http.call("GET", "http://shop.invalid/path", deadline=LATER, limit=10)
            assert proxy.requests[0].target == "http://shop.invalid/path"
            await http.reach("https://shop.invalid/", deadline=LATER)
            assert len(proxy.requests) == 1
            await http.close()

    asyncio.run(scenario())


def test_one_connection_serves_many_calls_and_a_closed_client_opens_a_new_one() -> None:
    async def act(http: Http, server: HttpReceiver) -> None:
        for _ in range(3):
            await http.call("GET", server.url, deadline=LATER, limit=10)
        assert server.connections == 1
        await http.close()
        await http.close()
        await http.call("GET", server.url, deadline=LATER, limit=10)
        assert server.connections == 2

    with_server(reply(), act)


def test_a_connection_that_the_peer_closed_meanwhile_is_replaced() -> None:
    async def once(request: Request, writer: Writer) -> None:
        await reply()(request, writer)
        writer.close()
        await writer.wait_closed()

    async def act(http: Http, server: HttpReceiver) -> None:
        for number in range(1, 4):
            await http.call("GET", server.url, deadline=LATER, limit=10)
            assert server.connections == number
            await asyncio.sleep(0.05)

    with_server(once, act)


def test_a_cancelled_call_leaves_the_client_usable() -> None:
    async def act(http: Http, server: HttpReceiver) -> None:
        server.answer = keep_silent
        for _ in range(3):
            server.arrived.clear()
            call = asyncio.create_task(http.call("GET", server.url, deadline=LATER, limit=10))
            await server.arrived.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        server.answer = reply()
        assert (await http.call("GET", server.url, deadline=LATER, limit=10)).status == 200

    with_server(reply(), act)


def test_reaching_a_host_sends_nothing() -> None:
    async def act(http: Http, server: HttpReceiver) -> None:
        await http.reach(f"{server.url}/secret-path", deadline=LATER)
        assert server.requests == []

    with_server(reply(), act)


@needs_openssl
def test_certificates_are_checked_against_the_usual_authorities_or_those_given(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)

    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        receiver = HttpReceiver()
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/secret-path"
        trusting, doubting = Http(), Http()
        trusting.trust(certificate)
        for attempt in (
            doubting.call("GET", url, deadline=LATER, limit=10),
            doubting.reach(url, deadline=LATER),
        ):
            with pytest.raises(CallFailed) as raised:
                await attempt
            assert raised.value.reason.startswith("its TLS certificate is not accepted: self")
            assert raised.value.reason.endswith("(is this machine's clock right?)")
            assert not raised.value.maybe_sent
        assert receiver.requests == []
        assert (await trusting.call("GET", url, deadline=LATER, limit=10)).status == 200
        await trusting.reach(url, deadline=LATER)
        await trusting.close()
        await doubting.close()
        server.close()

    asyncio.run(scenario())
    assert tls_context(certificate) is tls_context(certificate)
    assert tls_context().verify_mode == ssl.CERT_REQUIRED


def test_plain_text_where_tls_was_expected_is_no_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with served(serve) as port:
            http = Http()
            for attempt in (
                http.call("GET", f"https://127.0.0.1:{port}/", deadline=LATER, limit=10),
                http.reach(f"https://127.0.0.1:{port}/", deadline=LATER),
            ):
                with pytest.raises(CallFailed) as raised:
                    await attempt
                assert not raised.value.maybe_sent
            await http.close()

    asyncio.run(scenario())
