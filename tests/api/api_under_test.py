"""The API over a real store, asked in this process by callers of every role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

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
from desk.helping import Alike, HelpDesk
from desk.hooks import HookDesk
from desk.permissions import ROLES
from frontdesk.broadcast_services import broadcast_services
from frontdesk.signals import LocalSignals
from nlu.knowledge import ArticleIndex
from tests.library import OPENING, REFUNDS, SampleLibrary
from tests.service_assistant import service_assistant
from tests.staff_steps import an_outside, can_do
from tests.store_steps import SECRET_KEYS, SetClock, converse

NUMBER = "C-1024-7"


class Lent:
    """Is whatever was lent last: what is built over it once works for each test on that test's own."""

    def lend(self, thing: Any) -> None:
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._thing, name)


class SharedApi:
    """The API built once in this process, which takes a second with its first answer; `serve` says for which test."""

    def __init__(self) -> None:
        self.database, self.clock, self.signals, self.rate_tokens = Lent(), Lent(), Lent(), Lent()
        self.test: ApiUnderTest
        database: Any = self.database
        adapter: Any = SimpleNamespace(capabilities=can_do("telegram"))  # all that is asked of it
        self.desk = ApiDesk(
            database=database,
            policy=lambda: service_assistant().service,
            assistant="shop",
            clock=self.clock,
            signals=self.signals,
            rate_tokens=self.rate_tokens,
            resolve=self._resolve,
            export=lambda customer_id: export_customer(database, customer_id),  # type: ignore[arg-type]
            erase=lambda customer_id: erase_customer(database, customer_id),  # type: ignore[arg-type]
            hooks=HookDesk(database, self.clock, SECRET_KEYS),
            help=HelpDesk(
                database,
                lambda channel, account: ArticleIndex([OPENING, REFUNDS]),
                nearest=lambda channel, account, text: [Alike("opening times", "hours", 0.5)],
            ),
            outside=(outside := an_outside(self.clock, signals=self.signals)),
            reach=broadcast_services(
                database,
                outside,
                lambda: service_assistant().service,
                lambda: ZoneInfo("Asia/Shanghai"),
                {("telegram", "main"): adapter},
            ),
            library=SampleLibrary(),
            timezone=lambda: "Asia/Shanghai",
            flows=lambda: frozenset({"order_status"}),
            site_link=lambda offered: f"https://desk.example/site/{offered.task_id}",
            rules_file=lambda assistant: "routing: {}\n",
            report_titles=lambda kind, key: None,
            examine=_examine,
            max_body_bytes=50_000,
        )
        self.app = _mounted(self.desk)

    def serve(self, test: ApiUnderTest) -> None:
        self.test = test
        self.database.lend(test.store.database)
        self.clock.lend(test.clock)
        self.signals.lend(test.signals)
        self.rate_tokens.lend(LocalRateTokens())

    async def _resolve(self, token: str) -> Caller | None:
        return await self.test.resolve(token)


shared_api = cache(SharedApi)


@dataclass
class ApiUnderTest:
    """`client(role)` asks with a token of that role, which is called like it. One at a time in a process."""

    store: SqlStore
    clock: SetClock
    per_minute: int = 100_000
    reads: int = 0  # how often a token was looked up
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signals = LocalSignals()
        shared = shared_api()
        shared.serve(self)
        self.desk, self.app = shared.desk, shared.app

    def rebuild(self, **changes: Any) -> None:
        """Clients made from now on meet an API of this test's own, which differs in this."""
        self.desk = replace(self.desk, **changes)
        self.app = _mounted(self.desk)

    async def resolve(self, token: str) -> Caller | None:
        self.reads += 1
        return Caller(Actor(f"token:{token}", token), self.per_minute) if token in ROLES else None

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


async def _examine() -> list[Finding]:
    return [Finding("web/default", False, "open to https://shop.example")]


def _mounted(desk: ApiDesk) -> Starlette:
    return Starlette(routes=[Mount("/api/v1", build_api(desk))])


def a_complaint(number: str = NUMBER, subject: str = "2391") -> OpenCase:
    return OpenCase(number, "complaint", "delivery", subject, 2, "the parcel is late", {"what_happened": "late"})
