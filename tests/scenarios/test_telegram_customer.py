"""Telegram in whole conversations: albums, groups that move, blocks, links, reactions, shared numbers, two bots."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from channels.deep_links import DeepLink, sign_link
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_flood import Limits
from channels.simulators.telegram_world import Customer, Group
from config.settings import TelegramSettings
from crm_sync.customers import customer_record, find_customers
from crm_sync.tables import conversations, identities, media, messages
from frontdesk.app import ALL_ROLES, App
from frontdesk.http import build_http
from frontdesk.serving import HttpServer, listen
from tests import services
from tests.scenarios.app_under_test import STORE, WITHIN_S, prepare, shop_settings

OTHER_TOKEN = "1000002:stand-in-token-of-another-bot"
KEYS = (b"a key for whole-conversation tests",)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    services.apart(prepare(folder))
    return folder / STORE


@dataclass
class Desk:
    """Two bots on one desk: `main` polls and answers in groups, `hooked` has a webhook."""

    app: App
    telegram: TelegramSimulator

    async def rows(self, *columns: Any) -> list[tuple[Any, ...]]:
        statement = select(*columns).order_by(columns[0].table.c.id)
        return await self.app.store.database.run(lambda conn: [tuple(row) for row in conn.execute(statement)])

    async def has_noted(self, column: Any, value: str) -> None:
        """The store holds this value, which may be a moment after the customer saw it. Raises: TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                if (value,) in await self.rows(column):
                    return
                await asyncio.sleep(0.02)

    async def record(self, key: str) -> dict[str, Any]:
        (customer,) = await find_customers(self.app.store.database, key)
        return await customer_record(self.app.store.database, customer)


