"""BuiltByBit's API Events: https://builtbybit.com/wiki/api and its description on GitHub."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator

from daemon.clock import Clock
from daemon.contract import (
    Access,
    AcknowledgementRefused,
    Gates,
    Incoming,
    Page,
    Source,
    SourceRefused,
    SourceTrouble,
    SourceUnavailable,
    Unidentified,
    Unreachable,
)
from daemon.http import USER_AGENT, Answer, CallFailed, Http, retry_after, sane_wait
from daemon.secrets import Secret
from daemon.sources._builtbybit_event import split_envelope, to_incoming
from daemon.sources._json import NotJson, loads

PAGE_SIZE = 100
"""The largest `per_page` that the API's description allows."""
MOST_PAGES = 1000
LOOKS_FULL = 20
"""From so many rows on, more may wait behind a page: 25 is the API's default, 20 was the older one's."""
LARGEST_PAGE = 32 * 1024 * 1024
LARGEST_ANSWER = 64 * 1024
PAGE_DEADLINE = timedelta(seconds=60)
DEADLINE = timedelta(seconds=30)
_TOKEN_PREFIX = re.compile(r"(?:authorization:\s*)?(?:token|private|shared|bearer)\s+", re.IGNORECASE)


class BuiltByBitSource(Source):
    """Pending events of one BuiltByBit account."""

    class Settings(BaseModel):
        """The keys of `[sources.NAME]` with `type = "builtbybit"`."""

        model_config = ConfigDict(extra="forbid")

        base_url: str = "https://api.builtbybit.com/v2"
        token: Secret
        scheme: Literal["token", "bearer"] = "token"

        @field_validator("base_url")
        @classmethod
        def _plain_http_only_here(cls, value: str) -> str:
            parts = urlsplit(value)
            local = parts.hostname in ("localhost", "127.0.0.1", "::1")
            if not parts.hostname or parts.query or parts.username or parts.fragment:
                raise ValueError("not a URL like https://api.builtbybit.com/v2")
            if parts.scheme != "https" and not (local and parts.scheme == "http"):
                raise ValueError("must begin with https:// (plain http would show the token to others)")
            return value.rstrip("/")

        @field_validator("token")
        @classmethod
        def _token_as_pasted(cls, value: Secret) -> Secret:
            bare_token(value.reveal())
            return value

    def __init__(self, name: str, settings: Settings, http: Http, gates: Gates, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._http = http
        self._gates = gates
        self._clock = clock
        self._page_size = PAGE_SIZE
        self.host = urlsplit(settings.base_url).netloc

    async def fetch(self, cursor: str | None) -> AsyncIterator[Page]:
        """List all pending events; right whether the server pages, caps, ignores or repeats."""
        seen: set[str] = set()
        aside: set[str] = set()
        for number in range(1, MOST_PAGES + 1):
            entries, stats = await self._page(number)
            parsed = [to_incoming(self._name, entry, self._clock()) for entry in entries]
            events = []
            for item in parsed:
                if isinstance(item, Incoming) and item.event.external_id not in seen:
                    seen.add(item.event.external_id)
                    events.append(item)
            nameless = [item for item in parsed if isinstance(item, Unidentified) and item.raw not in aside]
            aside.update(item.raw for item in nameless)
            total, last_page = trusted_stats(stats, seen=len(seen) + len(aside), rows=len(entries))
            all_seen = total == len(seen) + len(aside) if total is not None else not entries
            yield Page(
                events=events,
                unidentified=nameless,
                crowded=len(entries) >= LOOKS_FULL or (total or 0) > len(seen) + len(aside),
                last=all_seen,
            )
            if all_seen or not (events or nameless) or (last_page is not None and number >= last_page):
                self._page_size = PAGE_SIZE
                return

    async def _page(self, number: int) -> tuple[Sequence[Any], Any]:
        path = f"/events?page={number}&per_page={self._page_size}"
        answer = await self._call("GET", path, "read", limit=LARGEST_PAGE, deadline=PAGE_DEADLINE)
        if answer.cut:
            self._page_size = max(1, self._page_size // 4)
            raise SourceUnavailable(f"a page is larger than 32 MiB; asking for {self._page_size} events at a time now")
        data = self._opened(answer).get("data")
        events = data.get("events") if isinstance(data, Mapping) else data
        if not isinstance(events, list):
            raise SourceUnavailable("BuiltByBit answers without a list of events")
        return events, data.get("stats") if isinstance(data, Mapping) else None

    async def acknowledge(self, external_ids: Sequence[str]) -> AcknowledgementRefused | None:
        """Mark events complete, in one request. Harmless if repeated; safe to repeat after no answer."""
        ids = [int(each) if each.isdigit() else each for each in external_ids]
        content = json.dumps({"event_ids": ids}).encode()
        answer = await self._call(
            "POST", "/events/complete", "write", content=content, limit=LARGEST_ANSWER, deadline=DEADLINE
        )
        if answer.status in (401, 403):
            raise SourceRefused(f"cannot complete: the token lacks the right ({_about(answer)})")
        if answer.status in (400, 404, 409, 413, 422):
            return AcknowledgementRefused(f"HTTP {_about(answer)}", too_large=answer.status == 413)
        self._opened(answer)
        return None

    async def _call(
        self, method: str, path: str, access: Access, *, limit: int, deadline: timedelta, content: bytes | None = None
    ) -> Answer:
        """One request through the gate. Any status but a rate limit is returned."""
        self._gates.require_open(self.host, access)
        word = "Bearer" if self._settings.scheme == "bearer" else "Token"
        headers = {
            "Authorization": f"{word} {bare_token(self._settings.token.reveal())}",
            "User-Agent": f"{USER_AGENT} (daemon for BuiltByBit API Events)",
            "Accept": "application/json",
        }
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._http.call(
                method, self._settings.base_url + path, headers=headers, content=content, deadline=deadline, limit=limit
            )
        except CallFailed as failure:
            raise SourceUnavailable(f"BuiltByBit cannot be reached: {failure.reason}") from None
        if answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers):
            raise await self._gates.shut(self.host, access, self._asked_wait(answer))
        await self._gates.passed(self.host, access)
        return answer

    def _asked_wait(self, answer: Answer) -> timedelta | None:
        """BuiltByBit itself answers in milliseconds, a proxy before it in seconds or with a date.

        https://builtbybit.com/wiki/api: "this header provides a millisecond granularity".
        """
        text = answer.headers.get("retry-after", "").strip()
        envelope = _decoded(answer)
        if isinstance(envelope, Mapping) and "result" in envelope and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return sane_wait(float(text) / 1000)
        return retry_after(answer.headers, self._clock())

    def _opened(self, answer: Answer) -> Mapping[str, Any]:
        """The envelope of a successful answer. Raises SourceRefused or SourceUnavailable for any other."""
        if answer.status in (401, 403):
            raise SourceRefused(
                f"BuiltByBit refuses the token ({_about(answer)}): Ultimate ended, token deleted, Events scope "
                "missing, or account restricted. Sales wait there, and the listener may be switched off."
            )
        if answer.encoding:
            raise SourceUnavailable("BuiltByBit answers compressed although that was not asked for")
        envelope = _decoded(answer)
        if not isinstance(envelope, Mapping) or "result" not in envelope:
            raise SourceUnavailable(
                f"BuiltByBit answers HTTP {answer.status} without its envelope: an outage, or a proxy in between"
            )
        if not 200 <= answer.status < 300 or envelope["result"] != "success":
            raise SourceUnavailable(f"BuiltByBit answers with an error (HTTP {_about(answer)})")
        return envelope

    def credentials_changed(self) -> bool:
        """Look the token up again, e.g. in its file; whether it is another one now."""
        return self._settings.token.reread()

    async def check(self) -> str:
        """Ask `/health` and `/events`; completes nothing."""
        try:
            self._opened(await self._call("GET", "/health", "read", limit=LARGEST_ANSWER, deadline=DEADLINE))
            entries, stats = await self._page(1)
        except SourceTrouble as trouble:
            raise Unreachable(str(trouble)) from None
        total, _ = trusted_stats(stats, seen=len(entries), rows=len(entries))
        number = len(entries) if total is None else total
        hint = "; if you expect some, is a listener enabled?" if number == 0 else ""
        return f"token accepted, {number} event{'' if number == 1 else 's'} wait{hint}"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def bare_token(pasted: str) -> str:
    """The token in what people paste: with its prefix, quotes, a newline. Raises ValueError."""
    token = _TOKEN_PREFIX.sub("", pasted.strip().strip("'\"`").strip(), count=1).strip().strip("'\"`")
    if not re.fullmatch(r"[!-~]{1,500}", token):
        raise ValueError("not a token: it must be one word of plain characters")
    return token


def trusted_stats(stats: Any, *, seen: int, rows: int) -> tuple[int | None, int | None]:
    """`total` and `max_page` where they fit together and to what was seen; else nothing is believed."""
    if not isinstance(stats, Mapping):
        return None, None
    numbers = [stats.get(name) for name in ("total", "per_page", "max_page")]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        return None, None
    total, per_page, max_page = (int(number or 0) for number in numbers)
    fits = per_page >= max(rows, 1) and total >= seen and max(1, max_page) == max(1, -(-total // per_page))
    return (total, max_page) if fits else (None, None)


def _decoded(answer: Answer) -> Any:
    """What the body says, None if it is not JSON. Broken UTF-8 in one event must not hide the others."""
    if answer.encoding:
        return None
    text = answer.body.decode("utf-8-sig", "replace")
    try:
        return loads(text)
    except NotJson:
        return None
    except RecursionError:
        try:
            return split_envelope(text)
        except (NotJson, RecursionError):
            return None


def _about(answer: Answer) -> str:
    """Status and error code; the code is opaque text, made harmless."""
    envelope = _decoded(answer)
    error = envelope.get("error") if isinstance(envelope, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return f"{answer.status} {re.sub(r'[^a-zA-Z0-9_.-]', '', code)[:60] if isinstance(code, str) else ''}".strip()
