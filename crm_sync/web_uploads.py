"""Files of web visitors: each is uploaded once under its client id, and becomes part of one message of its uploader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, insert, select, update

from bot.errors import DedupeMismatch
from bot.types import ConversationId, Identity
from crm_sync.columns import digest_key, is_state
from crm_sync.tables import media, web_uploads
from crm_sync.web_reads import find_conversation

BATCH: Final = 1_000


def find_upload(conn: Connection, identity: Identity, client_id: str, sha256: str) -> str | None:
    """The media id of what this visitor uploaded under this id; None when there is nothing yet.

    Raises: DedupeMismatch when it was another file.
    """
    row = conn.execute(
        select(web_uploads.c.media_key, web_uploads.c.sha256).where(web_uploads.c.key == _key(identity, client_id))
    ).first()
    if row is None:
        return None
    if row.sha256 != sha256:
        raise DedupeMismatch("another file was uploaded under this id")
    return str(row.media_key)


def note_upload(
    conn: Connection,
    identity: Identity,
    client_id: str,
    sha256: str,
    *,
    media_id: str,
    conversation_id: ConversationId,
    now: datetime,
) -> str:
    """The visitor's file has this id; the media id of the first one when the same was uploaded twice at once.

    Raises: DedupeMismatch when the first was another file.
    """
    known = find_upload(conn, identity, client_id, sha256)
    if known is not None:
        return known
    conn.execute(
        insert(web_uploads),
        {
            "key": _key(identity, client_id),
            "media_key": media_id,
            "conversation_id": conversation_id,
            "sha256": sha256,
            "at": now,
        },
    )
    return media_id


def use_upload(conn: Connection, identity: Identity, media_id: str, message_id: str) -> bool:
    """The visitor's own file belongs to this message from now on; False when it is not theirs, or another's already."""
    conversation_id = find_conversation(conn, identity)
    used_by = digest_key(message_id)
    free = and_(
        web_uploads.c.media_key == media_id,
        web_uploads.c.conversation_id == conversation_id,
        web_uploads.c.used_by.in_(("", used_by)),
    )
    return conn.execute(update(web_uploads).where(free).values(used_by=used_by)).rowcount == 1


def without_file(conn: Connection) -> list[str]:
    """Keys of at most BATCH uploads whose file is no longer stored: no message, and no repeat of one, can have it.

    A file goes a day after an upload that no message named, and with the retention after one that was.
    """
    stored = select(media.c.id).where(media.c.key == web_uploads.c.media_key, is_state(media.c.state, "stored"))
    return list(conn.execute(select(web_uploads.c.key).where(~stored.exists()).limit(BATCH)).scalars())


def forget(conn: Connection, keys: Sequence[str]) -> None:
    """Nothing is known of these uploads; the same file under the same client id is a new one."""
    conn.execute(delete(web_uploads).where(web_uploads.c.key.in_(keys)))


def _key(identity: Identity, client_id: str) -> str:
    return digest_key(identity.channel, identity.account, identity.external_id, client_id)
