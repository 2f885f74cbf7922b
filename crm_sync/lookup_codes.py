"""One-time codes by which somebody may look at an order or case that is not in their own record.

A row is written for every number alike. What it belongs to is looked for only when the code is sent, after the turn, so
that nothing the customer sees or waits for tells whether there is such a number. The code itself is nowhere in the
store: it is made where it is sent, and only its keyed digest is kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, func, insert, select, text, update
from sqlalchemy.sql.elements import ColumnElement

from bot.service_types import SendCode, TryCode
from bot.types import CodeTried, Lookup
from bot.values import without_digits
from crm_sync import search_tables, timers
from crm_sync.case_news import case_news
from crm_sync.columns import is_postgres
from crm_sync.lookup_contacts import Contact, Record, Ways, marks, one_spelling, record_of
from crm_sync.record import add_audit
from crm_sync.subjects import Subject, note
from crm_sync.tables import inbox, lookup_codes, messages

KIND: Final = "lookup_code"  # of timer
LIFETIME: Final = timedelta(minutes=10)  # the texts of `lookup_code` say so
OPEN_FOR: Final = timedelta(minutes=30)
TRIES: Final = 5
MOST: Final = 3  # codes within PERIOD: in one conversation, for one number, to one person
PERIOD: Final = timedelta(hours=1)
KEPT: Final = timedelta(days=1)
_ONE_AT_A_TIME: Final = 7_310_642_115  # advisory lock: what somebody has had is counted before the next one leaves
_WORDS: Final = ("text", "caption", "transcript", "quote")  # of a decoded message


@dataclass(frozen=True, slots=True)
class Parcel:
    """A code is to go there, now."""

    contact: Contact
    language: str


# --- what a turn may know -------------------------------------------------------------------------------------------


def lookup(conn: Connection, key: str, now: datetime, *, can_send: bool) -> Lookup:
    """The answer to a need `lookup`."""
    conversation, kind, asked = key.split("|", 2)
    number = one_spelling(kind, asked)
    recent = lookup_codes.c.asked_at > now - PERIOD
    here = _count(conn, and_(lookup_codes.c.conversation_id == int(conversation), recent))
    of_number = _count(conn, and_(lookup_codes.c.kind == kind, lookup_codes.c.number == number, recent))
    found = _opened(conn, int(conversation), kind, number, now)
    return Lookup(can_send, max(0, MOST - max(here, of_number)), **_shown(conn, found))


def try_code(conn: Connection, key: str, now: datetime) -> CodeTried:
    """The answer to a need `code`: how it fares; nothing is counted yet."""
    conversation, kind, rest = key.split("|", 2)
    asked, _, typed = rest.rpartition("|")
    number = one_spelling(kind, asked)
    row = _newest(conn, int(conversation), kind, number)
    if row is None or not _is_live(row, now):
        return CodeTried("over")
    fits = [hmac.compare_digest(mark, row.digest) for mark in marks(conn, "code", str(row.id), typed)]
    found = record_of(conn, kind, number) if any(fits) else None
    if found is None or not found.has(conn, row.target):  # also when the contact is on the record no more
        left = TRIES - row.tries - 1
        return CodeTried("wrong", left) if left else CodeTried("over")
    return CodeTried("right", **_shown(conn, found))


def _opened(conn: Connection, conversation_id: int, kind: str, number: str, now: datetime) -> Record | None:
    mine = and_(_asked(conversation_id, kind, number), lookup_codes.c.opened_at > now - OPEN_FOR)
    row = conn.execute(select(lookup_codes.c.target).where(mine).order_by(lookup_codes.c.id.desc()).limit(1)).first()
    found = record_of(conn, kind, number) if row is not None else None
    return found if found is not None and row is not None and found.has(conn, row.target) else None


def _shown(conn: Connection, found: Record | None) -> dict[str, Any]:
    if found is None:
        return {}
    if found.case is None or found.customer_id is None:
        return {"order": found.order}
    return {"case": found.case, "news": case_news(conn, found.case.number, found.customer_id)}


def _is_live(row: Any, now: datetime) -> bool:
    return row.opened_at is None and row.tries < TRIES and now < row.asked_at + LIFETIME


def _asked(conversation_id: int, kind: str, number: str) -> ColumnElement[bool]:
    codes = lookup_codes.c
    return and_(codes.conversation_id == conversation_id, codes.kind == kind, codes.number == number)


def _newest(conn: Connection, conversation_id: int, kind: str, number: str, *, locked: bool = False) -> Any:
    """The only code that counts: a new one takes the place of those before."""
    mine = select(lookup_codes).where(_asked(conversation_id, kind, number))
    wanted = mine.order_by(lookup_codes.c.id.desc()).limit(1)
    return conn.execute(wanted.with_for_update() if locked else wanted).first()


def _count(conn: Connection, which: ColumnElement[bool]) -> int:
    return conn.execute(select(func.count()).select_from(lookup_codes).where(which)).scalar_one()


# --- effects --------------------------------------------------------------------------------------------------------


def ask(conn: Connection, effect: SendCode, subject: Subject) -> None:
    """A code will be sent, if there is anything to send it for."""
    row = {
        "conversation_id": subject.conversation_id,
        "kind": effect.kind,
        "number": one_spelling(effect.kind, effect.number),
        "language": effect.language,
        "asked_at": subject.now,
    }
    code_id = conn.execute(insert(lookup_codes).values(**row)).inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    details = {"code_id": code_id}
    timers.plan(conn, KIND, subject.now, subject.now, customer_id=subject.customer_id, details=details)
    note(conn, subject, "lookup_code_asked", effect.kind, effect.number)


def count_try(conn: Connection, effect: TryCode, subject: Subject) -> str:
    """The try counts, a right code is used up, and what was typed is taken out of the message.

    The telephone number that is proven by it, in E.164; "" for none.
    """
    _take_out(conn, subject)
    number = one_spelling(effect.kind, effect.number)
    row = _newest(conn, subject.conversation_id, effect.kind, number, locked=True)
    if row is None or not _is_live(row, subject.now):
        return ""
    used = {"opened_at": subject.now} if effect.is_right else {}
    conn.execute(update(lookup_codes).where(lookup_codes.c.id == row.id).values(tries=row.tries + 1, **used))
    if not effect.is_right:
        return ""
    note(conn, subject, "lookup_opened", effect.kind, effect.number)
    what, now = [effect.kind], subject.now
    add_audit(conn, subject.customer_id, "customer", "lookup_opened", what, now=now, reference=number)
    found = record_of(conn, effect.kind, number)
    if found is None:
        return ""
    if found.customer_id is not None:
        add_audit(conn, found.customer_id, "system", "shown_by_code", what, now=now, reference=number)
    sent = [contact for contact in found.contacts if row.target in contact.marks(conn)]
    return next((contact.address for contact in sent if contact.way == "sms"), "")


def _take_out(conn: Connection, subject: Subject) -> None:
    """The digits of the message are gone from the store, its raw payload and the search."""
    if subject.inbox_id is None:
        return
    said = and_(messages.c.inbox_id == subject.inbox_id, messages.c.direction == "in")
    for row in conn.execute(select(messages.c.id, messages.c.text).where(said)).all():
        conn.execute(update(messages).where(messages.c.id == row.id).values(text=without_digits(row.text)))
        search_tables.remove(conn, "message_search", [row.id])
    mine = inbox.c.id == subject.inbox_id
    kept = conn.execute(select(inbox.c.message).where(mine)).scalar()
    if kept is not None:
        content = {
            name: without_digits(value) if name in _WORDS and isinstance(value, str) else value
            for name, value in kept["content"].items()
        }
        conn.execute(update(inbox).where(mine).values(message={**kept, "content": content}, raw=b""))


# --- sending --------------------------------------------------------------------------------------------------------


def prepare(
    conn: Connection, code_id: int, code: str, ways: Ways, now: datetime, *, refused: Collection[Contact] = ()
) -> Parcel | None:
    """From now on this is the code, and where it is to go; None when it is not to be sent.

    That is when there is no such number or no way to anybody, the person has had as many as they may, the code would be
    too old or was asked for anew. `refused`: contacts that did not take it.
    """
    if is_postgres(conn):
        conn.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
    row = conn.execute(select(lookup_codes).where(lookup_codes.c.id == code_id)).first()
    if row is None or not _is_live(row, now):
        return None
    found = record_of(conn, row.kind, row.number)
    newest = _newest(conn, row.conversation_id, row.kind, row.number, locked=True)
    if found is None or newest is None or newest.id != code_id:
        return None
    theirs = [mark for contact in found.contacts for mark in contact.marks(conn)]
    others = and_(lookup_codes.c.target.in_(theirs), lookup_codes.c.target != "", lookup_codes.c.id != code_id)
    if _count(conn, and_(others, lookup_codes.c.asked_at > now - PERIOD)) >= MOST:
        return None
    contact = next((each for each in found.contacts if each.is_open(ways) and each not in refused), None)
    if contact is None:
        return None
    digest, target = marks(conn, "code", str(code_id), code)[0], contact.marks(conn)[0]
    kept = {"digest": digest, "target": target, "way": contact.way}
    conn.execute(update(lookup_codes).where(lookup_codes.c.id == code_id).values(**kept))
    if found.customer_id is not None:
        add_audit(conn, found.customer_id, "system", "code_sent", [contact.way], now=now, reference=str(code_id))
    return Parcel(contact, row.language)


def withdraw(conn: Connection, code_id: int) -> None:
    """No code is the right one: it did not leave."""
    conn.execute(update(lookup_codes).where(lookup_codes.c.id == code_id).values(digest="", target="", way=""))


def forget(conn: Connection, now: datetime) -> int:
    """Codes that have been over for long are not in the store any more; how many."""
    return conn.execute(delete(lookup_codes).where(lookup_codes.c.asked_at < now - KEPT)).rowcount
