"""BuiltByBit's API Events: https://builtbybit.com/wiki/api and its description on GitHub."""

import asyncio
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
from daemon.http import USER_AGENT, Answer, CallFailed, Http
from daemon.redaction import remember
from daemon.secrets import Secret
from daemon.sources._builtbybit_answer import MOST_VALUES, about, asked_wait, decoded, overfull, trusted_stats
from daemon.sources._builtbybit_event import to_incoming

PAGE_SIZE = 100
"""The largest `per_page` that the API's description allows: https://github.com/BuiltByBit/api-openapi-spec"""
MOST_PAGES = 1000
LOOKS_FULL = 20
"""From so many rows on, more may wait behind a page: 25 is the API's default, 20 was the older one's."""
LARGEST_PAGE = 32 * 1024 * 1024
LARGEST_ANSWER = 64 * 1024
"""Bytes that are read of a page, and of any other answer."""
QUICKLY_READ = 64 * 1024
"""Bytes of a page that are decoded at once. A larger one goes to a thread: deep nesting costs a second for each MB."""
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
        self.host = urlsplit(settings.base_url).netloc.lower()

    async def fetch(self, cursor: str | None) -> AsyncIterator[Page]:
        """List all pending events; right whether the server pages, caps, ignores or repeats."""
        seen: set[str] = set()
        aside: set[str] = set()
        for number in range(1, MOST_PAGES + 1):
            entries, stats = await self._page(number)
            parsed = [to_incoming(self._name, entry, self._clock()) for entry in entries]
            # Twins on one page are both handed on: where they differ, the ledger keeps the second beside the first.
            events = [item for item in parsed if isinstance(item, Incoming) and item.event.external_id not in seen]
            seen.update(item.event.external_id for item in events)
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
                if len(seen) + len(aside) <= self._page_size:
                    self._page_size = PAGE_SIZE
                return

    async def _page(self, number: int) -> tuple[Sequence[Any], Any]:
        path = f"/events?page={number}&per_page={self._page_size}"
        answer = await self._call("GET", path, "read", limit=LARGEST_PAGE, deadline=PAGE_DEADLINE)
        if answer.status == 200 and (answer.cut or overfull(answer)):
            size = "32 MiB" if answer.cut else f"{MOST_VALUES:,} values"
            if self._page_size == 1:
                raise SourceUnavailable(f"a single event is larger than {size}")
            self._page_size = max(1, self._page_size // 4)
            raise SourceUnavailable(f"a page is larger than {size}; asking for {self._page_size} events at a time now")
        quick = len(answer.body) <= QUICKLY_READ
        opened = self._opened(answer) if quick else await asyncio.to_thread(self._opened, answer)
        data = opened.get("data")
        events = data.get("events") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(events, list):
            # `"data": []` must not pass for an empty list: all that we hold would count as gone there.
            raise SourceUnavailable("BuiltByBit answers without a list of events")
        return events, data.get("stats")

    async def acknowledge(self, external_ids: Sequence[str]) -> AcknowledgementRefused | None:
        """Mark events complete, in one request. Harmless if repeated; safe to repeat after no answer."""
        ids = [int(each) if re.fullmatch("-?[1-9][0-9]*|0", each) else each for each in external_ids]
        content = json.dumps({"event_ids": ids}).encode()
        answer = await self._call(
            "POST", "/events/complete", "write", content=content, limit=LARGEST_ANSWER, deadline=DEADLINE
        )
        if answer.status in (401, 403):
            raise SourceRefused(f"cannot complete: the token lacks the right ({about(answer)})")
        if answer.status in (400, 404, 409, 413, 422):
            return AcknowledgementRefused(f"HTTP {about(answer)}", too_large=answer.status == 413)
        self._opened(answer)
        return None

    async def _call(
        self, method: str, path: str, access: Access, *, limit: int, deadline: timedelta, content: bytes | None = None
    ) -> Answer:
        """One request through the gate. Any status but a rate limit is returned."""
        self._gates.require_open(self.host, access)
        headers = {
            "Authorization": self._authorization(),
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
            raise await self._gates.shut(self.host, access, asked_wait(answer, self._clock()))
        await self._gates.passed(self.host, access)
        return answer

    def _authorization(self) -> str:
        """The header; raises SourceRefused when what the token was replaced by is no token."""
        try:
            token = bare_token(self._settings.token.reveal())
        except ValueError as error:
            raise SourceRefused(f"the token cannot be used: {error}") from None
        remember(token)
        return f"{'Bearer' if self._settings.scheme == 'bearer' else 'Token'} {token}"

    def _opened(self, answer: Answer) -> Mapping[str, Any]:
        """The envelope of a successful answer. Raises SourceRefused or SourceUnavailable for any other."""
        if answer.status in (401, 403):
            raise SourceRefused(
                f"BuiltByBit refuses the token ({about(answer)}): Ultimate ended, token deleted, Events scope "
                "missing, or account restricted. Sales wait there, and the listener may be switched off."
            )
        if answer.encoding:
            raise SourceUnavailable("BuiltByBit answers compressed although that was not asked for")
        envelope = decoded(answer)
        if not isinstance(envelope, Mapping) or "result" not in envelope:
            raise SourceUnavailable(
                f"BuiltByBit answers HTTP {answer.status} without its envelope: an outage, or a proxy in between"
            )
        if not 200 <= answer.status < 300 or envelope["result"] != "success":
            raise SourceUnavailable(f"BuiltByBit answers with an error (HTTP {about(answer)})")
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
        return f"token accepted, {number} event{' waits' if number == 1 else 's wait'}{hint}"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def bare_token(pasted: str) -> str:
    """The token in what people paste: with its prefix, quotes, a newline. Raises ValueError."""
    token = _TOKEN_PREFIX.sub("", pasted.strip().strip("'\"`").strip(), count=1).strip().strip("'\"`")
    if not re.fullmatch(r"[!-~]{1,500}", token):
        raise ValueError("not a token: it must be one word of plain characters")
    return token
