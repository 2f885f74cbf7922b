"""Subscribers: told once of what happened, with a signature, tried for a day, and never somewhere inside."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import Connection, delete, insert, select

from bot.errors import InputError, NotFound, NotPermitted, StaleState
from bot.types import OpenCase, RecordConsent
from crm_sync.console_tables import handoff_events, hook_deliveries, hooks
from crm_sync.erasure import erase_customer
from crm_sync.store import SqlStore
from crm_sync.tables import messages
from desk.actors import Actor
from desk.hooks import HookDesk, HookQueue, prune_deliveries
from frontdesk.hook_sending import GuardedResolver, HookSender, NotPublic, is_public, signature
from tests.store_steps import AUDIT_KEYS, SECRET_KEYS, SetClock, converse

ADMIN = Actor("admin", "admin")


@dataclass
class Receiver:
    """A subscriber that believes nothing without a signature."""

    secret: str = ""
    statuses: list[int] = field(default_factory=list)  # of the next answers; then 200
    told: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    url: str = ""
    arrived: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        stamp, _, mac = request.headers["Frontdesk-Signature"].partition(",v1=")
        expected = hmac.new(self.secret.encode(), stamp[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(mac, expected):
            return web.Response(status=401)
        if self.hold is not None:
            await self.hold.wait()
        self.deliveries.append(request.headers["Frontdesk-Delivery"])
        status = self.statuses.pop(0) if self.statuses else 200
        if 300 <= status < 400:
            return web.Response(status=status, headers={"Location": self.url})
        if status == 200:
            self.told.append(json.loads(body))
            self.arrived.put_nowait(None)
        return web.Response(status=status)

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.told]


@dataclass
class World:
    store: SqlStore
    clock: SetClock

    def __post_init__(self) -> None:
        self.desk = HookDesk(self.store.database, self.clock, SECRET_KEYS, allows_private=True)
        self.queue = HookQueue(self.store.database, self.clock, SECRET_KEYS)
        self.sender = self.sending()
        self.runners: list[web.AppRunner] = []

    def sending(self, **settings: Any) -> HookSender:
        settings = {"timeout_s": 5.0, "allows_private": True, "jitter": lambda: 0.5, **settings}
        return HookSender(self.queue, self.clock, **settings)

    async def receiver(self, *events: str) -> Receiver:
        """A subscriber of these events (without any: of all) that listens."""
        receiver = Receiver()
        app = web.Application()
        app.router.add_post("/in", receiver.take)
        runner = web.AppRunner(app)
        await runner.setup()
        self.runners.append(runner)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{port}/in"
        receiver.secret = (await self.desk.create(ADMIN, receiver.url, events or ("*",))).secret
        return receiver

    async def tell(self) -> None:
        """One look of the sender, and what it began is over."""
        await self.sender.look()
        await self.sender.settle()

    async def log(self) -> Sequence[Any]:
        rows = select(hook_deliveries).order_by(hook_deliveries.c.id)
        return await self.store.database.run(lambda conn: conn.execute(rows).all(), read=True)

    async def close(self) -> None:
        await self.sender.close()
        for runner in self.runners:
            await runner.cleanup()


@pytest.fixture
async def world(store_url: str) -> AsyncIterator[World]:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    opened = World(store, clock)
    yield opened
    await opened.close()
    await store.close()


async def test_what_happens_is_told_once_and_signed(world: World) -> None:
    await converse(world.store, "before anybody listened", "ok")
    receiver = await world.receiver()
    opened = OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "late", {})
    await converse(world.store, "my parcel", "sorry", effects=[opened, RecordConsent("news", True, "chat")], user="bob")
    await world.tell()
    assert sorted(receiver.names) == [
        "case.opened", "consent.changed", "conversation.opened", "message.received", "message.sent"
    ]  # fmt: skip
    said = next(event for event in receiver.told if event["event"] == "message.received")
    assert said["data"]["text"] == "my parcel"
    assert said["id"].startswith("evt_messages_")
    await world.tell()
    assert len(receiver.told) == 5
    assert {row.state for row in await world.log()} == {"delivered"}


async def test_each_is_told_only_what_it_asked_for(world: World) -> None:
    cases, nothing = await world.receiver("case.opened"), await world.receiver("survey.answered")
    await converse(world.store, "x", "ok", effects=[OpenCase("C-1024-7", "complaint", "delivery", "1", 2, "late", {})])
    await world.tell()
    assert (cases.names, nothing.names) == (["case.opened"], [])


async def test_hands_are_told_by_what_they_mean(world: World) -> None:
    receiver = await world.receiver("conversation.handoff", "conversation.taken", "conversation.closed")
    claimed = await converse(world.store, "x", "ok")

    def unit(conn: Connection) -> None:
        for kind in ("requested", "assigned", "closed", "odd"):
            row = {"conversation_id": claimed.conversation.id, "kind": kind, "fence": 1, "at": world.clock.at}
            conn.execute(insert(handoff_events), row)

    await world.store.database.run(unit)
    await world.tell()
    assert sorted(receiver.names) == ["conversation.closed", "conversation.handoff", "conversation.taken"]


async def test_refused_is_tried_again_later_and_later_for_a_day(world: World) -> None:
    receiver = await world.receiver("message.received")
    receiver.statuses = [500, 302, 429]
    await converse(world.store, "x", "ok")
    waits = []
    for _ in range(3):
        await world.tell()
        (row,) = await world.log()
        waits.append((row.next_at - world.clock.at).total_seconds())
        await world.tell()  # not before its time
        world.clock.at = row.next_at
    assert receiver.names == []
    assert waits == [5, 30, 120]
    assert [hook.failing_since is None for hook in await world.desk.list(ADMIN)] == [False]
    await world.tell()
    assert receiver.names == ["message.received"]
    assert [hook.failing_since is None for hook in await world.desk.list(ADMIN)] == [True]
    assert len(set(receiver.deliveries)) == 1


async def test_after_a_day_it_is_given_up_and_may_be_told_again_by_hand(world: World) -> None:
    receiver = await world.receiver("message.received")
    receiver.statuses = [503] * 100
    await converse(world.store, "x", "ok")
    while (row := ((await world.log()) or [None])[0]) is None or row.state == "pending":
        await world.tell()
        world.clock.at = (await world.log())[0].next_at or world.clock.at
    assert (row.state, row.status, row.reason) == ("failed", 503, "answered 503")
    assert 10 < row.attempts < 30
    receiver.statuses = []
    hook = (await world.desk.list(ADMIN))[0]
    again = await world.desk.replay(ADMIN, hook.id, row.id)
    assert (again.state, again.attempts) == ("pending", 0)
    await world.tell()
    assert [event["id"] for event in receiver.told] == [row.payload["id"]]
    page = await world.desk.deliveries(ADMIN, hook.id, state="delivered")
    assert [item.id for item in page.items] == [row.id]


async def test_slow_subscriber_holds_up_nobody_else(world: World) -> None:
    slow, quick = await world.receiver("message.received"), await world.receiver("message.received")
    slow.hold = asyncio.Event()
    for number in range(6):
        await converse(world.store, f"m{number}", "ok", user=f"u{number}")
    await world.sender.look()
    async with asyncio.timeout(20):
        for _ in range(6):
            await quick.arrived.get()
    assert slow.told == []
    slow.hold.set()
    await world.sender.settle()
    assert len(slow.told) == 6


async def test_request_whose_process_died_is_made_again(world: World) -> None:
    receiver = await world.receiver("message.received")
    await converse(world.store, "x", "ok")
    await world.queue.follow()
    (hook,) = await world.desk.list(ADMIN)
    assert len(await world.queue.claim(hook.id, 4, world.sender._lease)) == 1
    await world.tell()
    assert receiver.told == []
    world.clock.advance(minutes=1)
    await world.tell()
    assert receiver.names == ["message.received"]


async def test_id_that_becomes_visible_late_is_told_too(world: World) -> None:
    receiver = await world.receiver("message.received")
    await converse(world.store, "one", "ok")
    await world.tell()

    def take_out(conn: Connection) -> dict[str, Any]:
        row = conn.execute(select(messages).order_by(messages.c.id.desc()).limit(1)).one()
        conn.execute(delete(messages).where(messages.c.id == row.id))
        return {**row._mapping, "direction": "in", "text": "late", "seq": 900}

    claimed = await converse(world.store, "two", user="bob")
    late = await world.store.database.run(take_out)
    await converse(world.store, "three", "ok", user="cid")
    await world.tell()
    if world.store.database.dialect == "sqlite":
        return  # ids there become visible in their order
    await world.store.database.run(lambda conn: conn.execute(insert(messages), late) and None)
    assert claimed.conversation.id == late["conversation_id"]
    await world.tell()
    assert sorted(event["data"]["text"] for event in receiver.told) == ["late", "one", "three"]
    world.clock.advance(minutes=2)
    await world.tell()
    assert len(receiver.told) == 3


async def test_erasing_a_person_takes_what_subscribers_are_still_to_be_told(world: World) -> None:
    await world.receiver()
    claimed = await converse(world.store, "secret", "ok")
    await world.queue.follow()
    assert len(await world.log()) == 3
    await erase_customer(world.store.database, claimed.conversation.customer.customer_id)
    assert await world.log() == []


async def test_only_who_may_registers_and_what_they_do_is_checked(world: World) -> None:
    with pytest.raises(NotPermitted):
        await world.desk.create(Actor("max", "manager"), "https://a.example", ["*"])
    strict = HookDesk(world.store.database, world.clock, SECRET_KEYS)
    for url in ("http://a.example", "ftp://a.example", "https://", "https://u:p@a.example", "https://a.example/ b", "x",
                "https://a.example/#f", "https://[::1", "https://a.example:0/"):  # fmt: skip
        with pytest.raises(InputError):
            await strict.create(ADMIN, url, ["*"])
    for events in ([], ["nothing"], ["case.opened", "x"]):
        with pytest.raises(InputError):
            await strict.create(ADMIN, "https://a.example", events)
    made = await strict.create(ADMIN, "https://a.example", ["case.opened"])
    changed = await strict.change(ADMIN, made.hook.id, events=["*"], version=0)
    assert (changed.events, changed.version) == (("*",), 1)
    with pytest.raises(StaleState):
        await strict.change(ADMIN, made.hook.id, is_active=False, version=0)
    stored = await world.store.database.run(lambda conn: conn.execute(select(hooks)).one(), read=True)
    assert made.secret not in stored.secret
    assert (await strict.renew_secret(ADMIN, made.hook.id)).secret != made.secret
    await strict.remove(ADMIN, made.hook.id)
    with pytest.raises(NotFound):
        await strict.get(ADMIN, made.hook.id)


async def test_silenced_subscriber_misses_what_happens_meanwhile(world: World) -> None:
    receiver = await world.receiver("message.received")
    (hook,) = await world.desk.list(ADMIN)
    await world.desk.change(ADMIN, hook.id, is_active=False)
    assert not await world.queue.is_wanted()
    await converse(world.store, "meanwhile", "ok")
    await world.desk.change(ADMIN, hook.id, is_active=True)
    await converse(world.store, "now", "ok", user="bob")
    await world.tell()
    assert [event["data"]["text"] for event in receiver.told] == ["now"]


async def test_ping_tries_it_out_and_the_log_ends_after_a_month(world: World) -> None:
    receiver = await world.receiver("case.opened")
    (hook,) = await world.desk.list(ADMIN)
    await world.desk.ping(ADMIN, hook.id)
    await world.tell()
    assert receiver.names == ["ping"]
    assert await prune_deliveries(world.store.database, world.clock.at) == 0
    world.clock.advance(days=31)
    assert await prune_deliveries(world.store.database, world.clock.at) == 1


# --- where a request may go -----------------------------------------------------------------------------------------


class Pointing(AbstractResolver):
    """A name that leads where it is told to."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("name", False),
    ],
)
def test_what_is_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


async def test_name_that_leads_inside_is_not_resolved() -> None:
    assert await GuardedResolver(Pointing("93.184.216.34")).resolve("a.example", 443)
    for addresses in (("127.0.0.1",), ("93.184.216.34", "10.0.0.1"), ()):
        with pytest.raises(NotPublic):
            await GuardedResolver(Pointing(*addresses)).resolve("a.example", 443)


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://[::1]/", "https://inside.example/", "http://127.0.0.1/"])
async def test_nothing_is_sent_inside(world: World, url: str) -> None:
    await world.desk.create(ADMIN, url, ["message.received"])
    await converse(world.store, "x", "ok")
    world.sender = world.sending(allows_private=False, resolver=Pointing("127.0.0.1"))
    await world.tell()
    (row,) = await world.log()
    assert (row.state, row.status) == ("pending", None)
    assert "not public" in row.reason


def test_signature_is_what_the_documentation_says() -> None:
    made = signature("whs_x", 1700000000, b'{"a":1}')
    expected = hmac.new(b"whs_x", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert made == f"t=1700000000,v1={expected}"
