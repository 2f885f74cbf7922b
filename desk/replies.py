"""What staff say to a customer: at once or later, put right or taken back where the channel lets us, tried again.

Only whoever holds the conversation writes in it; that is checked in the transaction that writes. Refused words are the
caller's to keep: no error takes a draft away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select, update

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.ports import TOPIC_OUTBOX, TOPIC_WEB, StoredFile
from bot.types import ConversationId, OutMedia, OutPart, RenderedReply
from crm_sync import operator_words as words
from crm_sync.columns import digest_key
from crm_sync.database import Database
from crm_sync.operator_words import Saying, Written
from crm_sync.outbox_staff import drop_rows, retry_rows
from crm_sync.scheduled_words import Plan, Scheduled, cancel, plan, planned_before, waiting_of
from crm_sync.snoozing import check_fence
from crm_sync.tables import messages, outbox
from desk.actors import Actor
from desk.audit import record
from desk.live import tell
from desk.outside import Outside
from desk.sight import visible

__all__ = ["LONGEST", "ReplyDesk", "Scheduled", "Sent"]
LONGEST: Final = 20_000  # characters of one answer, before it is cut to what the channel carries
MOST_FILES: Final = 10
LONGEST_WAIT: Final = timedelta(days=366)
LONGEST_CLIENT_ID: Final = 200
# Controls that no keyboard types, and marks that turn the rest of a line around without ever ending.
_NEVER_MEANT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sent:
    """The words are in the store and on their way. `is_new` False: they were before, nothing was done again."""

    message_ids: tuple[int, ...]
    is_new: bool = True


class ReplyDesk:
    """Each method is one transaction and raises NotPermitted, NotFound (also where the conversation is not visible)."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database, self._outside = database, outside

    # --- saying ---------------------------------------------------------------------------------------------------

    async def attach(self, actor: Actor, conversation_id: int, content: bytes, file_name: str) -> StoredFile:
        """The file is stored for a day, to be named by `send` or `schedule`.

        Raises: also FileRefused, ServiceUnavailable, RuleError where no files are kept.
        """
        actor.require("conversations.reply")
        if self._outside.library is None:
            raise RuleError("this deployment keeps no files")
        await self._database.run(lambda conn: visible(conn, actor, conversation_id), read=True)
        place = ConversationId(conversation_id)
        return await self._outside.library.add(content, file_name=file_name, conversation_id=place, is_upload=True)

    async def send(
        self,
        actor: Actor,
        conversation_id: int,
        text: str,
        *,
        client_id: str,
        files: Sequence[str] = (),
        fence: int | None = None,
        content: Sequence[str] = (),
    ) -> Sent:
        """The customer gets these words and files, cut to what the channel carries. The same `client_id` again does
        nothing again. `files`: media ids of `attach`; `content`: what tells the files apart where those who ask again
        upload them anew.

        Raises: also InputError (nothing to say, too long, a file that is not there), DedupeMismatch (other words under
        this id), NotHolding, StaleState (it changed hands since `fence`), RuleError.
        """
        actor.require("conversations.reply")
        said = _clean(text, files)
        if not 0 < len(client_id) <= LONGEST_CLIENT_ID:
            raise InputError("a send has an id of its own")
        key, now = words.send_key(actor.name, client_id), self._outside.clock.now()
        digest = digest_key(str(conversation_id), said, *(content or files))

        def unit(conn: Connection) -> Written:
            row = visible(conn, actor, conversation_id, lock=True)
            before = words.sent_before(conn, key, digest)
            if before is not None:
                return before
            words.check_holds(row, actor.name)
            check_fence(row, fence)
            written = self.write(conn, row, Saying(actor.name, said, words.files_of(conn, row.id, files), now))
            words.remember(conn, key, digest, written.message_ids[0], now)
            return written

        written = await self._database.run(unit)
        if written.is_new:
            self._wake(conversation_id, written, "said")
        return Sent(written.message_ids, written.is_new)

    def write(self, conn: Connection, row: Any, saying: Saying) -> Written:
        """As `send`, inside a transaction that has locked and checked the conversation."""
        parts = self._parts(row, saying.text, saying.files)
        is_direct = self._outside.encoder.is_direct(row.channel)
        written = words.write(conn, row, parts, by=saying.by, is_direct=is_direct, now=saying.at)
        words.attach(conn, written.message_ids[0], saying.files, saying.at + self._outside.keep_files)
        return written

    def _parts(self, row: Any, text: str, files: Sequence[OutMedia] = ()) -> Sequence[OutPart]:
        if self._outside.can(row.channel) is None:
            raise RuleError(f"the channel {row.channel} is not set up here any more")
        parts = self._outside.encoder.encode(row.channel, RenderedReply(text, media=tuple(files)))
        if not parts:
            raise InputError("there is nothing to send")
        return parts

    # --- putting right ----------------------------------------------------------------------------------------------

    async def edit(
        self, actor: Actor, conversation_id: int, message_id: int, text: str, *, fence: int | None = None
    ) -> None:
        """The message says this: on a web page and in Telegram also where it was read, anywhere while it waits.

        Raises: also InputError (empty, longer than one message), NotHolding, StaleState (it is being sent),
        RuleError where it cannot be changed any more.
        """
        said = _clean(text, ())
        now = self._outside.clock.now()

        def change(conn: Connection, row: Any, old: Any) -> Written:
            parts = self._parts(row, said)
            if len(parts) > 1:
                raise InputError("this is longer than one message of the channel; send the rest as another one")
            part, can = parts[0], self._outside.can(row.channel)
            if old.state == "pending" and old.attempts == 0:
                words.replace_unsent(conn, old.id, part, old.content or {}, now)
                return Written((old.id,))
            if old.state == "sent" and old.seq is not None:
                return words.replace_visible(conn, row, old, part, now)
            if old.state == "sent" and old.vendor_message_id and can is not None and can.can_edit:
                return words.replace_sent(conn, row, old, part, now)
            raise _cannot(row, old, "changed")

        await self._change(actor, conversation_id, message_id, change, fence=fence, kind="edited")

    async def take_back(self, actor: Actor, conversation_id: int, message_id: int, *, fence: int | None = None) -> None:
        """The customer does not see it any more (on a web page, in Telegram for two days) or never will (while it
        waits); the words stay in the record.

        Raises: also NotHolding, StaleState (it is being sent), RuleError where that cannot be done.
        """
        now = self._outside.clock.now()

        def change(conn: Connection, row: Any, old: Any) -> Written:
            if old.state == "sent" and old.seq is not None:
                return words.replace_visible(conn, row, old, None, now)
            if self._is_within_reach(row, old, now):
                return words.replace_sent(conn, row, old, None, now)
            if old.state in ("pending", "parked", "failed"):
                drop_rows(conn, [old.outbox_id], now, reason="taken back")
                conn.execute(update(messages).where(messages.c.id == old.id).values(deleted_at=now))
                return Written((old.id,))
            raise _cannot(row, old, "taken back")

        await self._change(actor, conversation_id, message_id, change, fence=fence, kind="taken_back")

    def _is_within_reach(self, row: Any, old: Any, now: datetime) -> bool:
        """The vendor still takes it out of the chat. Of an album only the first file would be gone."""
        can = self._outside.can(row.channel)
        if old.state != "sent" or not old.vendor_message_id or can is None or can.takes_back_s is None:
            return False
        is_young = now - (old.sent_at or old.at) < timedelta(seconds=can.takes_back_s)
        return is_young and len((old.content or {}).get("media", ())) <= 1

    async def _change(
        self,
        actor: Actor,
        conversation_id: int,
        message_id: int,
        change: Callable[[Connection, Any, Any], Written],
        *,
        fence: int | None,
        kind: str,
    ) -> None:
        actor.require("conversations.reply")
        now = self._outside.clock.now()

        def unit(conn: Connection) -> Written:
            row = visible(conn, actor, conversation_id, lock=True)
            words.check_holds(row, actor.name)
            check_fence(row, fence)
            written = change(conn, row, _own_words(conn, actor, conversation_id, message_id))
            record(conn, actor, f"message.{kind}", f"message:{message_id}", {"conversation": conversation_id}, now=now)
            return written

        self._wake(conversation_id, await self._database.run(unit), kind, message=message_id)

    # --- what did not leave -----------------------------------------------------------------------------------------

    async def retry(self, actor: Actor, conversation_id: int, outbox_ids: Sequence[int]) -> int:
        """These are due again, before what was said after them; how many. Raises: also RuleError for one that left."""
        return await self._outbox(actor, conversation_id, outbox_ids, retry_rows, "retried")

    async def drop(self, actor: Actor, conversation_id: int, outbox_ids: Sequence[int]) -> int:
        """These will not be sent; how many. Raises: also RuleError for one that left or is leaving."""
        return await self._outbox(actor, conversation_id, outbox_ids, drop_rows, "dropped")

    async def _outbox(
        self,
        actor: Actor,
        conversation_id: int,
        ids: Sequence[int],
        change: Callable[[Connection, Sequence[int], datetime], int],
        kind: str,
    ) -> int:
        actor.require("messages.retry")
        now = self._outside.clock.now()

        def unit(conn: Connection) -> int:
            visible(conn, actor, conversation_id)
            here = outbox.c.id.in_(ids) & (outbox.c.conversation_id == conversation_id)
            if set(ids) - set(conn.execute(select(outbox.c.id).where(here)).scalars()):
                raise NotFound("one of these messages is not of this conversation")
            count = change(conn, ids, now)
            record(conn, actor, f"message.{kind}", f"conversation:{conversation_id}", {"outbox": sorted(ids)}, now=now)
            return count

        count = await self._database.run(unit)
        self._outside.signals.publish(TOPIC_OUTBOX)
        tell(self._outside.signals, conversation_id, kind)
        return count

    # --- later --------------------------------------------------------------------------------------------------------

    async def schedule(
        self,
        actor: Actor,
        conversation_id: int,
        text: str,
        send_at: datetime,
        *,
        files: Sequence[str] = (),
        content: Sequence[str] = (),
    ) -> Scheduled:
        """The words leave then, if the actor still has the conversation, or it is with the bot and the customer has
        said nothing since; otherwise they are refused and the actor gets a notice. What waits already is not planned
        a second time: the same words and files of the same person for the same moment. `content`: as for `send`.

        Raises: also InputError (as `send`, or a time that is past or far away), NotHolding, RuleError.
        """
        actor.require("conversations.reply")
        said, now = _clean(text, files), self._outside.clock.now()
        if not now < send_at <= now + LONGEST_WAIT:
            raise InputError("words are sent later at a time that is still to come, a year ahead at most")

        def unit(conn: Connection) -> Scheduled:
            row = visible(conn, actor, conversation_id, lock=True)
            words.check_holds(row, actor.name)
            wanted = Plan(actor.name, said, send_at, digest_key(*(content or files)) if files else "")
            if before := planned_before(conn, row.id, wanted):
                return before
            media = words.files_of(conn, row.id, files)
            self._parts(row, said, media)
            return plan(conn, row, wanted, media, now)

        scheduled = await self._database.run(unit)
        tell(self._outside.signals, conversation_id, "scheduled")
        return scheduled

    async def scheduled(self, actor: Actor, conversation_id: int) -> list[Scheduled]:
        """What still waits to be said here, the next first."""

        def unit(conn: Connection) -> list[Scheduled]:
            visible(conn, actor, conversation_id)
            return waiting_of(conn, conversation_id)

        return await self._database.run(unit, read=True)

    async def cancel(self, actor: Actor, conversation_id: int, scheduled_id: int) -> None:
        """The words will not be sent. Of a colleague's only those who may assign dispose.

        Raises: also StaleState when they have left, or were cancelled before.
        """
        actor.require("conversations.reply")

        def unit(conn: Connection) -> None:
            visible(conn, actor, conversation_id)
            cancel(conn, conversation_id, scheduled_id, by=None if actor.may("conversations.assign") else actor.name)

        await self._database.run(unit)
        tell(self._outside.signals, conversation_id, "scheduled")

    # ------------------------------------------------------------------------------------------------------------------

    def _wake(self, conversation_id: int, written: Written, kind: str, **more: Any) -> None:
        signals = self._outside.signals
        if written.waits:
            signals.publish(TOPIC_OUTBOX)
        if written.visible:
            signals.publish(TOPIC_WEB, {"conversation_id": conversation_id, "events": list(written.visible)})
        tell(signals, conversation_id, kind, **more)


