"""A placeholder that is misspelt in the config is found by its likeness to a known one."""

import re
from pathlib import Path

import pytest

from daemon.app.check import check, exit_code
from daemon.app.misspelt import meant
from daemon.app.samples import SAMPLES
from daemon.clock import wall_now
from daemon.simulator.samples import KINDS, Samples
from tests.ledger import add, opened, planned, story

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("final_pric", "final_price"),
        ("titel", "title"),
        ("finalPric", "final_price"),
        ("resorce_title", "resource_title"),
        ("resource_titel", "resource_title"),
        ("resource_ids", "resource_id"),
        ("usernam", "username"),
        ("raiting", "rating"),
        ("trigge", "trigger"),
        ("sorce", "source"),
        ("user_id ", "user_id"),
    ],
)
def test_a_name_that_nearly_is_a_known_one_is_taken_for_misspelt(name: str, guess: str) -> None:
    assert meant(name) == guess


@pytest.mark.parametrize(
    "name",
    [
        *("final_price", "finalPrice", "FINAL_PRICE", "trigger", "delivery_id", "username", "response", "test"),
        *("coupon", "level", "rank", "x", "", "quantity", "discord_tag", "licence_key", "größe", "a" * 4000),
        *("review_id", "order_url", "order_link", "message_id", "purchase_id", "product_version", "buyer", "tag"),
    ],
)
def test_a_name_that_is_known_or_resembles_nothing_or_is_put_together_like_known_ones_is_left_alone(name: str) -> None:
    assert meant(name) == ""


def test_what_came_of_late_is_right_and_may_be_what_was_meant() -> None:
    assert meant("raiting", {"raiting"}) == ""
    assert meant("licence_kee") == ""
    assert meant("licence_kee", {"licence_key"}) == "licence_key"


def test_no_name_that_we_write_ourselves_is_taken_for_misspelt() -> None:
    made = [Samples(7).make(kind, names, 0)[1] for kind in KINDS for names in ("known", "guessed")]  # type: ignore[arg-type] # mypy reads str
    names = {name for data in made for name in data}
    names |= {name for title, event in SAMPLES.items() for name in event.data if title != "hostile text"}
    for page in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "config.example.toml"):
        names |= set(re.findall(r"(?<!\{)\{\{ (\w+)|(?<=\")\{(\w+)\}(?=\")", page.read_text()))
    flat = {part for name in names for part in (name if isinstance(name, tuple) else (name,)) if part}
    assert len(flat) > 50
    assert {name: guess for name in flat if (guess := meant(name))} == {}


WHERE = """
[sources.shop]
type = "builtbybit"
token = "canary-token"
[sinks.chat]
type = "discord"
url = "https://discord.com/api/webhooks/1/canary-url"
where = {where}
[sinks.post]
type = "email"
audience = "full"
host = "smtp.example"
from = "a@shop.example"
to = ["b@shop.example"]
subject = {subject}
[sinks.hook]
type = "webhook"
url = "https://shop.example/canary-path"
[sinks.hook.json]
content = {{ title = {content} }}
"""
WRONG = WHERE.format(
    where="'final_pric > 5 and usr_id'", subject="'{{ usernam }} {{ list_pric|money }}'", content="'{titel} {username}'"
)
RIGHT = WHERE.format(where="'final_price > 5 and level'", subject="'{{ username }} {{ rank }}'", content="'{title}'")


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


async def warned(config: Path) -> list[str]:
    findings = await check(config, {}, connect=False)
    assert exit_code(findings) == 0
    return [each.text for each in findings if (each.phase, each.verdict) == ("templates", "warning")]


@story
async def test_check_warns_of_it_wherever_names_are_written(tmp_path: Path) -> None:
    assert await warned(written(tmp_path, WRONG)) == [
        'sinks.chat.where: no placeholder "final_pric" is known; did you mean "final_price"?',
        'sinks.chat.where: no placeholder "usr_id" is known; did you mean "user_id"?',
        'sinks.post.subject: no placeholder "list_pric" is known; did you mean "list_price"?',
        'sinks.post.subject: no placeholder "usernam" is known; did you mean "username"?',
        'sinks.hook.json.content.title: no placeholder "titel" is known; did you mean "title"?',
    ]
    assert await warned(written(tmp_path, RIGHT)) == []


@story
async def test_it_is_said_once_of_a_template(tmp_path: Path) -> None:
    config = written(tmp_path, WRONG.replace('audience = "full"', 'audience = "public"'))
    assert [text for text in await warned(config) if "usernam" in text and "post.subject" in text] == [
        'sinks.post.subject: no placeholder "usernam" is known; did you mean "username"?'
    ]


@story
async def test_check_does_not_warn_of_a_name_that_came_in_a_stored_event_with_or_without_a_daemon(
    tmp_path: Path,
) -> None:
    config = written(tmp_path, WRONG)
    data = {"final_pric": "5", "usr_id": 5, "titel": "x", "usernam": "x", "list_pric": "5"}
    async with opened(tmp_path / "eventferry.db", wall_now) as store:
        await add(store, planned(1, "chat", data=data))
        assert await warned(config) == []
    assert await warned(config) == []
