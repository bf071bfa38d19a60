"""Sinks that mail, for tests: set up for a server on loopback that wants neither TLS nor a login."""

from typing import Any

from daemon.http import Http
from sinks.email import EmailSink
from tests.receivers import PASSWORD, USERNAME

ANN = "ann@x.example"
LOGIN = {"username": USERNAME, "password": PASSWORD}


def mail_settings(**values: Any) -> EmailSink.Settings:
    basic = {"host": "127.0.0.1", "security": "none", "from": "shop@shop.example", "to": [ANN], "timeout": "5s"}
    return EmailSink.Settings.model_validate(basic | values)


def mailer_of(**values: Any) -> EmailSink:
    return EmailSink(mail_settings(**values), Http())
