"""A config that works: where it is found, what wins, what the defaults are."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.contract import SinkKind
from daemon.secrets import Secret
from daemon.settings import PLACES, ConfigError, Loaded, SinkCommon, SourceCommon, find, load
from daemon.sources.builtbybit import BuiltByBitSource
from daemon.sources.registry import SOURCE_KINDS
from sinks.discord import DiscordSink
from sinks.registry import SinkKinds

Load = Callable[..., Loaded]


def test_a_small_config_gets_every_default(load_text: Load, good: str, tmp_path: Path) -> None:
    loaded = load_text(good)
    daemon = loaded.settings.daemon
    assert (daemon.keep, daemon.stop_timeout) == (timedelta(days=180), timedelta(seconds=25))
    assert (daemon.timezone, daemon.log_level, daemon.log_format) == ("", "info", "auto")
    assert (daemon.proxy, daemon.first_start) == (None, "send")
    source = loaded.settings.sources["bbb"]
    assert (source.poll, source.poll_min, source.poll_max) == (timedelta(seconds=30), timedelta(seconds=15), None)
    assert (source.complete, source.complete_within) == ("when-delivered", timedelta(minutes=5))
    sink = loaded.settings.sinks["sales"]
    assert (sink.events, sink.concurrency, sink.give_up_after) == (None, None, timedelta(days=30))
    assert sum(sink.retries, timedelta()) == timedelta(hours=75, minutes=42, seconds=35)
    assert loaded.path == Path("config.toml")
    assert loaded.directory == tmp_path
    assert loaded.warnings == []


def test_a_table_is_also_its_kinds_own_settings(load_text: Load, good: str) -> None:
    settings = load_text(good).settings
    source, sink = settings.sources["bbb"], settings.sinks["sales"]
    assert isinstance(source, SourceCommon)
    assert isinstance(source, BuiltByBitSource.Settings)
    assert source.token.reveal() == "canary-token-6c1d5e07"
    assert isinstance(sink, SinkCommon)
    assert isinstance(sink, DiscordSink.Settings)


def test_the_environment_overrides_single_keys(load_text: Load, good: str) -> None:
    environ = {
        "EVENTFERRY_DAEMON__KEEP": "7d",
        "EVENTFERRY_DAEMON__LOG_LEVEL": "debug",
        "EVENTFERRY_SOURCES__BBB__POLL": "40s",
        "EVENTFERRY_SINKS__SALES__EVENTS": "purchase, !*test",
        "EVENTFERRY_SINKS__SALES__CONCURRENCY": "3",
        "EVENTFERRY_SINKS__SALES__RETRIES": '["1s", "2s"]',
        "EVENTFERRY_SINKS__SALES__USERNAME": "1234",
        "EVENTFERRY_DAEMON__TIMEZONE": "",
        "EVENTFERRY_CONFIG": "elsewhere.toml",
        "OTHER_SINKS__SALES__URL": "x",
    }
    settings = load_text(good, environ).settings
    assert settings.daemon.keep == timedelta(days=7)
    assert settings.daemon.log_level == "debug"
    assert settings.daemon.alerts == ["sales", "archive"]
    assert settings.sources["bbb"].poll == timedelta(seconds=40)
    sink = settings.sinks["sales"]
    assert isinstance(sink, DiscordSink.Settings)
    assert sink.username == "1234"
    assert sink.url.reveal().startswith("https://discord.com/")
    assert settings.sinks["sales"].events == ["purchase", "!*test"]
    assert settings.sinks["sales"].concurrency == 3
    assert settings.sinks["sales"].retries == [timedelta(seconds=1), timedelta(seconds=2)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ('["purchase", "review"]', ["purchase", "review"]),
        ("purchase", ["purchase"]),
        ("[pr]*,review", ["[pr]*", "review"]),
        (" a , ,b ", ["a", "b"]),
    ],
)
def test_a_list_in_the_environment_is_json_or_separated_by_commas(
    load_text: Load, good: str, text: str, events: list[str]
) -> None:
    assert load_text(good, {"EVENTFERRY_SINKS__SALES__EVENTS": text}).settings.sinks["sales"].events == events


def test_a_table_in_the_environment_is_json_or_one_variable_per_key(load_text: Load, good: str) -> None:
    text = good + '[sinks.hook]\ntype = "webhook"\nurl = "https://x.example/"\n'
    for environ in (
        {"EVENTFERRY_SINKS__HOOK__HEADERS": '{"x-key": "canary-header"}'},
        {"EVENTFERRY_SINKS__HOOK__HEADERS__X-KEY": "canary-header"},
    ):
        sink = load_text(text, environ).settings.sinks["hook"]
        assert sink.model_dump()["headers"] == {"x-key": "***"}


def test_the_environment_alone_can_be_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "EVENTFERRY_SOURCES__BBB__TYPE": "builtbybit",
        "EVENTFERRY_SOURCES__BBB__TOKEN": "canary-token-1",
        "EVENTFERRY_SINKS__LOCAL__TYPE": "file",
        "EVENTFERRY_SINKS__LOCAL__PATH": "out/events.jsonl",
    }
    loaded = load(None, SinkKinds(), SOURCE_KINDS, environ)
    assert loaded.path is None
    assert loaded.settings.sinks["local"].model_dump()["path"] == tmp_path / "out/events.jsonl"


def test_relative_paths_count_from_the_config(load_text: Load, good: str, tmp_path: Path) -> None:
    loaded = load_text(good.replace("[daemon]", '[daemon]\ndatabase = "data/x.db"'))
    assert loaded.database == tmp_path / "data/x.db"
    assert loaded.settings.sinks["archive"].model_dump()["path"] == tmp_path / "events.jsonl"


def test_the_database_is_in_the_state_folder_else_beside_the_config(load_text: Load, good: str, tmp_path: Path) -> None:
    assert load_text(good).database == tmp_path / "eventferry.db"
    assert load_text(good, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}).database == Path("/var/lib/a/eventferry.db")
    named = good.replace("[daemon]", '[daemon]\ndatabase = "/data/x.db"')
    assert load_text(named, {"STATE_DIRECTORY": "/var/lib/a"}).database == Path("/data/x.db")


def test_a_shorter_poll_brings_its_shortest_pause_along(load_text: Load, good: str) -> None:
    source = load_text(good.replace("[sources.bbb]", '[sources.bbb]\npoll = "5s"')).settings.sources["bbb"]
    assert (source.poll, source.poll_min) == (timedelta(seconds=5), timedelta(seconds=5))


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_understood(load_text: Load, good: str) -> None:
    assert load_text(b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode()).settings.sinks.keys() == {
        "sales",
        "archive",
    }


class CountingKinds(SinkKinds):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: set[str] = set()

    def names(self) -> Sequence[str]:
        return [*super().names(), "broken"]

    def load(self, name: str) -> SinkKind:
        self.loaded.add(name)
        if name == "broken":
            raise ImportError('the sink type "broken" needs the Python package "nowhere"')
        return super().load(name)


def test_a_former_name_is_taken_from_who_has_it_no_more(load_text: Load, good: str) -> None:
    renamed = good.replace('type = "discord"', 'type = "discord"\nrenamed_from = "purchases"')
    renamed = renamed.replace('type = "builtbybit"', 'type = "builtbybit"\nrenamed_from = "purchases"')
    settings = load_text(renamed).settings
    assert settings.sinks["sales"].renamed_from == settings.sources["bbb"].renamed_from == "purchases"
    assert settings.sinks["archive"].renamed_from is None


def test_only_the_kinds_in_use_are_imported(load_text: Load, good: str) -> None:
    load_text(good)
    kinds = CountingKinds()
    load(Path("config.toml"), kinds, SOURCE_KINDS, {})
    assert kinds.loaded == {"discord", "file"}


def test_a_kind_that_cannot_be_imported_says_what_to_install(load_text: Load, good: str) -> None:
    load_text(good)
    Path("config.toml").write_text(good.replace('"file"', '"broken"'))
    with pytest.raises(ConfigError) as caught:
        load(Path("config.toml"), CountingKinds(), SOURCE_KINDS, {})
    assert 'config.toml:13: sinks.archive.type: the sink type "broken" needs the Python package' in str(caught.value)


def test_the_config_is_the_one_named_else_the_first_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert PLACES[0] == Path("config.toml")
    elsewhere = find(None, {})
    assert elsewhere in (None, PLACES[1])
    (tmp_path / "config.toml").touch()
    assert find(None, {}) == Path("config.toml")
    assert find(None, {"EVENTFERRY_CONFIG": ""}) == Path("config.toml")
    assert find(None, {"EVENTFERRY_CONFIG": "/nowhere/b.toml"}) == Path("/nowhere/b.toml")
    assert find(Path("a.toml"), {"EVENTFERRY_CONFIG": "b.toml"}) == Path("a.toml")


def test_alerts_to_nobody_or_to_one_sink_draw_a_warning(load_text: Load, good: str) -> None:
    (warning,) = load_text(good.replace('alerts = ["sales", "archive"]', "")).warnings
    assert warning.startswith("daemon.alerts names no sink")
    same = good.replace('"sales", "archive"', '"sales", "again"')
    (warning,) = load_text(f'{same}[sinks.again]\ntype = "discord"\nurl = "cred:discord"\n').warnings
    assert "with one and the same URL: when that is gone, nobody hears of it" in warning
    (warning,) = load_text(good.replace('"sales", "archive"', '"sales", "sales"')).warnings
    assert warning.startswith("daemon.alerts names only sales")


@pytest.mark.parametrize("body", ["json", "form"])
def test_a_key_of_the_sink_that_slipped_into_its_body_draws_a_warning(load_text: Load, good: str, body: str) -> None:
    Path("secrets/hook").write_text("https://x.example/")
    hook = f'[sinks.hook]\ntype = "webhook"\nurl = "cred:hook"\n[sinks.hook.{body}]\n'
    meant = 'type = "sale"\nsecret = "cred:token"\nuser_id = "{user_id}"\nurl = "{resource_url}"\nusername = "Shop"\n'
    assert load_text(good + hook + meant).warnings == []
    astray = (
        'where = "trial"\ntimeout = "5s"\nconcurrency = 1\ngive_up_after = "1d"\nrenamed_from = "old"\nca_file = "x"\n'
    )
    if body == "json":
        astray += 'events = ["purchase"]\nretries = ["5s"]\nheaders = { X-Key = "cred:token" }\n'
    warnings = load_text(good + hook + meant + astray).warnings
    assert [warning.partition(" ")[0] for warning in sorted(warnings)] == sorted(
        f"sinks.hook.{body}.{line.partition(' ')[0]}" for line in astray.splitlines()
    )
    assert warnings[0].endswith(
        f" is sent as part of the body; if the sink was meant, put it above [sinks.hook.{body}]"
    )


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o604, True), (0o600, False)])
def test_a_secret_that_others_can_read_draws_a_warning(load_text: Load, good: str, mode: int, warned: bool) -> None:
    text = good.replace("cred:token", "canary-literal-token") + (
        '[sinks.hook]\ntype = "webhook"\nurl = "https://x.example/"\nheaders = { X-Key = "canary-literal-header" }\n'
    )
    load_text(text)
    Path("config.toml").chmod(mode)
    environ = {"EVENTFERRY_SINKS__HOOK__URL": "https://y.example/"}
    warnings = load(Path("config.toml"), SinkKinds(), SOURCE_KINDS, environ).warnings
    assert len(warnings) == warned
    if warned:
        assert "(sources.bbb.token, sinks.hook.headers.X-Key)" in warnings[0]
        assert 'write "cred:NAME" or "file:/path", or chmod 600 it if the daemon runs as its owner' in warnings[0]
        assert "canary" not in warnings[0]


def test_no_secret_shows_in_what_was_loaded(load_text: Load, good: str) -> None:
    loaded = load_text(good.replace("[daemon]", '[daemon]\nproxy = "http://u:canary-proxy@host:1"'))
    assert isinstance(loaded.settings.daemon.proxy, Secret)
    assert "canary" not in repr(loaded)
