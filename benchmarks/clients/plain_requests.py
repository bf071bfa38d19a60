"""The usual script: with `requests`, one event after the other, each posted and then completed."""

import sys

import requests


def main(api: str, hook: str) -> None:
    session = requests.Session()
    while events := session.get(f"{api}/events", params={"per_page": 100}).json()["data"]["events"]:
        for event in events:
            session.post(hook, json=event).raise_for_status()
            session.post(f"{api}/events/complete", json={"event_ids": [event["event_id"]]}).raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:])
