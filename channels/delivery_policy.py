"""How a failed send goes on: again, set aside, or left uncertain. Pure, so every case can be read and tested here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
    WindowClosed,
)
from bot.ports import SendOutcome
from bot.types import Lane, Outbound


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """Numbers of the delivery worker; all of them ours, seconds unless named otherwise."""

    concurrency: int = 32  # sends under way at once, each of another conversation
    sweep_s: float = 1.0  # a lost wake-up costs at most this
    hold_s: float = 5.0  # a claimed row waits at most this long for rate tokens; longer would outlive its lease
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 300.0
    max_attempts: int = 30
    lifetime: timedelta = timedelta(hours=24)
    gather_s: float = 0.2  # while others are under way, outcomes wait so long to be stored together
    repeat_after_s: float = 10.0  # before the one repetition of a reply whose answer was lost
    misconfigured_pause_s: float = 60.0
    drain_s: float = 12.0  # a stopping sender waits this long for answers under way


def outcome_of(
    error: ServiceError,
    outbound: Outbound,
    *,
    now: datetime,
    policy: DeliveryPolicy,
    jitter: Callable[[], float],
) -> SendOutcome:
    """What becomes of the row after `error`. `jitter` gives 0 to 1.

    Nothing was sent, for sure, by RateLimited, Misconfigured and a `happened="no"`: those are tried again. Whether an
    uncertain one is repeated is the outbox's to decide, which knows if it was already.
    """
    row = outbound.outbox_id
    if isinstance(error, RecipientUnreachable):
        return SendOutcome(row, "failed", reason=error.reason, unreachable=True)
    if isinstance(error, WindowClosed):
        return SendOutcome(row, "held", reason=error.reason)
    if isinstance(error, SendRefused):
        return SendOutcome(row, "parked", reason=error.reason)
    if isinstance(error, ServiceUnavailable) and error.happened == "unknown":
        return uncertain(outbound, error.reason, now=now, policy=policy)
    if _is_given_up(error, outbound, now, policy):
        return SendOutcome(row, "parked", reason=f"given up: {error.reason}")
    wait_s = _wait_s(error, outbound.attempt, policy, jitter())
    return SendOutcome(row, "retry", retry_at=now + timedelta(seconds=wait_s), reason=error.reason)


def uncertain(outbound: Outbound, reason: str, *, now: datetime, policy: DeliveryPolicy) -> SendOutcome:
    """Nobody knows whether it left."""
    at = now + timedelta(seconds=policy.repeat_after_s)
    return SendOutcome(outbound.outbox_id, "uncertain", retry_at=at, reason=reason)


def _is_given_up(error: ServiceError, outbound: Outbound, now: datetime, policy: DeliveryPolicy) -> bool:
    """Being asked to wait is no failure: only its age ends such a row."""
    if outbound.created_at is not None and now - outbound.created_at >= policy.lifetime:
        return True
    return outbound.attempt >= policy.max_attempts and not isinstance(error, RateLimited | Misconfigured)


def _wait_s(error: ServiceError, attempt: int, policy: DeliveryPolicy, jitter: float) -> float:
    if isinstance(error, RateLimited):
        return error.retry_after_s
    if isinstance(error, Misconfigured):
        return policy.misconfigured_pause_s
    backoff_s = min(policy.longest_backoff_s, policy.first_backoff_s * 2.0 ** min(attempt - 1, 30))
    return backoff_s * (0.5 + jitter / 2)


def reserve_for(outbound: Outbound) -> int:
    """How many replies of a window a send leaves to others: the last is for a handoff, a complaint, an operator."""
    return 0 if outbound.is_vital or outbound.lane is Lane.OPERATOR else 1


def for_all(outbound: Outbound, outcome: SendOutcome) -> list[SendOutcome]:
    """The outcome of every row whose words this send carried: they all end as the first one does."""
    return [outcome, *(replace(outcome, outbox_id=other, moved_to="") for other in outbound.merged)]
