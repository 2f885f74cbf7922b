"""What the API answers, as far as programs usually need it; the whole of it is in its OpenAPI document."""

from __future__ import annotations

from typing import Any, TypedDict


class Page(TypedDict):
    items: list[dict[str, Any]]
    next: str | None


class Customer(TypedDict):
    id: int
    name: str
    phone: str
    phone_is_verified: bool
    email: str
    language: str
    timezone: str
    credit_class: str
    value_class: str
    lifecycle: str
    next_action: str
    tags: list[str]
    created_at: str


class CaseLine(TypedDict):
    id: int
    number: str
    kind: str
    category: str
    subject: str
    severity: int
    status: str
    summary: str
    team: str
    owner: str
    customer_id: int
    opened_at: str
    updated_at: str
    version: int
    due_at: str | None
    is_late: bool


class CaseState(TypedDict):
    number: str
    status: str
    owner: str
    team: str
    severity: int
    version: int
    updated_at: str


class Case(CaseState):
    id: int
    customer_id: int
    kind: str
    category: str
    subject: str
    summary: str
    details: dict[str, Any]
    events: list[dict[str, Any]]
    clocks: list[dict[str, Any]]
    compensations: list[dict[str, Any]]
    conversations: list[dict[str, Any]]


class Instalment(TypedDict):
    amount_minor: int
    due_on: str


class PlanChoice(TypedDict):
    plan: str
    is_asked: bool
    currency: str
    parts: list[Instalment]


class PlanGranted(TypedDict):
    plan: str
    parts: dict[str, list[Instalment]]


class Conversation(TypedDict):
    row: dict[str, Any]
    history: dict[str, Any]
    window: dict[str, Any]
    zone: str
    others: list[dict[str, Any]]
    is_mine: bool
    can_edit: bool


class Moved(TypedDict):
    conversation_id: int
    owner: str
    operator: str
    team: str
    fence: int
    waiting_since: str | None
    until: str | None


class Sent(TypedDict):
    message_ids: list[int]
    is_new: bool


class Hook(TypedDict):
    id: int
    url: str
    events: list[str]
    is_active: bool
    failing_since: str | None
    version: int
    created_by: str
    created_at: str


class NewHook(TypedDict):
    hook: Hook
    secret: str


class BroadcastLine(TypedDict):
    id: int
    name: str
    title: str
    state: str
    purpose: str
    channels: list[str]
    recipients: int
    at: str | None
    created_by: str
    ended_at: str | None


class Broadcast(TypedDict):
    id: int
    name: str
    state: str
    document: dict[str, Any]
    version: int
    created_by: str
    created_at: str
    updated_at: str
    approved_by: str
    approved_at: str | None
    is_approved: bool
    next_at: str | None
    reason: str
    started_at: str | None
    ended_at: str | None


class BroadcastProgress(TypedDict):
    state: str
    reason: str
    counts: dict[str, int]
    reasons: dict[str, int]
    arms: dict[str, int]
    started_at: str | None
    ended_at: str | None


class UncertainSend(TypedDict):
    """A recipient of a broadcast who may or may not have got it."""

    id: int
    customer_id: int
    conversation_id: int
    channel: str
    account: str
    reason: str
