"""An operator's words as they enter the store: message, outbox row, web sequence, what they answer; all in one.

Everything here works on a conversation's row that the caller has locked and checked.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from bot.errors import DedupeMismatch, InputError, NotHolding, RuleError
from bot.types import Lane, OutMedia, OutPart
from crm_sync.codec import dump_part, wire_event
from crm_sync.columns import digest_key, is_state
from crm_sync.committing import LANES
from crm_sync.console_tables import operator_sends
from crm_sync.database import Database
from crm_sync.rows import new_ids
from crm_sync.seen import mark_seen
from crm_sync.statements import insert_rows
from crm_sync.tables import conversations, handoffs, media, messages, outbox, staff_users

SENDS_KNOWN: Final = timedelta(days=30)  # a browser that was offline for longer asks a person first


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the words. `waits`: a sender has something to do; `visible`: events for an open web page."""

    message_ids: tuple[int, ...]
    is_new: bool = True
    waits: bool = False
    visible: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Saying:
    """What somebody says, when: words and files not yet cut to what a channel carries."""

    by: str
    text: str
    files: tuple[OutMedia, ...]
    at: datetime


def check_holds(row: Any, name: str) -> None:
    """Raises: NotHolding unless `name` has the conversation; RuleError when its customer was erased."""
    if row.owner != "operator" or row.operator != name:
        raise NotHolding(row.owner, row.operator)
    check_reachable(row)


def check_reachable(row: Any) -> None:
    """Raises: RuleError when there is nowhere to send to any more."""
    if not row.chat_id and not row.topic:
        raise RuleError("this person was erased: nothing can be sent to them")


def shown_name(conn: Connection, name: str) -> str:
    """How customers see this member of staff."""
    return conn.execute(select(staff_users.c.display_name).where(staff_users.c.name == name)).scalar() or name


def sent_before(conn: Connection, key: str, digest: str) -> Written | None:
    """What the same send led to; None for the first. Raises: DedupeMismatch when its words were others."""
    row = conn.execute(select(operator_sends).where(operator_sends.c.key == key)).first()
    if row is None:
        return None
    if row.digest != digest:
        raise DedupeMismatch("other words were sent under this id before")
    return Written((row.message_id,), is_new=False)


def remember(conn: Connection, key: str, digest: str, message_id: int, now: datetime) -> None:
    """The same send asked for again is known."""
    conn.execute(insert(operator_sends).values(key=key, digest=digest, message_id=message_id, at=now))


def files_of(conn: Connection, conversation_id: int, media_ids: Sequence[str]) -> tuple[OutMedia, ...]:
    """The uploads as they will leave. Raises: InputError for one that is not this conversation's, used, or gone."""
    found = select(media).where(
        media.c.key.in_(media_ids),
        media.c.conversation_id == conversation_id,
        media.c.is_upload,
        media.c.message_id.is_(None),
        is_state(media.c.state, "stored"),
    )
    rows = {row.key: row for row in conn.execute(found.with_for_update())}
    if missing := [key for key in media_ids if key not in rows]:
        raise InputError(f"{len(missing)} of the files cannot be sent: upload them again")
    return tuple(
        OutMedia(_kind(rows[key].mime), media_id=key, file_name=rows[key].file_name, mime=rows[key].mime)
        for key in media_ids
    )


def _kind(mime: str) -> Any:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def attach(conn: Connection, message_id: int, files: Sequence[OutMedia], expires_at: datetime) -> None:
    """The uploads are part of the message."""
    keys = [file.media_id for file in files if file.media_id]
    conn.execute(update(media).where(media.c.key.in_(keys)).values(message_id=message_id, expires_at=expires_at))


def write(conn: Connection, row: Any, parts: Sequence[OutPart], *, by: str, is_direct: bool, now: datetime) -> Written:
    """Each part is a message with its outbox row; nothing is unanswered and the handoff has its first reply."""
    message_ids, outbox_ids = new_ids(conn, messages, len(parts)), new_ids(conn, outbox, len(parts))
    name, seq = shown_name(conn, by), row.web_seq
    said: list[dict[str, Any]] = []
    leaving: list[dict[str, Any]] = []
    visible: list[Mapping[str, Any]] = []
    for message_id, outbox_id, part in zip(message_ids, outbox_ids, parts, strict=True):
        content = {**(dump_part(part) or {}), "name": name}
        seq = seq + 1 if is_direct else seq
        said.append(
            {
                "id": message_id,
                "conversation_id": row.id,
                "direction": "out",
                "author": "operator",
                "kind": "text",
                "text": part.text,
                "content": content,
                "language": row.language,
                "template": "",
                "seq": seq if is_direct else None,
                "inbox_id": None,
                "at": now,
                "by": by,
            }
        )
        leaving.append(_outbox_row(row, outbox_id, message_id, now, is_direct=is_direct))
        if is_direct:
            visible.append(_event(said[-1]))
    insert_rows(conn, messages, said)
    insert_rows(conn, outbox, leaving)
    _settle(conn, row, by, seq, now)
    mark_seen(conn, by, row.id, message_ids[-1], now)
    return Written(tuple(message_ids), waits=not is_direct, visible=tuple(visible))


def _outbox_row(row: Any, outbox_id: int, message_id: int, now: datetime, *, is_direct: bool) -> dict[str, Any]:
    return {
        "id": outbox_id,
        "conversation_id": row.id,
        "message_id": message_id,
        "lane": LANES[Lane.OPERATOR],
        "channel": row.channel,
        "account": row.account,
        "chat_id": row.chat_id,
        "topic": row.topic,
        "state": "sent" if is_direct else "pending",
        "fence": row.fence,
        "is_vital": True,  # a person's answer may use the last reply of a window
        "idempotency_key": None if is_direct else secrets.token_hex(16),
        "created_at": now,
        "sent_at": now if is_direct else None,
    }


