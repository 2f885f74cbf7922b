"""Files named by messages that are being accepted: part of the same transaction, nothing is fetched here."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, update

from bot.types import Media
from crm_sync.columns import is_state
from crm_sync.media.file_names import harmless
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import media

NOT_FETCHED: Final = frozenset({"sticker"})  # says nothing that its kind does not say

_ATTACH = Statement(
    update(media)
    .where(
        media.c.key == bindparam("b_key"),
        media.c.conversation_id == bindparam("b_conversation"),
        media.c.is_upload,
        media.c.message_id.is_(None),
        is_state(media.c.state, "stored"),
    )
    .values(
        message_id=bindparam("b_message"),
        expires_at=bindparam("b_expires", type_=media.c.expires_at.type),
        kind=bindparam("b_kind"),
    )
)


@dataclass(frozen=True, slots=True)
class FileSources:
    """Where customers' files come from: vendors that keep them for us, and our own uploads (channel `web`)."""

    fetching: Collection[tuple[str, str]] = frozenset()  # channel and account
    retention: timedelta = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class ArrivedFile:
    """A file named by a message that is being accepted."""

    channel: str
    account: str
    conversation_id: int
    message_id: int
    content: Media


def note_files(conn: Connection, files: Sequence[ArrivedFile], sources: FileSources, now: datetime) -> None:
    """Files at vendors are wanted from now on; uploads belong to their message. Part of accepting it."""
    insert_rows(
        conn,
        media,
        [
            _wanted_row(file, now)
            for file in files
            if (file.channel, file.account) in sources.fetching and file.content.kind not in NOT_FETCHED
        ],
    )
    uploads = [file for file in files if file.channel == "web"]
    _ATTACH.change_each(
        conn,
        [
            {
                "b_key": file.content.file_id,
                "b_conversation": file.conversation_id,
                "b_message": file.message_id,
                "b_expires": now + sources.retention,
                "b_kind": file.content.kind,
            }
            for file in uploads
        ],
    )


def _wanted_row(file: ArrivedFile, now: datetime) -> dict[str, Any]:
    size = file.content.size
    return {
        "key": secrets.token_urlsafe(24),
        "conversation_id": file.conversation_id,
        "message_id": file.message_id,
        "channel": file.channel,
        "account": file.account,
        "file_id": file.content.file_id,
        "state": "wanted",
        "kind": file.content.kind,
        "size": size if size is not None and 0 <= size < 2**62 else None,
        "file_name": harmless(file.content.file_name),
        "created_at": now,
    }
