"""Canned replies: words that staff say often, kept by shortcut and language, with variables filled in when used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from bot.errors import InputError, NotFound, StaleState
from crm_sync.console_tables import canned_replies
from crm_sync.service_tables import sites
from crm_sync.tables import cases, customers, orders

VARIABLES: Final = ("name", "operator", "case", "site", "order", "channel")
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class CannedReply:
    """Words by language; `team` "": everybody's."""

    id: int
    shortcut: str
    texts: Mapping[str, str]
    team: str
    used: int
    version: int
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Filled:
    """Words ready for the composer. `missing`: variables nothing is known for, still in the words as {name}."""

    text: str
    language: str
    missing: tuple[str, ...] = ()


def unknown_variables(texts: Iterable[str]) -> list[str]:
    """Names in braces that are no variables, as written."""
    found = {name for text in texts for name in _VARIABLE.findall(text)}
    return sorted(found - set(VARIABLES))


def fill(text: str, known: Mapping[str, str], language: str) -> Filled:
    """The words with what is known put in; nothing that is put in is read as a variable again."""
    missing = sorted({name for name in _VARIABLE.findall(text) if not known.get(name)})
    return Filled(_VARIABLE.sub(lambda match: known.get(match[1]) or match[0], text), language, tuple(missing))


def all_of(conn: Connection, teams: frozenset[str] | None) -> list[CannedReply]:
    """Everybody's and those of these teams (None: of all), by shortcut."""
    found = select(canned_replies).order_by(canned_replies.c.shortcut)
    if teams is not None:
        found = found.where(canned_replies.c.team.in_(sorted({"", *teams})))
    return [_reply(row) for row in conn.execute(found)]


def get(conn: Connection, canned_id: int) -> CannedReply:
    """Raises: NotFound."""
    row = conn.execute(select(canned_replies).where(canned_replies.c.id == canned_id)).first()
    if row is None:
        raise NotFound(f"there is no canned reply {canned_id}")
    return _reply(row)


def save(
    conn: Connection, canned_id: int | None, version: int | None, values: Mapping[str, Any], *, by: str, now: datetime
) -> CannedReply:
    """The reply is new (`canned_id` None) or says this now. Raises: NotFound, StaleState, InputError (shortcut)."""
    same = select(canned_replies.c.id).where(canned_replies.c.shortcut == values["shortcut"])
    taken = conn.execute(same).scalar()
    if taken is not None and taken != canned_id:
        raise InputError(f"/{values['shortcut']} is another reply's shortcut")
    written = {**values, "updated_by": by, "updated_at": now}
    if canned_id is None:
        made = conn.execute(insert(canned_replies).values(**written))
        return get(conn, made.inserted_primary_key[0])  # type: ignore[index]  # one row, one key
    row = conn.execute(select(canned_replies).where(canned_replies.c.id == canned_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no canned reply {canned_id}")
    if version is not None and row.version != version:
        raise StaleState(f"/{row.shortcut} was changed by {row.updated_by} meanwhile")
    here = canned_replies.c.id == canned_id
    conn.execute(update(canned_replies).where(here).values(**written, version=row.version + 1))
    return get(conn, canned_id)


def remove(conn: Connection, canned_id: int) -> None:
    """Raises: NotFound."""
    if not conn.execute(delete(canned_replies).where(canned_replies.c.id == canned_id)).rowcount:
        raise NotFound(f"there is no canned reply {canned_id}")


def count_use(conn: Connection, canned_id: int) -> None:
    """It was taken into a composer once more."""
    used = {"used": canned_replies.c.used + 1}
    conn.execute(update(canned_replies).where(canned_replies.c.id == canned_id).values(**used))


def values_for(conn: Connection, conversation: Any, operator: str) -> dict[str, str]:
    """What each variable stands for in this conversation; "" where nothing is known."""
    who = conversation.customer_id
    language = "en" if conversation.language == "en" else "zh"
    case = conn.execute(
        select(cases.c.number, sites.c.names)
        .outerjoin_from(cases, sites, sites.c.id == cases.c.site_id)
        .where(cases.c.customer_id == who, cases.c.is_open)
        .order_by(cases.c.id.desc())
        .limit(1)
    ).first()
    order = select(orders.c.number).where(orders.c.customer_id == who).order_by(orders.c.updated_at.desc()).limit(1)
    names: Mapping[str, str] = (case.names if case is not None else None) or {}
    return {
        "name": conn.execute(select(customers.c.name).where(customers.c.id == who)).scalar() or "",
        "operator": operator,
        "case": "" if case is None else case.number,
        "site": names.get(language) or next(iter(names.values()), ""),
        "order": conn.execute(order).scalar() or "",
        "channel": conversation.channel,
    }


def _reply(row: Any) -> CannedReply:
    return CannedReply(row.id, row.shortcut, row.texts, row.team, row.used, row.version, row.updated_by, row.updated_at)
