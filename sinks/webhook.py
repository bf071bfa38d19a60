"""Sends each event as a signed HTTP POST, after Standard Webhooks."""

import base64
import binascii
import hmac
import re
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from daemon.clock import wall_now
from daemon.contract import Delivery, Report, Sink, Unreachable
from daemon.http import CallFailed, Http
from daemon.redaction import remember
from daemon.secrets import Secret
from sinks._envelope import encode, envelope
from sinks._http import ANSWER_LIMIT, Timeout, answer_text, judge, judge_failure, parse_url, remember_credentials

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = re.compile(
    r"accept-encoding|connection|content-.*|expect|host|te|trailer|transfer-encoding|upgrade|user-agent|webhook-.*"
    r"|eventferry-.*",
    re.IGNORECASE,
)


class WebhookSink(Sink):
    """Any HTTP receiver; every 2xx answer means that it has the event."""

    class Settings(BaseModel):
        """The keys of a `type = "webhook"` sink."""

        model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

        url: Secret
        secret: Secret | None = None
        headers: dict[str, Secret] = {}
        timeout: Timeout = timedelta(seconds=20)

        @field_validator("url")
        @classmethod
        def _url_is_understood(cls, url: Secret) -> Secret:
            parse_url(url.reveal())
            return url

        @field_validator("secret")
        @classmethod
        def _secret_is_a_key(cls, secret: Secret | None) -> Secret | None:
            if secret is not None:
                signing_key(secret.reveal())
            return secret

        @field_validator("headers")
        @classmethod
        def _headers_are_free(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
            for name, value in headers.items():
                if not _HEADER_NAME.fullmatch(name):
                    # Not quoted: it may be the value, at the wrong side of the "=".
                    raise ValueError('what stands before a "=" is not the name of a header, such as "Authorization"')
                if _OURS.fullmatch(name):
                    raise ValueError(f'"{name[:80]}" is set by Eventferry itself')
                if not _HEADER_VALUE.fullmatch(value.reveal()):
                    raise ValueError(f'the value of "{name[:80]}" must be a single line of ASCII')
                remember_credentials(value.reveal())
            return headers

        @model_validator(mode="after")
        def _one_authorization(self) -> "WebhookSink.Settings":
            if parse_url(self.url.reveal()).authorization and "authorization" in map(str.lower, self.headers):
                raise ValueError('the URL holds a user name and "headers" an Authorization: keep one of them')
            return self

    def __init__(self, settings: Settings, http: Http) -> None:
        self._http = http
        self._timeout = settings.timeout
        self._target = parse_url(settings.url.reveal())
        self._key = signing_key(settings.secret.reveal()) if settings.secret else None
        self._headers = {name: value.reveal() for name, value in settings.headers.items()}
        if self._target.authorization:
            self._headers["Authorization"] = self._target.authorization

    async def deliver(self, delivery: Delivery) -> Report:
        """Send one event and read at most 16 KiB of the answer."""
        body = encode(envelope(delivery.event))
        headers = self._headers | identification(delivery, body, self._key, wall_now())
        try:
            answer = await self._http.call(
                "POST", self._target.url, headers=headers, content=body, deadline=self._timeout, limit=ANSWER_LIMIT
            )
        except CallFailed as failure:
            return Report(judge_failure(failure), body)
        return Report(judge(answer, wall_now()), body, answer_text(answer))

    def render(self, delivery: Delivery) -> str:
        """The body, indented."""
        return encode(envelope(delivery.event), indent=2).decode()

    async def check(self) -> str:
        """Connect (with TLS where the URL says so) and hang up again."""
        try:
            await self._http.reach(self._target.url, deadline=self._timeout)
        except CallFailed as failure:
            raise Unreachable(failure.reason) from None
        return "the receiver takes connections"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()


def identification(delivery: Delivery, body: bytes, key: bytes | None, now: datetime) -> dict[str, str]:
    """The headers by which a receiver recognises a repeat and checks where it comes from.

    The id stays the same over all attempts, the time is that of the attempt:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    seconds = str(int(now.timestamp()))
    headers = {"Content-Type": "application/json", "webhook-id": delivery.id, "webhook-timestamp": seconds}
    if key is not None:
        digest = hmac.digest(key, f"{delivery.id}.{seconds}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    if delivery.replays:
        headers["eventferry-replay"] = str(delivery.replays)
    return headers


def signing_key(secret: str) -> bytes:
    """The key behind a `whsec_…` secret. Raises ValueError with what is wrong, never the secret."""
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
