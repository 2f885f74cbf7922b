"""Kill this process at a named point, to prove that dying there loses nothing.

`FRONTDESK_FAULT=turn.after_commit` kills at the first pass, `turn.after_commit:3` at the third. Unset (always, outside
of a fault run) every point is a no-op. docs/guarantees.md lists the points and what must hold after each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

MESSAGE_POINTS = (
    "inbox.before_commit",
    "inbox.after_commit",
    "web.before_ack",
    "telegram.before_confirm",
    "claim.after_commit",
    "turn.thinking",
    "turn.before_commit",
    "turn.after_commit",
    "outbox.claimed",
    "send.before_call",
    "send.after_call",
    "outbox.before_finish",
    "outbox.after_finish",
)
FILE_POINTS = ("media.before_bytes", "media.after_bytes", "media.bytes_deleted", "media.before_fetch", "media.fetched")
KF_POINTS = ("kf.before_cursor",)
PASSIVE_POINTS = ("passive.taken",)
BROADCAST_POINTS = (
    "broadcast.before_chunk",
    "broadcast.after_chunk",
    "broadcast.claimed",
    "broadcast.before_call",
    "broadcast.after_call",
    "broadcast.before_finish",
    "broadcast.after_finish",
)
FAULT_POINTS = (*MESSAGE_POINTS, *FILE_POINTS, *KF_POINTS, *PASSIVE_POINTS, *BROADCAST_POINTS)


def no_fault(point: str) -> None:
    """Nothing happens."""


def fault_from_environment() -> Callable[[str], None]:
    """SIGKILL at the point and pass that FRONTDESK_FAULT names; a no-op when it is unset.

    Raises: ValueError for a point that does not exist.
    """
    wanted = os.environ.get("FRONTDESK_FAULT", "")
    if not wanted:
        return no_fault
    name, _, count = wanted.partition(":")
    if name not in FAULT_POINTS:
        raise ValueError(f"FRONTDESK_FAULT names no fault point: {name!r}; there are {', '.join(FAULT_POINTS)}")
    passes_left = int(count or 1)

    def fault(point: str) -> None:
        nonlocal passes_left
        if point != name:
            return
        passes_left -= 1
        if passes_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault
