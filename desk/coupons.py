"""Pools of coupon codes as marketers fill them, and codes as they come back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bot.errors import InputError
from bot.reach.content_reading import LANGUAGES
from bot.reach.reading import NAME
from crm_sync import coupons
from crm_sync.coupons import Pool
from crm_sync.database import Database
from desk.actors import Actor
from desk.audit import record
from desk.outside import Outside

__all__ = ["Added", "CouponDesk", "Pool"]
MOST: Final = 200_000  # codes of one list
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Added:
    """What a list of codes brought: new ones, and those that were there or came twice."""

    new: int
    known: int
    pool: Pool


class CouponDesk:
    """Each method raises NotPermitted, and NotFound where there is no such pool."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database, self._outside = database, outside

    async def pools(self, actor: Actor) -> list[Pool]:
        """All of them with what is left, the newest first."""
        actor.require("broadcasts.read")
        return await self._database.run(coupons.pools, read=True)

    async def create(
        self,
        actor: Actor,
        name: str,
        *,
        title: str = "",
        terms: Mapping[str, str] | None = None,
        valid_until: datetime | None = None,
    ) -> Pool:
        """An empty pool. `terms`: what a code is good for, by language; the bot says them when it is asked.

        Raises: also InputError (a name that is none or taken, words in no language of ours, over already).
        """
        actor.require("broadcasts.write")
        now = self._outside.clock.now()
        if not NAME.fullmatch(name):
            raise InputError("a pool is named with 1 to 60 of a-z, 0-9 and -")
        said = {language: words.strip() for language, words in (terms or {}).items() if words.strip()}
        if set(said) - set(LANGUAGES):
            raise InputError(f"terms have words in: {', '.join(LANGUAGES)}")
        if valid_until is not None and valid_until <= now:
            raise InputError("this pool would be over already")
        values = {"title": title.strip()[:200], "terms": said, "valid_until": valid_until}

        def unit(conn: Connection) -> Pool:
            pool = coupons.create(conn, name, values, by=actor.name, now=now)
            record(conn, actor, "coupons.create", f"coupons:{pool.id}", {}, now=now)
            return pool

        return await self._database.run(unit)

    async def add(self, actor: Actor, name: str, text: str) -> Added:
        """The codes in the first column of a CSV file, or one on each line, are in the pool.

        Raises: also InputError; nothing is added then.
        """
        actor.require("broadcasts.write")
        codes, now = codes_in(text), self._outside.clock.now()

        def unit(conn: Connection) -> Added:
            pool = coupons.pool_named(conn, name)
            new, known = coupons.add(conn, pool.id, codes)
            record(conn, actor, "coupons.add", f"coupons:{pool.id}", {"codes": new}, now=now)
            return Added(new, known, coupons.pool_named(conn, name))

        return await self._database.run(unit)

    async def redeem(self, actor: Actor, code: str) -> str:
        """The name of the pool whose code was used now. Raises: also InputError (used before, over, never given)."""
        actor.require("cases.work" if actor.may("cases.work") else "broadcasts.write")
        now = self._outside.clock.now()

        def unit(conn: Connection) -> str:
            name = coupons.redeem(conn, code, now)
            record(conn, actor, "coupons.redeem", f"coupons:{name}", {}, now=now)
            return name

        return await self._database.run(unit)


def codes_in(text: str) -> list[str]:
    """Codes of a list, without the head of a column called code. Raises: InputError (none, too many)."""
    rows = csv.reader(io.StringIO(text.lstrip(_BOM)))
    try:
        codes = [row[0].strip() for row in rows if row and row[0].strip()]
    except csv.Error as exc:
        raise InputError(f"line {rows.line_num}: {exc}") from exc
    if codes and codes[0].casefold() in ("code", "coupon", "券码"):
        codes = codes[1:]
    if not codes:
        raise InputError("there are no codes in it")
    if len(codes) > MOST:
        raise InputError(f"a list has at most {MOST} codes; give it in parts")
    return codes
