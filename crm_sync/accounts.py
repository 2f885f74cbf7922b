"""Which account something came from: that of the conversation it began in, else of its customer's first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, func, literal_column, select

from crm_sync.tables import cases, conversations

Account = tuple[str, str]  # channel, and the name of the account there
NONE: Final[Account] = ("", "")  # of a customer who has never written
_first = conversations.alias("first_talk")
CAME_FROM: Final[ColumnElement[str | None]] = (  # of a row of `cases`; to be read with `account_in`
    select(conversations.c.channel + literal_column("':'", Text) + conversations.c.account)
    .where(
        conversations.c.id
        == func.coalesce(
            cases.c.conversation_id,
            select(func.min(_first.c.id))
            .where(_first.c.customer_id == cases.c.customer_id)
            .correlate(cases)
            .scalar_subquery(),
        )
    )
    .correlate(cases)
    .scalar_subquery()
)


def account_in(came_from: str | None) -> Account:
    """The account that CAME_FROM of a case names."""
    channel, _, account = (came_from or ":").partition(":")
    return channel, account


def accounts_of(conn: Connection, came: Sequence[tuple[int | None, int | None]]) -> list[Account]:
    """For each (conversation, customer) the account it came from, in order."""
    if not came:
        return []
    begun = {customer for talk, customer in came if talk is None and customer is not None}
    first: dict[int, int] = {}
    if begun:
        oldest = select(conversations.c.customer_id, func.min(conversations.c.id).label("id"))
        mine = oldest.where(conversations.c.customer_id.in_(begun)).group_by(conversations.c.customer_id)
        first = {row.customer_id: row.id for row in conn.execute(mine)}
    talks = [talk if talk is not None else first.get(customer or 0) for talk, customer in came]
    wanted = sorted({talk for talk in talks if talk is not None})
    columns = select(conversations.c.id, conversations.c.channel, conversations.c.account)
    found = {row.id: (row.channel, row.account) for row in conn.execute(columns.where(conversations.c.id.in_(wanted)))}
    return [found.get(talk or 0, NONE) for talk in talks]


def account_of(conn: Connection, row: Any) -> Account:
    """Of a case, task or appointment, by its row."""
    return accounts_of(conn, [(row.conversation_id, row.customer_id)])[0]
