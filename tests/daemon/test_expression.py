"""Templates: what they can say, and that they cannot run away (M13, S11)."""

import time
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from daemon.expression import LONGEST_RESULT, MarkdownTemplate, RenderFailed, TextTemplate


class Table(BaseModel):
    title: TextTemplate


SALE: dict[str, Any] = {
    "price": 12.5,
    "note": None,
    "text_price": "12.5",
    "buyer": {"name": "Ann", "items": ["a", "b"], "note": None},
    "items": [{"title": "One", "n": 1}, {"title": "Two", "n": 2}],
    "hostile": "{{ buyer.name }} {% raw %}",
    "html": '<a href="x">',
}


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("plain text", "plain text"),
        ("{{ buyer.name }} paid {{ price }}", "Ann paid 12.5"),
        ("{{ buyer['name'] }} {{ buyer.items[1] }} {{ buyer.name[:2] }}", "Ann b An"),
        ("[{{ nothing }}{{ nothing.at.all }}{{ buyer.nothing[3] }}{{ buyer.note }}]", "[]"),
        ("[{{ nothing * 2 }}{{ nothing ~ '' }}{{ nothing|upper }}]", "[]"),
        ("{{ nothing|int }} {{ nothing|round }} {{ nothing > 3 }}", "0 0 False"),
        ("[{{ note|upper }}{{ buyer.note|string|trim }}{{ buyer['note']|title }}{{ -nothing }}]", "[]"),
        ("{{ note|default('x') }} {{ buyer.note|default('y') }} {{ note is defined }}", "x y False"),
        ("{{ note is none }} {{ buyer.note is none }} {{ price is none }} {{ note|tojson }}", "True True False null"),
        ("{{ nothing in 'abc' }} {{ nothing not in html }} {{ nothing in items }}", "False True False"),
        ("{{ nothing is in '' }} {{ buyer.note in '' }} {{ 'a' in nothing }}", "False False False"),
        ("{{ 'n' in buyer.name }} {{ 2 in [1, 2] }} {{ 'name' in buyer }}", "True True True"),
        ("{{ nothing or 'nobody' }} {{ nothing|default('x') }}", "nobody x"),
        ("{% if price > 10 %}big{% else %}small{% endif %}", "big"),
        ("{% for item in items %}{{ loop.index }}. {{ item.title }}; {% endfor %}", "1. One; 2. Two; "),
        ("{% for item in buyer.note %}x{% else %}none{% endfor %}", "none"),
        ("{% for key, value in buyer|items if value is string %}{{ key }}={{ value }}{% endfor %}", "name=Ann"),
        ("{{ items|map(attribute='title')|join(' and ') }}", "One and Two"),
        ("{{ items|map(attribute='n') }}", "[1, 2]"),
        ("{{ items|sum(attribute='n') }} {{ 7 // 2 }} {{ 7 % 4 }} {{ price * 2 - 1 }}", "3 3 3 24.0"),
        ("{{ '%.2f'|format(price) }} {{ text_price|float + 1 }}", "12.50 13.5"),
        ("{{ buyer.name ~ '-' ~ 3 ~ nothing }} {{ 'a' + 'b' }}", "Ann-3 ab"),
        ("{% set name = buyer.name|lower %}{{ name }}", "ann"),
        ("{{ buyer.items }} {{ items[0] }}", '["a", "b"] {"title": "One", "n": 1}'),
        ("{{ html }} {{ html|e }}", '<a href="x"> &lt;a href=&quot;x&quot;&gt;'),
        ("{{ buyer.name|replace('n', 'm') }} {{ 'a b c'|truncate(3, true, '…', 0) }}", "Amm a …"),
    ],
)
def test_a_template_fills_in_what_an_event_has(source: str, result: str) -> None:
    assert TextTemplate(source).render(SALE) == result


def test_what_an_event_says_is_never_read_as_a_template() -> None:
    assert TextTemplate("{{ hostile }}").render(SALE) == SALE["hostile"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'].__mro__ }}",
        "{{ buyer.__class__.__init__.__globals__ }}",
        "{{ buyer.keys }}",
        "{{ html.upper }}",
        "{{ self.__init__ }}",
        "{{ items|map(attribute='__class__')|join }}",
        "{{ range }}{{ lipsum }}{{ cycler }}{{ joiner }}{{ namespace }}{{ dict }}",
    ],
)
def test_python_is_out_of_reach(source: str) -> None:
    assert TextTemplate(source).render(SALE) == ""


