"""The store as the rest of Frontdesk sees it: every port on one open database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.errors import StoreUnavailable
from bot.ports import Claimed, Clock, Committed, TurnsCommit
from bot.types import Accepted, Capabilities, ConversationId, CustomerId, Identity, InboxId, Need, Received
from crm_sync import (
    claims,
    deployment,
    links,
    models,
    outbox,
    recipient_claims,
    schema,
    staff,
    unreadable,
    web_reads,
    web_uploads,
)
from crm_sync.customers import turn_of
from crm_sync.database import Database, parse_url, sqlite_path
from crm_sync.inbox import SqlInbox
from crm_sync.outbox import SqlOutbox
from crm_sync.outbox_claims import Merge
from crm_sync.outbox_staff import OutboxDesk
from crm_sync.passive import SqlPassiveReplies
from crm_sync.reply_windows import SqlQuotaLedger
from crm_sync.schema import SchemaState
from crm_sync.turns import SqlTurns
from crm_sync.vendor_tokens import SqlVendorTokens

log = structlog.get_logger(__name__)


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def _no_fault(point: str) -> None:
    """Nothing happens."""


class SqlStore:
    """Implements Inbox, TurnStore and CursorStore of `bot.ports`; `outbox` implements Outbox, `quota` QuotaLedger.

    `fault` is called at named points, so that a fault run can kill the process there.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        fault: Callable[[str], None] = _no_fault,
    ) -> None:
        self.database = database
        self._clock = clock or _SystemClock()
        self.inbox = SqlInbox(database, self._clock, fault)
        self.turns = SqlTurns(database, self._clock, fault)
        self.outbox = SqlOutbox(database, self._clock, fault)
        self.passive = SqlPassiveReplies(database, self._clock, fault)
        self.outbox_desk = OutboxDesk(database, self._clock)
        self.quota = SqlQuotaLedger(database, self._clock)
        self.vendor_tokens = SqlVendorTokens(database, self._clock)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        migrate: bool = True,
        release_leases: bool = False,
        clock: Clock | None = None,
        fault: Callable[[str], None] = _no_fault,
        audit_keys: Sequence[bytes] = (),
    ) -> SqlStore:
        """The store at `url`, created and brought up to date when `migrate` says so.

        `release_leases` frees what a dead process held; only for a process that works on the store alone (SQLite).
        Raises: StoreIncompatible (newer than this code), StoreUnavailable, Misconfigured.
        """
        parsed = parse_url(url)
        if not migrate and parsed.get_backend_name() == "sqlite" and not sqlite_path(parsed).exists():
            raise StoreUnavailable("store", "there is no store yet; frontdesk db upgrade creates it")
        database = await Database.open(url, audit_keys=audit_keys)
        try:
            state = await schema.check(database)
            if migrate and state is not SchemaState.CURRENT:
                await schema.upgrade(url)
            store = cls(database, clock=clock, fault=fault)
            if release_leases:
                await store.release_dead_leases()
        except BaseException:
            await database.close()
            raise
        return store

    def know(
        self, channels: Mapping[str, Capabilities], merge: Merge | None = None, *, can_send_codes: bool = False
    ) -> None:
        """What each channel can do, where sending depends on it; to be said before anything is sent.

        `merge` makes one part of texts that follow each other (channels/encoding.py); without it none are merged.
        `can_send_codes`: whether there is any way for one-time codes (crm_sync/lookup_codes.py).
        """
        self.outbox.know(channels, merge)
        self.turns.know(channels, can_send_codes=can_send_codes)

    async def close(self) -> None:
        """Everything handed in is committed and the connections are closed."""
        await self.database.close()

    async def is_current(self) -> bool:
        """The store answers and has the schema of this code.

        Raises: StoreUnavailable, StoreIncompatible.
        """
        return await schema.check(self.database) is SchemaState.CURRENT

    async def release_dead_leases(self) -> None:
        """Conversations and sends held by a process that died can be taken up now instead of when the lease ends."""
        now = self._clock.now()

        def unit(conn: Connection) -> tuple[int, int, int]:
            recipients = recipient_claims.release_dead(conn, now)
            return claims.release_dead(conn), outbox.release_dead(conn, now), recipients

        freed = await self.database.run(unit)
        if any(freed):
            log.warning("dead_leases_released", conversations=freed[0], sends=freed[1], recipients=freed[2])

    # --- Inbox and TurnStore ----------------------------------------------------------------------------------------

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        """See `bot.ports.Inbox`."""
        return await self.inbox.accept(received)

    async def claim(self, worker: str, limit: int) -> list[Claimed]:
        """See `bot.ports.TurnStore`."""
        return await self.turns.claim(worker, limit)

    async def renew(self, leases: Sequence[Claimed]) -> None:
        """See `bot.ports.TurnStore`."""
        await self.turns.renew(leases)

    async def release(self, claimed: Claimed, *, retry_at: datetime | None = None) -> None:
        """See `bot.ports.TurnStore`."""
        await self.turns.release(claimed, retry_at=retry_at)

    async def park(self, claimed: Claimed, inbox_id: InboxId, reason: str) -> None:
        """See `bot.ports.TurnStore`."""
        await self.turns.park(claimed, inbox_id, reason)

    async def fetch(self, needs: Sequence[Need], customer_id: CustomerId) -> dict[Need, Any]:
        """See `bot.ports.TurnStore`."""
        return await self.turns.fetch(needs, customer_id)

    async def commit(self, commits: Sequence[TurnsCommit]) -> list[Committed]:
        """See `bot.ports.TurnStore`."""
        return await self.turns.commit(commits)

    async def unreadable_counts(self) -> list[unreadable.UnreadableCount]:
        """Genuine payloads that could not be read, for each account that has any."""
        return await self.database.run(unreadable.counts, read=True)

    async def newest_unreadable(self, limit: int = 50) -> Sequence[unreadable.Unreadable]:
        """The newest of them, newest first."""
        return await self.database.run(partial(unreadable.newest, limit=limit), read=True)

    async def turn_of(self, inbox_id: InboxId) -> dict[str, Any] | None:
        """What one message led to: replies, intent, entities, engine; None while it waits for its turn."""
        return await self.database.run(partial(turn_of, inbox_id=inbox_id), read=True)

    # --- web --------------------------------------------------------------------------------------------------------

    async def web_conversation(self, identity: Identity) -> ConversationId:
        """The visitor's conversation, created when there is none."""
        found = await self.database.run(lambda conn: web_reads.find_conversation(conn, identity), read=True)
        if found is not None:
            return found
        now = self._clock.now()
        return await self.database.run(lambda conn: web_reads.create_conversation(conn, identity, now))

    async def events_after(self, conversation_id: ConversationId, after: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` events with a sequence number above `after`, in order, shaped as on the wire."""
        return await self.database.run(
            lambda conn: web_reads.events_after(conn, conversation_id, after, limit), read=True
        )

    async def mark_read(self, conversation_id: ConversationId, seq: int) -> None:
        """The customer has seen everything up to `seq`; never goes back."""
        await self.database.run(lambda conn: web_reads.mark_read(conn, conversation_id, seq), durable=False)

    async def find_web_upload(self, identity: Identity, client_id: str, sha256: str) -> str | None:
        """The media id of what this visitor uploaded under this id. Raises: DedupeMismatch when it was another file."""
        return await self.database.run(
            lambda conn: web_uploads.find_upload(conn, identity, client_id, sha256), read=True
        )

    async def note_web_upload(
        self, identity: Identity, client_id: str, sha256: str, *, media_id: str, conversation_id: ConversationId
    ) -> str:
        """The visitor's file has this id; the first one's when the same came twice at once. Raises: DedupeMismatch."""
        now = self._clock.now()
        return await self.database.run(
            lambda conn: web_uploads.note_upload(
                conn, identity, client_id, sha256, media_id=media_id, conversation_id=conversation_id, now=now
            )
        )

    async def use_web_upload(self, identity: Identity, media_id: str, message_id: str) -> bool:
        """The visitor's own file is part of this message from now on; False when it is not theirs or used elsewhere."""
        return await self.database.run(lambda conn: web_uploads.use_upload(conn, identity, media_id, message_id))

    async def prune_web_uploads(self) -> int:
        """Uploads whose file is gone are forgotten, since no message can name them any more; how many."""
        pruned = 0
        while keys := await self.database.run(web_uploads.without_file, read=True):
            await self.database.run(partial(web_uploads.forget, keys=keys))
            pruned += len(keys)
        return pruned

    async def offer_link(self, identity: Identity, channel: str, token: str) -> None:
        """The token lets somebody on `channel` say, once and soon, that they are this identity's customer."""
        now = self._clock.now()
        await self.database.run(lambda conn: links.offer_link(conn, identity, channel, token, now))

    async def links_of(self, customer_id: CustomerId) -> list[links.CustomerLink]:
        """Links that this customer is part of, undone ones too, oldest first."""
        return await self.database.run(lambda conn: links.links_of(conn, customer_id), read=True)

    async def unlink(self, link_id: int) -> None:
        """What the link moved is where it was. Raises: NotFound, RuleError (a later link must be undone first)."""
        now = self._clock.now()
        await self.database.run(lambda conn: links.unlink(conn, link_id, now))

    async def web_seq(self, conversation_id: ConversationId) -> int:
        """The sequence number of the newest event; 0 when there is none."""
        return await self.database.run(lambda conn: web_reads.web_seq(conn, conversation_id), read=True)

    # --- models and articles ----------------------------------------------------------------------------------------

    async def put_model(
        self,
        name: str,
        version: str,
        packed: bytes,
        *,
        training_hash: str = "",
        manifest: Mapping[str, Any] | None = None,
        activate: bool = False,
    ) -> None:
        """The model is stored, and active when `activate` says so."""
        model, now = models.StoredModel(name, version, packed, training_hash, manifest or {}), self._clock.now()

        def unit(conn: Any) -> None:
            models.put(conn, model, now)
            if activate:
                models.activate(conn, name, version, now)

        await self.database.run(unit)

    async def activate_model(self, name: str, version: str) -> None:
        """This version is the active one; every process notices within a second. Raises: NotFound."""
        now = self._clock.now()
        await self.database.run(lambda conn: models.activate(conn, name, version, now))

    async def active_model(self, name: str) -> models.StoredModel | None:
        """The active model with its bytes; None before the first activation."""
        return await self.database.run(lambda conn: models.find_active(conn, name), read=True)

    def now(self) -> datetime:
        """The store's own clock, which rows it writes itself are dated by."""
        return self._clock.now()

    async def active_version(self, name: str) -> str:
        """The active model's version without its bytes; "" before the first activation."""
        return await self.database.run(lambda conn: models.active_version(conn, name), read=True)

    async def model_epoch(self) -> int:
        """Moves whenever a model is activated or an article edited; cheap enough to poll."""
        return await self.database.run(models.epoch, read=True)

    async def articles(self, assistant: str) -> Sequence[models.StoredArticle]:
        """The assistant's articles as edited in the store."""
        return await self.database.run(lambda conn: models.edited_articles(conn, assistant), read=True)

    async def article_news(
        self, assistant: str, since: datetime | None
    ) -> tuple[Sequence[models.StoredArticle], datetime | None]:
        """Those written at that moment or later (None: all), and when the newest was written."""
        return await self.database.run(lambda conn: models.article_news(conn, assistant, since), read=True)

    async def article_times(self, assistant: str, since: datetime) -> dict[tuple[str, str], datetime]:
        """When those written at that moment or later were written, by id and language."""
        return await self.database.run(lambda conn: models.article_times(conn, assistant, since), read=True)

    async def articles_of(self, assistant: str, keys: Collection[tuple[str, str]]) -> list[models.StoredArticle]:
        """These of the edited articles, a few hundred at most."""
        return await self.database.run(lambda conn: models.articles_of(conn, assistant, keys), read=True)

    async def put_article(self, assistant: str, article: models.StoredArticle) -> None:
        """The article says this now; every process notices within a second."""
        now = self._clock.now()
        await self.database.run(lambda conn: models.put_article(conn, assistant, article, now))

    # --- the deployment ---------------------------------------------------------------------------------------------

    async def get_cursor(self, name: str) -> str:
        """The stored position of a pull channel; empty before the first."""
        return await self.database.run(lambda conn: deployment.get_cursor(conn, name), read=True)

    async def set_cursor(self, name: str, value: str) -> None:
        """The position is stored. A power cut may take it back: what is pulled twice is a redelivery."""
        now = self._clock.now()
        await self.database.run(lambda conn: deployment.set_cursor(conn, name, value, now), durable=False)

    async def take_token(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        """0.0 when a token was taken, else seconds to wait; shared by all processes on the store."""
        now = self._clock.now()
        return await self.database.run(
            lambda conn: deployment.take_token(conn, key, per_s, burst, now, owed=owed), durable=False
        )

    async def prune_raw(self, *, days: float) -> int:
        """Raw payloads of messages handled and older than `days` are gone; how many."""
        before, pruned = self._clock.now() - timedelta(days=days), 0
        while batch := await self.database.run(lambda conn: deployment.prune_raw(conn, before)):
            pruned += batch
        return pruned

    async def ensure_admin(self) -> str | None:
        """There is a staff account; the generated password when it was created just now, else None."""
        return await staff.ensure_admin(self.database)
