"""How channels do, as far as the store knows: payloads a vendor signed and nobody could read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from crm_sync import unreadable
from crm_sync.database import Database
from crm_sync.unreadable import Unreadable
from desk.actors import Actor

__all__ = ["ChannelDesk", "Unreadable"]
MOST = 200


class ChannelDesk:
    """Looking only; what the payloads hold is for whoever runs the desk (`frontdesk inbox show`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unreadable(self, actor: Actor, *, limit: int = 50) -> Sequence[Unreadable]:
        """The newest ones, newest first; never their content. Raises: NotPermitted."""
        actor.require("settings.read")
        return await self._database.run(partial(unreadable.newest, limit=min(limit, MOST)), read=True)
