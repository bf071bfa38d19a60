"""Mails in the owner's own words."""

import email
from email.message import EmailMessage
from email.policy import default

import pytest

from tests.events import delivery, event
from tests.mailers import mailer_of


def parts_of(**templates: str) -> tuple[str, str]:
    """Text and HTML of a mail about a hostile buyer."""
    mailer = mailer_of(audience="full", **templates)
    shown = email.message_from_string(
        mailer.render(delivery(event({"username": "<b>{{ 7*7 }}</b>", "resource_title": "Sky"}))), policy=default
    )
    assert isinstance(shown, EmailMessage)
    text, html = shown.get_body(["plain"]), shown.get_body(["html"])
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_both_parts_can_be_made_by_templates_and_data_is_escaped_for_each() -> None:
    text, html = parts_of(body="Thanks, {{ username }}!", html="<h1>Thanks, {{ username }}!</h1>")
    assert text == "Thanks, <b>{{ 7*7 }}</b>!\n"
    assert html == "<h1>Thanks, &lt;b&gt;{{ 7*7 }}&lt;/b&gt;!</h1>\n"


def test_a_body_of_the_owner_is_what_readers_of_html_see_too() -> None:
    text, html = parts_of(body="Thanks, {{ username }}!")
    assert text == "Thanks, <b>{{ 7*7 }}</b>!\n"
    assert ">Thanks, &lt;b&gt;{{ 7*7 }}&lt;/b&gt;!</div>" in html


def test_html_alone_leaves_the_text_as_it_is_built_in() -> None:
    text, html = parts_of(html="<i>{{ resource_title }}</i>")
    assert html == "<i>Sky</i>\n"
    assert text == parts_of()[0]


@pytest.mark.parametrize("key", ["subject", "body", "html"])
def test_a_template_that_fails_or_is_empty_loses_no_mail(key: str) -> None:
    for template in ("{{ username + 1 }}", "{{ nothing }}"):
        assert parts_of(**{key: template}) == parts_of()


def test_an_alert_is_told_as_it_is_whatever_templates_there_are_for_sales() -> None:
    mailer = mailer_of(subject="Sold: {{ resource_title }}", body="Thanks!", html="<p>Thanks!</p>")
    alert = event({"text": "sales stopped", "about": "sales"}, kind="alert.sink", source="eventferry")
    shown = mailer.render(delivery(alert))
    assert "Subject: Eventferry: sink" in shown
    assert shown.count("sales stopped") == 2
    assert "Thanks" not in shown
