"""Words that an operator sends later: kept with a timer; when it is due they leave, or are refused with a notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from bot.errors import BotError, NotFound, StaleState
from bot.types import OutMedia
from crm_sync import timers
from crm_sync.console_tables import scheduled_messages
from crm_sync.operator_words import Saying, Written
from crm_sync.staff_notices import notify
from crm_sync.tables import conversations, media
from crm_sync.timers import Timer

KIND: Final = "scheduled_words"
_FILES_STAY: Final = timedelta(days=7)  # after the moment the words are to leave; then they are the message's
Say = Callable[[Connection, Any, Saying], Written]  # into a conversation's locked row


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Words that wait for their time."""

    id: int
    conversation_id: int
    by: str
    text: str
    files: tuple[str, ...]  # media ids
    send_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody wants said when. `files`: a digest of the files that go with it, "" for none."""

    by: str
    text: str
    send_at: datetime
    files: str = ""


def planned_before(conn: Connection, conversation_id: int, wanted: Plan) -> Scheduled | None:
    """The same plan, if it waits here already."""
    found = select(scheduled_messages).where(
        scheduled_messages.c.conversation_id == conversation_id,
        scheduled_messages.c.state == "waiting",
        scheduled_messages.c.by == wanted.by,
        scheduled_messages.c.send_at == wanted.send_at,
    )
    for row in conn.execute(found.order_by(scheduled_messages.c.id)):
        if (row.text, (row.content or {}).get("digest", "")) == (wanted.text, wanted.files):
            return _scheduled(row)
    return None


def plan(conn: Connection, row: Any, wanted: Plan, files: Sequence[OutMedia], now: datetime) -> Scheduled:
    """The words leave at their time; the files are kept until then at least."""
    by, text, send_at = wanted.by, wanted.text, wanted.send_at
    named = [{f.name: v for f in fields(file) if (v := getattr(file, f.name))} for file in files]
    content = {"files": named, "digest": wanted.files} if files else None
    values = {"conversation_id": row.id, "by": by, "text": text, "content": content}
    made = conn.execute(insert(scheduled_messages).values(**values, send_at=send_at, created_at=now))
    scheduled_id: int = made.inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    keys = [file.media_id for file in files]
    taken = {"is_upload": False, "expires_at": send_at + _FILES_STAY}
    conn.execute(update(media).where(media.c.key.in_(keys)).values(**taken))
    timers.plan(conn, KIND, send_at, now, customer_id=row.customer_id, details={"scheduled": scheduled_id})
    return Scheduled(scheduled_id, row.id, by, text, tuple(keys), send_at, now)


def waiting_of(conn: Connection, conversation_id: int) -> list[Scheduled]:
    """What waits in this conversation, the next first."""
    found = select(scheduled_messages).where(
        scheduled_messages.c.conversation_id == conversation_id, scheduled_messages.c.state == "waiting"
    )
    rows = conn.execute(found.order_by(scheduled_messages.c.send_at, scheduled_messages.c.id))
    return [_scheduled(row) for row in rows]


def _scheduled(row: Any) -> Scheduled:
    files = tuple(file.media_id for file in _files(row))
    return Scheduled(row.id, row.conversation_id, row.by, row.text, files, row.send_at, row.created_at)


def cancel(conn: Connection, conversation_id: int, scheduled_id: int, *, by: str | None) -> None:
    """It will not be said. `by`: only what this operator planned. Raises: NotFound; StaleState when it was said."""
    mine = [scheduled_messages.c.id == scheduled_id, scheduled_messages.c.conversation_id == conversation_id]
    if by is not None:
        mine.append(scheduled_messages.c.by == by)
    row = conn.execute(select(scheduled_messages.c.state).where(*mine).with_for_update()).first()
    if row is None:
        raise NotFound(f"nothing of yours waits here under {scheduled_id}")
    if row.state != "waiting":
        raise StaleState("these words were sent, cancelled or refused before")
    _end(conn, scheduled_id, state="cancelled")


def hand_over(conn: Connection, due: Sequence[Timer], now: datetime, say: Say) -> list[tuple[int, Written | None]]:
    """What is due is said, or refused and its author told; each conversation with what was written in it."""
    ids = [timer.details["scheduled"] for timer in due if "scheduled" in timer.details]
    waiting = (scheduled_messages.c.id.in_(ids), scheduled_messages.c.state == "waiting")
    places = conn.execute(select(scheduled_messages.c.conversation_id).where(*waiting)).scalars().all()
    talks = select(conversations).where(conversations.c.id.in_(places)).order_by(conversations.c.id)
    rows = {row.id: row for row in conn.execute(talks.with_for_update())}
    found = select(scheduled_messages).where(*waiting).order_by(scheduled_messages.c.send_at, scheduled_messages.c.id)
    done: list[tuple[int, Written | None]] = []
    for planned in conn.execute(found.with_for_update()).all():
        row = rows.get(planned.conversation_id)
        if row is None:
            continue
        reason = _why_not(row, planned)
        written = None
        if not reason:
            try:
                written = say(conn, row, Saying(planned.by, planned.text, _still_there(conn, planned), now))
            except BotError as error:
                reason = type(error).__name__
        if written is None:
            _end(conn, planned.id, state="refused", reason=reason)
            notify(conn, [planned.by], "scheduled_refused", now, conversation_id=row.id, reference=reason)
        else:
            _end(conn, planned.id, state="handed_over", message_id=written.message_ids[0])
            fresh = select(conversations).where(conversations.c.id == row.id)
            rows[row.id] = conn.execute(fresh).one()  # the web sequence went on
        done.append((planned.conversation_id, written))
    return done


def _why_not(row: Any, planned: Any) -> str:
    """Why the words must not leave now; "" when they may."""
    if not row.chat_id and not row.topic:
        return "erased"
    if row.owner == "operator":
        return "" if row.operator == planned.by else "held_by_other"
    if row.owner == "queue":
        return "in_queue"
    if row.last_inbound_at is not None and row.last_inbound_at > planned.created_at:
        return "customer_wrote"  # and the bot answered: what was to be said may no longer fit
    return ""


def _still_there(conn: Connection, planned: Any) -> tuple[OutMedia, ...]:
    """Its files. Raises: NotFound when one is gone."""
    files = _files(planned)
    keys = [file.media_id for file in files]
    kept = select(media.c.key).where(media.c.key.in_(keys), media.c.state == "stored")
    if set(keys) - set(conn.execute(kept).scalars()):
        raise NotFound("a file that was to be sent is gone")
    return files


def _files(row: Any) -> tuple[OutMedia, ...]:
    return tuple(OutMedia(**file) for file in (row.content or {}).get("files", ()))


def _end(conn: Connection, scheduled_id: int, **values: Any) -> None:
    conn.execute(update(scheduled_messages).where(scheduled_messages.c.id == scheduled_id).values(**values))
