"""Access tokens of vendor accounts, fetched by one process at a time and seen by all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update

from bot.ports import Clock, VendorToken
from crm_sync.database import Database
from crm_sync.rows import insert_if_absent
from crm_sync.tables import vendor_tokens


class SqlVendorTokens:
    """Implements `bot.ports.VendorTokens`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def get_token(self, name: str) -> VendorToken | None:
        """The newest one, which may be over; None before the first."""
        row = await self._database.run(lambda conn: conn.execute(_row(name)).first(), read=True)
        if row is None or not row.token:
            return None
        return VendorToken(row.token, row.fetched_at, row.expires_at)

    async def lease_token(self, name: str, owner: str, lasts: timedelta) -> bool:
        """`owner` may fetch a new one now; False while somebody else may."""
        now = self._clock.now()

        def unit(conn: Connection) -> bool:
            insert_if_absent(conn, vendor_tokens, {"name": name}, key=["name"])
            taken = (
                update(vendor_tokens)
                .where(
                    vendor_tokens.c.name == name,
                    or_(
                        vendor_tokens.c.lease_until.is_(None),
                        vendor_tokens.c.lease_until <= now,
                        vendor_tokens.c.lease_owner == owner,
                    ),
                )
                .values(lease_owner=owner, lease_until=now + lasts)
            )
            return conn.execute(taken).rowcount == 1

        return await self._database.run(unit, durable=False)

    async def put_token(self, name: str, owner: str, token: VendorToken) -> None:
        """It is the newest one for everybody and `owner`'s lease is over; a no-op when that lease was lost."""
        await self._end(name, owner, token=token.token, fetched_at=token.fetched_at, expires_at=token.expires_at)

    async def release_token(self, name: str, owner: str) -> None:
        """`owner` fetched nothing and somebody else may."""
        await self._end(name, owner)

    async def _end(self, name: str, owner: str, **values: Any) -> None:
        ended = (
            update(vendor_tokens)
            .where(vendor_tokens.c.name == name, vendor_tokens.c.lease_owner == owner)
            .values(lease_owner=None, lease_until=None, **values)
        )
        await self._database.run(lambda conn: conn.execute(ended), durable=False)


def _row(name: str) -> Any:
    return select(vendor_tokens.c.token, vendor_tokens.c.fetched_at, vendor_tokens.c.expires_at).where(
        vendor_tokens.c.name == name
    )
