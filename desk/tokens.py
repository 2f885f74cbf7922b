"""API tokens: given out by who may, shown once, and what somebody who brings one is allowed."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from bot.errors import InputError, NotSignedIn
from bot.ports import Clock
from crm_sync import api_tokens
from crm_sync.database import Database
from desk.actors import Actor, granted
from desk.audit import record
from desk.roles import require_no_more

PREFIX: Final = "fdk_"  # so that scanners for leaked secrets know one
PER_MINUTE: Final = 120
MOST_PER_MINUTE: Final = 100_000
SIGN_OF_LIFE: Final = timedelta(minutes=1)  # how often its last use is written down
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token as lists show it."""

    id: int
    name: str
    role: str
    per_minute: int
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """The only time anybody sees the token."""

    token: str = field(repr=False)
    line: TokenLine


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """Who calls the API, and how often they may."""

    token_id: int
    actor: Actor
    per_minute: int


class TokenDesk:
    """The tokens of the API."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def list(self, actor: Actor) -> list[TokenLine]:
        """All tokens, also those that open nothing any more, the newest first. Raises: NotPermitted."""
        actor.require("tokens.write")
        return await self._database.run(lambda conn: [_line(row) for row in api_tokens.all_tokens(conn)], read=True)

    async def create(
        self,
        actor: Actor,
        name: str,
        *,
        role: str,
        per_minute: int = PER_MINUTE,
        expires_at: datetime | None = None,
    ) -> NewToken:
        """A token that may do what `role` may, `per_minute` times a minute.

        Raises: NotPermitted, also for a role that may more than the actor; InputError for a name that is odd or taken,
        an unknown role, a rate that is none, or a time that is over.
        """
        actor.require("tokens.write")
        now = self._clock.now()
        if not _NAME.fullmatch(name):
            raise InputError("a token's name has 1 to 60 small letters, digits, dots, dashes and underscores")
        if not 0 < per_minute <= MOST_PER_MINUTE:
            raise InputError(f"a token may call 1 to {MOST_PER_MINUTE} times a minute")
        if expires_at is not None and expires_at <= now:
            raise InputError("the token would be over before it begins")
        token = PREFIX + secrets.token_urlsafe(32)

        def unit(conn: Connection) -> TokenLine:
            require_no_more(conn, actor, role)
            values = {"role": role, "per_minute": per_minute, "created_by": actor.name, "expires_at": expires_at}
            token_id = api_tokens.add(conn, token, name=name, created_at=now, **values)
            line = _line(api_tokens.locked(conn, token_id))
            record(conn, actor, "token.create", f"token:{token_id}", {"role": role}, now=now)
            return line

        return NewToken(token, await self._database.run(unit))

    async def revoke(self, actor: Actor, token_id: int) -> TokenLine:
        """It opens nothing any more. Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        now = self._clock.now()

        def unit(conn: Connection) -> TokenLine:
            row = api_tokens.locked(conn, token_id)
            if row.revoked_at is None:
                api_tokens.change(conn, token_id, revoked_at=now)
                record(conn, actor, "token.revoke", f"token:{token_id}", {}, now=now)
            return _line(api_tokens.locked(conn, token_id))

        return await self._database.run(unit)

    async def resolve(self, token: str) -> TokenBearer:
        """Who brings this token. Raises: NotSignedIn for one that is unknown, revoked or over."""
        now = self._clock.now()
        if not token.startswith(PREFIX):
            raise NotSignedIn

        def unit(conn: Connection) -> tuple[TokenBearer, datetime | None]:
            row = api_tokens.find(conn, token)
            is_over = row is not None and row.expires_at is not None and row.expires_at <= now
            if row is None or row.revoked_at is not None or is_over:
                raise NotSignedIn
            actor = Actor(f"token:{row.name}", row.role, granted=granted(conn, row.role))
            return TokenBearer(row.id, actor, row.per_minute), row.last_used_at

        bearer, last_used_at = await self._database.run(unit, read=True)
        if last_used_at is None or now - last_used_at >= SIGN_OF_LIFE:
            await self._database.run(
                lambda conn: api_tokens.change(conn, bearer.token_id, last_used_at=now), durable=False
            )
        return bearer


def _line(row: Any) -> TokenLine:
    return TokenLine(
        id=row.id,
        name=row.name,
        role=row.role,
        per_minute=row.per_minute,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
