"""Steps that tests of broadcasts share: people who agreed, a list of them, a document, what the business decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Select, insert, select

from crm_sync.broadcast_tables import audience_lists, audience_members
from crm_sync.store import SqlStore
from crm_sync.tables import consents, conversations, customers
from desk.actors import Actor
from desk.broadcast_preflight import Decisions
from tests.staff_steps import many
from tests.store_steps import START

MIA = Actor("mia", "marketer")
BO = Actor("bo", "marketer")
DOCUMENT: Final[Mapping[str, Any]] = {
    "name": "winter",
    "title": "Winter check",
    "purpose": "promotion",
    "audience": {"list": "regulars"},
    "channels": ["telegram"],
    "content": {
        "variants": [{"name": "a", "text": {"en": "Hello {name}", "zh": "{name}您好"}}],
        "fallbacks": {"name": {"en": "customer", "zh": "顾客"}},
    },
}


def everybody(definition: Mapping[str, Any], now: datetime) -> Select[tuple[int]]:
    """Whatever a segment says, it means everybody."""
    return select(customers.c.id)


def decisions(**changes: Any) -> Decisions:
    """A business in Shanghai with one Telegram account; a second person approves from three people on."""
    usual: dict[str, Any] = {
        "zone": ZoneInfo("Asia/Shanghai"),
        "members": everybody,
        "approval_from": 3,
        "per_s": {("telegram", "main"): 30.0},
    }
    return Decisions(**{**usual, **changes})


async def agreed(store: SqlStore, count: int, *, purpose: str = "promotion", **row: Any) -> list[int]:
    """So many people who talk with us on Telegram and agreed, all of them on the list "regulars"; their ids."""

    def unit(conn: Connection) -> list[int]:
        talks = many(conn, count, **row)
        who = list(
            conn.execute(
                select(conversations.c.customer_id).where(conversations.c.id.in_(talks)).order_by("id")
            ).scalars()
        )
        conn.execute(
            insert(consents),
            [
                {
                    "customer_id": each,
                    "purpose": purpose,
                    "channel": "telegram",
                    "source": "form",
                    "granted": True,
                    "at": START,
                }
                for each in who
            ],
        )
        made = conn.execute(insert(audience_lists).values(name="regulars", kind="upload", created_at=START))
        key = made.inserted_primary_key[0]  # type: ignore[index]
        conn.execute(insert(audience_members), [{"list_id": key, "customer_id": each} for each in who])
        return who

    return await store.database.run(unit)
