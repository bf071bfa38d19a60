"""The keys of an email sink, and what can be wrong with them."""

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from daemon.expression import HtmlTemplate, TextTemplate
from daemon.people import PeopleSettings
from daemon.quantities import Rate
from daemon.redaction import remember
from daemon.secrets import Secret
from daemon.timing import Burst
from sinks._http import CaFile, Timeout
from sinks._url import SHORTEST_TOKEN

_ADDRESS = re.compile(
    r"(?=.{3,254}$)(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|::1")


class EmailSettings(PeopleSettings):
    """The keys of a `type = "email"` sink."""

    host: str
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Secret | None = None
    sender: str = Field(alias="from")
    to: list[str] = Field(min_length=1, max_length=50)
    subject: TextTemplate | None = None
    body: TextTemplate | None = None
    html: HtmlTemplate | None = None
    ca_file: CaFile | None = None
    burst: Burst = Rate(20, timedelta(hours=1))
    timeout: Timeout = timedelta(seconds=30)

    @field_validator("host")
    @classmethod
    def _host_is_a_name(cls, host: str) -> str:
        if not _HOST.fullmatch(bare := host.strip().strip("[]")):
            raise ValueError('must be the name or address of a server alone, such as "smtp.example.com"')
        return bare

    @field_validator("sender")
    @classmethod
    def _sender_is_an_address(cls, sender: str) -> str:
        return _require_address(sender)

    @field_validator("to")
    @classmethod
    def _recipients_are_addresses(cls, to: list[str]) -> list[str]:
        return list(dict.fromkeys(_require_address(address) for address in to))

    @field_validator("username")
    @classmethod
    def _username_is_one_line(cls, username: str | None) -> str | None:
        if username is not None and not username.isprintable():
            raise ValueError("must hold no line ends or control characters")
        if username is not None and "@" not in username and len(username) >= SHORTEST_TOKEN:
            remember(username)
        return username

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> "EmailSettings":
        if (self.username is None) != (self.password is None):
            raise ValueError('"username" and "password" go together: give both, or neither')
        if self.password and self.security == "none" and not _LOOPBACK.fullmatch(self.host):
            raise ValueError('security = "none" would send the password readable for all; use "starttls" or "tls"')
        return self

    @property
    def port_used(self) -> int:
        """The port, or the one that is usual for this security."""
        return self.port or _PORTS[self.security]


def _require_address(text: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2, without quoted names, literals and names to display."""
    address = text.strip()
    if not _ADDRESS.fullmatch(address):
        raise ValueError('every address must be a plain one, such as "sales@example.com", without a name around it')
    return address
