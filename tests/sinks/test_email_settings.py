import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from tests.mailers import ANN, LOGIN, mail_settings
from tests.receivers import PASSWORD

BEN = "ben@y.example"


@pytest.mark.parametrize(
    ("values", "port"), [({"security": "starttls"}, 587), ({"security": "tls"}, 465), ({"port": 2525}, 2525), ({}, 25)]
)
def test_the_port_follows_from_the_security(values: dict[str, Any], port: int) -> None:
    assert mail_settings(**values).port_used == port


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"from": "Shop <shop@shop.example>"}, "must be a plain one"),
        ({"from": "shop"}, "must be a plain one"),
        ({"to": []}, "at least 1"),
        ({"to": [f"a{n}@x.example" for n in range(51)]}, "at most 50"),
        *(
            ({"to": [address]}, "must be a plain one")
            for address in (
                *("a@b\r\nRCPT TO:<x@y>", "a b@c.example", "@b.example", "a@", "a@b@c", "a..b@c.example"),
                *(".a@c.example", '"a"@c.example', "a@[127.0.0.1]", "a@-b.example", "a@b..example", "ä@b.example"),
                *(
                    "a@ö.example",
                    "<a@b.example>",
                    "a@b.example, c@d.example",
                    "=?utf-8?q?x?=@b.example",
                    "a" * 260 + "@b",
                ),
            )
        ),
        ({"username": "x"}, "go together"),
        ({"password": "long-password"}, "go together"),
        ({"username": "x\ry", "password": "long-password"}, "line ends"),
        ({"host": "mail.example", **LOGIN}, "readable for all"),
        ({"host": "127.evil.example", **LOGIN}, "readable for all"),
        ({"host": "mail.example/x"}, "name or address of a server alone"),
        ({"host": "mail.example:587"}, "name or address of a server alone"),
        ({"host": "abc:587"}, "name or address of a server alone"),
        ({"host": ""}, "name or address of a server alone"),
        ({"port": 0}, "greater than"),
        ({"security": "ssl"}, "starttls"),
        ({"ca_file": "missing.pem"}, "PEM file"),
        ({"sender": "shop@shop.example"}, "not permitted"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_at_once(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as error:
        mail_settings(**values)
    assert PASSWORD not in str(error.value)


def test_the_same_recipient_twice_gets_one_mail() -> None:
    assert mail_settings(to=[ANN, f" {ANN} ", BEN]).to == [ANN, BEN]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.53", "::1", "[::1]"])
def test_on_loopback_a_password_needs_no_encryption(host: str) -> None:
    assert mail_settings(host=host, **LOGIN).host == host.strip("[]")


def test_a_python_that_injects_headers_is_said_once_however_many_sinks_there_are() -> None:
    script = (
        "from daemon import log; log.configure('info', 'json');"
        "from tests.mailers import mailer_of; from sinks._mail import python_injects_headers;"
        "[mailer_of() for _ in range(3)]; log.shutdown(); print(int(python_injects_headers()))"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True, timeout=60)
    assert done.stderr.count("email.python_is_old") == int(done.stdout)
