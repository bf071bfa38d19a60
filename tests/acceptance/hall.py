"""A config with a secret in every place, and somebody to talk to for each of them."""

import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from daemon.simulator.server import Simulator
from tests.acceptance.canaries import Canaries
from tests.acceptance.parrots import WAYS, SmtpParrot, babble, parrot, shout
from tests.receivers import (
    Answer,
    Request,
    Writer,
    drip,
    hang_up,
    http_receiver,
    keep_silent,
    make_certificate,
    reply,
    served,
)  # fmt: skip

STATUSES = (302, 401, 403, 404, 410, 429, 500, 503)
ANSWERS: dict[str, Answer] = {
    "fine": reply(200),
    **{f"status_{status}": reply(status, b"<html>no</html>", Location="http://127.0.0.1:1/") for status in STATUSES},
    **{
        f"parrot_{way}": parrot(status, way)
        for way, status in zip(WAYS, (200, 400, 401, 404, 410, 422, 429, 500), strict=True)
    },
    "shouting": shout,
    "babbling": babble,
    "hanging_up": hang_up,
    "silent": keep_silent,
    "dripping": drip,
    "encoded": reply(200, b"\x1f\x8b", Content_Encoding="gzip"),
}
NOWHERE = ".".join(["x" * 60] * 5) + ".invalid"
"""Too long a name to be asked for, so that no packet leaves this machine."""
PLUGIN = """\
import logging
import warnings
from daemon.contract import Report, Sink
from daemon.secrets import Secret
from pydantic import BaseModel

class Theirs(Sink):
    class Settings(BaseModel):
        password: Secret

    def __init__(self, settings, http):
        self.password = settings.password.reveal()

    async def deliver(self, delivery):
        logging.getLogger("apprise").error("cannot reach json://user:%s@host", self.password)
        logging.getLogger("httpx").info("POST https://user:%s@host", self.password)
        warnings.warn(f"no good: {self.password}", stacklevel=1)
        try:
            {self.password: 1}["x"]
        except KeyError as error:
            raise RuntimeError(f"login with {self.password!r} failed at https://u:{self.password}@host") from error
"""


LIMITS = {"timeout": '"1s"', "retries": '["1s"]', "events": '["purchase"]'}


