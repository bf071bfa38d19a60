"""Settings that are refused although, or because, a secret stands in them."""

import json
from collections.abc import Callable

HEAD = '[sources.shop]\ntype = "builtbybit"\ntoken = "abc"\n'
WEBHOOK = f'{HEAD}[sinks.hook]\ntype = "webhook"\n'
DISCORD = f'{HEAD}[sinks.chat]\ntype = "discord"\n'
EMAIL = f'{HEAD}[sinks.post]\ntype = "email"\nfrom = "us@x.example"\nto = ["me@x.example"]\n'
APPRISE = f'{HEAD}[sinks.phone]\ntype = "apprise"\n'
SOURCE = '[sinks.lines]\ntype = "console"\n[sources.shop]\ntype = "builtbybit"\n'
DAEMON = f'{HEAD}[sinks.lines]\ntype = "console"\n[daemon]\n'

VALUES: list[tuple[str, str, Callable[[str], str]]] = [
    (WEBHOOK, "url", str),
    (WEBHOOK, "url", lambda secret: f"htp://ann:{secret}@shop.example/"),
    (WEBHOOK, "url", lambda secret: f"https://ann:{secret}@shop.example:99999/"),
    (WEBHOOK, "url", lambda secret: f"https://ann:{secret}@/hook"),
    (WEBHOOK, "url", lambda secret: f"https://shop.example/a {secret}"),
    (WEBHOOK, "url", lambda secret: f"https://[{secret}/"),
    (WEBHOOK, "url", lambda secret: f"https:\\\\{secret}"),
    (WEBHOOK, "url", lambda secret: f"https://discord.com/api/webhooks/1/{secret}"),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "secret", str),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "secret", lambda secret: f"whsec_{secret}!"),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "secret", lambda secret: f"whsec_{secret}" * 9),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "headers.Authorization", lambda secret: f"Bearer {secret}é"),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "headers.Host", str),
    (f'{WEBHOOK}url = "https://u:p@shop.example/"\n', "headers.Authorization", str),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "bearer", lambda secret: f"{secret} {secret}"),
    (f'{WEBHOOK}url = "https://u:p@shop.example/"\n', "bearer", str),
    (f'{WEBHOOK}url = "https://shop.example/"\n', "password", str),
    (f'{WEBHOOK}url = "https://shop.example/"\nbody = "raw"\n', "json.password", str),
    (f'{WEBHOOK}url = "https://shop.example/"\nform = {{}}\n', "json.to.token", str),
    (DISCORD, "url", str),
    (DISCORD, "url", lambda secret: f"https://evil.example/api/webhooks/1/{secret}"),
    (DISCORD, "url", lambda secret: f"https://discord.com/api/webhooks/{secret}"),
    (DISCORD, "url", lambda secret: f"https://discord.com/api/webhooks/1/{secret}?thread_id={secret}"),
    (DISCORD, "url", lambda secret: f"https://discord.com/api/webhooks/1/{secret}é"),
    (f'{EMAIL}host = "mail.example"\nusername = "ann"\nsecurity = "none"\n', "password", str),
    (f'{EMAIL}host = "mail.example"\n', "password", str),
    (APPRISE, "url", str),
    (APPRISE, "url", lambda secret: f"syslog://{secret}"),
    (APPRISE, "url", lambda secret: f"json://ann:{secret}@host.example {secret}"),
    (SOURCE, "token", lambda secret: f"{secret} {secret}"),
    (SOURCE, "token", lambda secret: f"Token {secret}é"),
    (SOURCE, "token", lambda secret: secret * 20),
    (DAEMON, "proxy", str),
    (DAEMON, "proxy", lambda secret: f"ftp://ann:{secret}@proxy.example:3128"),
    (DAEMON, "proxy", lambda secret: f"http://ann:{secret}@proxy.example:99999"),
]
"""Where a secret is understood as one, so that it may also be a variable or a file: what stands before, key, value."""

TEXTS: list[Callable[[str], str]] = [
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nusername = "ann:{secret}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\njson.a = "{{{secret}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nform.a = "{{!{secret}}}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nsecret = {{ new = "{secret}" }}\n',
    lambda secret: f'{DAEMON}database = "postgresql://ann:{secret}@db.example/ferry"\n',
    lambda secret: f'{DAEMON}database = "postgresql+psycopg://db.example/ferry?password={secret}"\n',
    lambda secret: f'{DAEMON}alerts = ["{secret}"]\n',
    lambda secret: f'{DAEMON}timezone = "{secret}"\n',
    lambda secret: f'{DAEMON}token = "{secret}"\n',
    lambda secret: f'{SOURCE}token = ["{secret}"]\n',
    lambda secret: f'{SOURCE}token = {{ value = "{secret}" }}\n',
    lambda secret: f'{SOURCE}tokn = "{secret}"\n',
    lambda secret: f'{SOURCE}token = "abc"\nscheme = "{secret}"\n',
    lambda secret: f'{SOURCE}token = "abc"\nbase_url = "https://ann:{secret}@api.example/v2"\n',
    lambda secret: f'{SOURCE}token = "abc"\nbase_url = "https://api.example/v2?token={secret}"\n',
    lambda secret: f'{SOURCE}token = "abc"\nbase_url = "http://{secret}.example/v2"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nheaders = {{ "Bearer {secret}" = "Authorization" }}\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nheaders = "Authorization: {secret}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nheaders = {{ Authorization = ["{secret}"] }}\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\npassword = "{secret}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\ntimeout = "{secret}"\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nretries = ["{secret}"]\n',
    lambda secret: f'{WEBHOOK}url = "https://shop.example/"\nconcurrency = "{secret}"\n',
    lambda secret: f'{EMAIL}host = "smtp://ann:{secret}@mail.example"\n',
    lambda secret: f'{EMAIL}host = "mail.example"\nport = "{secret}"\n',
    lambda secret: f'{EMAIL}host = "mail.example"\nca_file = "{secret}"\n',
    lambda secret: f'{EMAIL}host = "mail.example"\nusername = "ann\\n{secret}"\npassword = "{secret}"\n',
    lambda secret: f'{HEAD}[sinks.post]\ntype = "email"\nhost = "mail.example"\nfrom = "{secret}"\nto = ["{secret}"]\n',
    lambda secret: f'{HEAD}[sinks.post]\ntype = "{secret}"\n',
    lambda secret: f'{HEAD}[sinks]\npost = "{secret}"\n',
    lambda secret: f'{SOURCE}token = "{secret}\n',
    lambda secret: f"{SOURCE}token = {secret}\n",
    lambda secret: f'{SOURCE}token = "abc" {secret}\n',
    lambda secret: f'{SOURCE}token = "\\{secret}"\n',
    lambda secret: f'{SOURCE}token = "{secret}"\ntoken = "{secret}"\n',
    lambda secret: f'{SOURCE}token = "{secret}\x00"\n',
]
"""Whole configs with a secret where none is expected, or in what is no TOML."""


def quoted(value: str) -> str:
    """As TOML writes a text."""
    return json.dumps(value, ensure_ascii=False)
