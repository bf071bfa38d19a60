"""`init`: at a terminal, and where nobody can be asked."""

import stat

import pytest

from tests.daemon.cli.terminal import at_terminal

TOKEN = "canary-token-7c21e9f04b"
URL = "https://discord.com/api/webhooks/123456/canary-url-91b2c3d4e5f6"


@pytest.fixture
def pasted(ferry):
    """Files with the secrets, as people paste them."""
    (ferry.folder / "token").write_text(f'Authorization: Token "{TOKEN}"\r\n')
    (ferry.folder / "url").write_text(f"  <{URL}?wait=true>\n")
    return ("init", "--directory=new", "--token-file=token", "--discord-url-file=url")


def test_a_config_is_written_that_check_is_content_with(ferry, pasted):
    done = ferry.process(*pasted, "--private", "--trouble=same")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("What Eventferry needs at BuiltByBit:\n")
    for needed in ("Ultimate upgrade", "builtbybit.com/account/api with only the Events scope", "listener"):
        assert needed in done.stdout
    new = ferry.folder / "new"
    assert stat.S_IMODE((new / "secrets").stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (new / "secrets").iterdir()} == {
        "builtbybit_token": 0o600,
        "discord_url": 0o600,
    }
    assert (new / "secrets/builtbybit_token").read_text() == f"{TOKEN}\n"
    everything = done.stdout + (new / "config.toml").read_text()
    assert "canary" not in everything
    assert "secrets    ok       all are there" in done.stdout
    assert f"eventferry run --config {new / 'config.toml'}" in done.stdout
    assert ferry.json("check", "-c", "new/config.toml")["ok"]


def test_one_secret_may_come_from_stdin(ferry, pasted):
    arguments = [argument.replace("=token", "=-") for argument in pasted]
    done = ferry.process(*arguments, "--private", "--trouble=none", given=f"{TOKEN}\n")
    assert done.returncode == 0, done.stderr
    assert (ferry.folder / "new/secrets/builtbybit_token").read_text() == f"{TOKEN}\n"
    twice = ferry(*[argument.replace("=url", "=-") for argument in arguments], "--private", "--trouble=none")
    assert twice.returncode != 0


def test_what_nobody_can_be_asked_must_be_given(ferry, pasted):
    done = ferry(*pasted[:3])
    assert done.returncode == 2
    assert "there is nobody to ask here: add --discord-url-file, --public or --private, --trouble" in done.stderr
    assert not (ferry.folder / "new").exists()
    both = ferry("init", "--directory=new", "--token-file=-", "--discord-url-file=-", "--private", "--trouble=same")
    assert both.returncode == 2
    assert '"-" was given more than once' in both.stderr


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("token", "two words\n", "BuiltByBit's token: not a token"),
        ("url", "https://example.com/canary-url\n", "Discord webhook URL: not the URL of a Discord webhook"),
        ("token", "\n", "BuiltByBit's token: not a token"),
    ],
)
def test_a_secret_that_is_none_is_refused_before_anything_is_written(ferry, pasted, file, content, words):
    (ferry.folder / file).write_text(content)
    done = ferry(*pasted, "--private", "--trouble=same")
    assert done.returncode == 1
    assert words in done.stderr
    assert "canary" not in done.stderr
    assert not (ferry.folder / "new").exists()


def test_what_is_there_is_never_overwritten(ferry, pasted):
    ferry.ok(*pasted, "--private", "--trouble=same")
    done = ferry(*pasted, "--private", "--trouble=same")
    assert done.returncode == 1
    assert done.stderr == (
        f"eventferry: {ferry.folder / 'new/config.toml'}: is there already, and init overwrites nothing\n"
    )
    assert done.stdout == ""


def test_at_a_terminal_everything_is_asked_and_no_secret_is_shown(ferry, stand_ins):
    config = (ferry.folder / "config.toml").read_text()
    url = config.partition('type = "discord"\nurl = "')[2].partition('"')[0]
    with at_terminal(ferry.folder, "init", "--directory", "new") as person:
        person.expect("What Eventferry needs at BuiltByBit")
        person.answer("BuiltByBit's token (hidden)", "not a token")
        person.expect("it must be one word")
        person.answer("BuiltByBit's token (hidden)", TOKEN)
        person.answer("Discord webhook URL (hidden)", url)
        person.answer("Can customers see that channel?", "y")
        person.expect("neither buyer nor price")
        person.answer("Where should trouble be reported?", "other")
        person.answer("Discord webhook URL for trouble (hidden)", URL)
        person.expect("templates")
        assert TOKEN not in person.shown
        assert stand_ins.received("discord") == [], "nothing is sent before a yes"
        person.answer("Post a test message to that channel now?", "y")
        assert person.end() == 0, person.shown
        assert "The test message is there" in person.shown
        assert "canary" not in person.shown
    assert len(stand_ins.received("discord")) == 1
    written = (ferry.folder / "new/config.toml").read_text()
    assert "# Customers can see this channel" in written
    assert 'audience = "public"' in written
    assert 'alerts = ["trouble"]' in written


def test_a_test_message_that_does_not_arrive_is_said_to(ferry, stand_ins, pasted):
    config = (ferry.folder / "config.toml").read_text()
    url = config.partition('type = "discord"\nurl = "')[2].partition('"')[0]
    (ferry.folder / "url").write_text(url)
    stand_ins.set(receivers={"discord": {"deleted": True}})
    done = ferry(*pasted, "--private", "--trouble=same", "--test-message")
    assert done.returncode == 1
    assert "the test message did not arrive: Discord says this webhook was deleted" in done.stderr
    assert (ferry.folder / "new/config.toml").exists(), "the config stays"


def test_replay_asks_at_a_terminal_and_takes_no_for_an_answer(ferry, stand_ins):
    (event_id,) = stand_ins.happen({"samples": 1})
    ferry.ok("once")
    with at_terminal(ferry.folder, "replay", event_id) as person:
        person.answer("Send 3 deliveries again?", "n")
        assert person.end() == 1
        assert "nothing was done" in person.shown
    with at_terminal(ferry.folder, "replay", event_id) as person:
        person.answer("Send 3 deliveries again?", "y")
        assert person.end() == 0
        assert "3 due again" in person.shown


def test_colours_are_for_terminals_that_want_them(ferry, stand_ins):
    ferry.ok("once")
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with at_terminal(ferry.folder, "status", **{"TERM": "xterm", **more}) as person:
            assert person.end() == 1
            assert ("\x1b[32m" in person.shown) is coloured


def test_run_at_a_terminal_says_in_one_line_what_runs(ferry, stand_ins):
    with at_terminal(ferry.folder, "run") as person:
        person.expect("Eventferry runs: builtbybit -> webhook, discord, email. Ctrl-C stops it.")
