"""Pools of coupon codes: filled by a list, drawn once per person and broadcast, redeemed once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from bot.errors import InputError, NotFound
from crm_sync.broadcast_tables import coupon_pools, coupons
from crm_sync.columns import is_postgres, key_in
from crm_sync.rows import insert_if_absent
from crm_sync.statements import Statement

MAX_CODE: Final = 100  # characters
_DRAWN = Statement(
    select(coupons.c.drawn_for, coupons.c.customer_id, coupons.c.code).where(
        key_in(coupons.c.drawn_for, "keys"), coupons.c.customer_id.is_not(None)
    )
)
_TAKE = Statement(
    update(coupons)
    .where(coupons.c.id == bindparam("b_id"))
    .values(customer_id=bindparam("b_customer"), drawn_for=bindparam("b_for"), drawn_at=bindparam("b_at"))
)


@dataclass(frozen=True, slots=True)
class Pool:
    """`terms` by language: what a code is good for. `left`: codes nobody has drawn."""

    id: int
    name: str
    title: str
    terms: Mapping[str, str]
    valid_until: datetime | None
    codes: int
    left: int
    redeemed: int
    closed_at: datetime | None


def create(conn: Connection, name: str, values: Mapping[str, Any], *, by: str, now: datetime) -> Pool:
    """An empty pool. `values`: title, terms, valid_until. Raises: InputError when the name is taken."""
    row = {"name": name, **values, "created_by": by, "created_at": now}
    if not insert_if_absent(conn, coupon_pools, row, key=("name",)):
        raise InputError(f"there is a pool called {name!r} already")
    return pool_named(conn, name)


def pools(conn: Connection) -> list[Pool]:
    """All of them, the newest first."""
    counts = (
        select(
            coupons.c.pool_id,
            func.count().label("codes"),
            func.count(coupons.c.drawn_for).label("drawn"),
            func.count(coupons.c.redeemed_at).label("redeemed"),
        )
        .group_by(coupons.c.pool_id)
        .subquery()
    )
    rows = conn.execute(
        select(coupon_pools, counts.c.codes, counts.c.drawn, counts.c.redeemed)
        .outerjoin_from(coupon_pools, counts, counts.c.pool_id == coupon_pools.c.id)
        .order_by(coupon_pools.c.id.desc())
    )
    return [_pool(row) for row in rows]


def pool_named(conn: Connection, name: str) -> Pool:
    """Raises: NotFound."""
    for pool in pools(conn):
        if pool.name == name:
            return pool
    raise NotFound(f"there is no pool of coupons called {name!r}")


def add(conn: Connection, pool_id: int, codes: Sequence[str]) -> tuple[int, int]:
    """How many codes were new, and how many were there (or came twice) and stay as they are.

    Raises: InputError for a code that is none; nothing was added then.
    """
    clean = [code.strip() for code in codes]
    for number, code in enumerate(clean, 1):
        if not code or len(code) > MAX_CODE or not code.isprintable():
            raise InputError(f"line {number}: a code has 1 to {MAX_CODE} visible characters")
    wanted = list(dict.fromkeys(clean))
    there: set[str] = set()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        mine = and_(coupons.c.pool_id == pool_id, coupons.c.code.in_(some))
        there.update(conn.execute(select(coupons.c.code).where(mine)).scalars())
    new = [code for code in wanted if code not in there]
    if new:
        conn.execute(insert(coupons), [{"pool_id": pool_id, "code": code} for code in new])
    return len(new), len(codes) - len(new)


def draw(
    conn: Connection, pool_id: int, broadcast_id: int, customer_ids: Collection[int], now: datetime
) -> dict[int, str]:
    """A code for each of them, the same one whenever it is asked again; those for whom none is left are missing."""
    keys = {f"{broadcast_id}:{who}": who for who in customer_ids}
    found = {keys[row.drawn_for]: row.code for row in _DRAWN.rows(conn, {"keys": list(keys)})}
    without = sorted(set(customer_ids) - set(found))
    if not without:
        return found
    free = (
        select(coupons.c.id, coupons.c.code)
        .where(coupons.c.pool_id == pool_id, coupons.c.drawn_for.is_(None))
        .order_by(coupons.c.id)
        .limit(len(without))
    )
    if is_postgres(conn):
        free = free.with_for_update(skip_locked=True)
    taken = list(zip(without, conn.execute(free).all(), strict=False))
    rows = [{"b_id": row.id, "b_customer": who, "b_for": f"{broadcast_id}:{who}", "b_at": now} for who, row in taken]
    _TAKE.change_each(conn, rows)
    return found | {who: row.code for who, row in taken}


def redeem(conn: Connection, code: str, now: datetime) -> str:
    """The name of the pool whose code was used now. Raises: NotFound, InputError (used before, over, never given)."""
    row = conn.execute(
        select(coupons, coupon_pools.c.name, coupon_pools.c.valid_until)
        .join_from(coupons, coupon_pools, coupon_pools.c.id == coupons.c.pool_id)
        .where(coupons.c.code == code.strip())
        .with_for_update(of=coupons)
    ).first()
    if row is None:
        raise NotFound("there is no such code")
    if row.redeemed_at is not None:
        raise InputError(f"this code was used on {row.redeemed_at.date().isoformat()}")
    if row.valid_until is not None and row.valid_until < now:
        raise InputError(f"this code was good until {row.valid_until.date().isoformat()}")
    if row.drawn_for is None:
        raise InputError("this code was never given to anybody")
    conn.execute(update(coupons).where(coupons.c.id == row.id).values(redeemed_at=now))
    name: str = row.name
    return name


def _pool(row: Any) -> Pool:
    codes, drawn = row.codes or 0, row.drawn or 0
    return Pool(
        row.id, row.name, row.title, row.terms, row.valid_until, codes, codes - drawn, row.redeemed or 0, row.closed_at
    )
