"""Fuzzes what is written into a config besides its TOML: patterns, templates, durations, sizes, addresses, secrets."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from daemon.expression import (
    LONGEST_RESULT,
    HtmlTemplate,
    MarkdownTemplate,
    RenderFailed,
    TextTemplate,
    clean,
    markup_to_markdown,
    markup_to_text,
)
from daemon.quantities import duration_text, parse_duration
from daemon.routing import parse_filter
from daemon.secrets import Secret
from daemon.sources.builtbybit import bare_token
from sinks._url import parse_url
from sinks.discord import parse_address
from sinks.webhook import signing_key
from tests.fuzz.target import CANARY, Target, json_of, require_line, text_of


def filters(data: bytes) -> None:
    given = json_of(data)
    if not isinstance(given, dict):
        return
    patterns = [one for one in _listed(given.get("events")) if isinstance(one, str)]
    try:
        chosen = parse_filter(patterns)
    except ValueError as error:
        require_line(str(error), 200)
        return
    words = [one.strip() for one in patterns]
    for kind in (one for one in _listed(given.get("kinds")) if isinstance(one, str)):
        wanted, why = chosen.decide(kind)
        assert why, "no reason"
        if not any(mark in word for word in words for mark in "*?["):
            assert wanted == _plainly_wanted(words, kind), why


def _plainly_wanted(words: list[str], kind: str) -> bool:
    """The rule for plain words, said another way."""
    folded = kind.casefold()
    excluded = [word[1:].strip().casefold() in folded for word in words if word.startswith("!")]
    included = [word.casefold() in folded for word in words if not word.startswith("!")]
    return not any(excluded) and (any(included) or not included)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def template(data: bytes) -> None:
    given = json_of(data)
    source = given.get("template") if isinstance(given, dict) else None
    if not isinstance(source, str):
        return
    values = given.get("data")
    for kind in (TextTemplate, MarkdownTemplate, HtmlTemplate):
        try:
            understood = kind(source)
        except ValueError as error:  # pydantic's own, for its messages
            require_line(str(error), 1000)
            return
        assert all(name in source for name in understood.names)
        try:
            result = understood.render(values if isinstance(values, Mapping) else {})
        except RenderFailed as failure:
            require_line(str(failure), 200)
            continue
        assert len(result) <= LONGEST_RESULT


def markup(data: bytes) -> None:
    """BBCode and HTML of a review: whatever it is, clean text comes out, and markdown that calls nobody."""
    source = text_of(data)
    shown, markdown = markup_to_text(source), markup_to_markdown(source)
    assert clean(shown) == shown
    assert clean(markdown) == markdown
    bare = re.sub(r"\\[!-/:-@\[-`{-~]|```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)
    assert not set(bare) & set("@<"), "somebody is called"
    assert "](http:" not in markdown
    assert "](javascript:" not in markdown


_READERS: tuple[Callable[[str], Any], ...] = (parse_url, parse_address, signing_key, bare_token)
_SECRET = TypeAdapter(Secret)


def quantity(data: bytes) -> None:
    text = text_of(data)
    try:
        duration = parse_duration(text)
    except ValueError as error:
        require_line(str(error), 150)
    else:
        assert timedelta() <= duration <= timedelta(days=3650)
        again = parse_duration(duration_text(duration))
        assert abs(again - duration) <= timedelta(milliseconds=1), "another duration when read again"


def secret_words(data: bytes) -> None:
    text = text_of(data)
    for read in _READERS:
        try:
            read(text)
        except ValueError as error:
            message = str(error)
            require_line(message, 300)
            if len(text) >= 12 and text in message:
                raise AssertionError("the value itself is quoted") from None
    try:
        secret = _SECRET.validate_python(text)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            assert detail["type"] == "secret", detail["type"]
            assert CANARY not in detail["msg"] or text.lstrip().startswith(("env:", "file:", "cred:"))
        return
    assert "***" in repr(secret)
    assert secret.reveal() == secret.reveal().strip()


_TEMPLATES = (
    "{{ username }} bought {{ resource_title|upper }}",
    "{% if final_price|float > 9 %}{{ final_price|round(2, 'floor') }}{% else %}cheap{% endif %}",
    "{% for item in items %}{{ loop.index }}: {{ item.name|default('?')|truncate(9) }}, {% endfor %}",
    "{% set a = n * n %}{{ a ~ '-' ~ n // 7 % 3 }}{{ items|tojson }}{{ items|map(attribute='name')|join(', ') }}",
    "{{ '%05d %s'|format(n, username) }}{{ username|replace('e', 'aa') }}{{ items|length + 1 }}{{ username[1:3] }}",
)
_DATA = {
    "username": "Steve",
    "resource_title": "Sky <b>",
    "final_price": "9.99",
    "n": 4711,
    "items": [{"name": "a"}, {"name": None}, 5],
    "long": "x<y" * 300,
}
_FILTERS = b"""abs capitalize count dictsort escape filesizeformat first float int items last list lower map max min
reject rejectattr reverse round select selectattr sort string striptags sum title tojson trim truncate unique upper
urlencode wordcount join replace format money time date stars cut text markdown e""".split()

TARGETS = [
    Target(
        "filters",
        10,
        [
            json.dumps(one).encode()
            for one in (
                {"events": ["purchase", "!test*"], "kinds": ["resource_purchase", "TEST", "purchase test"]},
                {"events": ["*", "![rp]*e?"], "kinds": ["", "review", "p" * 200]},
                {"events": ["*a*a*a*a*a*a*a*b", "?" * 40 + "*"], "kinds": ["a" * 200, "Straße", "ǅ İ"]},
                {"events": ["[!a-z]*", "[]]", "[[]x", "[a-", "[z-a]"], "kinds": ["]", "[x", "-"]},
                {"events": ["!a", "!B "], "kinds": ["a", "b", "c"]},
            )
        ],
        filters,
        is_json=True,
    ),
    Target(
        "templates",
        4,
        [json.dumps({"template": one, "data": _DATA}).encode() for one in _TEMPLATES],
        template,
        tokens=(
            *(
                b"{{ ",
                b" }}",
                b"{% for a in long %}",
                b"{% endfor %}",
                b"{% if n %}",
                b"{% endif %}",
                b"{#",
                b"{% raw %}",
            ),
            *(b"|" + name for name in _FILTERS),
            *(
                b"(9)",
                b"(99999999)",
                b"(long)",
                b" * n",
                b" ~ long",
                b" + items",
                b"[",
                b"]",
                b".x",
                b"('",
                b"')",
                b"%",
            ),
            *(b" is ", b" in ", b" and ", b" not ", b" if ", b" else ", b"loop.", b"{% set a = a * a %}", b"\\u0000"),
        ),
    ),
    Target(
        "markup",
        5,
        [
            b"[b]Great[/b] [url=https://builtbybit.com/]here[/url] [LIST]\n[*]a\n[*]b\n[/LIST] [quote]y[/quote] [WIP]",
            b"<p>a &amp; <b>b</b><br>\n<a href='https://x.example/'>c</a></p><ul><li>d</li></ul>",
            b"[code]x `y` [i]z[/i][/code] @everyone <@1> [url=javascript:alert(1)]x[/url] &#60;&#x40;",
        ],
        markup,
        tokens=(
            *(b"[b]", b"[/b]", b"[url=", b"[/url]", b"<a href='https://x.y'>", b"</a>", b"[code]", b"[/code]", b"[*]"),
            *(b"[quote]", b"[/quote]", b"]", b"[", b"<", b">", b"(", b")", b"`", b"*", b"\\", b"@everyone", b"&#91;"),
            *(b"&lt;", b"&#x60;", b"\n", b"\0", b"\xe2\x80\xae", b"[spoiler]", b"[/spoiler]", b"<pre>", b"</pre>"),
        ),
    ),
    Target(
        "quantities",
        10,
        [b"30s", b"1h 30m", b"180d", b"1.5h", b"500ms", b"3650d", b"0s", b"10", b"12w"],
        quantity,
        tokens=(b"s", b"ms", b"d", b".", b" ", b"9" * 400, b"1e5", b"-", b"+", b"_", b"\xd9\xa3"),
    ),
    Target(
        "secrets",
        10,
        [
            f"https://ann:{CANARY}@shop.example:8443/hook/{CANARY}?key={CANARY}#x".encode(),
            f"https://discord.com/api/webhooks/123456789012345678/{CANARY}?thread_id=77".encode(),
            f"http://127.0.0.1:9/webhooks/1/{CANARY}".encode(),
            b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            f"Authorization: Bearer {CANARY}".encode(),
            b"env:FUZZ_SECRET",
            b"file:/proc/self/comm",
            b"cred:fuzz",
        ],
        secret_words,
        tokens=(
            *(
                b"env:",
                b"file:",
                b"cred:",
                b"/",
                b"..",
                b"@",
                b":",
                b"%",
                b"%00",
                b"%ff",
                b"[::1]",
                b"[",
                b"]",
                b"?",
                b"#",
            ),
            *(b"whsec_", b"Token ", b"discord.com", b"/webhooks/", b"<", b">", b"xn--", b"\xc3\xa9.example", b":99999"),
        ),
    ),
]
