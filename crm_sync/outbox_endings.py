"""How a row of the outbox comes to its end, as one statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, update

from crm_sync.columns import is_state
from crm_sync.statements import Statement
from crm_sync.tables import outbox

END_STATES: Final = frozenset({"sent", "failed", "uncertain", "parked", "dropped"})

END = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("b_id"), is_state(outbox.c.state, "pending", "sending"))
    .values(
        state=bindparam("b_state"),
        reason=bindparam("b_reason"),
        vendor_message_id=bindparam("b_vendor_id"),
        not_before=bindparam("b_not_before", type_=outbox.c.not_before.type),
        maybe_repeated=bindparam("b_maybe_repeated"),
        sent_at=bindparam("b_sent_at", type_=outbox.c.sent_at.type),
        is_held=bindparam("b_is_held"),
        set_aside_at=func.coalesce(
            bindparam("b_set_aside_at", type_=outbox.c.set_aside_at.type), outbox.c.set_aside_at
        ),
        lease_owner=None,
        lease_until=None,
    )
)


def ending(
    outbox_id: int,
    state: str,
    reason: str,
    *,
    maybe_repeated: bool,
    vendor_id: str = "",
    not_before: datetime | None = None,
    sent_at: datetime | None = None,
    is_held: bool = False,
    set_aside_at: datetime | None = None,
) -> dict[str, Any]:
    """Parameters of END. `set_aside_at`: from then on later rows may overtake this one, should it leave after all."""
    return {
        "b_id": outbox_id,
        "b_state": state,
        "b_reason": reason,
        "b_vendor_id": vendor_id,
        "b_not_before": not_before,
        "b_maybe_repeated": maybe_repeated,
        "b_sent_at": sent_at,
        "b_is_held": is_held,
        "b_set_aside_at": set_aside_at,
    }
