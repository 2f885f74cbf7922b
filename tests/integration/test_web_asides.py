"""What a visitor does beside writing: the form, the page's settings, going on elsewhere, the transcript."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from bot.types import Event, Identity, Need, Text
from channels.web import WebExtras
from config.settings import WebSettings, WelcomeRule
from crm_sync.store import SqlStore
from tests.web_server import WebServer, web_server

MAILED: list[tuple[str, str, bytes]] = []


class Mailer:
    """Stands for a mail server nobody can reach from a test."""

    async def send_transcript(self, to: str, subject: str, page: bytes) -> None:
        MAILED.append((to, subject, page))


async def _telegram(token: str, expires_at: datetime) -> str:
    assert timedelta(minutes=14) < expires_at - datetime.now(UTC) <= timedelta(minutes=15)
    return f"https://t.me/linden_bot?start={token}"


ACCOUNTS = {
    "default": WebSettings(),
    "shop": WebSettings(
        title="Linden <Home>",
        accent="#0a7d55",
        position="left",
        theme="dark",
        form=("name*", "phone", "email", "consent*"),
        privacy_url="https://shop.example/privacy",
        continue_on=("telegram/main", "wechat/gone"),
        welcome=(WelcomeRule(text="需要帮忙吗？", path="/shoes/*", after_s=3),),
        timezone="Asia/Shanghai",
    ),
}


@pytest.fixture
async def server(store: SqlStore) -> AsyncIterator[WebServer]:
    MAILED.clear()
    extras = WebExtras(store=store, links={"telegram/main": _telegram}, mailer=Mailer())
    async with web_server(accounts=ACCOUNTS, store=store, extras=extras) as running:
        yield running


@pytest.fixture
async def plain_server(store: SqlStore) -> AsyncIterator[WebServer]:
    async with web_server(accounts=ACCOUNTS, store=store) as running:
        yield running


class Visitor:
    user = ""

    def __init__(self, http: aiohttp.ClientSession, account: str) -> None:
        self.http, self.account, self.headers = http, account, dict[str, str]()

    async def arrive(self, **body: Any) -> Visitor:
        _, session = await self.call("POST", "sessions", **body)
        self.headers = {"Authorization": f"Bearer {session['token']}"}
        self.user = session["user"]
        return self

    async def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        options: dict[str, Any] = {"json": body} if method == "POST" else {}
        url = f"/channels/web/{self.account}/{path}"
        async with self.http.request(method, url, headers=self.headers, **options) as response:
            content = await response.read()
            is_json = response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(content) if is_json else content.decode()

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return await self.call("POST", path, **body)


def _identity(visitor: Visitor) -> Identity:
    return Identity("web", visitor.account, visitor.user)


@pytest.fixture
async def http(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


@pytest.fixture
async def ann(http: aiohttp.ClientSession) -> Visitor:
    return await Visitor(http, "shop").arrive(language="zh-CN")


# --- settings -------------------------------------------------------------------------------------------------------


async def test_a_page_learns_how_its_chat_looks_and_what_it_offers(http: aiohttp.ClientSession) -> None:
    status, config = await Visitor(http, "shop").call("GET", "config")

    assert status == 200
    assert (config["accent"], config["position"], config["theme"]) == ("#0a7d55", "left", "dark")
    assert config["form"][0] == {"field": "name", "required": True}
    assert config["form"][1] == {"field": "phone", "required": False}
    assert config["welcome"][0]["path"] == "/shoes/*"
    assert config["continue_on"] == ["telegram/main"]
    assert "secret" not in json.dumps(config)


async def test_an_account_without_settings_has_nothing_to_say(http: aiohttp.ClientSession) -> None:
    assert await Visitor(http, "default").call("GET", "config") == (200, {"emails": True})


# --- the form -------------------------------------------------------------------------------------------------------


async def test_the_form_becomes_an_event_once(ann: Visitor, store: SqlStore) -> None:
    told = {"id": "f1", "name": " 王芳 ", "phone": "13800002210", "email": "", "consent": True}
    assert await ann.post("profile", **told) == (202, {"id": "f1", "seq": 1})
    assert await ann.post("profile", **told) == (202, {"id": "f1", "seq": 1})
    (claimed,) = await store.claim("worker", 5)

    (message,) = claimed.messages
    detail = {"name": "王芳", "phone": "13800002210", "email": "", "consent": True, "source": "web:form"}
    assert message.message.content == Event("profile", detail)
    assert message.message.wants_turn


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": None},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": 5},
        {"consent": False},
        {"consent": "yes"},
        {"email": "nobody"},
        {"email": "a@b.example\nBcc: c@d.example"},
        {"email": f"{'x' * 300}@b.example"},
        {"id": ""},
    ],
)
async def test_a_form_that_is_not_filled_as_asked_is_refused(ann: Visitor, change: Mapping[str, Any]) -> None:
    status, refusal = await ann.post("profile", **{"id": "f1", "name": "Ann", "consent": True, **change})

    assert (status, refusal["error"]["code"]) == (422, "invalid")


async def test_what_is_not_asked_for_is_not_taken(http: aiohttp.ClientSession) -> None:
    visitor = await Visitor(http, "default").arrive()

    assert (await visitor.post("profile", id="f1", name="Ann"))[1]["error"]["code"] == "no_form"


# --- the welcome sentence -------------------------------------------------------------------------------------------


async def test_the_sentence_a_visitor_answers_is_recorded_before_the_answer(ann: Visitor, store: SqlStore) -> None:
    for _ in range(2):
        answer = await ann.post("messages", id="m1", text="yes", welcome="Need help with sizes?")
        assert answer == (202, {"id": "m1", "seq": 2})
    await ann.post("messages", id="m2", text="size 38")
    events = await store.events_after(await store.web_conversation(_identity(ann)), 0, 10)
    assert [(event.get("kind", "text"), event["text"]) for event in events] == [
        ("event", ""),
        ("text", "yes"),
        ("text", "size 38"),
    ]
    (claimed,) = await store.claim("worker", 5)
    assert [message.message.content for message in claimed.messages] == [Text("yes"), Text("size 38")]


@pytest.mark.parametrize("welcome", ["x" * 301, 5, ["x"], "a\x00b"])
async def test_a_welcome_that_is_no_sentence_is_refused(ann: Visitor, welcome: Any) -> None:
    assert (await ann.post("messages", id="m1", text="yes", welcome=welcome))[0] == 422


# --- going on elsewhere ---------------------------------------------------------------------------------------------


async def test_a_link_leads_to_the_other_channel_and_is_known_there(ann: Visitor, store: SqlStore) -> None:
    status, link = await ann.post("continue", on="telegram/main")

    assert status == 200
    token = link["url"].removeprefix("https://t.me/linden_bot?start=")
    need = Need("link", token)
    assert (await store.fetch([need], 1))[need].channel == "telegram"  # type: ignore[arg-type]


@pytest.mark.parametrize("on", ["wechat/gone", "telegram/other", "", None, 5, "x" * 61])
async def test_where_the_account_does_not_lead_nobody_can_go(ann: Visitor, on: Any) -> None:
    assert (await ann.post("continue", on=on))[0] in (404, 422)


async def test_links_without_end_are_refused(ann: Visitor) -> None:
    answers = [(await ann.post("continue", on="telegram/main"))[0] for _ in range(6)]

    assert answers == [200, 200, 200, 200, 200, 429]


# --- transcript -----------------------------------------------------------------------------------------------------


async def test_a_visitor_gets_their_own_conversation_as_a_page(ann: Visitor, http: aiohttp.ClientSession) -> None:
    other = await Visitor(http, "shop").arrive()
    await other.post("messages", id="m1", text="not yours")
    await ann.post("profile", id="f1", name="Ann", consent=True)
    for number, text in enumerate(["水壶漏水", "<script>alert(1)</script>", "\u202emirrored", "half \ud83d"]):
        await ann.post("messages", id=f"m{number}", text=text)
    await ann.post("messages", id="m9", location={"latitude": 31.2, "longitude": 121.4})
    status, page = await ann.call("GET", "transcript")

    assert status == 200
    assert page.count("<article>") == 5
    assert '<html lang="zh-CN">' in page
    assert "Linden &lt;Home&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "位置" in page
    assert "not yours" not in page


async def test_a_conversation_without_messages_is_a_page_too(http: aiohttp.ClientSession) -> None:
    visitor = await Visitor(http, "default").arrive(language="en")
    status, page = await visitor.call("GET", "transcript")

    assert status == 200
    assert "No messages yet." in page


async def test_it_is_mailed_where_mail_is_set_up_but_not_without_end(ann: Visitor) -> None:
    await ann.post("messages", id="m1", text="hello")
    answers = [await ann.post("transcript", email="ann@example.com") for _ in range(3)]

    assert [status for status, _ in answers] == [202, 202, 429]
    assert [(to, subject, b"hello" in page) for to, subject, page in MAILED] == [
        ("ann@example.com", "Linden <Home>", True)
    ] * 2


@pytest.mark.parametrize("email", ["", "x", "a@b", "a@b.example, c@d.example", "a@b.example\r\nBcc: x@y.example", 7])
async def test_only_one_real_address_is_mailed(ann: Visitor, email: Any) -> None:
    assert (await ann.post("transcript", email=email))[0] == 422
    assert MAILED == []


async def test_without_a_mail_server_it_says_so(plain_server: WebServer) -> None:
    async with aiohttp.ClientSession(plain_server.url) as session:
        visitor = await Visitor(session, "default").arrive()
        status, refusal = await visitor.post("transcript", email="ann@example.com")

    assert (status, refusal["error"]["code"]) == (501, "email_not_set_up")


@pytest.mark.parametrize("path", ["profile", "continue", "transcript"])
async def test_nothing_of_it_works_without_a_token(http: aiohttp.ClientSession, path: str) -> None:
    assert (await Visitor(http, "shop").post(path))[0] == 401
