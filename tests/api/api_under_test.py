"""The API over a real store, asked in this process by callers of every role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from api.app import build_api
from api.desk import ApiDesk, Caller
from bot.types import OpenCase
from channels.base import Finding
from channels.pacing import LocalRateTokens
from crm_sync.erasure import erase_customer, export_customer
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.hooks import HookDesk
from desk.permissions import ROLES
from frontdesk.signals import LocalSignals
from tests.library import SampleLibrary
from tests.service_assistant import service_assistant
from tests.staff_steps import an_outside
from tests.store_steps import SECRET_KEYS, SetClock, converse

NUMBER = "C-1024-7"


@dataclass
class ApiUnderTest:
    """`client(role)` asks with a token of that role, which is called like it."""

    store: SqlStore
    clock: SetClock
    per_minute: int = 100_000
    reads: int = 0  # how often a token was looked up
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signals = LocalSignals()
        self.desk = ApiDesk(
            database=self.store.database,
            policy=lambda: service_assistant().service,
            assistant="shop",
            clock=self.clock,
            signals=self.signals,
            rate_tokens=LocalRateTokens(),
            resolve=self._resolve,
            export=lambda customer_id: export_customer(self.store.database, customer_id),  # type: ignore[arg-type]
            erase=lambda customer_id: erase_customer(self.store.database, customer_id),  # type: ignore[arg-type]
            hooks=HookDesk(self.store.database, self.clock, SECRET_KEYS),
            outside=an_outside(self.clock, signals=self.signals),
            library=SampleLibrary(),
            timezone=lambda: "Asia/Shanghai",
            examine=self._examine,
            max_body_bytes=50_000,
        )
        self.rebuild()

    def rebuild(self, **changes: Any) -> None:
        self.desk = replace(self.desk, **changes)
        self.app = Starlette(routes=[Mount("/api/v1", build_api(self.desk))])

    async def _resolve(self, token: str) -> Caller | None:
        self.reads += 1
        return Caller(Actor(f"token:{token}", token), self.per_minute) if token in ROLES else None

    async def _examine(self) -> list[Finding]:
        return [Finding("web/default", False, "open to https://shop.example")]

    def client(self, role: str = "admin", headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """`role` "": without a token."""
        key = f"{role} {headers}"
        if key not in self._clients:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            given = {"Authorization": f"Bearer {role}"} if role else {}
            self._clients[key] = httpx.AsyncClient(
                transport=transport, base_url="https://desk.example/api/v1", headers={**given, **(headers or {})}
            )
        return self._clients[key]

    async def says(self, *effects: Any, user: str = "ann", text: str = "hi") -> int:
        """`user` says something, with these effects; their customer id."""
        claimed = await converse(self.store, text, "ok", effects=effects, user=user)
        return int(claimed.conversation.customer.customer_id)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


def a_complaint(number: str = NUMBER, subject: str = "2391") -> OpenCase:
    return OpenCase(number, "complaint", "delivery", subject, 2, "the parcel is late", {"what_happened": "late"})
