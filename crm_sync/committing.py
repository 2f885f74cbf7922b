"""The one transaction in which turns become true: messages done, state, effects, replies, all or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from bot.ports import Committed, OutMessage, TurnResult, TurnsCommit
from bot.service_types import Notice
from bot.types import ConversationId, Event, Lane, Owner
from crm_sync.codec import dump_part, wire_event
from crm_sync.columns import id_in, is_state
from crm_sync.effects import apply
from crm_sync.rows import new_ids
from crm_sync.statements import Statement, insert_rows
from crm_sync.subjects import Subject
from crm_sync.tables import conversations, inbox, messages, outbox, turns

LANES: Final = {Lane.OPERATOR: 0, Lane.REPLY: 1, Lane.SERVICE: 2, Lane.BROADCAST: 3}

_LOCK = Statement(
    select(
        conversations.c.id,
        conversations.c.identity_id,
        conversations.c.customer_id,
        conversations.c.channel,
        conversations.c.account,
        conversations.c.chat_id,
        conversations.c.topic,
        conversations.c.owner,
        conversations.c.fence,
        conversations.c.version,
        conversations.c.web_seq,
        conversations.c.lease_owner,
        conversations.c.team,
        conversations.c.priority,
        conversations.c.waiting_since,
        conversations.c.unanswered_since,
        conversations.c.answered_at,
    )
    .where(id_in(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update()
)
_DONE = Statement(
    update(inbox)
    .where(id_in(inbox.c.id, "b_ids"), is_state(inbox.c.state, "pending"))
    .values(state="done", done_at=bindparam("b_now", type_=inbox.c.done_at.type))
    .returning(inbox.c.id)
)
# Asked after the conversations are locked: whatever is accepted from here on waits for us and marks them again.
_REST = Statement(
    select(inbox.c.conversation_id, func.min(inbox.c.received_at).label("since"))
    .where(id_in(inbox.c.conversation_id, "ids"), is_state(inbox.c.state, "pending"))
    .group_by(inbox.c.conversation_id)
)
_SETTLE = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(
        version=bindparam("b_version"),
        state=bindparam("b_state"),
        language=bindparam("b_language"),
        owner=bindparam("b_owner"),
        fence=bindparam("b_fence"),
        team=bindparam("b_team"),
        priority=bindparam("b_priority"),
        waiting_since=bindparam("b_waiting_since"),
        unanswered_since=bindparam("b_unanswered_since"),
        web_seq=bindparam("b_web_seq"),
        dirty_since=bindparam("b_dirty_since"),
        last_message_at=bindparam("b_now"),
        lease_owner=None,
        lease_until=None,
        retry_at=None,
    )
)


class HandledElsewhere(Exception):
    """Some messages of these conversations are no longer pending; nothing was written."""

    def __init__(self, conversation_ids: Collection[int]) -> None:
        super().__init__()
        self.conversation_ids = frozenset(conversation_ids)


@dataclass(slots=True)
class _Writing:
    """The rows of one transaction, collected over all conversations and written table by table."""

    now: datetime
    passive: Mapping[str, float]
    message_ids: Any
    outbox_ids: Any
    turns: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Work:
    """One conversation inside the transaction."""

    commit: TurnsCommit
    row: Any
    subject: Subject
    web_seq: int
    out: int = 0  # rows that wait for a sender
    outbox: list[dict[str, Any]] = field(default_factory=list)
    visible: list[dict[str, Any]] = field(default_factory=list)


def commit_turns(
    conn: Connection,
    commits: Sequence[TurnsCommit],
    now: datetime,
    *,
    leave_out: Collection[int] = (),
    passive: Mapping[str, float] = MappingProxyType({}),
) -> list[Committed]:
    """Every conversation is committed, or refused with the reason and left untouched.

    `passive`: channel -> for how many seconds after acceptance a webhook waits to carry the replies back itself; until
    then they are kept from the sender.

    Raises: HandledElsewhere when messages turn out to be done or parked; run again without those conversations.
    """
    locked = {
        row.id: row
        for row in _LOCK.rows(conn, {"ids": sorted({int(item.claimed.conversation.id) for item in commits})})
    }
    refused: dict[int, str] = {}
    work: dict[int, _Work] = {}
    for commit in commits:
        conversation_id = commit.claimed.conversation.id
        row: Any = locked.get(conversation_id)
        reason = (
            "handled elsewhere"
            if conversation_id in leave_out
            else _why_not(commit, row, twice=conversation_id in work)
        )
        if reason:
            refused[id(commit)] = reason
            continue
        work[conversation_id] = _Work(commit, row, _subject(row, now), row.web_seq)
    if work:
        _write(conn, list(work.values()), passive, now)
    rest = _rest(conn, list(work.values()), now) if work else {}
    return [
        Committed(item.claimed.conversation.id, ok=False, reason=refused[id(item)])
        if id(item) in refused
        else _committed(work[item.claimed.conversation.id], rest)
        for item in commits
    ]


def _why_not(commit: TurnsCommit, row: Any, *, twice: bool) -> str:
    claimed = commit.claimed
    if row is None:
        return "the conversation is gone"
    if twice:
        return "the same conversation twice in one commit"
    if row.lease_owner != claimed.lease:
        return "the lease was lost"
    if row.version != claimed.conversation.version:
        return "the version changed"
    if row.fence != claimed.conversation.fence and row.owner != Owner.OPERATOR:
        return "the owner changed"  # taken over and given back meanwhile: decide again
    return ""


def _subject(row: Any, now: datetime) -> Subject:
    return Subject(
        row.id,
        row.customer_id,
        row.identity_id,
        row.channel,
        Owner(row.owner),
        row.fence,
        now,
        row.team,
        row.priority,
        row.waiting_since,
    )


def _write(conn: Connection, work: Sequence[_Work], passive: Mapping[str, float], now: datetime) -> None:
    results = [(item, turn) for item in work for turn in item.commit.turns]
    _mark_done(conn, results, now)
    parts = sum(len(message.parts) for _, turn in results for message in turn.out)
    writing = _Writing(now, passive, iter(new_ids(conn, messages, parts)), iter(new_ids(conn, outbox, parts)))
    for item in work:
        for place, turn in enumerate(item.commit.turns, start=1):
            _turn(conn, writing, item, turn, item.row.version + place)
        for row in item.outbox:  # decided together: a handoff in this commit must not drop the replies beside it
            row["fence"] = item.subject.fence
        writing.outbox.extend(item.outbox)
    for table, rows in ((turns, writing.turns), (messages, writing.messages), (outbox, writing.outbox)):
        insert_rows(conn, table, rows)


def _mark_done(conn: Connection, results: Sequence[tuple[_Work, TurnResult]], now: datetime) -> None:
    ids = [turn.inbox_id for _, turn in results]
    done = {row.id for row in _DONE.rows(conn, {"b_ids": ids, "b_now": now})} if ids else set()
    if len(done) < len(ids):
        raise HandledElsewhere({int(item.row.id) for item, turn in results if turn.inbox_id not in done})


def _turn(conn: Connection, writing: _Writing, item: _Work, turn: TurnResult, version: int) -> None:
    understood = turn.understanding
    writing.turns.append(
        {
            "inbox_id": turn.inbox_id,
            "conversation_id": item.row.id,
            "version": version,
            "intent": understood.intent.name if understood else "",
            "confidence": understood.intent.confidence if understood else None,
            "engine": understood.engine if understood else "",
            "model": understood.model if understood else "",
            "understanding": understood,
            "duration_ms": turn.duration_ms,
            "at": writing.now,
        }
    )
    if turn.effects:
        item.subject.inbox_id = turn.inbox_id
    for effect in turn.effects:
        apply(conn, effect, item.subject)
    for message in turn.out:
        _reply(writing, item, turn, message)


def _reply(writing: _Writing, item: _Work, turn: TurnResult, message: OutMessage) -> None:
    """Each part becomes a message row and an outbox row; visible at once on a direct channel."""
    is_dropped = item.subject.owner is Owner.OPERATOR and message.lane is Lane.REPLY
    is_visible = item.commit.direct and not is_dropped
    state = "dropped" if is_dropped else "sent" if is_visible else "pending"
    for part in message.parts:
        message_id, seq, content = next(writing.message_ids), None, dump_part(part)
        if is_visible:
            item.web_seq += 1
            seq = item.web_seq
            item.visible.append(
                wire_event(
                    seq=seq,
                    message_id=message_id,
                    direction="out",
                    author="bot",
                    kind="text",
                    text=part.text,
                    content=content,
                    at=writing.now,
                )
            )
        writing.messages.append(
            {
                "id": message_id,
                "conversation_id": item.row.id,
                "direction": "out",
                "author": "bot",
                "kind": "text",
                "text": part.text,
                "content": content,
                "language": message.language,
                "template": message.template,
                "status_key": part.status_key,
                "seq": seq,
                "inbox_id": turn.inbox_id,
                "at": writing.now,
            }
        )
        row = _outbox_row(writing, item, message, message_id, state)
        item.outbox.append({**row, "not_before": _kept_until(writing, item, turn) if state == "pending" else None})
        item.out += state == "pending"


def _kept_until(writing: _Writing, item: _Work, turn: TurnResult) -> datetime | None:
    """How long the webhook that brought the message may carry the reply back; None when nobody waits (any more)."""
    waits_s = writing.passive.get(item.row.channel)
    if waits_s is None:
        return None
    accepted_at = next(
        (
            asked.accepted_at
            for asked in item.commit.claimed.messages
            if asked.inbox_id == turn.inbox_id and not isinstance(asked.message.content, Notice)
        ),
        None,
    )
    until = None if accepted_at is None else accepted_at + timedelta(seconds=waits_s)
    return until if until is not None and until > writing.now else None


def _outbox_row(writing: _Writing, item: _Work, message: OutMessage, message_id: int, state: str) -> dict[str, Any]:
    return {
        "id": next(writing.outbox_ids),
        "conversation_id": item.row.id,
        "message_id": message_id,
        "lane": LANES[message.lane],
        "channel": item.row.channel,
        "account": item.row.account,
        "chat_id": item.row.chat_id,
        "topic": item.row.topic,
        "state": state,
        "fence": item.subject.fence,
        "is_vital": message.is_vital,
        "idempotency_key": secrets.token_hex(16) if state == "pending" else None,  # fits 微信客服: 32 of [0-9a-zA-Z_-]
        "reason": "an operator answers" if state == "dropped" else "",
        "created_at": writing.now,
        "sent_at": writing.now if state == "sent" else None,
    }


def _rest(conn: Connection, work: Sequence[_Work], now: datetime) -> dict[int, datetime]:
    """The conversations' own rows are written; conversation -> since when more of its messages wait."""
    ids = [int(item.row.id) for item in work]
    rest: dict[int, datetime] = {row.conversation_id: row.since for row in _REST.rows(conn, {"ids": ids})}
    _SETTLE.change_each(conn, [_settled(item, rest.get(item.row.id), now) for item in work])
    return rest


