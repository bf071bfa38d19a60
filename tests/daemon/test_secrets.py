"""Secrets: where they come from, and that they show nowhere."""

import base64
import json
import os
import re
import secrets as random_secrets
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from daemon.redaction import MASK, _Known, redact, remember
from daemon.secrets import ConfigPath, Secret, credential_paths, relative_to


class Table(BaseModel):
    token: Secret
    path: ConfigPath = Path("x")


def fresh() -> str:
    """Make a value that no other test has used: what is known as a secret stays known."""
    return "canary/" + random_secrets.token_hex(12)


def read(reference: str, folder: Path) -> str:
    with relative_to(folder):
        return Table(token=reference).token.reveal()  # type: ignore[arg-type]


def complaint(reference: object, folder: Path) -> str:
    with relative_to(folder), pytest.raises(ValidationError) as caught:
        Table(token=reference)  # type: ignore[arg-type]
    return caught.value.errors(include_input=False)[0]["msg"]


def test_a_secret_can_be_written_out(tmp_path: Path) -> None:
    value = fresh()
    assert read(f"  {value}\n", tmp_path) == value


def test_a_secret_can_be_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = fresh()
    monkeypatch.setenv("SOME_TOKEN", f"{value}\r\n")
    assert read("env:SOME_TOKEN", tmp_path) == value
    monkeypatch.delenv("SOME_TOKEN")
    assert complaint("env:SOME_TOKEN", tmp_path) == (
        "no value found (empty or missing): the environment variable SOME_TOKEN"
    )


def test_a_secret_can_be_a_file_beside_the_config_or_anywhere(tmp_path: Path) -> None:
    value = fresh()
    (tmp_path / "token").write_text(f"\ufeff{value}\n")
    assert read("file:token", tmp_path) == value
    assert read(f"file:{tmp_path / 'token'}", Path("/nowhere")) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no value found"), (b" \n", "no value found"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "not a small")],
)
def test_a_file_without_a_usable_secret_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    message = complaint("file:token", tmp_path)
    assert words in message
    assert str(tmp_path / "token") in message


def test_a_folder_or_a_pipe_is_no_secret(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a small plain file" in complaint("file:pipe", tmp_path)
    assert "not a small plain file" in complaint("file:.", tmp_path)


def test_a_credential_is_sought_at_systemds_first_and_beside_the_config_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd, beside = tmp_path / "systemd", tmp_path / "secrets"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(systemd))
    handed = [systemd / "token", systemd / "secrets_token"]
    assert credential_paths("token", tmp_path) == [*handed, Path("/run/secrets/token"), beside / "token"]
    systemd.mkdir()
    beside.mkdir()
    for path, value in ((beside / "token", fresh()), (handed[1], fresh()), (handed[0], fresh())):
        path.write_text(value)
        assert read("cred:token", tmp_path) == value
    assert all(str(path) in complaint("cred:other", tmp_path) for path in credential_paths("other", tmp_path))


def test_a_place_that_cannot_be_looked_at_holds_no_credential(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    assert "no value found" in complaint("cred:" + "x" * 300, tmp_path)  # longer than a file name can be


def test_a_credential_that_is_not_for_us_is_told_from_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0)
    account = os.geteuid()
    if account == 0:
        os.seteuid(65534)
    try:
        message = complaint("cred:token", tmp_path)
    finally:
        os.seteuid(account)
    assert message.endswith(f"/run/secrets/token, {tmp_path}/secrets/token (not for this user to read)")


@pytest.mark.parametrize("name", ["", "../token", "a/b", ".", ".."])
def test_a_credential_has_a_plain_name(tmp_path: Path, name: str) -> None:
    assert "plain name" in complaint(f"cred:{name}", tmp_path)


@pytest.mark.parametrize("value", [5, None, ["x"], "", "  ", {"a": "b"}])
def test_anything_but_text_is_no_secret(tmp_path: Path, value: object) -> None:
    assert "must be text" in complaint(value, tmp_path)


