"""Finding people and what was said, for somebody who sees only some of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from bot.errors import CaseNotFound
from bot.search_words import Query, Span, excerpt, query_of
from crm_sync import search_tables
from crm_sync.cases import full_number
from crm_sync.conversation_lists import Sight, is_visible
from crm_sync.merging import root_of
from crm_sync.tables import cases, conversations, customers, identities, messages, orders

MOST_PEOPLE: Final = 20
_LIKE_A_NUMBER: Final = re.compile(r"[+\d][\d\s().-]{3,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """Somebody who fits, with their conversations that are visible, those spoken in last first."""

    customer_id: int
    name: str
    phone: str
    channels: tuple[str, ...]
    conversations: tuple[int, ...]
    because: str  # words | case | order


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message that holds what was looked for."""

    message_id: int
    conversation_id: int
    customer_id: int
    name: str
    channel: str
    author: str
    by: str
    at: datetime
    excerpt: tuple[Span, ...]


def find_messages(
    conn: Connection, sight: Sight, query: Query, *, before: int | None, limit: int
) -> list[FoundMessage]:
    """Messages with all the words, the newest first."""
    if query.is_empty:
        return []
    rows = conn.execute(said(conn, sight, query, before).limit(limit))
    return [
        FoundMessage(
            message_id=row.id,
            conversation_id=row.conversation_id,
            customer_id=row.customer_id,
            name=row.name or row.display_name,
            channel=row.channel,
            author=row.author,
            by=row.by,
            at=row.at,
            excerpt=excerpt(row.text, query),
        )
        for row in rows
    ]


def said(conn: Connection, sight: Sight, query: Query, before: int | None) -> Select[Any]:
    """The statement of `find_messages`, also for a look at its plan."""
    index = search_tables.rows("message_search")
    found = (
        select(
            messages.c.id,
            messages.c.conversation_id,
            messages.c.author,
            messages.c.by,
            messages.c.text,
            messages.c.at,
            conversations.c.customer_id,
            conversations.c.channel,
            customers.c.name,
            identities.c.display_name,
        )
        .select_from(
            index.join(messages, messages.c.id == index.c.rowid)
            .join(conversations, conversations.c.id == messages.c.conversation_id)
            .join(customers, customers.c.id == conversations.c.customer_id)
            .join(identities, identities.c.id == conversations.c.identity_id)
        )
        .where(search_tables.matches(conn, "message_search", query), *is_visible(sight))
        .order_by(index.c.rowid.desc())
    )
    return found if before is None else found.where(index.c.rowid < before)


def find_people(
    conn: Connection, sight: Sight, typed: str, *, every: bool, limit: int = MOST_PEOPLE
) -> list[FoundPerson]:
    """People by number of a case or order, then by name, phone, e-mail or id. `every`: also those nobody talks with."""
    found: dict[int, str] = {}
    for customer_id, because in _by_number(conn, typed.strip()):
        found.setdefault(customer_id, because)
    for query in _queries(typed):
        index = search_tables.rows("people_search")
        ids = select(index.c.rowid).where(search_tables.matches(conn, "people_search", query))
        for customer_id in conn.execute(ids.order_by(index.c.rowid.desc()).limit(limit * 5)).scalars():
            found.setdefault(customer_id, "words")
    people: dict[int, FoundPerson] = {}
    for customer_id, because in found.items():
        person = _person(conn, sight, customer_id, because, every=every)
        if person is not None:
            people.setdefault(person.customer_id, person)
        if len(people) >= limit:
            break
    return list(people.values())


def _queries(typed: str) -> list[Query]:
    """As words, and a number with its spaces and dashes as one."""
    queries = [query_of(typed)]
    if _LIKE_A_NUMBER.fullmatch(typed.strip()):
        digits = re.sub(r"\D", "", typed)
        queries.append(Query((), digits))
    return [query for query in queries if not query.is_empty]


def _by_number(conn: Connection, typed: str) -> list[tuple[int, str]]:
    if not 2 <= len(typed) <= 60:
        return []
    try:
        number = full_number(typed)
    except CaseNotFound:
        number = ""
    case = conn.execute(select(cases.c.customer_id).where(cases.c.number == number)).scalar() if number else None
    order = conn.execute(select(orders.c.customer_id).where(orders.c.number == typed)).scalar()
    return [(who, why) for who, why in ((case, "case"), (order, "order")) if who is not None]


def _person(conn: Connection, sight: Sight, customer_id: int, because: str, *, every: bool) -> FoundPerson | None:
    """Who it is now, if there is anything of theirs to see."""
    alive = select(customers.c.id).where(customers.c.id == customer_id, customers.c.erased_at.is_(None))
    if conn.execute(alive).first() is None:
        return None
    who = root_of(conn, customer_id)
    talks = conn.execute(
        select(conversations.c.id, conversations.c.channel)
        .where(conversations.c.customer_id == who, *is_visible(sight))
        .order_by(conversations.c.last_message_at.desc(), conversations.c.id.desc())
        .limit(10)
    ).all()
    if not talks and not every:
        return None
    row = conn.execute(select(customers.c.name, customers.c.phone).where(customers.c.id == who)).one()
    shown = select(identities.c.display_name).where(identities.c.customer_id == who, identities.c.display_name != "")
    name = row.name or conn.execute(shown.order_by(identities.c.id).limit(1)).scalar() or ""
    channels = tuple(dict.fromkeys(talk.channel for talk in talks))
    return FoundPerson(who, name, row.phone, channels, tuple(talk.id for talk in talks), because)


def people_words(names: Sequence[str], phone: str, others: Sequence[str]) -> list[str]:
    """Words by which a person is found: of their names, e-mail and ids, and any part of their number from 4 digits."""
    from bot.search_words import words_of

    digits = re.sub(r"\D", "", phone)
    parts = [digits[start:] for start in range(len(digits) - 3)]
    return list(dict.fromkeys([*words_of(" ".join((*names, *others))), *parts]))