def _settled(item: _Work, dirty_since: datetime | None, now: datetime) -> dict[str, Any]:
    before, turns_done = item.commit.claimed.conversation, item.commit.turns
    return {
        "b_id": item.row.id,
        "b_version": item.row.version + len(turns_done),
        "b_state": turns_done[-1].state if turns_done else before.state,
        "b_language": turns_done[-1].language if turns_done else before.language,
        "b_owner": item.subject.owner.value,
        "b_fence": item.subject.fence,
        "b_team": item.subject.team,
        "b_priority": item.subject.priority,
        "b_waiting_since": item.subject.waiting_since,
        "b_unanswered_since": _unanswered_since(item),
        "b_web_seq": item.web_seq,
        "b_dirty_since": dirty_since,
        "b_now": now,
    }


def _unanswered_since(item: _Work) -> datetime | None:
    """The oldest words of the customer that a person is to answer and has not."""
    if item.subject.owner is Owner.BOT:
        return None
    if item.row.unanswered_since is not None:
        return item.row.unanswered_since  # type: ignore[no-any-return]  # a column of datetimes
    handled, answered_at = {turn.inbox_id for turn in item.commit.turns}, item.row.answered_at
    return next(
        (
            asked.accepted_at
            for asked in item.commit.claimed.messages
            if asked.inbox_id in handled
            and not isinstance(asked.message.content, Notice | Event)
            and (answered_at is None or asked.accepted_at >= answered_at)  # a colleague may have been faster
        ),
        None,
    )


def _committed(item: _Work, rest: dict[int, datetime]) -> Committed:
    conversation_id, after = ConversationId(item.row.id), item.subject.owner
    return Committed(
        conversation_id,
        ok=True,
        has_more=conversation_id in rest,
        out=item.out,
        visible=tuple(item.visible),
        desk=_desk(Owner(item.row.owner), after),
    )


def _desk(before: Owner, after: Owner) -> str:
    if before is Owner.BOT:
        return "queued" if after is Owner.QUEUE else ""
    return "left" if after is Owner.BOT else "said"
