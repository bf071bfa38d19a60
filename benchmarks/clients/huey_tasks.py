"""The task of `huey_sqlite`: post an event, then complete it. The settings are huey's own, but for one."""

import os
import threading
from typing import Any

import requests
from huey import SqliteHuey  # type: ignore[import-untyped] # it has no types

API, HOOK = os.environ["BENCH_API"], os.environ["BENCH_HOOK"]

# Its own five seconds are too short for four threads on a busy disk: they end in "database is locked", and a lost task.
huey = SqliteHuey(filename=os.environ["BENCH_DB"], timeout=60)
_of_this_thread = threading.local()


@huey.task(retries=3)  # type: ignore[untyped-decorator] # as above
def carry(event: dict[str, Any]) -> None:
    if not hasattr(_of_this_thread, "session"):
        _of_this_thread.session = requests.Session()
    session = _of_this_thread.session
    session.post(HOOK, json=event).raise_for_status()
    session.post(f"{API}/events/complete", json={"event_ids": [event["event_id"]]}).raise_for_status()
