"""What an event says stays what it is, data, wherever a template puts it (S10, S11)."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from daemon.expression import HtmlTemplate, MarkdownTemplate, RenderFailed, TextTemplate, clean
from tests.events import HOSTILE, NASTY

LINK = "https://builtbybit.com/resources/a_b.1/"


class Settings(BaseModel):
    title: TextTemplate
    body: MarkdownTemplate
    html: HtmlTemplate
    fields: dict[str, MarkdownTemplate] = {}


@pytest.mark.parametrize(
    ("value", "text", "markdown", "html"),
    [
        ("Ann", "Ann", "Ann", "Ann"),
        ("**b** _i_", "**b** _i_", r"\*\*b\*\* \_i\_", "**b** _i_"),
        ("@everyone <@1> <#2>", "@everyone <@1> <#2>", r"\@everyone \<\@1\> \<#2\>", "@everyone &lt;@1&gt; &lt;#2&gt;"),
        ("[a](https://e.example)", "[a](https://e.example)", r"\[a\](https\://e.example)", "[a](https://e.example)"),
        ("# big", "# big", r"\# big", "# big"),
        ('<b x="1">&', '<b x="1">&', r'\<b x="1"\>&', "&lt;b x=&quot;1&quot;&gt;&amp;"),
        ("javascript:alert(1)", "javascript:alert(1)", "javascript:alert(1)", "unsafe:javascript:alert(1)"),
        (" \x1b\u200bDaTa :x", "DaTa :x", "DaTa :x", "unsafe:DaTa :x"),
        ("\u202egpj\u2066.exe\x00\x1b[2J", "gpj.exe[2J", r"gpj.exe\[2J", "gpj.exe[2J"),
        ("\ud800 half", "half", "half", "half"),
        ("a\r\nBcc: b", "a\nBcc: b", "a\nBcc: b", "a\nBcc: b"),
        ("@\u200beveryone :\u200b//x", "@everyone ://x", r"\@everyone \://x", "@everyone ://x"),
        (LINK, LINK, LINK, LINK),
        (
            "https://evil.example/a_b",
            "https://evil.example/a_b",
            r"https\://evil.example/a\_b",
            "https://evil.example/a_b",
        ),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}", "{{ 7 \\* 7 }}", "{{ 7 * 7 }}"),
        (["<b>", "*"], '["<b>", "*"]', r'\["\<b\>", "\*"\]', "[&quot;&lt;b&gt;&quot;, &quot;*&quot;]"),
        (9.5, "9.5", "9.5", "9.5"),
        (None, "", "", ""),
    ],
)
def test_a_value_is_escaped_for_the_place_it_goes_to(value: Any, text: str, markdown: str, html: str) -> None:
    assert TextTemplate("{{ x }}").render({"x": value}) == text
    assert MarkdownTemplate("{{ x }}").render({"x": value}) == markdown
    assert HtmlTemplate("{{ x }}").render({"x": value}) == html


def test_what_the_owner_writes_is_left_as_it_is() -> None:
    own = "# **big** <@&5> [shop](https://shop.example) :tada: <b>&amp;</b>"
    for template in (TextTemplate, MarkdownTemplate, HtmlTemplate):
        assert template(own).render({}) == own
    assert MarkdownTemplate("**{{ x }}** [{{ t }}]({{ u }})").render({"x": "*", "t": "[T]", "u": LINK}) == (
        rf"**\*** [\[T\]]({LINK})"
    )
    assert HtmlTemplate('<a href="{{ u }}">{{ x }}</a>').render({"u": '" onclick="', "x": "<i>"}) == (
        '<a href="&quot; onclick=&quot;">&lt;i&gt;</a>'
    )


def test_what_a_filter_wrote_for_a_place_is_not_escaped_there_but_everywhere_else() -> None:
    values = {"x": "[b]*new*[/b]"}
    assert MarkdownTemplate("{{ x|markdown }}").render(values) == r"**\*new\***"
    assert MarkdownTemplate("{{ x|text }}").render(values) == r"\*new\*"
    assert HtmlTemplate("{{ '<'|e }} {{ x|markdown }}").render(values) == r"&lt; **\*new\***"
    assert MarkdownTemplate("{{ '<*>'|e }}").render(values) == r"&lt;\*&gt;"
    assert TextTemplate("{{ x|text }}").render(values) == "*new*"


@pytest.mark.parametrize(
    "source",
    [
        *(
            "{{ x|markdown ~ y }}",
            "{{ [x|markdown, y]|join }}",
            "{{ x|markdown|upper }}",
            "{{ (x|markdown)[:99] ~ y }}",
        ),
        *("{{ x|markdown|replace('a', y) }}", "{{ x|markdown|trim ~ y }}", "{{ x|markdown + y }}"),
        *("{{ '%s%s'|format(x|markdown, y) }}", "{% set z = x|markdown %}{{ z ~ y }}", "{{ y|default(x|markdown) }}"),
    ],
)
def test_nothing_that_was_done_to_markup_passes_for_markup(source: str) -> None:
    shown = MarkdownTemplate(source).render({"x": "[b]a[/b]", "y": "[x](https://evil.example) @everyone"})
    assert not re.search(r"(?<!\\)(?:\\\\)*(?:\]\(|@|\*\*A)", shown), shown


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_data_pings_links_and_formats_nothing(data: dict[str, Any]) -> None:
    for value in list(data.values())[:20]:
        markdown = _shown(MarkdownTemplate("{{ x }} {{ x|cut(50) }} {{ x|markdown }}"), value)
        assert not re.search(r"(?<!\\)(?:\\\\)*(?:@|<|\]\(http)", markdown)
        html = _shown(HtmlTemplate('<p title="{{ x }}">{{ x|text }}</p>'), value)
        assert not re.search("<(?!/?p)", html)
        assert (markdown + html).encode()


def _shown(template: TextTemplate, value: Any) -> str:
    try:
        return template.render({"x": value})
    except RenderFailed as failure:
        return str(failure)


@given(st.text() | NASTY)
def test_any_text_stays_clean_and_within_its_place(value: str) -> None:
    for template in (TextTemplate("{{ x }}"), MarkdownTemplate("{{ x }}|{{ x|markdown }}"), HtmlTemplate("{{ x }}")):
        shown = template.render({"x": value})
        shown.encode()
        assert clean(shown) == shown.strip()
    assert not set(HtmlTemplate("{{ x }}").render({"x": value})) & set("<>\"'")
    marks = re.sub(r"\\[!-/:-@\[-`{-~]", "", MarkdownTemplate("{{ x }}").render({"x": value}))
    assert not set(marks) & set("*_~`|<>[]@\\")


def test_each_kind_of_template_is_a_type_of_a_setting() -> None:
    settings = Settings.model_validate({"title": "{{ a }}", "body": "b", "html": "c", "fields": {"Price": "{{ a }}"}})
    assert [type(settings.title), type(settings.body), type(settings.html)] == [
        TextTemplate,
        MarkdownTemplate,
        HtmlTemplate,
    ]
    assert settings.fields == {"Price": MarkdownTemplate("{{ a }}")}
    assert settings.model_dump() == {"title": "{{ a }}", "body": "b", "html": "c", "fields": {"Price": "{{ a }}"}}
