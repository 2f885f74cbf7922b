"""States of broadcasts and of their recipients, and the reasons a recipient was not sent to."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

HOLDOUT: Final = "holdout"  # the arm of those who are watched and never sent to


class BroadcastState(StrEnum):
    """draft → waiting (for approval) → approved → scheduled → preparing → running ⇄ paused → finished."""

    DRAFT = "draft"
    WAITING = "waiting"  # for a second person
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    PREPARING = "preparing"  # recipients are being written down
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"  # by a rule: too many failures, blocks or complaints; goes on only by a decision
    FINISHED = "finished"
    CANCELLED = "cancelled"


class RecipientState(StrEnum):
    """As of the outbox, and two more: skipped for a reason, held out for the comparison."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"  # nobody knows whether it left; never sent again without a decision
    PARKED = "parked"
    DROPPED = "dropped"
    SKIPPED = "skipped"
    HELD_OUT = "held_out"


# Why somebody is skipped. The first that holds is the one that is told; the order is that of the list.
SkipReason = Literal[
    "erased",  # nobody is left
    "excluded",  # on a list that leaves people out
    "no_consent",  # for this purpose on any of the channels
    "topic_off",  # they do not want this topic
    "unreachable",  # blocked us, unfollowed, deleted the chat
    "no_channel",  # no conversation on a channel of this broadcast
    "open_case",  # nobody with an open complaint gets promotion
    "live_chat",  # a person is with them, or they wait for one
    "capped",  # had as many messages as anybody gets in that time
    "out_of_window",  # the channel allows nothing now
    "quota",  # the vendor's quota of this account is used up
    "quiet_hours",  # could not be sent before the broadcast ended without waking them
    "no_coupon",  # the pool ran out
    "no_variable",  # a variable has no value and no fallback
    "replied",  # of a journey: they answered, the rest stays unsent
    "complained",  # of a journey: likewise
    "went_elsewhere",  # of a journey: what they did since the step before leads somewhere else
    "cancelled",  # the broadcast was cancelled before their turn
]
SKIP_REASONS: Final[tuple[SkipReason, ...]] = (
    "erased",
    "excluded",
    "no_consent",
    "topic_off",
    "unreachable",
    "no_channel",
    "open_case",
    "live_chat",
    "capped",
    "out_of_window",
    "quota",
    "quiet_hours",
    "no_coupon",
    "no_variable",
    "replied",
    "complained",
    "went_elsewhere",
    "cancelled",
)
