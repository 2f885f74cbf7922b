"""WeCom in a process: one callback route for all accounts, applications and 微信客服 as two channels behind it.

They are two because they are unlike in all that the rest of Frontdesk asks: who writes (members, customers in WeChat),
whether replies are counted, whether a send may be repeated. An account may be both; then they share its access token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from bot.ports import MediaLibrary
from bot.rendering import render
from bot.types import InboundMessage, Received, RenderedReply, Reply
from channels.wecom import (
    CallbackTarget,
    KfAdapter,
    KfFollowups,
    KfHandover,
    KfPuller,
    WecomAdapter,
    WecomConnection,
    callback_routes,
)
from config.settings import Settings
from crm_sync import handovers
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Kit, Work

GREETING = "utter_greet"  # the assistant's own


def wecom_kits(settings: Settings, store: SqlStore | None, media: MediaLibrary | None) -> list[Kit]:
    """The application kit, which serves the callbacks, and the 微信客服 kit. Raises: Misconfigured."""
    tokens = store.vendor_tokens if store is not None else None
    connections = {
        account: WecomConnection(account, section, tokens=tokens, media=media)
        for account, section in settings.channels.wecom.items()
    }
    kf = KfKit({name: one for name, one in connections.items() if one.settings.kf}, store)
    return [WecomKit(connections, kf), kf]


class WecomKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "wecom"

    def __init__(self, connections: Mapping[str, WecomConnection], kf: KfKit) -> None:
        self._connections, self._kf = connections, kf
        self._all = {account: WecomAdapter(connection) for account, connection in connections.items()}
        # An account without an application has nobody to write to here; its callbacks come all the same.
        self.adapters = {
            account: adapter
            for account, adapter in self._all.items()
            if adapter.connection.settings.agent_id is not None
        }

    def routes(self, app: App) -> Sequence[BaseRoute]:
        pullers = self._kf.pullers(app)
        targets = {
            account: CallbackTarget(
                connection, self._all[account], pullers[account].notice if account in pullers else None
            )
            for account, connection in self._connections.items()
        }
        return callback_routes(targets, app.inbox, app.settings.max_body_bytes)

    def work(self, app: App) -> Mapping[str, Work]:
        return {}


class KfKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "kf"

    def __init__(self, connections: Mapping[str, WecomConnection], store: SqlStore | None) -> None:
        self.adapters = {account: KfAdapter(connection, store) for account, connection in connections.items()}
        self._pullers: dict[str, KfPuller] = {}
        self._followups: dict[str, KfFollowups] = {}
        if store is not None:
            for adapter in self.adapters.values():
                adapter.on_state = partial(_accept_one, store)  # senders find out too, in whatever process

    def pullers(self, app: App) -> Mapping[str, KfPuller]:
        """One for each account, the same ones whenever asked."""
        for account, adapter in self.adapters.items():
            if account not in self._pullers:
                desk = StoreHandovers(app.store, account)
                followups = self._followups[account] = KfFollowups(adapter, app.inbox, partial(_greeting, app))
                self._pullers[account] = KfPuller(
                    adapter, app.inbox, app.store, desk, fresh=followups.note, fault=app.fault, watch=app.watch
                )
        return self._pullers

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return ()  # see WecomKit

    def work(self, app: App) -> Mapping[str, Work]:
        work: dict[str, Callable[[], Awaitable[None]]] = {
            f"kf-{account}": partial(self._pull, account, puller) for account, puller in self.pullers(app).items()
        }
        for account, adapter in self.adapters.items():
            if adapter.connection.settings.kf_handoff != "console":
                handover = KfHandover(adapter, StoreHandovers(app.store, account), app.inbox)
                work[f"kf-handover-{account}"] = handover.run
        return work

    async def _pull(self, account: str, puller: KfPuller) -> None:
        try:
            await puller.run()
        finally:
            await self._followups[account].close()


class StoreHandovers:
    """Implements Handovers and Vendors of `channels.wecom` on the store, for one account."""

    def __init__(self, store: SqlStore, account: str) -> None:
        self._store, self._account = store, account

    async def waiting(self) -> Sequence[handovers.WaitingHandoff]:
        return await self._store.database.run(
            lambda conn: handovers.waiting_handoffs(conn, KfKit.channel, self._account), read=True
        )

    async def passed_on(self, handoff_id: int) -> None:
        now = SystemClock().now()
        await self._store.database.run(lambda conn: handovers.passed_on(conn, handoff_id, now))

    async def with_the_vendor(self, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return await self._store.database.run(
            lambda conn: handovers.with_the_vendor(conn, KfKit.channel, self._account, list(places)), read=True
        )


async def _accept_one(store: SqlStore, received: Received) -> None:
    await store.accept([received])


def _greeting(app: App, entered: InboundMessage) -> RenderedReply | None:
    """How the account's assistant greets; None when it has no such response."""
    runtime = app.runtimes.runtime_for(entered.sender)
    if GREETING not in runtime.assistant.responses:
        return None
    return render(Reply(GREETING), runtime.language, KfKit.channel, runtime.assistant, seed=0)
