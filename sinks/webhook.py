"""Sends each event as a signed HTTP POST, after Standard Webhooks."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from daemon.clock import wall_now
from daemon.contract import Delivery, Report, Sink, Unreachable
from daemon.http import HEADER_NAME, HEADER_VALUE, CallFailed, Http
from daemon.redaction import remember
from daemon.secrets import Secret
from sinks._http import ANSWER_LIMIT, CaFile, Timeout, answer_text, judge, judge_failure
from sinks._url import SHORTEST_TOKEN, basic_authorization, parse_url, remember_credentials
from sinks._webhook_body import Body, understood

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
_OURS = re.compile(
    r"accept-encoding|connection|content-.*|expect|host|te|trailer|transfer-encoding|upgrade|user-agent|webhook-.*"
    r"|eventferry-.*",
    re.IGNORECASE,
)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class WebhookSink(Sink):
    """Any HTTP receiver; every 2xx answer means that it has the event."""

    class Settings(BaseModel):
        """The keys of a `type = "webhook"` sink."""

        model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

        url: Secret
        secret: Annotated[
            list[Secret],
            Field(max_length=2),
            BeforeValidator(_as_list, json_schema_input_type=Secret | list[Secret]),
        ] = []
        """Two while receivers change from one to the other, the new one first."""
        headers: dict[str, Secret] = {}
        username: str | None = None
        password: Secret | None = None
        bearer: Secret | None = None
        body: Literal["envelope", "raw"] = "envelope"
        json_body: dict[str, Any] | None = Field(default=None, alias="json")
        form: dict[str, Any] | None = None
        ca_file: CaFile | None = None
        timeout: Timeout = timedelta(seconds=20)

        @field_validator("url")
        @classmethod
        def _url_is_understood(cls, url: Secret) -> Secret:
            parse_url(url.reveal())
            return url

        @field_validator("secret")
        @classmethod
        def _secrets_are_keys(cls, secrets: list[Secret]) -> list[Secret]:
            for secret in secrets:
                signing_key(secret.reveal())
            return secrets

        @field_validator("headers")
        @classmethod
        def _headers_are_free(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
            for name, value in headers.items():
                if not HEADER_NAME.fullmatch(name):
                    # Not quoted: it may be the value, at the wrong side of the "=".
                    raise ValueError('what stands before a "=" is not the name of a header, such as "Authorization"')
                if _OURS.fullmatch(name):
                    raise ValueError(f'"{name[:80]}" is set by Eventferry itself')
                if not HEADER_VALUE.fullmatch(value.reveal()):
                    raise ValueError(f'the value of "{name[:80]}" must be a single line of ASCII')
                remember_credentials(value.reveal())
            return headers

        @field_validator("username")
        @classmethod
        def _username_has_no_colon(cls, username: str | None) -> str | None:
            if username is not None and (":" in username or not username.isprintable()):
                raise ValueError("must hold no colon, line ends or control characters")
            if username is not None and len(username) >= SHORTEST_TOKEN:
                remember(username)
            return username

        @field_validator("bearer")
        @classmethod
        def _bearer_fits_in_a_header(cls, bearer: Secret | None) -> Secret | None:
            if bearer is not None and not re.fullmatch(r"[\x21-\x7e]+", bearer.reveal()):
                raise ValueError("must be the token alone, without spaces and in ASCII")
            return bearer

        @field_validator("json_body")
        @classmethod
        def _json_is_understood(cls, structure: dict[str, Any] | None) -> dict[str, Any] | None:
            return None if structure is None else dict(understood(structure))

        @field_validator("form")
        @classmethod
        def _form_is_understood(cls, form: dict[str, Any] | None) -> dict[str, Any] | None:
            return form and {name: understood(value, name, nested=False) for name, value in form.items()}

        @model_validator(mode="after")
        def _one_body(self) -> "WebhookSink.Settings":
            if sum((self.body == "raw", self.json_body is not None, self.form is not None)) > 1:
                raise ValueError('body = "raw", "json" and "form" each say what is sent: keep one of them')
            return self

        @model_validator(mode="after")
        def _one_authorization(self) -> "WebhookSink.Settings":
            if self.password is not None and self.username is None:
                raise ValueError('"password" needs a "username" beside it')
            ways = {
                "the user name in the URL": parse_url(self.url.reveal()).authorization is not None,
                '"headers" with Authorization': "authorization" in map(str.lower, self.headers),
                '"username"': self.username is not None,
                '"bearer"': self.bearer is not None,
            }
            if len(given := [way for way, there in ways.items() if there]) > 1:
                raise ValueError(f"{' and '.join(given)} each log in: keep one of them")
            return self

        def login(self) -> str | None:
            """The Authorization header that these make, if any."""
            if self.bearer is not None:
                return f"Bearer {self.bearer.reveal()}"
            if self.username is not None:
                return basic_authorization(self.username, self.password.reveal() if self.password else "")
            return parse_url(self.url.reveal()).authorization

        def sent(self) -> Body:
            """What these say is sent of an event."""
            if self.json_body is not None:
                return Body("json", self.json_body)
            return Body(self.body) if self.form is None else Body("form", self.form)

    def __init__(self, settings: Settings, http: Http) -> None:
        self._http = http
        if settings.ca_file is not None:
            http.trust(settings.ca_file)
        self._timeout = settings.timeout
        self._url = parse_url(settings.url.reveal()).url
        self._keys = [signing_key(secret.reveal()) for secret in settings.secret]
        self._headers = {name: value.reveal() for name, value in settings.headers.items()}
        if (login := settings.login()) is not None:
            self._headers["Authorization"] = login
        self._body = settings.sent()

    async def deliver(self, delivery: Delivery) -> Report:
        """Send one event and read at most 16 KiB of the answer."""
        body = self._body.of(delivery)
        headers = {
            **self._headers,
            "Content-Type": self._body.content_type,
            **identification(delivery, body, self._keys, wall_now()),
        }
        kept = self._body.of(delivery, masked=True) if self._body.holds_secrets else body
        try:
            answer = await self._http.call(
                "POST", self._url, headers=headers, content=body, deadline=self._timeout, limit=ANSWER_LIMIT
            )
        except CallFailed as failure:
            return Report(judge_failure(failure), kept)
        return Report(judge(answer, wall_now()), kept, answer_text(answer))

    def render(self, delivery: Delivery) -> str:
        """The body, indented where it is JSON, without its secrets."""
        return self._body.of(delivery, masked=True, indent=2).decode()

    async def check(self) -> str:
        """Connect (with TLS where the URL says so) and hang up again."""
        try:
            await self._http.reach(self._url, deadline=self._timeout)
        except CallFailed as failure:
            raise Unreachable(failure.reason) from None
        return "the receiver takes connections"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()


def identification(delivery: Delivery, body: bytes, keys: Sequence[bytes], now: datetime) -> dict[str, str]:
    """The headers by which a receiver recognises a repeat and checks where it comes from.

    The id stays the same over all attempts, the time is that of the attempt; there is a signature for each key:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    seconds = str(int(now.timestamp()))
    headers = {"webhook-id": delivery.id, "webhook-timestamp": seconds}
    if keys:
        signed = f"{delivery.id}.{seconds}.".encode() + body
        digests = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
        headers["webhook-signature"] = " ".join(f"v1,{digest}" for digest in digests)
    if delivery.replays:
        headers["eventferry-replay"] = str(delivery.replays)
    return headers


def signing_key(secret: str) -> bytes:
    """The key behind a `whsec_…` secret, of 24 to 64 bytes. Raises ValueError with what is wrong, never the secret.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(
            'must be "whsec_" and the base64 of 24 to 64 random bytes; make one by: '
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    remember(secret.removeprefix(_SECRET_PREFIX))
    return key
