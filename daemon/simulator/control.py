"""The simulator's own little API under /_sim/, for whoever is not in the same process."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from daemon.simulator import discord
from daemon.simulator.faults import Behaviour, Faults, MailBehaviour
from daemon.simulator.inbox import Inbox, require_name
from daemon.simulator.mail import Mailbox
from daemon.simulator.samples import KINDS
from daemon.simulator.switches import plain, read
from daemon.simulator.upstream import Upstream

PREFIX = "/_sim/"
MOST_AT_ONCE = 100_000


def control(upstream: Upstream, inbox: Inbox, mailbox: Mailbox) -> Starlette:
    """An application that shows and changes what the stand-ins hold."""

    async def add_events(request: Request) -> JSONResponse:
        return JSONResponse({"ids": _add(upstream, await _table(request))})

    async def show_state(request: Request) -> JSONResponse:
        return JSONResponse(_state(upstream, inbox, mailbox))

    async def set_faults(request: Request) -> JSONResponse:
        return JSONResponse(_set(upstream, inbox, mailbox, await _table(request)))

    async def tell_discord_url(request: Request) -> Response:
        path = discord.webhook_path(require_name(request.path_params["name"]))
        return PlainTextResponse(f"{str(request.base_url).rstrip('/')}{path}\n")

    return Starlette(
        routes=[
            Route(f"{PREFIX}discord/{{name}}", _strict(tell_discord_url), methods=["GET"]),
            Route(f"{PREFIX}events", _strict(add_events), methods=["POST"]),
            Route(f"{PREFIX}state", show_state, methods=["GET"]),
            Route(f"{PREFIX}faults", _strict(set_faults), methods=["POST"]),
        ]
    )


def _strict(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Answer bad input with 400 and one line."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)

    return guarded


async def _table(request: Request) -> dict[str, Any]:
    try:
        table = await request.json()
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(table, dict):
        raise ValueError("the body must be a JSON object")
    return table


def _add(upstream: Upstream, order: dict[str, Any]) -> list[str | None]:
    match order:
        case {"raw": raw, **rest} if not rest:
            return [upstream.add_raw(raw)]
        case {"kind": str(kind), "data": dict(data), **odd}:
            return [upstream.add(kind, data, **odd)]
        case {"samples": int(count), **rest} if rest.keys() <= {"kind"} and 0 < count <= MOST_AT_ONCE:
            wanted = rest.get("kind")
            if wanted is not None and wanted not in KINDS:
                raise ValueError(f"kind must be one of {', '.join(KINDS)}")
            return [upstream.add_sample(wanted) for _ in range(count)]
    raise ValueError(
        f'give {{"samples": 1 to {MOST_AT_ONCE}}} (and perhaps "kind"), '
        '{"kind": TRIGGER, "data": {...}} or {"raw": ...}'
    )


def _set(upstream: Upstream, inbox: Inbox, mailbox: Mailbox, order: dict[str, Any]) -> dict[str, Any]:
    """Set the switches of one or several stand-ins, all or none; what is not named is back at its default."""
    unknown = order.keys() - {"api", "receivers", "mail"}
    receivers = order.get("receivers", {})
    if unknown or not order or not isinstance(receivers, dict):
        raise ValueError('give {"api": {...}}, {"receivers": {NAME: {...}}} and/or {"mail": {...}}')
    for name in receivers:
        require_name(name)
    faults = read(Faults, order.get("api", {}))
    behaviours = {name: read(Behaviour, given) for name, given in receivers.items()}
    mail = read(MailBehaviour, order.get("mail", {}))
    if "api" in order:
        upstream.faults = faults
    for name, behaviour in behaviours.items():
        inbox.behave(name, behaviour)
    if "mail" in order:
        mailbox.behaviour = mail
    return {"api": plain(upstream.faults), "mail": plain(mailbox.behaviour)}


def _state(upstream: Upstream, inbox: Inbox, mailbox: Mailbox) -> dict[str, Any]:
    received: dict[str, list[dict[str, Any]]] = {}
    for call in inbox.calls:
        entry = {"id": call.id, "kind": call.kind, "status": call.status, "at": call.at, "too_early": call.too_early}
        received.setdefault(call.name, []).append(entry)
    return {
        "pending": upstream.pending,
        "completed": upstream.completed,
        "unknown": upstream.unknown,
        "calls": [asdict(call) for call in upstream.calls],
        "received": received,
        "mail": [{"id": mail.id, "reply": mail.reply, "at": mail.at} for mail in mailbox.received],
    }
