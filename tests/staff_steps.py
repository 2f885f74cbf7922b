"""Steps that tests of the console's services share: colleagues, who holds a conversation, rows in numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bot.ports import Clock, Signals
from bot.types import Capabilities, OutPart, RenderedReply
from crm_sync.rows import new_ids
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, customers, identities, messages, staff_users
from desk.actors import Actor
from desk.outside import Outside
from frontdesk.signals import LocalSignals
from tests.store_steps import START, said

LI = Actor("li", "operator", frozenset({"care"}))
WU = Actor("wu", "operator", frozenset({"shop"}))
LEAD = Actor("wang", "supervisor")
AUDITOR = Actor("hu", "auditor")


async def staff(store: SqlStore, *actors: Actor, **titles: str) -> None:
    """These have accounts; `titles`: how customers see them."""

    def unit(conn: Connection) -> None:
        for actor in actors:
            conn.execute(
                insert(staff_users).values(
                    name=actor.name,
                    role=actor.role,
                    password_hash="-",
                    created_at=START,
                    password_changed_at=START,
                    display_name=titles.get(actor.name, ""),
                )
            )

    await store.database.run(unit)


async def change(store: SqlStore, conversation_id: int, **values: Any) -> None:
    """The conversation's row says this."""
    where = conversations.c.id == conversation_id
    await store.database.run(lambda conn: conn.execute(update(conversations).where(where).values(**values)))


async def wrote(
    store: SqlStore, text: str = "hello", *, user: str = "ann", channel: str = "telegram", **row: Any
) -> int:
    """The customer wrote, and the conversation's row says this; its id."""
    message = {name: row.pop(name) for name in ("vendor_message_id", "opens") if name in row}
    (accepted,) = await store.accept([said(text, user=user, channel=channel, **message)])
    assert accepted.conversation_id is not None
    if row:
        await change(store, accepted.conversation_id, **row)
    return accepted.conversation_id


async def held(store: SqlStore, actor: Actor, text: str = "hello", **more: Any) -> int:
    """The customer wrote and `actor` has taken the conversation; its id."""
    return await wrote(store, text, owner="operator", operator=actor.name, fence=1, **more)


def many(conn: Connection, count: int, *, at: datetime = START, **row: Any) -> list[int]:
    """So many people with a conversation of one message each, a second apart; the conversations' ids.

    A value that can be called is asked with the number of the conversation.
    """
    tables = (customers, identities, conversations, messages)
    ids = list(zip(*(new_ids(conn, table, count) for table in tables), strict=True))
    place = {"channel": "telegram", "account": "main"}
    conn.execute(insert(customers), [{"id": c, "name": f"Person {c}", "created_at": at} for c, _, _, _ in ids])
    conn.execute(
        insert(identities),
        [
            {"id": i, "key": f"i{i}", "customer_id": c, "external_id": f"u{i}", "created_at": at, **place}
            for c, i, _, _ in ids
        ],
    )
    rows = []
    for customer_id, identity_id, n, _ in ids:
        moment = at + timedelta(seconds=n)
        times = {"created_at": at, "last_inbound_at": moment, "last_message_at": moment}
        whose = {"identity_id": identity_id, "customer_id": customer_id, "chat_id": f"u{identity_id}"}
        asked = {name: value(n) if callable(value) else value for name, value in row.items()}
        rows.append({"id": n, "key": f"c{n}", **place, **times, **whose, **asked})
    conn.execute(insert(conversations), rows)
    said = {"direction": "in", "author": "customer", "kind": "text"}
    conn.execute(
        insert(messages),
        [
            {"id": m, "conversation_id": n, "text": f"words of {n}", "at": at + timedelta(seconds=n), **said}
            for _, _, n, m in ids
        ],
    )
    return [n for _, _, n, _ in ids]


async def row_of(store: SqlStore, conversation_id: int) -> Any:
    """The conversation's row."""
    found = select(conversations).where(conversations.c.id == conversation_id)
    return await store.database.run(lambda conn: conn.execute(found).one(), read=True)


class PlainEncoder:
    """Cuts words after 2,000 characters and leaves the rest as it is."""

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        cut = [reply.text[start : start + 2000] for start in range(0, len(reply.text), 2000)] or [""]
        last = OutPart(cut[-1], media=reply.media)
        return (*(OutPart(words) for words in cut[:-1]), last)

    def is_direct(self, channel: str) -> bool:
        return channel == "web"


def can_do(channel: str) -> Capabilities:
    """A channel as most are; Telegram lets us edit, and take back for two days."""
    is_web, days = channel == "web", 2 * 86_400.0 if channel == "telegram" else None
    can_edit = channel in ("web", "telegram")
    return Capabilities(channel, 2000, "codepoint", 3, can_edit, True, False, is_web, takes_back_s=days)


def an_outside(clock: Clock, *, signals: Signals | None = None, library: Any = None, **channels: Any) -> Outside:
    """What the services need beside the store."""
    known = {name: can_do(name) for name in ("web", "telegram", "wechat")} | channels
    return Outside(
        clock, signals or LocalSignals(), PlainEncoder(), library, known, zone=lambda channel, account: "Europe/London"
    )
