"""Rows of the `media` table: the journal that knows of every file before its first byte is stored.

wanted → stored | refused      a customer's file that still lies with the vendor
storing → stored               being written now; left behind by a crash it becomes gone after an hour
stored → gone                  expired or erased; `is_kept` stays until the bytes are deleted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from bot.errors import FileRefused, NotFound
from bot.ports import StoredFile
from bot.types import ConversationId, CustomerId
from crm_sync.columns import is_state
from crm_sync.tables import conversations, media

MAX_WAITING_UPLOADS: Final = 20  # of one conversation, not yet named by a message
UPLOAD_LASTS: Final = timedelta(days=1)  # without a message that names it
STORING_LASTS: Final = timedelta(hours=1)  # far longer than any store call may take
BATCH: Final = 200
_ERASED, _UNFINISHED, _EXPIRED = "erased", "unfinished", "expired"


@dataclass(frozen=True, slots=True)
class MediaRow:
    """A file as a link's reader needs to know it."""

    file: StoredFile
    state: str


def find(conn: Connection, key: str) -> MediaRow | None:
    row = conn.execute(select(media).where(media.c.key == key)).first()
    if row is None:
        return None
    return MediaRow(
        StoredFile(row.key, row.mime, row.size or 0, row.file_name, _shown_as(row.mime), row.sha256),
        row.state,
    )


def _shown_as(mime: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def reserve(
    conn: Connection, key: str, now: datetime, *, conversation_id: ConversationId | None, is_upload: bool
) -> None:
    """`key` is ours and may hold bytes from now on. Raises: FileRefused when too many uploads wait for a message."""
    if is_upload:
        waiting = conn.execute(
            select(func.count())
            .select_from(media)
            .where(
                media.c.conversation_id == conversation_id,
                media.c.is_upload,
                media.c.message_id.is_(None),
                is_state(media.c.state, "storing", "stored"),
            )
        ).scalar_one()
        if waiting >= MAX_WAITING_UPLOADS:
            raise FileRefused("too_many", "too many files wait for a message that names them")
    conn.execute(
        insert(media).values(
            key=key,
            conversation_id=conversation_id,
            state="storing",
            is_kept=True,
            is_upload=is_upload,
            created_at=now,
        )
    )


def finish(conn: Connection, key: str, facts: Mapping[str, Any], now: datetime, *, expires_at: datetime) -> bool:
    """The file is stored; False when its row was swept or erased meanwhile."""
    return (
        conn.execute(
            update(media)
            .where(media.c.key == key, is_state(media.c.state, "storing"))
            .values(state="stored", stored_at=now, expires_at=expires_at, **facts)
        ).rowcount
        == 1
    )


def abandon(conn: Connection, key: str) -> None:
    """The bytes under `key`, if any, are to be deleted."""
    conn.execute(
        update(media)
        .where(media.c.key == key, is_state(media.c.state, "storing"))
        .values(state="gone", reason=_UNFINISHED)
    )


def let_go(conn: Connection, now: datetime) -> int:
    """What has expired, and what was never finished, is gone; its bytes are still to be deleted. How many."""
    unfinished = conn.execute(
        update(media)
        .where(is_state(media.c.state, "storing"), media.c.created_at <= now - STORING_LASTS)
        .values(state="gone", reason=_UNFINISHED)
    ).rowcount
    expired = conn.execute(
        update(media)
        .where(is_state(media.c.state, "stored"), media.c.expires_at <= now)
        .values(state="gone", reason=_EXPIRED, file_name="", sha256="")
    ).rowcount
    return unfinished + expired


def to_delete(conn: Connection) -> list[str]:
    """Keys of files whose bytes must go."""
    waiting = is_state(media.c.state, "gone") & media.c.is_kept
    return list(conn.execute(select(media.c.key).where(waiting).order_by(media.c.id).limit(BATCH)).scalars())


def deleted(conn: Connection, key: str) -> None:
    """The bytes are gone. Of an expired file the row stays, so that staff see that there was one."""
    gone = (media.c.key == key, is_state(media.c.state, "gone"))
    conn.execute(delete(media).where(*gone, media.c.reason.in_((_ERASED, _UNFINISHED))))
    conn.execute(update(media).where(*gone).values(is_kept=False))


def kept_of(conn: Connection, customer_id: CustomerId) -> list[str]:
    """Keys of the customer's files whose bytes may lie in the media store."""
    mine = media.c.conversation_id.in_(select(conversations.c.id).where(conversations.c.customer_id == customer_id))
    return list(conn.execute(select(media.c.key).where(mine, media.c.is_kept)).scalars())


def still_kept(conn: Connection, keys: Sequence[str]) -> int:
    """Of how many of these files the bytes may still lie in the media store."""
    kept = select(func.count()).select_from(media).where(media.c.key.in_(keys), media.c.is_kept)
    return conn.execute(kept).scalar_one()


def counts(conn: Connection) -> tuple[int, int, int]:
    """Files wanted, those of them that failed at least once, and files refused."""
    wanted = is_state(media.c.state, "wanted")
    return (
        conn.execute(select(func.count()).select_from(media).where(wanted)).scalar_one(),
        conn.execute(select(func.count()).select_from(media).where(wanted, media.c.attempts > 1)).scalar_one(),
        conn.execute(select(func.count()).select_from(media).where(is_state(media.c.state, "refused"))).scalar_one(),
    )


def found(row: MediaRow | None) -> MediaRow:
    """Raises: NotFound unless the file is stored."""
    if row is None or row.state != "stored":
        raise NotFound("no such file")
    return row
