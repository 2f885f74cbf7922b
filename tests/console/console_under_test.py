"""The console over a real store, asked in this process by people of every role."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from starlette.applications import Starlette

from bot.types import ArticleHit, CustomerId, Language
from channels.base import Finding
from console.assets import asset_routes
from console.cases import cases_routes
from console.customers import customers_routes
from console.frame import Frame
from console.inbox_desk import InboxServices
from console.inbox_routes import inbox_routes
from console.live import live_route
from console.live_hub import LiveHub
from console.me import me_routes
from console.settings import SettingsServices, settings_routes
from console.sign_in import sign_in_routes
from crm_sync.erasure import erase_customer, export_customer
from crm_sync.store import SqlStore
from desk.accounts import AccountDesk
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.canned import CannedDesk
from desk.case_board import CaseBoard
from desk.cases import CaseDesk
from desk.channels import ChannelDesk
from desk.conversations import ConversationDesk
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.helping import Alike, HelpDesk
from desk.hooks import HookDesk
from desk.inbox import InboxDesk
from desk.notes import NoteDesk
from desk.own_account import OwnAccount
from desk.policies import PolicyDesk
from desk.replies import ReplyDesk
from desk.roles import RoleDesk
from desk.search import SearchDesk
from desk.sessions import SignInRules
from desk.tasks import TaskDesk
from desk.tokens import TokenDesk
from desk.views import ViewDesk
from frontdesk.broadcast_services import broadcast_services
from frontdesk.console_broadcasts import broadcast_screens, routes_of
from frontdesk.console_cases import case_services, customer_services
from tests.console.content_screens import ContentScreens
from tests.service_assistant import service_assistant
from tests.staff import PASSWORD, an_account, signing_in
from tests.staff_steps import an_outside, can_do
from tests.store_steps import SECRET_KEYS, SetClock

ARTICLE = ArticleHit("hours", "Opening hours", "We open at nine.", "en", 0.9, is_sure=True)


class Articles:
    """Knows one thing, whatever is asked."""

    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        return (ARTICLE,)


class Backwards:
    """Translates by turning words around."""

    async def translate(self, text: str, *, to: str) -> str:
        return f"{to}:{text[::-1]}"


def _nearest(channel: str, account: str, text: str) -> list[Alike]:
    """Was taught one thing that is like anything."""
    return [Alike(f"<i>{text[::-1]}</i>", "greeting", 0.5)]


@dataclass
class ConsoleUnderTest:
    """`enter(name)` is the browser of somebody who has signed in."""

    store: SqlStore
    clock: SetClock
    rules: SignInRules | None = None
    library: Any = None  # where files are kept; None: nowhere
    _browsers: list[httpx.AsyncClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        around = an_outside(self.clock, library=self.library, kf=replace(can_do("kf"), is_windowed=True))
        database = self.store.database
        policy = lambda: service_assistant().service  # noqa: E731 - given to services as they take it
        self.signals = around.signals
        self.frame = Frame(
            signing_in=signing_in(self.store, self.clock, self.rules),
            signals=around.signals,
            clock=self.clock,
            zone=lambda: ZoneInfo("Asia/Shanghai"),
            language="zh",
            is_https=False,
        )
        self.services = InboxServices(
            inbox=InboxDesk(database),
            conversations=ConversationDesk(database, around),
            replies=ReplyDesk(database, around),
            notes=NoteDesk(database, around),
            canned=CannedDesk(database, around),
            views=ViewDesk(database, self.clock),
            search=SearchDesk(database),
            help=HelpDesk(database, lambda channel, account: Articles(), Backwards(), _nearest),
            handoff=HandoffDesk(database, policy, self.clock, around.signals, flows=lambda: frozenset({"returns"})),
            records=CustomerRecords(database, self.clock),
            cases=CaseDesk(database, policy, self.clock),
            tasks=TaskDesk(database, self.clock),
            teams=lambda language: [("care", "Customer care"), ("shop", "Shop")],
            flows=lambda language: [("returns", "Returns")],
            make_test=self._make_test,
            unclear=self._unclear,
        )
        self.own = OwnAccount(database, self.clock, self.frame.signing_in)
        self.settings = SettingsServices(
            accounts=AccountDesk(database, self.clock, policy),
            roles=RoleDesk(database, self.clock),
            canned=self.services.canned,
            policies=PolicyDesk(database, policy, "desk", self.clock),
            tokens=TokenDesk(database, self.clock),
            hooks=HookDesk(database, self.clock, SECRET_KEYS),
            audit=AuditDesk(database),
            rules_file=lambda: "handoff: {}\n",
            examine=self._examine,
            channel_desk=ChannelDesk(self.store.database),
            teams=self.services.teams,
            channels=lambda: ["telegram", "web"],
        )
        self.content = ContentScreens(database, self.frame, self.services)
        self.customers = customer_services(
            database,
            policy,
            self.clock,
            export=lambda customer_id: export_customer(database, CustomerId(customer_id)),
            erase=lambda customer_id: erase_customer(database, CustomerId(customer_id)),
        )
        self.cases = case_services(
            database,
            policy,
            self.clock,
            self.services.handoff,
            self.services.teams,
            link=lambda offered: f"https://desk.example/site/{offered.task_id}",
        )
        adapter: Any = SimpleNamespace(capabilities=can_do("telegram"))  # all that is asked of it
        self.reach = broadcast_services(
            database, around, policy, lambda: ZoneInfo("Asia/Shanghai"), {("telegram", "main"): adapter}
        )
        self.broadcasts = broadcast_screens(self.reach, policy, lambda: ["telegram", "web"])
        self.hub = LiveHub(self.frame, self.services.inbox, CaseBoard(database), self.services.notes)
        self.app = Starlette(
            routes=[
                *live_route(self.frame, self.services, self.hub),
                *inbox_routes(self.frame, self.services),
                *sign_in_routes(self.frame, self.own),
                *me_routes(self.frame, self.own),
                *settings_routes(self.frame, self.settings),
                *self.content.routes(),
                *cases_routes(self.frame, self.cases),
                *customers_routes(self.frame, self.customers),
                *routes_of(self.frame, self.broadcasts),
                *asset_routes(),
            ]
        )

    async def _examine(self) -> list[Finding]:
        return [Finding("telegram/main token", True, "the vendor refuses it", "set a new TOKEN")]

    async def _unclear(self, actor: Actor) -> int:
        return (await self.content.understanding.counts(actor, "shop")).waiting["unclear"]

    async def _make_test(self, actor: Actor, conversation_id: int) -> str:
        return f"test of {conversation_id}"

    def browser(self, language: str = "en", **headers: str) -> httpx.AsyncClient:
        """A browser that has never been here."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
        given = {"accept-language": language, **headers}
        browser = httpx.AsyncClient(transport=transport, base_url="http://desk.example", headers=given)
        self._browsers.append(browser)
        return browser

    async def enter(self, name: str = "li", role: str = "operator", *, language: str = "en") -> Browser:
        """Somebody new with this role, signed in."""
        await an_account(self.store, name, role, settings={"language": language})
        browser = Browser(self.browser(language))
        answer = await browser.http.post(
            "/console/sign-in", data={"step": "password", "name": name, "password": PASSWORD}
        )
        assert answer.status_code == 303, answer.text
        return browser

    async def close(self) -> None:
        self.hub.close()
        for browser in self._browsers:
            await browser.aclose()


@dataclass
class Browser:
    """Somebody's browser: pages as a person gets them, and fragments as the script asks for them."""

    http: httpx.AsyncClient
    csrf: str = ""

    async def page(self, path: str) -> httpx.Response:
        answer = await self.http.get(path)
        if found := re.search(r'<meta name="csrf" content="([^"]+)"', answer.text):
            self.csrf = found[1]
        return answer

    async def part(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers={"x-part": "1"})

    async def do(self, path: str, **fields: Any) -> httpx.Response:
        """A form of the page is sent by the script."""
        if not self.csrf:
            await self.page("/console/inbox")
        headers = {"x-part": "1", "x-csrf": self.csrf}
        return await self.http.post(path, data={name: str(value) for name, value in fields.items()}, headers=headers)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """A form of the page is sent without the script."""
        if not self.csrf:
            await self.page("/console/me")
        data = {"csrf": self.csrf, **{name: str(value) for name, value in fields.items()}}
        answer = await self.http.post(path, data=data)
        self.csrf = ""  # the session may have another token now
        return answer
