"""The composition root: settings in, adapters built, roles out. Adapters are listed here by hand."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import IOBase
from typing import Literal

from bot.business_time import zone as zone_named
from bot.engine import Engine, Worker
from bot.errors import Misconfigured
from bot.ports import TOPIC_FILES, TOPIC_INBOX, Clock, Inbox, RateTokens
from bot.types import Accepted, Identity, Media, Received
from channels.base import ChannelAdapter, FetchesMedia
from channels.delivery import Sender
from channels.encoding import merge_parts
from channels.pacing import LocalRateTokens
from channels.traffic import AllTraffic
from channels.web import WebHub
from config.settings import Settings
from crm_sync import lookup_codes, site_messages
from crm_sync.media.arriving import FileSources
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.stores import open_media_store
from crm_sync.media.wanted import WantedFiles
from crm_sync.search_indexing import SearchIndexer
from crm_sync.store import SqlStore
from desk.hooks import HookQueue
from desk.outside import Outside
from desk.sealing import AUDIT, purpose_keys
from frontdesk.broadcast_loops import BroadcastLoops, Surroundings, broadcast_loops
from frontdesk.broadcast_reckoning import broadcast_jobs
from frontdesk.broadcast_services import BroadcastServices, broadcast_services, decisions
from frontdesk.channel_health import ChannelWatch
from frontdesk.clock import SystemClock
from frontdesk.code_sending import CodeSender
from frontdesk.console_lazily import LazyConsole
from frontdesk.encoders import Encoders
from frontdesk.faults import no_fault
from frontdesk.hook_sending import HookSender
from frontdesk.housekeeping import tidy
from frontdesk.kits import Kit, build_kits
from frontdesk.learning import LearningLoop
from frontdesk.library import LoadedLibrary
from frontdesk.media import build_media
from frontdesk.media_fetching import MediaFetcher
from frontdesk.observing import LoggingObserver, accepted_on
from frontdesk.pacing import RedisRateTokens, StoreRateTokens
from frontdesk.policies import model_name
from frontdesk.report_summaries import report_jobs
from frontdesk.runtimes import Runtimes, spare_what_stays
from frontdesk.scheduler import PERIODIC, TIMER_HANDLERS, Scheduler
from frontdesk.search_keeping import keep_search
from frontdesk.secret_key import load_secret_keys, sqlite_path
from frontdesk.serving import HttpServer, end, supervise
from frontdesk.signals import LocalSignals, RedisSignals
from frontdesk.single_process import hold_store
from frontdesk.site_messenger import SiteMessenger
from frontdesk.speech import VoiceTranscriber, load_speech_to_text
from frontdesk.staff_services import StaffServices, staff_services, staff_timers
from frontdesk.translating import translator_of
from frontdesk.typing_relay import relay_typing

Role = Literal["web", "worker", "sender", "scheduler", "console"]
ALL_ROLES: tuple[Role, ...] = ("web", "worker", "sender", "scheduler", "console")


def carries_file(received: Received) -> bool:
    return received.message is not None and isinstance(received.message.content, Media)


class NotifyingInbox:
    """The inbox the channels see: stores, counts, wakes the worker; and the points where a fault run kills us."""

    def __init__(
        self, store: SqlStore, signals: LocalSignals, watch: ChannelWatch, fault: Callable[[str], None]
    ) -> None:
        self._store, self._signals, self._watch, self._fault = store, signals, watch, fault

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        accepted = await self._store.accept(received)
        fresh = [item for item, row in zip(received, accepted, strict=True) if row.is_new]
        if fresh:
            self._signals.publish(TOPIC_INBOX)
        if any(carries_file(item) for item in fresh):
            self._signals.publish(TOPIC_FILES)
        for item in fresh:
            accepted_on(item.channel).inc()
            self._watch.received(item.channel, item.account)
        if received and received[0].channel == "web":
            self._fault("web.before_ack")  # the poller has its own point before it confirms
        return accepted


@dataclass
class App:
    """Every object of one process, built once from its settings; `close` gives all of it back."""

    settings: Settings
    store: SqlStore
    signals: LocalSignals
    runtimes: Runtimes
    media: SqlMediaLibrary
    fetcher: MediaFetcher
    inbox: Inbox
    kits: Sequence[Kit]
    adapters: Mapping[tuple[str, str], ChannelAdapter]
    worker: Worker
    sender: Sender
    scheduler: Scheduler
    hub: WebHub
    hooks: HookSender
    secret_keys: tuple[bytes, ...]
    admin_password: str | None
    rate_tokens: RateTokens
    watch: ChannelWatch
    library: LoadedLibrary
    staff: StaffServices
    reach: BroadcastServices
    broadcasts: BroadcastLoops
    indexer: SearchIndexer
    learning: LearningLoop
    fault: Callable[[str], None] = no_fault
    console: LazyConsole | None = None
    _lock: IOBase | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        roles: Sequence[Role] = ALL_ROLES,
        fault: Callable[[str], None] = no_fault,
        exclusive: bool = True,
        clock: Clock | None = None,
        codes: CodeSender | None = None,
    ) -> App:
        """Everything ready to start. `codes`: what sends one-time codes, instead of what the settings say.

        `exclusive` holds the SQLite store for this process (`frontdesk run`); a one-shot command leaves it out and
        works beside a running desk. Raises: Misconfigured, StoreIncompatible, StoreUnavailable, AssistantInvalid.
        """
        path = sqlite_path(settings)
        if path is not None and set(roles) != set(ALL_ROLES):
            raise Misconfigured(
                "--roles", "one process runs all roles on SQLite; use PostgreSQL (FRONTDESK_DATABASE_URL) to split them"
            )
        keys = load_secret_keys(settings)
        speech, bytes_store = load_speech_to_text(settings.media), open_media_store(settings.media)
        lock = hold_store(path) if path is not None and exclusive else None
        store = await SqlStore.open(
            settings.database_url.get_secret_value(),
            clock=clock,
            fault=fault,
            migrate=path is not None,
            release_leases=path is not None and exclusive,
            audit_keys=purpose_keys(keys, AUDIT),
        )
        signals: LocalSignals
        tokens: RateTokens
        if settings.redis_url is not None:
            redis_signals = RedisSignals(settings.redis_url.get_secret_value())
            redis_signals.start()
            signals = redis_signals
            tokens = RedisRateTokens(settings.redis_url.get_secret_value(), StoreRateTokens(store))
        else:
            signals = LocalSignals()
            tokens = LocalRateTokens() if path is not None else StoreRateTokens(store)
        runtimes = Runtimes(settings, store)
        await runtimes.load()
        clock = clock or SystemClock()
        media = build_media(settings, store, keys, bytes_store, clock=clock, fault=fault)
        kits = build_kits(settings, store, media)
        adapters = {(kit.channel, account): adapter for kit in kits for account, adapter in kit.adapters.items()}
        fetching = frozenset(place for place, adapter in adapters.items() if isinstance(adapter, FetchesMedia))
        store.inbox.file_sources = FileSources(fetching, media.retention)
        codes = codes or CodeSender.of(settings, adapters, clock)
        store.know(
            {adapter.channel: adapter.capabilities for adapter in adapters.values()},
            merge_parts,
            can_send_codes=bool(codes.ways),
        )
        encoders = Encoders(list(adapters.values()), media.link)
        observer = LoggingObserver()
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        transcriber = None
        if speech is not None:
            transcriber = VoiceTranscriber(speech, media, adapters, timeout_s=settings.media.speech_timeout_s)
        engine = Engine(store, runtimes, encoders, clock, transcriber)
        worker = Worker(engine, store, signals, observer, clock, name=name, fault=fault)
        watch = ChannelWatch(store, clock)
        traffic = AllTraffic()
        sender = Sender(
            outbox=store.outbox,
            adapters=adapters,
            tokens=tokens,
            signals=signals,
            clock=clock,
            name=name,
            fault=fault,
            ledger=store.quota,
            watch=watch,
            traffic=traffic,
        )
        outside = Outside(
            clock=clock,
            signals=signals,
            encoder=encoders,
            library=media,
            channels={adapter.channel: adapter.capabilities for adapter in adapters.values()},
            zone=lambda channel, account: runtimes.runtime_for(Identity(channel, account, "")).timezone,
            keep_files=media.retention,
        )
        staff = staff_services(store.database, outside, runtimes, translator_of(settings.translate))
        app = cls(
            settings=settings,
            store=store,
            signals=signals,
            runtimes=runtimes,
            media=media,
            fetcher=MediaFetcher(WantedFiles(store.database, media, clock), media, adapters, signals, fault=fault),
            inbox=NotifyingInbox(store, signals, watch, fault),
            watch=watch,
            kits=kits,
            adapters=adapters,
            worker=worker,
            sender=sender,
            scheduler=Scheduler(
                store,
                signals,
                clock,
                runtimes.default_assistant,
                policy=runtimes.policy,
                handlers={**TIMER_HANDLERS, **staff_timers(staff.replies)},
                periodic=(
                    *PERIODIC,
                    *report_jobs(settings.timezone),
                    *broadcast_jobs(lambda: zone_named(settings.timezone)),
                ),
                outside={
                    site_messages.KIND: SiteMessenger(keys, settings).deliver,
                    lookup_codes.KIND: codes.deliver,
                },
                fault=fault,
            ),
            hub=WebHub(store, signals, link=media.link),
            hooks=HookSender(
                HookQueue(store.database, clock, keys),
                clock,
                timeout_s=settings.hooks.timeout_s,
                allows_private=settings.hooks.allow_private,
            ),
            secret_keys=keys,
            admin_password=await store.ensure_admin() if "web" in roles else None,
            rate_tokens=tokens,
            library=LoadedLibrary(
                runtimes.loaded,
                encoders,
                sorted({adapter.channel for adapter in adapters.values()}),
                settings.nlu.encoder,
            ),
            staff=staff,
            broadcasts=broadcast_loops(
                Surroundings(
                    database=store.database,
                    adapters=adapters,
                    tokens=tokens,
                    signals=signals,
                    clock=clock,
                    encoder=encoders,
                    decide=partial(
                        decisions,
                        runtimes.policy,
                        lambda: zone_named(settings.timezone),
                        adapters,
                    ),
                    keys=keys,
                    public_url=settings.own_url,
                    name=name,
                    traffic=traffic,
                    ledger=store.quota,
                    watch=watch,
                    fault=fault,
                )
            ),
            reach=broadcast_services(
                store.database,
                outside,
                runtimes.policy,
                lambda: zone_named(settings.timezone),
                adapters,
                allows_private=settings.hooks.allow_private,
            ),
            indexer=SearchIndexer(store.database, clock),
            learning=LearningLoop(
                store, clock, settings, lambda: {model_name(each.folder): each for each in runtimes.loaded()}
            ),
            fault=fault,
            _lock=lock,
        )
        if "console" in roles:
            app.console = LazyConsole(app)
        return app

    async def serve(self, roles: Sequence[Role], http: HttpServer | None) -> None:
        """Start the roles and return; `stop` ends them."""
        spare_what_stays()
        start = self._start
        start("models", self.runtimes.watch)
        start("channel-health", self.watch.run)
        if http is not None:
            start("web", http.run)
        if "web" in roles:
            for kit in self.kits:
                for name, work in kit.work(self).items():
                    start(name, work)
            start("typing", partial(relay_typing, self.adapters, self.signals, self.rate_tokens))
        if "worker" in roles:
            # A remote engine keeps a batch waiting on the network; more loops keep other conversations moving.
            for _ in range(4 if "rasa" in self.settings.nlu.engine else 1):
                start("worker", self.worker.run)
        if "sender" in roles:
            start("sender", self.sender.run)
            start("broadcasts", self.broadcasts.sender.run)
            start("hooks", self.hooks.run)
            start("files", self.fetcher.run)
        if "scheduler" in roles:
            start("scheduler", self.scheduler.run)
            start("broadcast-starts", self.broadcasts.preparer.run)
            start("search", partial(keep_search, self.indexer))
            start("learning", self.learning.run)
            start("housekeeping", self._housekeeping)

    async def stop(self, http: HttpServer | None = None) -> None:
        """Let turns and sends in hand finish, end the streams, close everything."""
        self.worker.stop()
        self.sender.stop()
        self.broadcasts.sender.stop()
        if self.console is not None:
            await self.console.close()
        await self.hub.close()
        if http is not None:
            http.stop()
        finishing = [task for task in self._tasks if task.get_name() in {"worker", "sender", "broadcasts", "web"}]
        for task in self._tasks:
            if task not in finishing:
                task.cancel()
        await end(finishing)
        await end(self._tasks, within_s=1)
        await self.close()

    async def close(self) -> None:
        for adapter in self.adapters.values():
            await adapter.close()
        for resource in (self.signals, self.rate_tokens):
            if isinstance(resource, RedisSignals | RedisRateTokens):
                await resource.close()
        await self.runtimes.close()
        await self.media.close()
        await self.store.close()
        if self._lock is not None:
            self._lock.close()

    def _start(self, role: str, work: Callable[[], object]) -> None:
        self._tasks.append(asyncio.create_task(supervise(role, work), name=role))  # type: ignore[arg-type]

    async def _housekeeping(self) -> None:
        """Once an hour: what has outlived its retention goes."""
        while True:
            await tidy(self.store, self.media, raw_retention_days=self.settings.raw_retention_days)
            await asyncio.sleep(3600)