@pytest.fixture
async def desk(prepared: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    shutil.copy(prepared, tmp_path / STORE)
    listener = listen("127.0.0.1", 0)
    public_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with TelegramSimulator(limits=Limits(chat_per_s=1000, chat_burst=1000)) as telegram:
        telegram.add_bot(OTHER_TOKEN, "other_desk_bot")
        common: dict[str, Any] = {"api_base_url": telegram.url, "per_chat_per_s": 50}
        main = TelegramSettings(token=SecretStr(telegram.token), groups=True, **common)
        hooked = TelegramSettings(token=SecretStr(OTHER_TOKEN), mode="webhook", secret=SecretStr("s3cret"), **common)
        settings = shop_settings(tmp_path)
        channels = settings.channels.model_copy(update={"telegram": {"main": main, "hooked": hooked}})
        app = await App.open(settings.model_copy(update={"channels": channels, "public_url": public_url}))
        server = HttpServer(build_http(app), listener)
        await app.serve(ALL_ROLES, server)
        try:
            yield Desk(app, telegram)
        finally:
            await app.stop(server)


async def answer(customer: Customer, before: int, expect: str = "") -> str:
    """What the bot said since, once `expect` is in it."""

    def said() -> str:
        return "\n".join(shown.text for shown in customer.received[before:])

    if not await customer.bot.pulse.until(lambda: expect in said() and bool(said()), WITHIN_S):
        raise TimeoutError(f"expected {expect!r}, got {said()!r}")
    return said()


async def ask(customer: Customer, text: str, expect: str = "") -> str:
    before = len(customer.received)
    customer.send_text(text)
    return await answer(customer, before, expect)


async def handled(customer: Customer) -> None:
    """Everything the customer did so far is behind us: a later question was answered."""
    await ask(customer, "hello", "Linden Home")


async def test_two_bots_work_at_once_and_keep_apart(desk: Desk) -> None:
    here = desk.telegram.user(42, "Li Wei")
    there = desk.telegram.user(42, "Li Wei", bot=desk.telegram.bots[OTHER_TOKEN])

    await ask(here, "I want to complain", "happened")
    await ask(there, "hello", "Linden Home")
    await ask(here, "it leaks", "Which order")

    assert {account for account, _ in await desk.rows(conversations.c.account, conversations.c.id)} == {
        "main",
        "hooked",
    }
    calls = desk.telegram.ledger.entries("call", method="sendMessage", outcome="ok")
    assert {call["bot"] for call in calls} == {1000001, 1000002}


async def test_a_customer_who_blocked_us_is_answered_again_after_coming_back(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await ask(customer, "hello", "Linden Home")
    customer.block()
    assert await customer.bot.pulse.until(lambda: not customer.bot.pending, WITHIN_S)
    assert [reason for (reason,) in await desk.rows(identities.c.unreachable_reason)] == ["blocked"]

    before = len(customer.received)
    customer.start()

    await answer(customer, before, "Linden Home")
    assert [at for (at,) in await desk.rows(identities.c.unreachable_at)] == [None]


async def test_an_album_gets_one_polite_answer(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await handled(customer)
    before = len(customer.received)

    customer.send_album(["", "", ""])
    await answer(customer, before)
    after_album = len(customer.received)
    await handled(customer)

    assert after_album - before == 1
    assert len(customer.received) == after_album + 1
    albums = [content["album"] for (content,) in await desk.rows(messages.c.content) if content and "album" in content]
    assert len(albums) == 3
    assert len(set(albums)) == 1


async def test_a_reaction_is_feedback_and_gets_no_answer(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await handled(customer)
    shown = customer.received[-1]
    await desk.has_noted(messages.c.vendor_message_id, str(shown.message_id))

    customer.react(shown.message_id, "👍")
    await handled(customer)

    assert len(customer.received) == 2
    record = await desk.record("telegram/main/42")
    assert [line["summary"] for line in record["timeline"] if line["kind"] == "feedback"] == ["up"]


async def test_a_signed_link_tells_the_campaign_and_a_forged_one_nothing(desk: Desk) -> None:
    link = DeepLink("campaign", "spring", datetime.now(UTC) + timedelta(days=1))
    payload = sign_link(link, KEYS, account="telegram/main")
    invited, forger = desk.telegram.user(42), desk.telegram.user(43)

    for customer, given in ((invited, payload), (forger, payload[:-8] + "AAAAAAAA")):
        before = len(customer.received)
        customer.start(given)
        await answer(customer, before, "Linden Home")

    sources = dict(await desk.rows(identities.c.external_id, identities.c.source))
    assert sources == {"42": "campaign:spring", "43": ""}


async def test_a_number_asked_for_is_shared_with_one_touch(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await ask(customer, "please call me back", "number")
    (label,) = [key["text"] for row in customer.keys for key in row]
    before = len(customer.received)

    customer.touch(label, phone="+8613800138000")
    await answer(customer, before)

    assert customer.keys == []
    record = await desk.record("telegram/main/42")
    assert record["customer"]["phone"] == "+8613800138000"


async def test_forwarded_words_change_no_consent(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await handled(customer)
    before = len(customer.received)

    customer.forward("unsubscribe", "Li Q.")
    await answer(customer, before)

    record = await desk.record("telegram/main/42")
    assert record["consents"] == []
    contents = [content for (content,) in await desk.rows(messages.c.content) if content]
    assert {"forwarded_from": "Li Q."} in contents


async def test_a_group_is_answered_when_we_are_meant_and_goes_on_after_it_moved(desk: Desk) -> None:
    group, member = desk.telegram.group(-7, "Regulars"), desk.telegram.user(42, "Li Wei")
    desk.telegram.bot.has_privacy = False
    group.said_by(member, "shall we meet at six?")
    group.said_by(member, "@frontdesk_bot I want to complain")
    await answer(group, 0, "happened")
    assert len(group.received) == 1

    moved: Group = group.migrate(-1007, member)
    moved.said_by(member, "@frontdesk_bot it leaks")
    await answer(moved, 0, "Which order")

    places = await desk.rows(conversations.c.chat_id, conversations.c.id)
    assert [chat for chat, _ in places] == ["-1007"]


async def test_a_customers_picture_ends_up_in_the_media_store(desk: Desk) -> None:
    customer = desk.telegram.user(42)
    await handled(customer)
    before = len(customer.received)
    customer.send_photo("broken here")
    await answer(customer, before)

    await desk.has_noted(media.c.state, "stored")