def test_a_secret_shows_nowhere() -> None:
    value = fresh()
    table = Table(token=value)  # type: ignore[arg-type]
    shown = [
        repr(table),
        str(table),
        table.model_dump_json(),
        str(table.model_dump()),
        f"{table.token}",
        repr(table.token),
    ]
    assert not [text for text in shown if value in text]
    assert table.model_dump()["token"] == MASK
    assert Table.model_json_schema()["properties"]["token"]["writeOnly"] is True


def test_secrets_are_equal_by_their_value() -> None:
    value = fresh()
    assert Secret(value) == Secret(value)
    assert hash(Secret(value)) == hash(Secret(value))
    assert Secret(value) != Secret(fresh())
    assert Secret(value) != value


def test_a_known_secret_is_redacted_in_every_form_it_could_take() -> None:
    value = 'canary+/"é *<&' + random_secrets.token_hex(12)
    remember(value)
    raw = value.encode()
    forms = [value, quote(value), quote(value, safe=""), json.dumps(value), json.dumps({"a": [value]})]
    forms += [urlencode({"a": value}), urlencode({"a": value}, safe="*"), json.dumps(value, ensure_ascii=False)]
    forms += [escape(value), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    for form in forms:
        assert value[14:] not in (text := redact(f"before {form} after")), form
        assert text.startswith("before ")
        assert MASK in text
        assert text.endswith("after")


@pytest.mark.parametrize("ahead", range(3))
def test_a_known_secret_is_redacted_wherever_it_stands_in_base64(ahead: int) -> None:
    value = fresh()
    remember(value)
    whole = base64.b64encode(b"a" * ahead + value.encode() + b"; more").decode()
    assert re.fullmatch(r".{0,3}\*\*\*.{,12}", redact(whole))


@given(st.from_regex(r"[A-Za-z0-9_-]{8}[0-9][A-Za-z0-9_-]{8,40}", fullmatch=True), st.text(), st.text(), st.data())
def test_a_part_of_a_secret_that_somebody_cut_is_redacted(
    value: str, before: str, after: str, data: st.DataObject
) -> None:
    """S15: any twelve characters in a row, whatever stands around them."""
    known = _Known()
    known.add(value)
    start = data.draw(st.integers(0, len(value) - 12))
    end = data.draw(st.integers(start + 12, len(value)))
    shown = known.redact(f"{before}{value[start:end]}{after}")
    assert not any(value[at : at + 12] in shown for at in range(len(value) - 11))
    assert shown.startswith(before[:-12]) or value[:6] in before
    assert MASK in shown


def test_innocent_words_are_not_taken_for_parts_of_a_secret() -> None:
    for secret in ("https://www.shop.example/hooks/a0", "correct-horse-battery-staple", "Bearer x0y1z2x0y1z2x0y1z2"):
        remember(secret)
    innocent = "https://www.shop.example/, correct-horse, Bearer x, x0y1z2x0y1"
    assert redact(innocent) == innocent


def test_a_short_value_would_blank_out_innocent_text() -> None:
    remember("sale")
    assert redact("one sale") == "one sale"


def test_a_longer_secret_is_redacted_before_one_that_it_contains() -> None:
    inner = fresh()
    remember(inner)
    remember(inner + "-and-more")
    assert redact(f"{inner}-and-more") == MASK


def test_a_changed_secret_is_noticed_and_a_vanished_one_kept(tmp_path: Path) -> None:
    first, second = fresh(), fresh()
    file = tmp_path / "token"
    file.write_text(first)
    with relative_to(tmp_path):
        secret = Secret("file:token")
    assert secret.reread() is False
    file.write_text(second)
    assert secret.reread() is True
    assert secret.reveal() == second
    assert redact(f"{first} {second}") == f"{MASK} {MASK}"
    file.unlink()
    assert secret.reread() is False
    assert secret.reveal() == second
    assert Secret(fresh()).reread() is False


def test_a_relative_path_counts_from_the_config(tmp_path: Path) -> None:
    with relative_to(tmp_path):
        assert Table(token=fresh(), path="a/b").path == tmp_path / "a/b"  # type: ignore[arg-type]
        assert Table(token=fresh(), path="/a").path == Path("/a")  # type: ignore[arg-type]
