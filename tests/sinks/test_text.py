import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.expression import clean, cut, https_link, markdown, one_line, units
from sinks._text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x07c\x1b[31md\x7f\x9b", "abc[31md"),
        ("a\r\nb\rc\u2028d\u2029e\x0bf\x85g", "a\nb\nc\nd\ne\nf\ng"),
        ("in\u200bvisi\u200dble\ufeff\u2060\xad", "invisible"),
        ("\u202eevil\u202c \u2066x\u2069\u061c\u200f", "evil x"),
        ("half \ud83d of \udc4d", "half  of "),
        ("\U000e0041tagged", "tagged"),
        ("a\tb", "a b"),
        ("far\n\n\n \n\n\n\ndown", "far\n\ndown"),
        ("👍🏽 Łukasz مرحبا", "👍🏽 Łukasz مرحبا"),
    ],
)
def test_text_is_stripped_of_what_cannot_be_seen(text: str, shown: str) -> None:
    assert clean(text) == shown.strip()


def test_one_line_holds_no_line_ends() -> None:
    assert one_line(" a\r\n\r\n b\u2028c ") == "a b c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("x", "x"),
        (True, "yes"),
        (False, "no"),
        (12, "12"),
        (9.5, "9.5"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ([1, "b", None], "[1, b, none]"),
        ({"a": {"b": [True]}}, "{a: {b: [yes]}}"),
        ([], "[]"),
        ({}, "{}"),
        ([[[[["too deep"]]]]], "[[[[…]]]]"),
        pytest.param(10**5000, "(a very long number)", id="long-number"),
    ],
)
def test_any_json_value_becomes_text(value: object, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 30_000_000,
        lambda: ["x" * 1000] * 1_000_000,
        lambda: {str(n): n for n in range(500_000)},
        lambda: json.loads("[" * 900 + "]" * 900),
    ],
    ids=["text", "list", "table", "depth"],
)
def test_a_huge_value_becomes_a_short_text(make: Callable[[], object]) -> None:
    value = make()
    started = time.process_time()
    assert len(plain(value, 100)) <= 100
    assert time.process_time() - started < 0.2


def test_cutting_is_visible_and_counted_as_asked() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd…"
    assert cut("👍👍👍", 3) == "👍👍👍"
    assert cut("👍👍👍", 5, utf16=True) == "👍👍…"
    assert cut("👍👍👍", 4, utf16=True) == "👍…"


@given(st.text(), st.integers(1, 50))
def test_a_cut_text_keeps_the_limit_and_whole_characters(text: str, limit: int) -> None:
    short = cut(clean(text), limit, utf16=True)
    assert units(short) <= limit
    short.encode()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("**bold** _i_ ~~s~~ `c` ||spoiler||", r"\*\*bold\*\* \_i\_ \~\~s\~\~ \`c\` \|\|spoiler\|\|"),
        ("```\ncode\n```", "\\`\\`\\`\ncode\n\\`\\`\\`"),
        ("[free](https://evil.example)", r"\[free\](https\://evil.example)"),
        ("see https://evil.example/x", r"see https\://evil.example/x"),
        ("<https://evil.example> <@123> <#1> <t:0>", r"\<https\://evil.example\> \<\@123\> \<#1\> \<t:0\>"),
        ("@everyone @here", r"\@everyone \@here"),
        ("# big\n## less\n-# small", "\\# big\n\\## less\n\\-# small"),
        ("- a\n  * b\n+ c\n1. d\n  22. e", "\\- a\n  \\* b\n\\+ c\n1\\. d\n  22\\. e"),
        ("> quoted\n>>> all", "\\> quoted\n\\>\\>\\> all"),
        (":skull: at 12:30", r"\:skull: at 12:30"),
        ("v1.21 for 9.99, 50% - ok (really)", "v1.21 for 9.99, 50% - ok (really)"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_markdown_is_shown_as_it_was_written(text: str, escaped: str) -> None:
    assert markdown(text, 1000) == escaped


@given(st.text(alphabet="*_`\\[]()<>@:/ab1.-# \n👍", max_size=60), st.integers(1, 40))
def test_escaped_text_keeps_its_limit_and_ends_no_escape_early(text: str, limit: int) -> None:
    escaped = markdown(clean(text), limit)
    assert units(escaped) <= limit
    body = escaped.removesuffix("…")
    assert (len(body) - len(body.rstrip("\\"))) % 2 == 0


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://builtbybit.com/resources/1/", "https://builtbybit.com/resources/1/"),
        ("https://www.BuiltByBit.com?a=b#c", "https://www.BuiltByBit.com?a=b#c"),
        ("https://builtbybit.com", "https://builtbybit.com"),
        ("https://builtbybit.com/größe 1/(x)[y]", "https://builtbybit.com/gr%C3%B6%C3%9Fe%201/%28x%29%5By%5D"),
        ("https://builtbybit.com/50%", "https://builtbybit.com/50%25"),
        ("https://builtbybit.com/a#b#c", "https://builtbybit.com/a#b%23c"),
    ],
)
def test_a_link_to_builtbybit_is_linked(value: str, link: str) -> None:
    assert https_link(value) == link


@pytest.mark.parametrize(
    "value",
    [
        "http://builtbybit.com/",
        "https://builtbybit.com.evil.example/",
        "https://evil.example/builtbybit.com",
        "https://evilbuiltbybit.com/",
        "https://builtbybit.com@evil.example/",
        "https://builtbybit.com:443@evil.example/",
        "https://builtbybit.com\\@evil.example/",
        "https://user:pass@builtbybit.com/",
        "https://builtbybit.com:8443/",
        "javascript:alert(1)//https://builtbybit.com/",
        "//builtbybit.com/",
        "https://builtbybit.com/" + "x" * 2050,
        "https://builtbybit.com/" + "ö" * 1000,
        "",
        None,
        5,
        ["https://builtbybit.com/"],
    ],
)
def test_every_other_link_is_only_text(value: object) -> None:
    assert https_link(value) is None
