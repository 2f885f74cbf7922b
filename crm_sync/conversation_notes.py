"""Notes that staff write for each other beside a conversation, and whom of them a note calls."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from crm_sync.console_tables import conversation_notes
from crm_sync.conversation_history import HistoryNote
from crm_sync.tables import staff_users


def staff_called(conn: Connection, text: str) -> list[str]:
    """Names of accounts that the words call with an @, by account or as customers see them; in order of name."""
    if "@" not in text:
        return []
    said = text.casefold()
    rows = conn.execute(
        select(staff_users.c.name, staff_users.c.display_name).where(staff_users.c.disabled_at.is_(None))
    ).all()
    return called(said, {row.name: (row.name, row.display_name) for row in rows})


def called(said: str, names: dict[str, tuple[str, ...]]) -> list[str]:
    """Keys of `names` of which one word follows an @; the longest that fits counts, so @ann does not call @anna's."""
    words = {word.casefold(): key for key, known in names.items() for word in known if word}
    if not words:
        return []
    longest_first = sorted(words, key=len, reverse=True)
    # A name in Latin letters ends where its letters end; a Chinese one is followed by other words without a space.
    pattern = "|".join(re.escape(word) + (r"(?![\w-])" if word.isascii() else "") for word in longest_first)
    return sorted({words[found[1]] for found in re.finditer(f"@({pattern})", said)})


def add(
    conn: Connection, conversation_id: int, *, by: str, text: str, mentions: Collection[str], now: datetime
) -> HistoryNote:
    """The note stands beside the conversation."""
    values = {"conversation_id": conversation_id, "by": by, "text": text, "mentions": sorted(mentions), "at": now}
    made = conn.execute(insert(conversation_notes).values(**values))
    note_id: int = made.inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    return HistoryNote(note_id, conversation_id, by, text, tuple(sorted(mentions)), now, None)


def locked(conn: Connection, conversation_id: int, note_id: int) -> Any:
    """The note's row; None when there is none beside this conversation."""
    mine = (conversation_notes.c.id == note_id, conversation_notes.c.conversation_id == conversation_id)
    return conn.execute(select(conversation_notes).where(*mine).with_for_update()).first()


def change(conn: Connection, note_id: int, *, text: str, mentions: Collection[str], now: datetime) -> None:
    """The note says this."""
    values = {"text": text, "mentions": sorted(mentions), "edited_at": now}
    conn.execute(update(conversation_notes).where(conversation_notes.c.id == note_id).values(**values))
