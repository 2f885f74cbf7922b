"""Which conversations a member of staff sees. What they do not see is not there for them: NotFound, never a refusal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from bot.errors import NotFound
from crm_sync.conversation_lists import Sight, is_visible
from crm_sync.tables import conversations
from desk.actors import Actor


def sight_of(actor: Actor) -> Sight:
    """Raises: NotPermitted for a role that sees none."""
    if actor.may("conversations.read_all"):
        return Sight(actor.name)
    actor.require("conversations.read")
    return Sight(actor.name, actor.teams)


def visible(conn: Connection, actor: Actor, conversation_id: int, *, lock: bool = False) -> Any:
    """The conversation's row, locked if so wanted. Raises: NotFound, NotPermitted for a role that sees none."""
    found = select(conversations).where(conversations.c.id == conversation_id, *is_visible(sight_of(actor)))
    row = conn.execute(found.with_for_update() if lock else found).first()
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id}")
    return row
