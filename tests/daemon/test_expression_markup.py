"""BBCode and HTML as people should read them; nothing hostile in it is obeyed or slow."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.expression import clean, markup_to_markdown, markup_to_text


@pytest.mark.parametrize(
    ("source", "text", "markdown"),
    [
        ("plain words", "plain words", "plain words"),
        ("[b]bold[/b] [i]it[/i] [u]un[/u] [s]st[/s]", "bold it un st", "**bold** *it* __un__ ~~st~~"),
        ("<strong>bold</strong> <em>it</em>", "bold it", "**bold** *it*"),
        ("[B]x[/b]<b>y</B>", "xy", "**x****y**"),
        ("[b] spaced [/b]x", "spaced x", "**spaced** x"),
        ("[b][/b][b] [/b]x", "x", "x"),
        ("[b]a [i]b[/b] c[/i] d", "a b c d", "**a *b*** c d"),
        ("[b]a[b]b[/b][/b]", "ab", "**ab**"),
        ("[color=red][size=7]x[/size][/color]", "x", "x"),
        ("[weird a=b]x[/weird] <odd>y</odd>", "x y", "x y"),
        ("[WIP] fix [1.21] <3 a<b and c>d", "[WIP] fix [1.21] <3 a<b and c>d", None),
        ("[b]never ended", "[b]never ended", r"\[b\]never ended"),
        ("<p>one</p>\n<p>two<br>\nthree</p>", "one\n\ntwo\nthree", "one\n\ntwo\nthree"),
        ("New:\n[LIST]\n[*]one\n[*]two\n[/LIST]\nEnd", "New:\n- one\n- two\n\nEnd", "New:\n- one\n- two\n\nEnd"),
        ("<ul>\n  <li>one</li>\n  <li>two</li>\n</ul>", "- one\n- two", "- one\n- two"),
        ('[quote="Ann"]a\nb[/quote]c', "a\nb\nc", "> a\n> b\nc"),
        ("[h1]Title[/h1]text", "Title\ntext", "**Title**\ntext"),
        ("[code]x = `1` * 2[/code]", "x = `1` * 2", "`x = '1' * 2`"),
        ("<pre>a*b\n[b]c[/b]</pre>", "a*b\nc", "```\na*b\nc\n```"),
        ("[spoiler]x[/spoiler]", "x", "||x||"),
        ("&lt;b&gt; &amp;amp; &quot; &#8364; &nosuch; &#x202e; &#0;", '<b> &amp; " € &nosuch;  \ufffd', None),
        (
            "[img]https://x.example/a.png[/img]<img src=x onerror=y>",
            "https://x.example/a.png",
            r"https\://x.example/a.png",
        ),
        ("*a* _b_ # c @everyone <@1>", "*a* _b_ # c @everyone <@1>", r"\*a\* \_b\_ # c \@everyone \<\@1\>"),
    ],
)
def test_markup_becomes_what_it_means(source: str, text: str, markdown: str | None) -> None:
    assert markup_to_text(source) == text
    if markdown is not None:
        assert markup_to_markdown(source) == markdown


@pytest.mark.parametrize(
    ("source", "text", "markdown"),
    [
        ("[url=https://a.example/x]see[/url]", "see (https://a.example/x)", "[see](https://a.example/x)"),
        ("[url='https://a.example']see[/url]", "see (https://a.example)", "[see](https://a.example)"),
        ("[url]https://a.example/a_b[/url]", "https://a.example/a_b", "https://a.example/a_b"),
        ('<a class="x" href="https://a.example/?a=1&amp;b=2">see</a>', None, "[see](https://a.example/?a=1&b=2)"),
        ("[url=https://a.example/(x)[/url]", None, None),
        ("[url=https://a.example/(x)]s[/url]", None, "[s](https://a.example/%28x%29)"),
        ("[url=https://a.example/@everyone]s[/url]", None, "[s](https://a.example/%40everyone)"),
        (
            "[url=https://evil.example]https://builtbybit.com[/url]",
            None,
            r"https\://builtbybit.com (https://evil.example)",
        ),
        ("[url=https://evil.example]www.builtbybit.com[/url]", None, "www.builtbybit.com (https://evil.example)"),
        ("[url=https://a.example][b]x[/b]\ny[/url]", None, "[**x** y](https://a.example)"),
        ("[url=https://a.example][url=https://b.example]x[/url][/url]", None, "[x](https://a.example)"),
        ("[url=http://a.example]see[/url]", "see", "see"),
        ("[url=javascript:alert(1)]see[/url]", "see", "see"),
        ("<a href='data:text/html,x'>see</a>", "see", "see"),
        ('<a href="https://user:pw@evil.example">see</a>', "see", "see"),
        ("<a name=x>see</a>", "see", "see"),
        ("[url=https://a.example]]x](https://evil.example)[/url]", None, None),
    ],
)
def test_only_links_over_https_lead_anywhere(source: str, text: str | None, markdown: str | None) -> None:
    if text is not None:
        assert markup_to_text(source) == text
    if markdown is not None:
        assert markup_to_markdown(source) == markdown
    assert "](http:" not in markup_to_markdown(source)


HOSTILE = {
    "open": "[b]" * 350_000,
    "open and one end": "[b]" * 350_000 + "[/b]",
    "nested": "[b]" * 120_000 + "x" + "[/b]" * 120_000,
    "different": "".join(f"[{chr(97 + n % 26)}]" for n in range(250_000))
    + "".join(f"[/{chr(97 + n)}]" for n in range(26)),
    "quotes": "[quote]" * 70_000 + "[/quote]" * 60_000,
    "ends only": "[/b]" * 250_000,
    "less": "<" * 1_000_000,
    "unended tag": "<a" * 500_000,
    "long name": "<" + "a" * 1_000_000,
    "long attribute": "<a " + "x='" * 330_000,
    "brackets": "[" * 1_000_000,
    "bracket tags": "[url=" * 200_000,
    "comments": "<!--" * 250_000,
    "both": "<a [b " * 160_000,
    "entities": "&" * 1_000_000,
    "long entity": "&#" + "1" * 1_000_000 + ";",
    "hrefs": "<a " + 'href="' * 140_000 + ">x</a>",
    "href spaces": "<a href" + " " * 900_000 + ">x</a>",
    "line ends": "[b]\n \n" * 140_000 + "[/b]",
    "items": "[*]" * 330_000,
    "spaces": "[b]" + " " * 1_000_000 + "[/b]",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_of_anything_takes_linear_time(source: str) -> None:
    began = time.thread_time()
    markup_to_text(source)
    markup_to_markdown(source)
    assert time.thread_time() - began < 2.5


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_what_is_read_takes_linear_time_however_much_that_is(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The megabyte above is cut before it is read; here a quarter of it is not."""
    monkeypatch.setattr("daemon.expression.markup.READ", 250_000)
    began = time.thread_time()
    markup_to_markdown(source[:250_000])
    assert time.thread_time() - began < 8


PIECES = st.sampled_from(
    [
        *(
            "[b]",
            "[/b]",
            "[i]",
            "[/i]",
            "[url=https://a.example]",
            "[url=",
            "[/url]",
            "</a>",
            "[code]",
            "[/code]",
            "[*]",
        ),
        *(
            "<a href='https://b.example'>",
            "[quote]",
            "[/quote]",
            "[list]",
            "[/list]",
            "<p>",
            "<br>",
            "]",
            "[",
            "<",
            ">",
        ),
        *("(", ")", "`", "*", "\\", "@everyone", "<@1>", "https://c.example", "&lt;", "&#91;", "&#x60;", "\n", "\0"),
        *("\u202e", " ", "x", "👍"),
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text())
def test_whatever_is_written_comes_out_clean_and_pings_nobody(source: str) -> None:
    for shown in (markup_to_text(source), markup_to_markdown(source)):
        shown.encode()
        assert clean(shown) == shown
    markdown = markup_to_markdown(source)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]|```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)
    assert not set(bare) & set("@<")
    assert all(link.startswith("](https://") for link in re.findall(r"(?<!\\)\]\([^)]*", markdown))
