"""The HTTP face of the made-up BuiltByBit: routes, credentials, envelopes, rate limits, and what goes wrong.

Facts: https://builtbybit.com/wiki/api-v2/ and https://github.com/BuiltByBit/api-openapi-spec. Error codes other than
HeaderMissingError, and the statuses of refusals, are unpublished: those here are invented.
"""

import hmac
import json
import time

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from daemon.simulator.answers import NOTHING, Answer, in_html, in_json
from daemon.simulator.exchange import Exchange, Hook, Seen, Trouble, tell
from daemon.simulator.limits import Limits, announce
from daemon.simulator.upstream import DEFAULT_PER_PAGE, Call, Upstream

MOST_PER_PAGE = 100
_SCHEMES = ("token", "private", "bearer")


class Api:
    """An ASGI application. What it knows is the upstream's, which outlives each call and each client."""

    def __init__(self, upstream: Upstream, token: str, hook: Hook | None = None) -> None:
        self._upstream = upstream
        self._token = token
        self._hook = hook
        self._limits = Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request from arrival to answer; what it does, it does even if its sender dies meanwhile."""
        exchange = Exchange(scope, receive, send)
        request = exchange.request
        access = "read" if request.method in ("GET", "HEAD") else "write"
        too_early = self._limits.too_early(access, exchange.at)
        try:
            body = await exchange.body()
        except ConnectionResetError:
            self._record(exchange, b"", 0, too_early)
            return
        seen = Seen("api", "", request.method, exchange.path, body)
        await tell(self._hook, "received", seen)
        faults = self._upstream.faults
        if faults.applies_to(access):
            await exchange.pause(faults.latency)
        faults = self._upstream.faults
        hit = faults.applies_to(access) and self._upstream.dice.hit()
        trouble = Trouble(drop=faults.drop, form=faults.answer) if hit else Trouble()
        answer = NOTHING if trouble.drop == "before" else self._decide(request, body, access, failing=hit)
        self._record(exchange, body, answer.status, too_early)
        await exchange.finish(answer, trouble, self._hook, seen)

    def _record(self, exchange: Exchange, body: bytes, status: int, too_early: bool) -> None:
        """Write the call down; before it is answered, so that whoever has the answer finds it in the ledger."""
        try:
            event_ids = tuple(map(str, json.loads(body)["event_ids"]))
        except (ValueError, TypeError, LookupError, RecursionError):
            event_ids = ()
        method, path, query = exchange.request.method, exchange.path, exchange.query
        self._upstream.calls.append(Call(exchange.at, method, path, query, status, too_early, event_ids))

    def _decide(self, request: Request, body: bytes, access: str, *, failing: bool) -> Answer:
        faults = self._upstream.faults
        limit = faults.read_limit if access == "read" else faults.write_limit
        if limit is not None:
            wait = self._limits.admit(access, limit, faults.limit_window, time.monotonic())
            if wait:
                return self._throttled(429, "RateLimitError", access, wait)
        failing = failing and faults.error_status is not None
        if failing and not faults.error_done:
            return self._failure(access)
        answer = self._refused(request) or self._routed(request, body)
        return self._failure(access) if failing else answer

    def _failure(self, access: str) -> Answer:
        faults = self._upstream.faults
        status = faults.error_status or 500
        if status in (429, 503):
            return self._throttled(status, faults.error_code, access, faults.limit_window)
        if 300 <= status <= 399:
            return in_html(status, {"Location": "/login"})
        return _error(status, faults.error_code, "Something went wrong.")

    def _throttled(self, status: int, code: str, access: str, wait: float) -> Answer:
        form = self._upstream.faults.retry_after
        announced = announce(form, wait, time.time())
        if announced.seconds is not None:
            self._limits.announce(access, time.monotonic() + announced.seconds)
        headers = {} if announced.header is None else {"Retry-After": announced.header}
        if form in ("edge", "edge_date"):
            return in_html(status, headers)
        return _error(status, code, "Too many requests.", headers)

    def _refused(self, request: Request) -> Answer | None:
        """The refusal of a call without the right credentials; None when they are right."""
        given = request.headers.get("authorization")
        if given is None:
            return _error(401, "HeaderMissingError", "The 'Authorization' header was not present.")
        scheme, _, value = given.partition(" ")
        if scheme.lower() not in _SCHEMES or not value:
            return _error(401, "HeaderFormatError", "The 'Authorization' header was not in the expected format.")
        if not hmac.compare_digest(value.encode(), self._token.encode()):
            return _error(401, "TokenInvalidError", "The token is not valid.")
        return None

    def _routed(self, request: Request, body: bytes) -> Answer:
        match request.method, request.scope["path"]:
            case "GET", "/v2/health":
                return _success('"ok"')
            case "GET", "/v2/events":
                return self._list(request)
            case "POST", "/v2/events/complete":
                return self._complete(request, body)
            case _:
                return _error(404, "EndpointNotFoundError", "There is no such endpoint.")

    def _list(self, request: Request) -> Answer:
        if self._upstream.faults.ignore_paging:
            return _success(self._upstream.page(1, DEFAULT_PER_PAGE))
        page, per_page = request.query_params.get("page", "1"), request.query_params.get("per_page", "25")
        if not (page.isdecimal() and int(page) >= 1):
            return _error(400, "ParameterError", "'page' must be at least 1.")
        if not (per_page.isdecimal() and 1 <= int(per_page) <= MOST_PER_PAGE):
            return _error(400, "ParameterError", f"'per_page' must be from 1 to {MOST_PER_PAGE}.")
        return _success(self._upstream.page(int(page), int(per_page)))

    def _complete(self, request: Request, body: bytes) -> Answer:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(400, "BodyError", "The body must be JSON.")
        try:
            event_ids = json.loads(body)["event_ids"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return _error(400, "BodyError", "The body must be an object with 'event_ids'.")
        if not isinstance(event_ids, list) or not all(self._is_id(event_id) for event_id in event_ids):
            return _error(400, "BodyError", "'event_ids' must be a list of integers.")
        refusal = self._upstream.complete([str(event_id) for event_id in event_ids])
        if refusal is not None:
            return _error(refusal.status, refusal.code, refusal.message)
        return _success('"The events were marked as complete."')

    def _is_id(self, event_id: object) -> bool:
        """Integers, as documented; text only where ids are listed as text, so that a client's mix-up shows."""
        if isinstance(event_id, str):
            return self._upstream.faults.ids == "str" or not event_id.isdecimal()
        return isinstance(event_id, int) and not isinstance(event_id, bool)


def _success(data: str) -> Answer:
    return in_json(200, f'{{"result":"success","data":{data}}}')


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    return in_json(status, {"result": "error", "error": {"code": code, "message": message}}, headers)
