"""Canned replies as staff find, use and edit them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from bot.errors import InputError, NotFound
from crm_sync import canned
from crm_sync.canned import VARIABLES, CannedReply, Filled
from crm_sync.database import Database
from crm_sync.operator_words import shown_name
from desk.actors import Actor
from desk.audit import record
from desk.outside import Outside
from desk.sight import visible

__all__ = ["VARIABLES", "CannedDesk", "CannedReply", "Filled"]
MOST: Final = 20  # shown while typing after the slash
LONGEST: Final = 4000
_SHORTCUT: Final = re.compile(r"[\w-]{1,40}")
_LANGUAGES: Final = ("zh", "en")


class CannedDesk:
    """Everybody who reads conversations finds them; whoever has canned.write edits them."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database, self._outside = database, outside

    async def find(self, actor: Actor, query: str = "", *, limit: int = MOST) -> list[CannedReply]:
        """What fits what was typed after the slash: shortcuts that begin so, then all whose words hold it all; of
        those the most used first. Raises: NotPermitted.
        """
        actor.require("conversations.read")
        teams = None if actor.may("conversations.read_all") else actor.teams
        everything = await self._database.run(lambda conn: canned.all_of(conn, teams), read=True)
        wanted = _folded(query.lstrip("/"))
        ranked = [(rank, item) for item in everything if (rank := _rank(item, wanted)) is not None]
        ranked.sort(key=lambda found: (found[0], -found[1].used, found[1].shortcut))
        return [item for _, item in ranked[: max(1, limit)]]

    async def use(self, actor: Actor, canned_id: int, conversation_id: int, *, language: str = "") -> Filled:
        """The words for this conversation, in its language if there are any. Nothing is sent.

        Raises: NotPermitted, NotFound.
        """
        actor.require("conversations.reply")

        def unit(conn: Connection) -> Filled:
            row = visible(conn, actor, conversation_id)
            reply = self._visible(conn, actor, canned_id)
            wanted = language or row.language or ""
            spoken = wanted if wanted in reply.texts else next(iter(reply.texts))
            known = canned.values_for(conn, row, shown_name(conn, actor.name))
            canned.count_use(conn, canned_id)
            return canned.fill(reply.texts[spoken], known, spoken)

        return await self._database.run(unit, durable=False)

    async def save(
        self,
        actor: Actor,
        shortcut: str,
        texts: Mapping[str, str],
        *,
        canned_id: int | None = None,
        team: str = "",
        version: int | None = None,
    ) -> CannedReply:
        """The reply is there and says this. `texts`: by language.

        Raises: NotPermitted, NotFound, StaleState, InputError (a shortcut that is none or taken, no words, an unknown
        variable, with the known ones named).
        """
        actor.require("canned.write")
        name = shortcut.strip().lstrip("/").casefold()
        if not _SHORTCUT.fullmatch(name):
            raise InputError("a shortcut has 1 to 40 letters, digits or dashes")
        said = {language: text.strip() for language, text in texts.items() if text.strip()}
        if not said or set(said) - set(_LANGUAGES):
            raise InputError("a canned reply has words in zh, en or both")
        if any(len(text) > LONGEST for text in said.values()):
            raise InputError(f"a canned reply has at most {LONGEST} characters")
        if unknown := canned.unknown_variables(said.values()):
            raise InputError(
                f"there is no variable {{{unknown[0]}}}; there are " + ", ".join(f"{{{known}}}" for known in VARIABLES)
            )
        now, values = self._outside.clock.now(), {"shortcut": name, "texts": said, "team": team}

        def unit(conn: Connection) -> CannedReply:
            reply = canned.save(conn, canned_id, version, values, by=actor.name, now=now)
            record(conn, actor, "canned.change", f"canned:{reply.id}", {"languages": sorted(said)}, now=now)
            return reply

        return await self._database.run(unit)

    async def remove(self, actor: Actor, canned_id: int) -> None:
        """It is gone. Raises: NotPermitted, NotFound."""
        actor.require("canned.write")
        now = self._outside.clock.now()

        def unit(conn: Connection) -> None:
            canned.remove(conn, canned_id)
            record(conn, actor, "canned.remove", f"canned:{canned_id}", {}, now=now)

        await self._database.run(unit)

    def _visible(self, conn: Connection, actor: Actor, canned_id: int) -> CannedReply:
        reply = canned.get(conn, canned_id)
        if reply.team and reply.team not in actor.teams and not actor.may("conversations.read_all"):
            raise NotFound(f"there is no canned reply {canned_id}")
        return reply


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _rank(reply: CannedReply, wanted: str) -> int | None:
    """0: the shortcut is this, 1: it begins so, 2: shortcut or words hold it all, None: it does not fit."""
    if not wanted:
        return 1
    if reply.shortcut == wanted:
        return 0
    if reply.shortcut.startswith(wanted):
        return 1
    everything = _folded(" ".join((reply.shortcut, *reply.texts.values())))
    return 2 if all(word in everything for word in wanted.split()) else None
