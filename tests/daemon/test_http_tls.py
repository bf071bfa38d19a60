"""Whom we talk to over TLS, and whom not (F37)."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from daemon.http import CallFailed, Http
from tests.daemon.calling import LATER
from tests.receivers import OPENSSL, HttpReceiver, Writer, needs_openssl, served

FAKETIME = shutil.which("faketime")

NO_TLS = "no connection by TLS; it may speak plain http there, or too old a TLS"
SIGNS = "keyUsage=critical,keyCertSign,cRLSign"
SIGNED = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
ROOT = ["-out", "root.pem", "-addext", SIGNS]
NOT_ACCEPTED = {
    "expired": ({"when": "2020-01-01"}, "its TLS certificate is not accepted: certificate has expired"),
    "not yet valid": ({"when": "2035-01-01"}, "its TLS certificate is not accepted: certificate is not yet valid"),
    "another host": ({"names": "DNS:other.example"}, "its TLS certificate is not accepted: Hostname mismatch"),
    "a weak key": ({"key": "rsa:1024"}, "its TLS certificate is not accepted: EE certificate key too weak"),
    "a broken hash": (
        {"digest": "-sha1", "authority": True},
        "its TLS certificate is not accepted: CA signature digest algorithm too weak",
    ),
    "an old protocol": ({"newest": ssl.TLSVersion.TLSv1_1}, "no connection"),
}


def certify(folder: Path, *, when: str, names: str, key: str, digest: str, authority: bool) -> Path:
    """A key and a certificate of two days in one file, and beside it who signed it, itself or an authority."""
    assert OPENSSL
    pem, key_file, signer = folder / "server.pem", folder / "key.pem", folder / "signer.pem"
    at = [FAKETIME, f"{when} 00:00:00"] if when and FAKETIME else []

    def openssl(options: str, *more: str) -> None:
        subprocess.run(
            [*at, str(OPENSSL), *options.split(), *more], check=True, capture_output=True, timeout=60, cwd=folder
        )

    request = f"req -nodes -newkey {key} -subj /CN=localhost -keyout key.pem"
    if authority:
        openssl("req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=Root -keyout root.key", *ROOT)
        openssl("req -nodes -newkey rsa:2048 -subj /CN=Middle -keyout middle.key -out middle.csr")
        (folder / "middle.ext").write_text(f"basicConstraints=critical,CA:TRUE\n{SIGNS}\n{SIGNED}")
        by_root = f"-CA root.pem -CAkey root.key -CAcreateserial {digest} -days 2 -extfile middle.ext"
        openssl(f"x509 -req -in middle.csr {by_root} -out middle.pem")
        openssl(f"{request} -out leaf.csr")
        (folder / "leaf.ext").write_text(f"subjectAltName={names}\n{SIGNED}")
        by_middle = "-CA middle.pem -CAkey middle.key -CAcreateserial -days 2 -extfile leaf.ext"
        openssl(f"x509 -req -in leaf.csr {by_middle} -out leaf.pem")
        pem.write_text("".join((folder / name).read_text() for name in ("key.pem", "leaf.pem", "middle.pem")))
        shutil.copy(folder / "root.pem", signer)
    else:
        openssl(f"{request} -x509 {digest} -days 2 -addext subjectAltName={names} -out leaf.pem")
        shutil.copy(folder / "leaf.pem", signer)
        pem.write_text(key_file.read_text() + signer.read_text())
    return pem


def call(folder: Path, *, newest: ssl.TLSVersion | None = None, **more: object) -> tuple[str, int]:
    """What comes of a call to such a server by who trusts its signer; and how many requests arrived."""
    given = {"when": "", "names": "DNS:localhost", "key": "rsa:2048", "digest": "-sha256", "authority": False} | more
    pem = certify(folder, **given)  # type: ignore[arg-type]

    async def scenario() -> tuple[str, int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if newest is not None:
            context.minimum_version = context.maximum_version = newest
        context.load_cert_chain(pem)
        receiver = HttpReceiver()
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
        http = Http()
        http.trust(folder / "signer.pem")
        try:
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
            said = str((await http.call("POST", url, content=b"sale", deadline=LATER, limit=10)).status)
        except CallFailed as failure:
            said = "perhaps sent" if failure.maybe_sent else failure.reason
        await http.close()
        server.close()
        return said, len(receiver.requests)

    return asyncio.run(scenario())


@needs_openssl
@pytest.mark.parametrize("authority", [False, True])
def test_a_good_certificate_is_accepted(tmp_path: Path, authority: bool) -> None:
    assert call(tmp_path, authority=authority) == ("200", 1)


@needs_openssl
@pytest.mark.skipif(FAKETIME is None, reason="needs the program faketime")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", NOT_ACCEPTED)
def test_f37_what_cannot_be_trusted_is_sent_nothing(tmp_path: Path, name: str) -> None:
    given, reason = NOT_ACCEPTED[name]
    said, requests = call(tmp_path, **given)  # type: ignore[arg-type]
    assert said.startswith(reason)
    assert requests == 0


def test_where_plain_http_is_spoken_that_is_said() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def run() -> None:
        http = Http()
        async with served(refuse) as port:
            with pytest.raises(CallFailed) as failed:
                await http.call("GET", f"https://127.0.0.1:{port}/", deadline=LATER, limit=10)
        await http.close()
        assert (failed.value.reason, failed.value.maybe_sent) == (NO_TLS, False)

    asyncio.run(run())