def _clean(text: str, files: Sequence[str]) -> str:
    """The words without what nobody means to type. Raises: InputError when nothing, or too much, is left."""
    said = _NEVER_MEANT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not said and not files:
        raise InputError("there is nothing to send")
    if len(said) > LONGEST:
        raise InputError(f"an answer has at most {LONGEST} characters; this one has {len(said)}")
    if len(files) > MOST_FILES or len(set(files)) < len(files):
        raise InputError(f"an answer takes at most {MOST_FILES} files, each once")
    return said


def _own_words(conn: Connection, actor: Actor, conversation_id: int, message_id: int) -> Any:
    """The operator's message with its outbox row, locked. Raises: NotFound, NotPermitted, RuleError."""
    row = conn.execute(
        select(messages, outbox.c.id.label("outbox_id"), outbox.c.state, outbox.c.attempts, outbox.c.sent_at)
        .join_from(messages, outbox, outbox.c.message_id == messages.c.id)
        .where(messages.c.id == message_id, messages.c.conversation_id == conversation_id)
        .with_for_update(of=(messages, outbox))
    ).first()
    if row is None or row.replaces is not None:
        raise NotFound(f"there is no message {message_id} of ours here")
    if row.author != "operator" or (row.by != actor.name and not actor.may("conversations.assign")):
        raise NotPermitted("only one's own words can be changed")
    if row.deleted_at is not None and not words.is_removal_given_up(conn, message_id):
        raise RuleError("this message was taken back")
    if row.state == "sending":
        raise StaleState("this message is being sent at this moment")
    return row


def _cannot(row: Any, old: Any, what: str) -> RuleError:
    if old.state == "sent":
        return RuleError(f"what was sent on {row.channel} cannot be {what} any more")
    return RuleError(f"this message did not leave ({old.state}): it cannot be {what}, but sent again or dropped")