def _settle(conn: Connection, row: Any, by: str, seq: int, now: datetime) -> None:
    values = {
        "web_seq": seq,
        "last_message_at": now,
        "unanswered_since": None,
        "answered_at": now,
        "last_operator": by,
        "status": "open",
        "snoozed_until": None,
        "closed_at": None,
    }
    conn.execute(update(conversations).where(conversations.c.id == row.id).values(**values))
    first = (
        handoffs.c.conversation_id == row.id,
        handoffs.c.ended_at.is_(None),
        handoffs.c.first_reply_at.is_(None),
    )
    conn.execute(update(handoffs).where(*first).values(first_reply_at=now))


def _event(said: Mapping[str, Any], replaces_seq: int | None = None) -> dict[str, Any]:
    return wire_event(
        seq=said["seq"],
        message_id=said["id"],
        direction="out",
        author="operator",
        kind="text",
        text=said["text"],
        content=said["content"],
        at=said["at"],
        replaces_seq=replaces_seq,
    )


# --- changing what was said ------------------------------------------------------------------------------------------


def replace_unsent(conn: Connection, message_id: int, part: OutPart, content: Mapping[str, Any], now: datetime) -> None:
    """A message that has not left says this; nobody has seen what it said before."""
    fresh = {**{name: value for name, value in content.items() if name == "name"}, **(dump_part(part) or {})}
    conn.execute(
        update(messages).where(messages.c.id == message_id).values(text=part.text, content=fresh, edited_at=now)
    )


def replace_visible(conn: Connection, row: Any, old: Any, part: OutPart | None, now: datetime) -> Written:
    """A message on a web page reads so now, or (None) is taken back; the page hears of it as an event of its own."""
    (message_id,) = new_ids(conn, messages, 1)
    content = {**(dump_part(part) or {}), "name": (old.content or {}).get("name", "")} if part else {"deleted": True}
    edit = _edit_row(row, old, message_id, content, text=part.text if part else "", now=now, seq=row.web_seq + 1)
    _change(conn, old, part, now)
    insert_rows(conn, messages, [edit])
    seen = {"web_seq": row.web_seq + 1, "last_message_at": now}
    conn.execute(update(conversations).where(conversations.c.id == row.id).values(**seen))
    (outbox_id,) = new_ids(conn, outbox, 1)
    insert_rows(conn, outbox, [_outbox_row(row, outbox_id, message_id, now, is_direct=True)])
    return Written((message_id,), visible=(_event(edit, old.seq),))


def replace_sent(conn: Connection, row: Any, old: Any, part: OutPart | None, now: datetime) -> Written:
    """A message the vendor has will be changed there: the new words leave as an edit of the old ones, or (None) the
    wish that it is gone from the chat.
    """
    (message_id,), (outbox_id,) = new_ids(conn, messages, 1), new_ids(conn, outbox, 1)
    key = old.status_key or f"message:{old.id}"  # by it the sender finds what it edits
    leaving = part or OutPart("", takes_back=True)
    content = {**(dump_part(leaving) or {}), "name": (old.content or {}).get("name", ""), "status_key": key}
    edit = {**_edit_row(row, old, message_id, content, text=leaving.text, now=now, seq=None), "status_key": key}
    _change(conn, old, part, now, status_key=key)
    insert_rows(conn, messages, [edit])
    insert_rows(conn, outbox, [_outbox_row(row, outbox_id, message_id, now, is_direct=False)])
    conn.execute(update(conversations).where(conversations.c.id == row.id).values(last_message_at=now))
    return Written((message_id,), waits=True)


def _edit_row(
    row: Any, old: Any, message_id: int, content: Mapping[str, Any], *, text: str, now: datetime, seq: int | None
) -> dict[str, Any]:
    return {
        "id": message_id,
        "conversation_id": row.id,
        "direction": "out",
        "author": "operator",
        "kind": "text",
        "text": text,
        "content": {**content, "was": old.text},
        "language": old.language,
        "template": "",
        "seq": seq,
        "inbox_id": None,
        "at": now,
        "by": old.by,
        "replaces": old.id,
    }


def _change(conn: Connection, old: Any, part: OutPart | None, now: datetime, **more: Any) -> None:
    values = {"deleted_at": now} if part is None else {"text": part.text, "edited_at": now, "deleted_at": None}
    conn.execute(update(messages).where(messages.c.id == old.id).values(**values, **more))


def is_removal_given_up(conn: Connection, message_id: int) -> bool:
    """The message was to be gone from the chat, and staff have dropped that: the customer still has it."""
    newest = (
        select(messages.c.content, outbox.c.state)
        .join_from(messages, outbox, outbox.c.message_id == messages.c.id)
        .where(messages.c.replaces == message_id)
        .order_by(messages.c.id.desc())
        .limit(1)
    )
    edit = conn.execute(newest).first()
    return edit is not None and edit.state == "dropped" and bool((edit.content or {}).get("deleted"))


async def forget_sends(database: Database, now: datetime) -> int:
    """Sends of long ago are no longer known by their ids; how many."""
    old = operator_sends.c.at < now - SENDS_KNOWN
    return await database.run(lambda conn: conn.execute(delete(operator_sends).where(old)).rowcount)


def send_key(name: str, client_id: str) -> str:
    """Under which a send is remembered: each of the staff has ids of their own."""
    return digest_key("send", name, client_id)
