"""`frontdesk replay`: transcripts against the current assistant, on a store and a clock of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, func, select

from bot.types import Content, Identity, InboundMessage, Language, Received
from bot.values import one_time_code
from config.settings import Settings
from crm_sync.conversation_tests import stored_tests
from crm_sync.lookup_contacts import Ways
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, identities, messages
from frontdesk.app import App
from frontdesk.clock import MovableClock, SystemClock
from frontdesk.code_sending import CodeSender
from frontdesk.policies import model_name
from frontdesk.replay import Replies, Summary, replay_all
from frontdesk.replay_feeds import ReplayFeeds
from frontdesk.replay_staff import ReplayStaff
from frontdesk.runtimes import training_hash
from frontdesk.seeding import become, seed
from frontdesk.transcripts import Transcript, read_transcripts, transcript_of

CHANNEL, ACCOUNT = "cli", "default"


async def replay_files(settings: Settings, files: Sequence[Path]) -> Summary:
    """Every conversation starts with a customer nobody has met, or one of its seed. The configured store is left alone.

    All conversations of a run share one store: those that use the same seed should each take a customer of their own.
    """
    return await replay_read(settings, [transcript for path in files for transcript in read_transcripts(path)])


async def stored_transcripts(settings: Settings) -> list[Transcript]:
    """The tests that staff made from conversations with the configured assistant. Raises: AssistantInvalid."""
    store = await SqlStore.open(settings.database_url.get_secret_value())
    try:
        name = model_name(settings.assistant)
        tests = await store.database.run(lambda conn: stored_tests(conn, name), read=True)
    finally:
        await store.close()
    return [
        transcript_of(dict(test.document), file=f"stored test {test.id}", folder=settings.assistant) for test in tests
    ]


async def replay_read(
    settings: Settings, transcripts: Sequence[Transcript], *, model: tuple[str, bytes] | None = None
) -> Summary:
    """As `replay_files`, of conversations that are read already.

    `model`: version and packed bytes of the one that understands; None for the assistant's own.
    """
    with tempfile.TemporaryDirectory(prefix="frontdesk-replay-") as folder:
        own = settings.model_copy(
            update={"database_url": SecretStr(f"sqlite:///{folder}/replay.db"), "redis_url": None}
        )
        clock = MovableClock(SystemClock().now())
        if model is not None:
            await _put_model(own, *model)
        phone = ReplayPhone()
        codes = CodeSender(Ways(sms=True), {}, texter=phone)  # whatever is configured: nothing leaves this process
        app = await App.open(own, clock=clock, codes=codes)
        try:
            return await replay_all(transcripts, AppDesk(app, clock, Path(folder) / "seed", phone))
        finally:
            await app.close()


async def _put_model(settings: Settings, version: str, packed: bytes) -> None:
    """The settings' store, made now, has this model as if it were trained from the assistant's present files."""
    folder = settings.assistant
    store = await SqlStore.open(settings.database_url.get_secret_value(), migrate=True)
    try:
        name = model_name(folder)
        await store.put_model(name, version, packed, training_hash=training_hash(folder), activate=True)
    finally:
        await store.close()


class ReplayPhone:
    """Every telephone number of a replay: keeps the code that was sent last."""

    def __init__(self) -> None:
        self.code = ""

    async def send(self, to: str, words: str, language: Language) -> None:
        self.code = one_time_code(words) or ""


class AppDesk:
    """Implements `frontdesk.replay.ReplayDesk` on the whole application, with the command line as its channel."""

    def __init__(self, app: App, clock: MovableClock, made: Path, phone: ReplayPhone) -> None:
        self._app, self._clock, self._made, self._phone = app, clock, made, phone
        self._staff = ReplayStaff(
            app.store,
            app.runtimes.policy,
            clock,
            lambda: frozenset(app.runtimes.default_assistant().flows),
        )
        self._feeds = ReplayFeeds(app.store.database, lambda: app.runtimes.policy().topics, clock)
        self._said = 0
        self._seen: dict[str, int] = {}  # user -> the last of their messages that was looked at

    async def begin(self, user: str, transcript: Transcript) -> None:
        now = transcript.now or SystemClock().now()
        self._clock.set(now)
        self._app.store.turns.can_send_codes, self._phone.code = transcript.codes, ""
        store, timezone = self._app.store, self._app.settings.timezone
        if transcript.seed:
            await seed(store, transcript.folder, transcript.seed, self._made, timezone=timezone)
        if transcript.customer:
            await become(store, transcript.customer, Identity(CHANNEL, ACCOUNT, user), now)

    async def say(self, user: str, content: Content) -> Replies:
        self._said += 1
        key = f"{user}:{self._said}"
        message = InboundMessage(
            sender=Identity(CHANNEL, ACCOUNT, user),
            chat_id=user,
            dedupe_key=key,
            content=content,
            sent_at=self._clock.now(),
            vendor_message_id=key,
        )
        await self._app.inbox.accept([Received(CHANNEL, ACCOUNT, key, key.encode(), message)])
        return await self._heard(user)

    async def last_code(self) -> str:
        await self._app.scheduler.settle()
        return self._phone.code or "000000"

    async def later(self, user: str, length: timedelta) -> Replies:
        self._clock.advance(length)
        await self._app.scheduler.do_periodic_jobs()
        return await self._heard(user)

    async def staff(self, user: str, action: Mapping[str, str]) -> Replies:
        await self._staff.staff(await self._customer(user), action)
        return await self._heard(user)

    async def site(self, user: str, action: Mapping[str, str]) -> Replies:
        await self._staff.site(await self._customer(user), action)
        return await self._heard(user)

    async def feed(self, user: str, action: Mapping[str, str]) -> Replies:
        await self._feeds.feed(action)
        return await self._heard(user)

    async def outage(self, user: str, action: Mapping[str, str]) -> Replies:
        await self._feeds.outage(action)
        return await self._heard(user)

    async def _customer(self, user: str) -> int:
        mine = select(identities.c.customer_id).where(
            identities.c.channel == CHANNEL, identities.c.account == ACCOUNT, identities.c.external_id == user
        )
        return await self._app.store.database.run(lambda conn: conn.execute(mine).scalar_one(), read=True)

    async def _heard(self, user: str) -> Replies:
        """Everything due is done; what the customer was told by it."""
        while await self._app.worker.run_once() or await self._app.scheduler.run_once():
            pass
        seen = self._seen.get(user, 0)

        def unit(conn: Connection) -> Replies:
            mine = (
                select(conversations.c.id)
                .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
                .where(identities.c.channel == CHANNEL, identities.c.external_id == user)
            )
            rows = conn.execute(
                select(messages.c.id, messages.c.text, messages.c.content)
                .where(messages.c.conversation_id.in_(mine), messages.c.direction == "out", messages.c.id > seen)
                .order_by(messages.c.id)
            ).all()
            last = conn.execute(select(func.max(messages.c.id)).where(messages.c.conversation_id.in_(mine))).scalar()
            self._seen[user] = last or seen
            return [{"text": row.text, "buttons": (row.content or {}).get("buttons", [])} for row in rows]

        return await self._app.store.database.run(unit, read=True)
