"""What a check finds, and what it leaves alone."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.app.check import SERVICE_FOLDER, check, exit_code
from daemon.app.samples import SAMPLES
from daemon.clock import wall_now
from daemon.simulator import Simulator
from daemon.store import Store
from tests.ledger import story
from tests.rigs import load_apprise

SOURCE = '[sources.shop]\ntype = "builtbybit"\ntoken = "canary-token"\nbase_url = "{url}"\n'
FILE = '[sinks.archive]\ntype = "file"\npath = "events.jsonl"\n'
ALL_KINDS = (
    FILE
    + """
[sinks.chat]
type = "discord"
url = "https://discord.com/api/webhooks/1/canary-url"
[sinks.hook]
type = "webhook"
url = "https://shop.example/canary-path"
[sinks.post]
type = "email"
host = "smtp.example"
from = "a@shop.example"
to = ["b@shop.example"]
[sinks.screen]
type = "console"
"""
)


@pytest.fixture
def config(tmp_path):
    """Writes a config; by default one that works."""

    def write(sinks: str = FILE, *, url: str = "http://127.0.0.1:1/v2", more: str = "") -> Path:
        path = tmp_path / "config.toml"
        path.write_text(SOURCE.format(url=url) + sinks + more)
        path.chmod(0o600)
        return path

    return write


def found(findings, phase):
    """Verdict and text of what was found in one phase."""
    return [(finding.verdict, finding.text) for finding in findings if finding.phase == phase]


@story
async def test_every_kind_of_sink_renders_what_nobody_wishes_for(config):
    findings = await check(config(ALL_KINDS), {}, connect=False)
    assert found(findings, "templates") == [
        ("ok", f"{name}: renders all {len(SAMPLES)} samples") for name in ("archive", "chat", "hook", "post", "screen")
    ]
    assert exit_code(findings) == 0
    assert "canary" not in str(findings)


@story
async def test_a_template_that_does_not_fit_is_a_warning_since_the_built_in_text_stands_in(config):
    sinks = '[sinks.chat]\ntype = "discord"\nurl = "https://discord.com/api/webhooks/1/abc"\ntitle = {title}\n'
    odd = await check(config(sinks.format(title="'{{ resource_id|float + resource_title }}'")), {}, connect=False)
    words = "sinks.chat.title: does not fit a purchase, a review, "
    (text,) = [text for verdict, text in found(odd, "templates") if text.startswith(words)]
    assert '("+" needs numbers on both sides (|float makes one)); the built-in text is used then' in text
    empty = await check(config(sinks.format(title="'{{ nowhere }}'")), {}, connect=False)
    words = "sinks.chat.title: is empty for every sample; the built-in text is used then"
    assert ("warning", words) in found(empty, "templates")
    good = await check(config(sinks.format(title="'{{ resource_title }}'")), {}, connect=False)
    assert [verdict for verdict, _ in found(good, "templates")] == ["ok"]
    assert [exit_code(findings) for findings in (odd, empty, good)] == [0, 0, 0]


@story
async def test_a_template_of_a_field_is_named_by_its_key(config):
    sinks = '[sinks.chat]\ntype = "discord"\nurl = "https://discord.com/api/webhooks/1/abc"\n[sinks.chat.fields]\n'
    findings = await check(
        config(sinks + "Sum = '{{ resource_title + 1 }}'\nItem = '{{ resource_title }}'"), {}, connect=False
    )
    warnings = [each for each in findings if (each.phase, each.verdict) == ("templates", "warning")]
    assert {each.about for each in warnings} == {"sinks.chat.fields.Sum"}


HOOK = '[sinks.hook]\ntype = "webhook"\nurl = "https://shop.example/"\n'
CHAT = '[sinks.chat]\ntype = "discord"\naudience = "full"\nurl = "https://discord.com/api/webhooks/1/abc"\n'


@pytest.mark.parametrize(
    ("sinks", "warning"),
    [
        (
            HOOK + '[sinks.hook.json]\nbuyer = { ids = ["{{ user_id }}"] }\n',
            'sinks.hook.json.buyer.ids: "{{ user_id }}" is sent as "{ user_id }"; here write "{user_id}"',
        ),
        (
            HOOK + '[sinks.hook.form]\nbuyer = "{{user_id|upper}}"\n',
            'sinks.hook.form.buyer: "{{user_id|upper}}" is sent as "{user_id|upper}"; here write "{user_id}"',
        ),
        (
            CHAT + 'title = "{{ username }} has {resource_title}"\n',
            'sinks.chat.title: "{resource_title}" is shown as it stands; here write "{{ resource_title }}"',
        ),
        (
            CHAT + '[sinks.chat.fields]\nItem = "{resource_title}"\n',
            'sinks.chat.fields.Item: "{resource_title}" is shown as it stands; here write "{{ resource_title }}"',
        ),
        (HOOK + "[sinks.hook.json]\na = '{{\"b\": {{{user_id}}}}}'\nn = 5\n", None),
        (CHAT + "title = '{{ username }} {{ \"{x}\" }} {% raw %}{{ x }}{% endraw %} { x } {a:b} {1}'\n", None),
    ],
)
def test_a_placeholder_in_the_spelling_of_the_other_place_is_a_warning(config, sinks, warning):
    @story
    async def warned():
        findings = await check(config(sinks), {}, connect=False)
        warnings = [text for verdict, text in found(findings, "templates") if verdict == "warning"]
        assert warnings == ([] if warning is None else [warning])

    warned()


@story
async def test_a_field_for_add_ons_or_bundles_is_no_mistake_and_one_that_is_empty_is_left_out(config):
    fields = '[sinks.chat.fields]\nAdd-on = "{{ addon_title }}"\nBundle = "{{ bundle_title }}"\nOdd = "{{ nowhere }}"\n'
    findings = await check(config(CHAT + fields), {}, connect=False)
    assert [text for verdict, text in found(findings, "templates") if verdict == "warning"] == [
        "sinks.chat.fields.Odd: is empty for every sample; the field is left out then"
    ]


@pytest.mark.parametrize(("audience", "private"), [("public", "buyer_id, final_price, username"), ("full", None)])
def test_a_template_of_a_public_sink_that_names_what_is_private_is_a_warning(config, audience, private):
    title = (
        "{{ trigger }} {{ username|upper }} {{ resource_title }} {{ final_price|money }} {% if buyer_id %}{% endif %}"
    )
    sinks = f'[sinks.chat]\ntype = "discord"\naudience = "{audience}"\ntitle = """{title}"""\n'

    @story
    async def warned():
        findings = await check(config(sinks + 'url = "https://discord.com/api/webhooks/1/abc"\n'), {}, connect=False)
        words = f'sinks.chat.title: names what the public is not told ({private}): empty unless audience is "full"'
        assert (("warning", words) in found(findings, "templates")) == (private is not None)
        assert exit_code(findings) == 0

    warned()


@story
async def test_a_database_that_is_not_there_yet_is_not_made(config, tmp_path):
    findings = await check(config(), {}, connect=False)
    assert found(findings, "database") == [("ok", f"{tmp_path}/eventferry.db: made when the daemon first runs")]
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


@story
async def test_a_database_of_a_running_daemon_is_looked_at_beside_it(config, tmp_path):
    store = Store(tmp_path / "eventferry.db", wall_now)
    await store.database.open()
    beside = await check(config(), {}, connect=False)
    await store.database.close()
    alone = await check(config(), {}, connect=False)
    where = f"{tmp_path}/eventferry.db"
    assert found(beside, "database") == [("ok", f"{where}: in use by a running process; looked at beside it")]
    assert found(alone, "database") == [("ok", f"{where}: intact")]


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("eventferry.db", b"no database " * 1000, 74, "eventferry.db: "),
        ("eventferry.db.key", b"0" * 64, 74, "the database has vanished"),
    ],
)
def test_a_database_that_run_would_refuse_is_refused(config, tmp_path, name, content, code, words):
    @story
    async def refused():
        (tmp_path / name).write_bytes(content)
        findings = await check(config(), {}, connect=False)
        ((verdict, text),) = found(findings, "database")
        assert verdict == "error"
        assert words in text
        assert exit_code(findings) == code

    refused()


@story
async def test_a_folder_that_is_missing_is_an_error_unless_the_service_makes_it(config):
    findings = await check(config(), {"STATE_DIRECTORY": "/nowhere"}, connect=False)
    assert found(findings, "database")[0][0] == "error"
    assert exit_code(findings) == 78
    if not SERVICE_FOLDER.exists():
        findings = await check(config(), {"STATE_DIRECTORY": str(SERVICE_FOLDER)}, connect=False)
        assert found(findings, "database") == [("warning", "/var/lib/eventferry: made when the service first starts")]


@story
async def test_connecting_reaches_all_ends_and_changes_nothing(config, tmp_path):
    async with Simulator.start(token="canary-token") as sim:
        for _ in range(2):
            sim.upstream.add_sample("purchase")
        sinks = FILE + f'[sinks.hook]\ntype = "webhook"\nurl = "{sim.webhook_url("hook")}"\n'
        path = config(sinks, url=sim.api_url)
        assert found(await check(path, {}, connect=False), "connect") == []
        assert sim.upstream.calls == []
        findings = await check(path, {}, connect=True)
        assert found(findings, "connect") == [
            ("ok", "shop: token accepted, 2 events wait"),
            ("ok", f"archive: {tmp_path}/events.jsonl can be written"),
            ("ok", "hook: the receiver takes connections"),
        ]
        assert {call.method for call in sim.upstream.calls} == {"GET"}
        assert sim.inbox.calls == []
        assert not (tmp_path / "events.jsonl").exists()


@story
async def test_all_ends_that_cannot_be_reached_are_named_and_the_code_is_1(config):
    async with Simulator.start(token="another") as sim:
        sinks = FILE + '[sinks.hook]\ntype = "webhook"\nurl = "http://127.0.0.1:1/x"\n'
        findings = await check(config(sinks, url=sim.api_url), {}, connect=True)
    connect = {text.partition(":")[0]: (verdict, text) for verdict, text in found(findings, "connect")}
    assert [verdict for verdict, _ in connect.values()] == ["error", "ok", "error"]
    assert "BuiltByBit refuses the token (40" in connect["shop"][1]
    assert "connection refused" in connect["hook"][1]
    assert exit_code(findings) == 1
    assert "canary" not in str(findings)


@story
async def test_a_shut_gate_is_obeyed_and_a_new_one_is_not_stored(config, tmp_path):
    async with Simulator.start(token="canary-token") as sim:
        path = config(url=sim.api_url)
        sim.upstream.faults = type(sim.upstream.faults)(error_status=429, limit_window=60)
        store = Store(tmp_path / "eventferry.db", wall_now)
        await store.database.open()
        throttled = await check(path, {}, connect=True)
        assert ("error", "shop: the server wants no reads for 60 s; try again later") in found(throttled, "connect")
        assert (await store.browse.status())["gates"] == []
        await store.gates.shut(sim.api_url.split("/")[2], "read", timedelta(minutes=5))
        await store.database.close()
        calls = len(sim.upstream.calls)
        shut = await check(path, {}, connect=True)
        assert any(text.startswith("shop: rate limit for reads until ") for _, text in found(shut, "connect"))
        assert len(sim.upstream.calls) == calls


@story
async def test_plain_http_over_the_internet_draws_a_warning_and_within_a_network_none(config):
    hooks = ("http://shop.example.com/t0ken", "https://shop.example.com/t0ken", "http://10.0.0.5/t0ken")
    sinks = "".join(
        f'[sinks.hook{number}]\ntype = "webhook"\nurl = "{url}"\n' for number, url in enumerate(hooks, start=1)
    )
    findings = await check(config(sinks), {}, connect=False)
    warned = [finding for finding in findings if "plain http" in finding.text]
    assert [(finding.verdict, finding.about) for finding in warned] == [("warning", "sinks.hook1.url")]
    assert "t0ken" not in warned[0].text
    assert exit_code(warned) == 0


@pytest.mark.parametrize("connect", [False, True])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("tgrm://123456:canary-token/1", 'Apprise knows no "tgrm://" (did you mean "tgram://"?)'),
        ("xyzzy://canary-token", 'Apprise knows no "xyzzy://"'),
        ("xmpp://shop:canary-token@chat.example", 'Apprise lacks another package for "xmpp://"'),
        ("tgram://canary-token", "Apprise makes nothing of this URL"),
    ],
)
@story
async def test_a_url_of_which_apprise_makes_nothing_is_an_error_though_nothing_is_reached(
    config, url, complaint, connect
):
    load_apprise()
    phone = '[sinks.phone]\ntype = "apprise"\nurl = "{}"\n'
    how = "; how each service's has to look: https://appriseit.com/services/"
    findings = await check(config(FILE + phone.format(url)), {}, connect=connect)
    errors = [finding for finding in findings if finding.about == "phone" and finding.verdict == "error"]
    assert [(finding.phase, finding.text) for finding in errors] == [("syntax", f"phone: {complaint}{how}")]
    assert exit_code(findings) == 78
    assert "canary" not in str(findings)


@story
async def test_a_url_that_apprise_knows_is_no_mistake(config):
    load_apprise()
    phone = '[sinks.phone]\ntype = "apprise"\nurl = "json://127.0.0.1:1/canary-token"\n'
    assert exit_code(await check(config(FILE + phone), {}, connect=False)) == 0


def test_a_check_lets_apprise_read_urls_without_reaching_anybody(config):
    urls = (
        "tgram://123456789:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi/1", "ntfys://ntfy.example/topic", "json://shop.example/x",
        "mailto://shop:pw@mail.example", "matrix://user:pw@matrix.example/#room",
        "nosuch://shop.example/x",
    )  # fmt: skip
    sinks = [f'[sinks.s{number}]\ntype = "apprise"\nurl = "{url}"\n' for number, url in enumerate(urls)]
    code = (
        "import asyncio, sys; from pathlib import Path; from daemon.app.check import check\n"
        "reached = []; asked = {'socket.connect', 'socket.getaddrinfo', 'socket.sendto'}\n"
        "sys.addaudithook(lambda name, values: reached.append(values) if name in asked else None)\n"
        "findings = asyncio.run(check(Path(sys.argv[1]), {}, connect=False))\n"
        "print([each.about for each in findings if each.verdict == 'error'], reached)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(config(FILE + "".join(sinks)))]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout == "['s5'] []\n"


def test_a_check_without_apprise_sinks_does_not_load_apprise(config):
    code = (
        "import asyncio, sys; from pathlib import Path; from daemon.app.check import check, exit_code\n"
        "findings = asyncio.run(check(Path(sys.argv[1]), {}, connect=False))\n"
        "print(exit_code(findings), [name for name in sys.modules if 'apprise' in name])"
    )
    command = [sys.executable, "-c", code, str(config(ALL_KINDS))]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout == "0 []\n"