def test_the_loop_itself_gives_nothing_away() -> None:
    assert TextTemplate("{% for x in items %}{{ loop.__class__ }}{% endfor %}").render(SALE) in ("", "12")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ price", "unexpected end of template"),
        ("{{ price }", "unexpected '}'"),
        ("{% if price %}", "Unexpected end of template"),
        ("a\nb\n{% nonsense %}", "line 3 of the template: Encountered unknown tag 'nonsense'"),
        ("{{ price|nonsense }}", "No filter named 'nonsense'"),
        ("{{ price is nonsense }}", "No test named 'nonsense'"),
        ("{{ 10 ** 9 }}", "Pow is not available"),
        ("{{ html.center(900000000) }}", "calls such as x() are not available"),
        ("{{ '{0.__class__}'.format(1) }}", "calls such as x() are not available"),
        ("{{ price|attr('real') }}", "No filter named 'attr'"),
        ("{{ html|center(900000000) }}", "No filter named 'center'"),
        ("{{ items|batch(900000000) }}", "No filter named 'batch'"),
        ("{% include 'x' %}", "Include is not available"),
        ("{% import 'x' as x %}", "Import is not available"),
        ("{% macro x() %}{% endmacro %}", "Macro is not available"),
        ("{% set x %}{% endset %}", "AssignBlock is not available"),
        ("{% set x = [items, items] %}", "takes no lists"),
        ("{% for a in items recursive %}{% endfor %}", "For is not available"),
        ("{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}", "nested 2 deep"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("{% if a %}" * 200 + "{% endif %}" * 200, "nested too deeply"),
        ("{{ 1e400 }}", "a number is too large"),
        ("{{ price < 0x" + "f" * 5000 + " }}", "a number is too large"),
        ("{% autoescape false %}{% endautoescape %}", "line 1 of the template: Scope is not available"),
        (5, "must be text"),
        (None, "must be text"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_a_sentence(source: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Table(title=source)
    error = caught.value.errors(include_input=False)[0]
    assert error["type"] == "template"
    assert words in error["msg"]
    assert "\n" not in error["msg"]


@pytest.mark.parametrize(
    "source",
    ["{{ a SEKRET-0123456789 }}", "{{ a 'SEKRET-0123456789' }}", "{% SEKRET0123456789 %}", "{{ a|SEKRET0123456789 }}"],
)
def test_a_complaint_holds_nothing_that_may_be_a_pasted_secret(source: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Table(title=source)  # type: ignore[arg-type]
    assert "0123456789" not in caught.value.errors(include_input=False)[0]["msg"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 'a' * 1000000000 }}", "needs numbers"),
        ("{{ html * price }}", "needs numbers"),
        ("{{ '%0900000000d' % 1 }}", "needs numbers"),
        ("{{ '%0900000000d'|format(1) }}", "wider than 99"),
        ("{{ '%*d'|format(900000000, 1) }}", "wider than 99"),
        ("{{ '%.900000000f'|format(price) }}", "wider than 99"),
        ("{{ html|replace('', long) }}", "grows too long"),
        ("{{ long + long }}", "grows too long"),
        ("{{ long ~ long }}", "grows too long"),
        ("{{ [long, long]|join }}", "grows too long"),
        ("{{ many|join(long) }}", "grows too long"),
        ("{% set a = html %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}", "grows too long"),
        ("{{ html" + "|tojson" * 40 + " }}", "grows too long"),
        ("{% for x in many %}{% endfor %}", "more than 500 items"),
        ("{% for x in long %}{% endfor %}", "more than 500 items"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ price|items }}", "does not fit"),
        ("{% for a in price %}{% endfor %}", "does not fit"),
    ],
)
def test_what_would_run_away_ends_at_once_with_a_sentence(source: str, words: str) -> None:
    values = SALE | {"long": "x" * 700_000, "many": list(range(10_000))}
    template = TextTemplate(source)
    began = time.process_time()
    with pytest.raises(RenderFailed) as caught:
        template.render(values)
    assert words in str(caught.value)
    assert time.process_time() - began < 1


def test_the_longest_loops_there_can_be_end_soon() -> None:
    inner = "{% for b in x %}{% if a == b + 1000 %}!{% endif %}{% endfor %}"
    template = TextTemplate("{% for a in x %}" + inner + "{% endfor %}")
    began = time.process_time()
    assert template.render({"x": list(range(500))}) == ""
    assert time.process_time() - began < 3


def test_calculating_for_ever_in_small_steps_ends_with_a_sentence() -> None:
    """What no single limit holds: a quarter of a million times something that is allowed once."""
    words = "{% if (long|upper) == 'x' %}{% endif %}"
    template = TextTemplate("{% for a in x %}{% for b in x %}" + words + "{% endfor %}{% endfor %}")
    began = time.thread_time()
    with pytest.raises(RenderFailed, match="takes too long"):
        template.render({"x": list(range(500)), "long": "x" * 1_000_000})
    assert time.thread_time() - began < 10
    assert TextTemplate("{{ 'a'|upper }}").render({}) == "A", "the next template has its own time"


def test_a_result_is_cut_off() -> None:
    assert len(TextTemplate("{{ x }}" * 5).render({"x": "é" * 500_000})) == LONGEST_RESULT
    assert TextTemplate("{{ x }}").render({"x": "é" * 500_000}) == "é" * 20_000 + "…"
    endless = TextTemplate("{% for a in x %}{% for b in x %}0123456789{% endfor %}{% endfor %}")
    assert len(endless.render({"x": list(range(500))})) == LONGEST_RESULT


def test_a_template_is_its_source() -> None:
    table = Table(title="{{ price }}")  # type: ignore[arg-type]
    assert table.title == TextTemplate("{{ price }}") != MarkdownTemplate("{{ price }}")
    assert hash(table.title) == hash(TextTemplate("{{ price }}"))
    assert table.model_dump() == {"title": "{{ price }}"}
    assert Table(title=table.title).title is table.title
    assert Table.model_json_schema()["properties"]["title"]["type"] == "string"


def test_a_template_tells_which_placeholders_it_asks_for() -> None:
    loop = "{% for x in items if x.n > 1 %}{{ x.title ~ loop.index }}{% endfor %}"
    assert TextTemplate("{{ price|money }}" + loop + "{% set a = b.c %}{{ a }}").names == {"price", "items", "b"}
