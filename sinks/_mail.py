"""What is mailed for an event: text and HTML of the same content, and headers that no event can add to."""

import email
import email.policy
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from sinks._layout import Field, Message
from sinks._text import cut, one_line

HEADERS = (
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "List-Id"),
    *("Content-Type", "MIME-Version"),
)
"""All headers of a mail, and no others."""

_POLICY = email.policy.SMTP.clone(cte_type="7bit")
"""Only ASCII goes over the wire, so that no server needs an extension."""
_PLAIN_SUBJECT = "A new event"


def subject_line(text: str) -> str:
    """One line that no mail program and no version of Python's email package reads as more than text.

    Some versions decode `=?…?=` and then write the line ends they find as real ones (CVE-2024-6923).
    """
    return cut(one_line(text), 200).replace("=?", "= ?")


def build(message: Message, subject: str, *, delivery_id: str, sender: str, to: Sequence[str], now: datetime) -> bytes:
    """The whole mail. Its Message-ID is the same at every attempt, so that mailboxes can fold repeats."""

    def serialise(subject: str) -> bytes:
        domain = sender.rpartition("@")[2]
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = Address(addr_spec=sender)
        mail["To"] = [Address(addr_spec=address) for address in to]
        mail["Subject"] = subject
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{delivery_id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["List-Id"] = f"<eventferry.{domain}>"
        mail.set_content(_text(message))
        mail.add_alternative(_html(message), subtype="html")
        return mail.as_bytes()

    raw = serialise(subject)
    return raw if header_names(raw) == sorted(HEADERS) else serialise(_PLAIN_SUBJECT)


def header_names(raw: bytes) -> list[str]:
    """The names of all headers that a receiver sees, sorted."""
    return sorted(email.message_from_bytes(raw).keys())


def _text(message: Message) -> str:
    parts = [message.title, message.text, "\n".join(map(_line, message.fields)), message.link, _footer(message)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(field: Field) -> str:
    link = f" <{field.link}>" if field.link and field.link != field.value else ""
    return f"{field.name}: {field.value}{link}"


def _html(message: Message) -> str:
    text = escape(message.text).replace("\n", "<br>\n")
    rows = "\n".join(
        f'<tr><th align="left" valign="top">{escape(field.name)}</th><td>{_cell(field)}</td></tr>'
        for field in message.fields
    )
    return "\n".join(
        [
            '<!doctype html>\n<html><body style="font-family: sans-serif">',
            f"<h2>{_linked(message.title, message.link)}</h2>",
            f"<p>{text}</p>" if text else "",
            f'<table cellpadding="4">\n{rows}\n</table>' if rows else "",
            f'<p style="color: #777">{escape(_footer(message))}</p>\n</body></html>\n',
        ]
    )


def _cell(field: Field) -> str:
    value = _linked(field.value, field.link).replace("\n", "<br>\n")
    return f"<code>{value}</code>" if field.code else value


def _linked(text: str, link: str | None) -> str:
    return f'<a href="{escape(link)}">{escape(text)}</a>' if link else escape(text)


def _footer(message: Message) -> str:
    return f"{message.occurred_at:%Y-%m-%d %H:%M:%S} UTC, {message.key}"
