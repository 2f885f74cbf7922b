"""Messages as staff read them: who said it, whether it arrived, what was understood, its files, what it said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, case, null, select

from crm_sync.columns import id_in
from crm_sync.statements import Statement
from crm_sync.tables import conversations, media, messages, outbox, staff_users, turns

RANKED: Final = 5  # intents shown
_LEAVING: Final = (  # how far a message, or a change of one, has come
    outbox.c.id.label("outbox_id"),
    *(
        outbox.c[name]
        for name in (
            "state", "is_held", "reason", "attempts", "maybe_repeated", "not_before",
            "sent_at", "delivered_at", "read_at",
        )
    ),
)  # fmt: skip
_ROWS: Final = Statement(
    select(
        messages.c.id,
        messages.c.conversation_id,
        messages.c.direction,
        messages.c.author,
        messages.c.kind,
        messages.c.text,
        messages.c.content,
        messages.c.language,
        messages.c.template,
        messages.c.seq,
        messages.c.inbox_id,
        messages.c.replaces,
        messages.c.by,
        messages.c.at,
        messages.c.edited_at,
        messages.c.deleted_at,
        conversations.c.channel,
        conversations.c.account,
        conversations.c.customer_read_seq,
        staff_users.c.display_name,
        turns.c.intent,
        turns.c.confidence,
        turns.c.engine,
        turns.c.model,
        case((messages.c.direction == "in", turns.c.understanding), else_=null()).label("understanding"),
        *_LEAVING,
        outbox.c.lane,
    )
    .select_from(
        messages.join(conversations, conversations.c.id == messages.c.conversation_id)
        .outerjoin(outbox, outbox.c.message_id == messages.c.id)
        .outerjoin(turns, turns.c.inbox_id == messages.c.inbox_id)
        .outerjoin(staff_users, (staff_users.c.name == messages.c.by) & (messages.c.by != ""))
    )
    .where(id_in(messages.c.id, "ids"))
    .order_by(messages.c.id)
)
_EDITS: Final = Statement(
    select(
        messages.c.replaces,
        messages.c.content,
        messages.c.direction,
        messages.c.seq,
        *_LEAVING,
    )
    .select_from(messages.outerjoin(outbox, outbox.c.message_id == messages.c.id))
    .where(id_in(messages.c.replaces, "ids"))
    .order_by(messages.c.id)
)
_FILES: Final = Statement(select(media).where(id_in(media.c.message_id, "ids")).order_by(media.c.id))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a message of ours has come.

    states: pending, sending, sent, delivered, read, failed, uncertain, held (until the customer writes), dropped.
    """

    state: str
    outbox_id: int
    reason: str
    attempts: int
    maybe_repeated: bool
    at: datetime | None  # when it left
    again_at: datetime | None  # when it is tried again
    may_retry: bool
    may_drop: bool


@dataclass(frozen=True, slots=True)
class Understood:
    """What the bot took a message for, and why as far as that was stored."""

    intent: str
    score: float | None
    ranking: tuple[tuple[str, float], ...]
    entities: tuple[tuple[str, str], ...]  # name, value
    parts: tuple[str, ...]  # intents of several requests in one message
    engine: str
    model: str
    language: str
    note: str
    heard: str  # words recognised in a voice message


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message. `state`: stored, wanted, storing, refused, gone, or linked (a public address)."""

    media_id: str
    kind: str
    mime: str
    name: str
    size: int | None
    state: str
    reason: str = ""
    url: str = ""  # signed for a while; "": not to be had


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One message with all that the pane shows of it. Words are as they came: whoever shows them escapes them."""

    id: int
    conversation_id: int
    channel: str
    account: str
    direction: str  # in | out
    author: str  # customer | bot | operator | system
    by: str  # the staff user
    by_name: str  # as customers see them
    kind: str
    text: str
    language: str
    template: str
    at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    was: tuple[str, ...]  # earlier words, the oldest first
    buttons: tuple[str, ...]
    cards: tuple[str, ...]
    quote: str
    forwarded_from: str
    feedback: str  # up | down: how the customer liked it
    place: tuple[float, float] | None  # latitude, longitude
    files: tuple[File, ...]
    delivery: Delivery | None
    understood: Understood | None
    inbox_id: int | None  # in: where it came from; out: what it answers
    is_edit: bool  # it only says that another one reads differently now
    delivery_of: str = "message"  # | edit | removal: a change of it that the customer has not got, or never will


