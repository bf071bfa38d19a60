"""Showing the config: masked, and as a schema for editors."""

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.contract import SinkKind
from daemon.settings import Loaded, load, masked, schema
from daemon.settings.model import NAME
from daemon.sources.registry import SOURCE_KINDS
from sinks.registry import SinkKinds

Load = Callable[..., Loaded]

FULL = """
[sinks.hook]
type = "webhook"
url = "https://user:canary-password@x.example/canary-path-7d3f"
secret = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
headers = { "X.Key" = "canary-header-1", Other = "env:SOME_HEADER" }
events = ["purchase", "!*test"]
where = "final_price|float >= 5"
concurrency = 7
retries = ["1s", "1h30m"]

[sinks.mail]
type = "email"
host = "mail.example"
from = "a@example.com"
to = ["b@example.com"]
subject = "{{ trigger }} \\u001b\\u202e\\u0085é\\U0001F600\\""
"""


def test_the_config_in_force_is_shown_without_secrets(load_text: Load, good: str) -> None:
    environ = {"EVENTFERRY_DAEMON__KEEP": "90m", "EVENTFERRY_SINKS__HOOK__HEADERS__OTHER": "canary-other"}
    loaded = load_text(good + FULL.replace(', Other = "env:SOME_HEADER"', ""), environ)
    text = masked(loaded)
    assert "canary" not in text
    shown = tomllib.loads(text)
    assert shown["daemon"] == {
        "database": str(loaded.database), "keep": "1h30m", "stop_timeout": "25s", "timezone": "", "log_level": "info",
        "log_format": "auto", "alerts": ["sales", "archive"], "first_start": "send",
    }  # fmt: skip
    assert shown["sources"]["bbb"]["token"] == "cred:token"
    assert shown["sources"]["bbb"]["poll"] == "30s"
    hook = shown["sinks"]["hook"]
    assert next(iter(hook)) == "type"
    assert (hook["url"], hook["secret"]) == ("***", ["***"])
    assert hook["headers"] == {"X.Key": "***", "other": "***"}
    assert hook["events"] == ["purchase", "!*test"]
    assert hook["where"] == "final_price|float >= 5"
    assert hook["concurrency"] == 7
    assert hook["retries"] == ["1s", "1h30m"]
    assert shown["sinks"]["mail"]["from"] == "a@example.com"
    assert shown["sinks"]["mail"]["subject"] == '{{ trigger }} \x1b\u202e\x85é😀"'
    assert shown["sinks"]["archive"]["path"] == str(loaded.directory / "events.jsonl")
    assert all(line.isprintable() for line in text.splitlines())


def test_what_is_shown_is_itself_a_config_where_secrets_are_referenced(load_text: Load, good: str) -> None:
    first = load_text(good + FULL[FULL.index("[sinks.mail]") :])
    shown = masked(first)
    Path("config.toml").write_text(shown)
    again = load(Path("config.toml"), SinkKinds(), SOURCE_KINDS, {})
    assert masked(again) == shown
    assert again.settings.sinks["mail"].model_dump(exclude={"alias"}) == first.settings.sinks["mail"].model_dump()


def test_the_schema_knows_every_kind_and_key() -> None:
    made = json.loads(json.dumps(schema(SinkKinds(), SOURCE_KINDS)))
    definitions = made["$defs"]
    daemon = definitions[made["properties"]["daemon"]["$ref"].rpartition("/")[2]]
    assert daemon["properties"]["keep"]["default"] == "180d"
    assert "How long settled" in daemon["properties"]["keep"]["description"]
    assert daemon["additionalProperties"] is False
    (pattern,) = made["properties"]["sinks"]["patternProperties"]
    tables = made["properties"]["sinks"]["patternProperties"][pattern]["anyOf"]
    sinks = [definitions[table["$ref"].rpartition("/")[2]] for table in tables]
    assert [sink["properties"]["type"]["const"] for sink in sinks] == list(SinkKinds().names())
    assert all(sink["additionalProperties"] is False for sink in sinks)
    assert all({"events", "retries", "concurrency", "give_up_after"} <= sink["properties"].keys() for sink in sinks)
    assert sinks[0]["properties"]["retries"]["default"][:2] == ["5s", "30s"]
    assert sinks[0]["properties"]["url"]["writeOnly"] is True
    assert sinks[0]["required"] == ["url", "type"]


def test_the_schema_takes_the_names_that_the_config_takes() -> None:
    (pattern,) = schema(SinkKinds(), SOURCE_KINDS)["properties"]["sources"]["patternProperties"]
    for name in ("a", "a1", "a_b", "sales_eu_2", "a_", "s" * 32):
        assert re.search(pattern, name), name
        assert re.fullmatch(NAME, name)
    for name in ("", "1a", "A", "a__b", "_a", "a-b", "a b", "s" * 33, "é"):
        assert not re.search(pattern, name), name


class WithBroken(SinkKinds):
    def names(self) -> Sequence[str]:
        return [*super().names(), "broken"]

    def load(self, name: str) -> SinkKind:
        if name == "broken":
            raise ImportError
        return super().load(name)


def test_a_kind_that_cannot_be_imported_is_left_out_of_the_schema() -> None:
    assert schema(WithBroken(), SOURCE_KINDS) == schema(SinkKinds(), SOURCE_KINDS)
