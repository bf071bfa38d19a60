"""What is mailed: text and HTML of the same content, and headers that no event can add to."""

import email
import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from html import escape

from daemon.expression import cut, one_line
from daemon.people import PeopleSettings
from sinks._layout import Message
from sinks._letter import MOST_LINES, left_out, letter, overview_letter, signature
from sinks._placeholders import Field
from sinks._summary import Line, Overview

HEADERS = (
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "List-Id"),
    *("Content-Type", "MIME-Version"),
)
"""All headers of a mail, and no others."""

_WIDE = email.policy.SMTP.clone(max_line_length=400)
"""Room for the longest address, and far from the 998 that a line may have: https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1"""


class _Policy(email.policy.EmailPolicy):
    """Folds text only: before an address longer than a line it may put an empty one, which ends the headers."""

    def fold_binary(self, name: str, value: str) -> bytes:
        return super().fold_binary(name, value) if name == "Subject" else _WIDE.fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n", max_line_length=78, cte_type="7bit")
"""Only ASCII goes over the wire, so that no server needs an extension."""
_PLAIN_SUBJECT = "A new event"
_INJECTION = "=?utf-8?q?a=0D=0ABcc:_b@example.com?="
_HEAD = '<!doctype html>\n<html><body style="font-family: sans-serif">'


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, twice over."""

    text: str
    html: str


def message_content(message: Message, people: PeopleSettings) -> Content:
    """An event by the built-in layout."""
    return Content(f"{message.title}\n\n{letter(message, people)}\n", _message_html(message, people))


def overview_content(overview: Overview, people: PeopleSettings) -> Content:
    """Several events by the built-in layout."""
    return Content(f"{overview.title}\n\n{overview_letter(overview, people)}\n", _overview_html(overview, people))


def plain_html(text: str) -> str:
    """A text of the config's owner as HTML that shows the same."""
    return f'{_HEAD}\n<div style="white-space: pre-wrap">{escape(text)}</div>\n</body></html>\n'


def subject_line(text: str) -> str:
    """One line that no mail program and no version of Python's email package reads as more than text.

    Some versions decode `=?…?=` and then write the line ends they find as real ones (CVE-2024-6923).
    """
    return cut(one_line(text), 200).replace("=?", "= ?")


def build(content: Content, subject: str, *, mail_id: str, sender: str, to: Sequence[str], now: datetime) -> bytes:
    """The whole mail. Its Message-ID is the same at every attempt, so that mailboxes can fold repeats."""

    def serialise(subject: str) -> bytes:
        domain = sender.rpartition("@")[2]
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = Address(addr_spec=sender)
        mail["To"] = [Address(addr_spec=address) for address in to]
        mail["Subject"] = subject
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{mail_id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["List-Id"] = f"<eventferry.{domain}>"
        mail.set_content(content.text)
        mail.add_alternative(content.html, subtype="html")
        return mail.as_bytes()

    raw = serialise(subject)
    return raw if header_names(raw) == sorted(HEADERS) else serialise(_PLAIN_SUBJECT)


def header_names(raw: bytes) -> list[str]:
    """The names of all headers that a receiver sees, sorted."""
    return sorted(email.message_from_bytes(raw).keys())


@cache
def python_injects_headers() -> bool:
    """Whether this Python makes a header out of an encoded subject; tried, since distributions mend old versions."""
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = _INJECTION
    return header_names(mail.as_bytes()) != ["Subject"]


def _message_html(message: Message, people: PeopleSettings) -> str:
    text = escape(message.text).replace("\n", "<br>\n")
    parts = [f"<h2>{_linked(message.title, message.link)}</h2>", f"<p>{text}</p>" if text else ""]
    return _page(*parts, _table(message.fields), _foot(message, people))


def _overview_html(overview: Overview, people: PeopleSettings) -> str:
    shown = "\n".join(map(_item, overview.lines[:MOST_LINES]))
    more = len(overview.lines) - MOST_LINES
    rest = f"<p>{left_out(more)}</p>" if more > 0 else ""
    parts = [f"<h2>{escape(overview.title)}</h2>", _table(overview.totals), f"<ul>\n{shown}\n</ul>" if shown else ""]
    return _page(*parts, rest, _foot(overview, people))


def _page(*parts: str) -> str:
    return "\n".join([_HEAD, *filter(None, parts), "</body></html>\n"])


def _table(fields: Sequence[Field]) -> str:
    rows = "\n".join(
        f'<tr><th align="left" valign="top">{escape(field.name)}</th><td>{_cell(field)}</td></tr>' for field in fields
    )
    return f'<table cellpadding="4">\n{rows}\n</table>' if rows else ""


def _cell(field: Field) -> str:
    value = _linked(field.value, field.link).replace("\n", "<br>\n")
    return f"<code>{value}</code>" if field.code else value


def _item(line: Line) -> str:
    return f"<li>{_linked(line.text, line.link)}</li>"


def _linked(text: str, link: str | None) -> str:
    return f'<a href="{escape(link)}">{escape(text)}</a>' if link else escape(text)


def _foot(of: Message | Overview, people: PeopleSettings) -> str:
    return f'<p style="color: #777">{escape(signature(of, people))}</p>'
