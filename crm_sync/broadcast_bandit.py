"""A bandit's view of a run: how many of each variant were sent and followed, and who of those to come gets which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from bot.reach.draw import WHOLE, number_of, places
from crm_sync.broadcast_tables import broadcast_clicks, broadcast_counts, broadcast_recipients
from crm_sync.columns import is_state
from crm_sync.recipient_counts import Place, add_counts
from crm_sync.statements import Statement

NEXT: Final = 2_000  # recipients whose variant is drawn anew at once; those that leave before it is asked again
_row = broadcast_recipients.c
_ARM = Statement(update(broadcast_recipients).where(_row.id == bindparam("b_id")).values(arm=bindparam("b_arm")))


def clicks_by_arm(conn: Connection, broadcast_id: int) -> dict[str, tuple[int, int]]:
    """Variant -> (people sent to, people who followed a link)."""
    count = broadcast_counts.c
    sent = conn.execute(
        select(count.arm, func.sum(count.count).label("people"))
        .where(count.broadcast_id == broadcast_id, count.state == "sent")
        .group_by(count.arm)
    ).all()
    clicked = conn.execute(
        select(_row.arm, func.count(_row.id.distinct()).label("people"))
        .join_from(broadcast_clicks, broadcast_recipients, _row.id == broadcast_clicks.c.recipient_id)
        .where(_row.broadcast_id == broadcast_id)
        .group_by(_row.arm)
    ).all()
    followed = {row.arm: row.people for row in clicked}
    return {row.arm: (int(row.people), min(int(row.people), followed.get(row.arm, 0))) for row in sent}


def share_out(conn: Connection, broadcast_id: int, seed: int, shares: Sequence[tuple[str, float]]) -> int:
    """The next recipients get variants by these shares, drawn by their numbers; how many have another one now."""
    waiting = (
        select(_row.id, _row.customer_id, _row.arm)
        .where(_row.broadcast_id == broadcast_id, is_state(_row.state, "pending"))
        .order_by(_row.channel, _row.account, _row.not_before, _row.id)
        .limit(NEXT)
        .with_for_update(skip_locked=True)
    )
    ends = places(0.0, shares)
    changes: Counter[Place] = Counter()
    changed = []
    for row in conn.execute(waiting).all():
        millionth = number_of(seed + 1, row.customer_id) % WHOLE
        arm = next(name for name, end in ends if millionth < end)
        if arm != row.arm:
            changed.append({"b_id": row.id, "b_arm": arm})
            changes[broadcast_id, row.arm, "pending", ""] -= 1
            changes[broadcast_id, arm, "pending", ""] += 1
    _ARM.change_each(conn, changed)
    add_counts(conn, changes)
    return len(changed)
