"""What somebody was sent lately by a broadcast, for whoever answers them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Connection, String, and_, bindparam, func, literal, select

from bot.types import BroadcastSent
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts, coupon_pools, coupons
from crm_sync.columns import UtcDateTime, is_state
from crm_sync.statements import Statement
from crm_sync.tables import messages

LATELY: Final = timedelta(days=14)
_row = broadcast_recipients.c
_DRAWN: Final = func.coalesce(_row.broadcast_id, 0).cast(String) + literal(":") + _row.customer_id.cast(String)
_LAST = Statement(
    select(
        broadcasts.c.document,
        messages.c.text,
        _row.sent_at,
        coupons.c.code,
        coupons.c.redeemed_at,
        coupon_pools.c.terms,
        coupon_pools.c.valid_until,
    )
    .join_from(broadcast_recipients, broadcasts, broadcasts.c.id == _row.broadcast_id)
    .join(messages, messages.c.id == _row.message_id)
    .outerjoin(coupons, coupons.c.drawn_for == _DRAWN)
    .outerjoin(coupon_pools, and_(coupon_pools.c.id == coupons.c.pool_id))
    .where(
        _row.conversation_id == bindparam("talk", type_=BigInteger),
        is_state(_row.state, "sending", "sent", "uncertain"),
        _row.sent_at > bindparam("since", type_=UtcDateTime()),
    )
    .order_by(_row.sent_at.desc())
    .limit(1)
)


def last_sent(conn: Connection, key: str, now: datetime) -> BroadcastSent | None:
    """As `bot.types.Need` says for `broadcast`."""
    rows = _LAST.rows(conn, {"talk": int(key), "since": now - LATELY})
    if not rows:
        return None
    row = rows[0]
    return BroadcastSent(
        title=row.document.get("title", ""),
        text=row.text,
        sent_at=row.sent_at,
        coupon=row.code or "",
        terms=row.terms or {},
        valid_until=row.valid_until,
        is_used=row.redeemed_at is not None,
    )