def messages_of(conn: Connection, ids: Sequence[int]) -> list[HistoryMessage]:
    """The messages by ascending id; those that are not there are left out."""
    if not ids:
        return []
    rows = _ROWS.rows(conn, {"ids": list(ids)})
    was: dict[int, list[str]] = {}
    newest: dict[int, Any] = {}
    if edited := [row.id for row in rows if row.edited_at is not None or row.deleted_at is not None]:
        for edit in _EDITS.rows(conn, {"ids": edited}):
            newest[edit.replaces] = edit
            content = edit.content or {}
            if not content.get("deleted"):
                was.setdefault(edit.replaces, []).append(content.get("was", ""))
    files: dict[int, list[Any]] = {}
    for file in _FILES.rows(conn, {"ids": list(ids)}):
        files.setdefault(file.message_id, []).append(file)
    return [_line(row, tuple(was.get(row.id, ())), files.get(row.id, []), newest.get(row.id)) for row in rows]


def _line(row: Any, was: tuple[str, ...], files: Sequence[Any], edit: Any) -> HistoryMessage:
    """`edit`: the newest change of the message, if there is one. As long as the customer has not got it, it is what
    staff have to know of.
    """
    content: Mapping[str, Any] = row.content or {}
    understood = _understood(row)
    delivery, delivery_of = _delivery(row), "message"
    if edit is not None and edit.state not in (None, "sent"):
        delivery, delivery_of = _delivery(edit), "removal" if (edit.content or {}).get("deleted") else "edit"
    is_place = row.kind == "location" and {"latitude", "longitude"} <= content.keys()
    return HistoryMessage(
        id=row.id,
        conversation_id=row.conversation_id,
        channel=row.channel,
        account=row.account,
        direction=row.direction,
        author=row.author,
        by=row.by,
        by_name=row.display_name or content.get("name", "") or row.by if row.author == "operator" else "",
        kind=row.kind,
        text=row.text or (understood.heard if understood is not None and row.kind == "media" else ""),
        language=row.language or "",
        template=row.template,
        at=row.at,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        was=was,
        buttons=tuple(button["label"] for button in content.get("buttons", ())),
        cards=tuple(card.get("title", "") for card in content.get("cards", ())),
        quote=content.get("quote", ""),
        forwarded_from=content.get("forwarded_from", ""),
        feedback=content.get("feedback", ""),
        place=(content["latitude"], content["longitude"]) if is_place else None,
        files=_files(row, content, files),
        delivery=delivery,
        understood=understood,
        inbox_id=row.inbox_id,
        is_edit=row.replaces is not None,
        delivery_of=delivery_of,
    )


def _files(row: Any, content: Mapping[str, Any], known: Sequence[Any]) -> tuple[File, ...]:
    found = [File(file.key, file.kind, file.mime, file.file_name, file.size, file.state, file.reason) for file in known]
    keys = {file.media_id for file in found}
    for item in content.get("media", ()):
        if item.get("media_id", "") not in keys or not item.get("media_id"):
            state = "linked" if item.get("url") else "stored"
            name, mime = item.get("file_name", ""), item.get("mime", "")
            found.append(File(item.get("media_id", ""), item["kind"], mime, name, None, state, url=item.get("url", "")))
    if content.get("image_url"):
        found.append(File("", "image", "", "", None, "linked", url=content["image_url"]))
    if row.kind == "media" and not found:  # not fetched: a sticker, or a vendor's file nobody keeps for us
        name, mime = content.get("file_name", ""), content.get("mime", "")
        found.append(File("", content.get("of", "document"), mime, name, content.get("size"), "gone"))
    return tuple(found)


def _delivery(row: Any) -> Delivery | None:
    if row.direction != "out" or row.state is None:
        return None
    state = row.state
    if row.is_held:
        state = "held"
    elif state == "parked":
        state = "failed"  # set aside for staff: the difference is the store's
    elif state == "sent":
        is_seen = row.read_at is not None or (row.seq is not None and row.seq <= row.customer_read_seq)
        state = "read" if is_seen else "delivered" if row.delivered_at is not None else "sent"
    return Delivery(
        state=state,
        outbox_id=row.outbox_id,
        reason=row.reason,
        attempts=row.attempts,
        maybe_repeated=row.maybe_repeated,
        at=row.sent_at,
        again_at=row.not_before if row.state == "pending" else None,
        may_retry=state in ("failed", "uncertain", "held"),
        may_drop=state in ("failed", "uncertain", "held", "pending"),
    )


def _understood(row: Any) -> Understood | None:
    if row.direction != "in" or row.engine is None:
        return None
    document: Mapping[str, Any] = row.understanding or {}
    if not row.intent and not document:
        return None
    ranking = [(item["name"], item["confidence"]) for item in document.get("intents", ())]
    return Understood(
        intent=row.intent,
        score=row.confidence,
        ranking=tuple(ranking[:RANKED]),
        entities=tuple((item["name"], str(item["value"])) for item in document.get("entities", ())),
        parts=tuple((part.get("intents") or [{"name": ""}])[0]["name"] for part in document.get("parts", ())),
        engine=row.engine,
        model=row.model,
        language=document.get("language", ""),
        note=document.get("note", ""),
        heard=document.get("text", "") if row.kind == "media" else "",
    )