class Setting:
    """A config with secrets in all places, given in all three ways in turn."""

    def __init__(self, folder: Path, canaries: Canaries) -> None:
        self.folder = folder
        self.canaries = canaries
        self.environ: dict[str, str] = {}
        self.text = '[daemon]\nlog_level = "debug"\nlog_format = "json"\nalerts = ["fine"]\n'
        self._turn = 0

    def secret(self, value: str) -> str:
        """What to write in the config for a secret: itself, a variable, or a file."""
        self._turn += 1
        match self._turn % 3:
            case 0:
                return json.dumps(value, ensure_ascii=False)
            case 1:
                self.environ[f"GIVEN_{self._turn}"] = value
                return f'"env:GIVEN_{self._turn}"'
            case _:
                folder = self.folder / "given"
                folder.mkdir(exist_ok=True)
                (folder / str(self._turn)).write_text(value + "\n")
                return f'"file:given/{self._turn}"'

    def table(self, header: str, **lines: str) -> None:
        self.text += f"[{header}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())

    def source(self, name: str, base_url: str, token: str) -> None:
        self.table(f"sources.{name}", type='"builtbybit"', base_url=f'"{base_url}"', token=token, poll='"1s"')

    def webhook(self, name: str, scheme: str, host: str) -> None:
        make, place = self.canaries, f"webhook {name}"
        user, password = make.word(f"user of {place}"), quote(make.phrase(f"password of {place}"), safe="")
        path, query = make.word(f"path of {place}"), make.word(f"query of {place}")
        basic = base64.b64encode(f"ann:{make.phrase(f'basic of {place}')}".encode()).decode()
        userinfo, headers, login = [
            (f"{user}:{password}@", {}, {}),
            ("", {"Authorization": f"Bearer {make.word(f'header of {place}')}", "X-Key": make.word(f"key of {place}")},
             {}),
            ("", {"Authorization": f"Basic {basic}", "X-Key": make.phrase(f"key of {place}").rstrip("é")}, {}),
            ("", {}, {"bearer": make.word(f"bearer of {place}")}),
            ("", {}, {"password": make.phrase(f"password of {place}")}),
        ][self._turn // 3 % 5]  # fmt: skip
        keys = [self.secret("whsec_" + make.encoded(f"{age} secret of {place}")) for age in ("new", "old")]
        body = {"json": "{ to = [{ secret = %s }] }", "form": "{ secret = %s }"}
        form = sorted(body)[self._turn % 2]
        given = ", ".join(f"{key} = {self.secret(value)}" for key, value in headers.items())
        self.table(
            f"sinks.{name}",
            type='"webhook"',
            url=self.secret(f"{scheme}://{userinfo}{host}/{name}/{path}?key={query}"),
            secret=f"[{', '.join(keys)}]",
            headers=f"{{ {given} }}",
            **({"username": '"ann"'} if "password" in login else {}),
            **{key: self.secret(value) for key, value in login.items()},
            **{form: body[form] % self.secret(make.phrase(f"{form} of {place}"))},
            **LIMITS,
        )

    def discord(self, name: str, port: int) -> None:
        token = self.canaries.word(f"token of discord {name}")
        url = self.secret(f"http://127.0.0.1:{port}/{name}/webhooks/1/{token}")
        self.table(f"sinks.chat_{name}", type='"discord"', url=url, **LIMITS)

    def email(self, name: str, host: str, port: int, security: str = "none") -> None:
        password = self.canaries.phrase(f"password of mail {name}").rstrip("é")
        user = self.canaries.word(f"user of mail {name}")
        self.table(
            f"sinks.mail_{name}", type='"email"', host=f'"{host}"', port=str(port), security=f'"{security}"',
            username=f'"{user}"', password=self.secret(password), to='["me@x.example"]', **{"from": '"us@x.example"'},
            **LIMITS,
        )  # fmt: skip

    def apprise(self, name: str, port: int) -> None:
        make, place = self.canaries, f"apprise {name}"
        user, password = make.word(f"user of {place}"), quote(make.phrase(f"password of {place}"), safe="")
        path, query = make.word(f"path of {place}"), make.word(f"query of {place}")
        url = f"json://{user}:{password}@127.0.0.1:{port}/{name}/{path}/?-key={query}"
        self.table(f"sinks.told_{name}", type='"apprise"', url=self.secret(url), **LIMITS)

    def plugin(self) -> None:
        (self.folder / "their_sink.py").write_text(PLUGIN)
        info = self.folder / "their_sink-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their_sink\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[eventferry.sinks]\ntheirs = their_sink:Theirs\n")
        self.environ["PYTHONPATH"] = str(self.folder)
        self.table(
            "sinks.theirs",
            type='"theirs"',
            password=self.secret(self.canaries.phrase("plugin")),
            events=LIMITS["events"],
        )

    def write(self) -> None:
        config = self.folder / "config.toml"
        config.write_text(self.text)
        config.chmod(0o600)


async def by_name(request: Request, writer: Writer) -> None:
    await ANSWERS[request.target.split("/")[1]](request, writer)


@asynccontextmanager
async def peers(folder: Path, canaries: Canaries, sim: Simulator) -> AsyncIterator[Setting]:
    """Everybody who could be spoken to, and a config that speaks to all of them."""
    one = Setting(folder, canaries)
    async with AsyncExitStack() as running:
        receiver = await running.enter_async_context(http_receiver(by_name))
        shut = running.enter_context(socket.socket())
        shut.bind(("127.0.0.1", 0))
        refusing, port = shut.getsockname()[1], receiver.port
        unknown = await running.enter_async_context(served(receiver.serve, make_certificate(folder)))
        one.source("real", sim.api_url, one.secret(f"Authorization: Token {sim.token}"))
        for name in ANSWERS:
            one.source(name, f"http://127.0.0.1:{port}/{name}", one.secret(canaries.word(f"token of source {name}")))
            one.webhook(name, "http", f"127.0.0.1:{port}")
            one.discord(name, port)
            one.apprise(name, port)
        for name, url in {
            "refused": f"http://127.0.0.1:{refusing}",
            "no_tls": f"https://127.0.0.1:{port}",
            "bad_tls": f"https://127.0.0.1:{unknown}",
            "nowhere": f"https://{NOWHERE}",
        }.items():
            one.source(name, url, one.secret(canaries.word(f"token of source {name}")))
            one.webhook(name, *url.split("://"))
        for stage in ("auth", "mail", "rcpt", "data", "none"):
            for method in ("PLAIN", "LOGIN"):
                mail = await running.enter_async_context(served(SmtpParrot(stage, method).serve))
                one.email(f"{stage}_{method.lower()}", "127.0.0.1", mail)
        one.email("refused", "127.0.0.1", refusing)
        one.email("no_tls", "127.0.0.1", port, "tls")
        one.email("bad_tls", "127.0.0.1", unknown, "tls")
        one.email("no_starttls", "127.0.0.1", mail, "starttls")
        one.email("nowhere", NOWHERE, 25, "starttls")
        one.plugin()
        one.write()
        yield one
