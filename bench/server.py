"""The servers that only take messages in: `python -m bench.server MODE`, settings from the environment.

`desk`: the real HTTP application on the real store, no worker. `single`: the same, but each message is committed on its
own. `bare-store`: a bare Starlette route that hands the body to the same store. `bare-sql`: a bare Starlette route with
hand-written SQL for the same rows in the same tables, grouped into commits by a thread of its own.

Says `ready PORT`; at SIGTERM prints {"commits": n}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.bare_sql import GroupCommit
from bot.ports import Inbox
from bot.types import Accepted, Identity, InboundMessage, Received, Text
from config.logging import configure_logging
from config.settings import Settings
from frontdesk.app import ALL_ROLES, App
from frontdesk.http import build_http
from frontdesk.serving import HttpServer, listen, until_stopped


class OneCommitEach:
    """An inbox that lets in one message at a time, as a handler that commits by itself does."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._turnstile = inbox, asyncio.Lock()

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        async with self._turnstile:
            return await self._inbox.accept(received)


async def serve(mode: str) -> None:
    settings = Settings()
    configure_logging(settings.log_format, settings.log_level)
    passes: Counter[str] = Counter()

    def count(point: str) -> None:
        passes[point] += 1

    app = await App.open(settings, roles=ALL_ROLES, fault=count)
    group: GroupCommit | None = None
    if mode == "single":
        app.inbox = OneCommitEach(app.inbox)
    if mode == "bare-store":
        asgi = bare(app.inbox)
    elif mode == "bare-sql":
        path = settings.database_url.get_secret_value().removeprefix("sqlite:///")
        group = GroupCommit(Path(path))
        asgi = bare(group)
    else:
        asgi = build_http(app)
    listener = listen("127.0.0.1", 0)
    http = HttpServer(asgi, listener)
    await app.serve(("web",), http)
    sys.stdout.write(f"ready {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await until_stopped()
    await app.stop(http)
    commits = group.close() if group else passes["inbox.after_commit"]
    sys.stdout.write(json.dumps({"commits": commits}) + "\n")


def bare(inbox: Inbox) -> Starlette:
    """What one would write in ten minutes: no session, no checks, no signals, no counters."""

    async def receive(request: Request) -> JSONResponse:
        body = await request.body()
        document: dict[str, Any] = orjson.loads(body)
        (accepted,) = await inbox.accept([received(request.headers["x-visitor"], document, body)])
        return JSONResponse({"id": document["id"], "seq": accepted.seq}, status_code=202)

    return Starlette(routes=[Route("/channels/web/default/messages", receive, methods=["POST"])])


def received(visitor: str, document: dict[str, Any], body: bytes) -> Received:
    key = f"{visitor}:{document['id']}"
    message = InboundMessage(
        sender=Identity("web", "default", visitor),
        chat_id=visitor,
        dedupe_key=key,
        content=Text(document["text"]),
        sent_at=datetime.now(UTC),
        vendor_message_id=document["id"],
    )
    return Received("web", "default", key, body, message)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
