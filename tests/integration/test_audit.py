"""The audit log: complete, in order, and no line can be changed, taken out or cut off unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from bot.errors import InputError, Misconfigured, NotPermitted
from crm_sync.audit_chain import append
from crm_sync.console_tables import audit_head, audit_log
from crm_sync.database import Database
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.audit import AuditDesk, AuditFilter, record, record_view, saw
from desk.sealing import AUDIT, purpose_keys
from tests.store_steps import SECRET_KEYS, START

ADMIN = Actor("ann", "admin")


async def some_lines(database: Database, count: int = 5) -> None:
    def unit(conn: Connection) -> None:
        for number in range(count):
            record(conn, ADMIN, "case.take", f"case:{number}", {"fields": ["owner"], "by": number}, now=START)

    await database.run(unit)


async def test_lines_are_numbered_without_a_gap_also_when_transactions_fail_or_run_at_once(store: SqlStore) -> None:
    def fails(conn: Connection) -> None:
        record(conn, ADMIN, "case.take", "case:1", {}, now=START)
        raise InputError("no")

    async def one(number: int) -> None:
        await store.database.run(lambda conn: record(conn, "system", "case.take", f"case:{number}", {}, now=START))

    with pytest.raises(InputError):
        await store.database.run(fails)
    await asyncio.gather(*(one(number) for number in range(12)))
    found = (await AuditDesk(store.database).lines(ADMIN)).items
    assert [line.id for line in found] == list(range(12, 0, -1))
    verdict = await AuditDesk(store.database).verify(ADMIN)
    assert (verdict.lines, verdict.broken_at, verdict.hash) == (12, None, found[0].hash)


async def test_an_empty_log_is_whole(store: SqlStore) -> None:
    assert (await AuditDesk(store.database).verify(ADMIN)).broken_at is None


Tamper = Callable[[Connection], Any]
LINE_3 = audit_log.c.id == 3


def _swap(conn: Connection) -> None:
    rows = {row.id: row for row in conn.execute(select(audit_log).where(audit_log.c.id.in_((2, 3))))}
    for one, other in ((2, 3), (3, 2)):
        taken = {name: value for name, value in rows[other]._mapping.items() if name != "id"}
        conn.execute(update(audit_log).where(audit_log.c.id == one).values(**taken))


def _renumber(conn: Connection) -> None:
    conn.execute(delete(audit_log).where(LINE_3))
    for number in (4, 5):
        conn.execute(update(audit_log).where(audit_log.c.id == number).values(id=number - 1))
    conn.execute(update(audit_head).values(lines=4))


def _cut(conn: Connection) -> None:
    """The end is gone, and the head says so."""
    conn.execute(delete(audit_log).where(audit_log.c.id > 3))
    mark = conn.execute(select(audit_log.c.hash).where(LINE_3)).scalar_one()
    conn.execute(update(audit_head).values(lines=3, hash=mark))


@pytest.mark.parametrize(
    ("tamper", "broken_at", "reason"),
    [
        (lambda conn: conn.execute(update(audit_log).where(LINE_3).values(actor="bob")), 3, "changed"),
        (lambda conn: conn.execute(update(audit_log).where(LINE_3).values(details={"by": 9})), 3, "changed"),
        (lambda conn: conn.execute(update(audit_log).where(LINE_3).values(previous="")), 3, "changed"),
        (
            lambda conn: conn.execute(update(audit_log).where(LINE_3).values(at=START + timedelta(microseconds=1))),
            3,
            "changed",
        ),
        (lambda conn: conn.execute(update(audit_log).where(LINE_3).values(hash="0:0")), 3, "unknown_key"),
        (lambda conn: conn.execute(delete(audit_log).where(LINE_3)), 3, "missing"),
        (_swap, 2, "changed"),
        (_renumber, 3, "changed"),
        (_cut, 3, "head"),
        (lambda conn: conn.execute(delete(audit_log).where(audit_log.c.id == 5)), 5, "cut"),
        (lambda conn: conn.execute(delete(audit_head)), 1, "head"),
    ],
)
async def test_a_line_that_was_tampered_with_is_named(
    store: SqlStore, tamper: Tamper, broken_at: int, reason: str
) -> None:
    await some_lines(store.database)
    await store.database.run(tamper)
    verdict = await AuditDesk(store.database).verify(ADMIN)
    assert (verdict.broken_at, verdict.reason) == (broken_at, reason)


async def test_a_line_put_in_by_who_does_not_know_the_key_is_named(store: SqlStore, store_url: str) -> None:
    await some_lines(store.database, 2)
    stranger = await Database.open(store_url, audit_keys=(b"x" * 32,))
    await stranger.run(
        lambda conn: append(conn, actor="ann", action="user.add", subject="user:9", details={}, now=START)
    )
    await stranger.close()
    verdict = await AuditDesk(store.database).verify(ADMIN)
    assert (verdict.broken_at, verdict.reason) == (3, "unknown_key")


async def test_an_older_state_of_the_whole_store_is_told_by_a_note_kept_elsewhere(store: SqlStore) -> None:
    await some_lines(store.database, 3)
    desk = AuditDesk(store.database)
    before = await desk.verify(ADMIN)
    old_head = await store.database.run(lambda conn: conn.execute(select(audit_head)).one()._mapping)
    await some_lines(store.database, 2)
    after = await desk.verify(ADMIN)
    assert (await desk.verify(ADMIN, noted=f"{before.lines}:{before.hash}")).broken_at is None

    def back(conn: Connection) -> None:
        conn.execute(delete(audit_log).where(audit_log.c.id > 3))
        conn.execute(update(audit_head).values(**old_head))

    await store.database.run(back)
    assert (await desk.verify(ADMIN)).broken_at is None
    cut = await desk.verify(ADMIN, noted=f"{after.lines}:{after.hash}")
    assert (cut.broken_at, cut.reason) == (4, "cut")
    other = await desk.verify(ADMIN, noted=f"2:{after.hash}")
    assert (other.broken_at, other.reason) == (2, "note")
    with pytest.raises(InputError, match="COUNT:HASH"):
        await desk.verify(ADMIN, noted="²:x")


async def test_lines_marked_with_an_older_key_count_while_it_is_kept(store: SqlStore, store_url: str) -> None:
    old = await Database.open(store_url, audit_keys=purpose_keys(SECRET_KEYS[1:], AUDIT))
    await some_lines(old, 2)
    await old.close()
    await some_lines(store.database, 2)
    assert (await AuditDesk(store.database).verify(ADMIN)).broken_at is None
    without = await Database.open(store_url, audit_keys=purpose_keys(SECRET_KEYS[:1], AUDIT))
    verdict = await AuditDesk(without).verify(ADMIN)
    await without.close()
    assert (verdict.broken_at, verdict.reason) == (1, "unknown_key")


async def test_without_keys_nothing_is_written(store: SqlStore, store_url: str) -> None:
    keyless = await Database.open(store_url)
    with pytest.raises(Misconfigured):
        await some_lines(keyless)
    await keyless.close()
    assert (await AuditDesk(store.database).lines(ADMIN)).items == ()


async def test_who_saw_what_is_kept_once_an_hour(store: SqlStore) -> None:
    op = Actor("li", "operator")
    times = [START, START + timedelta(minutes=59), START + timedelta(hours=1), START + timedelta(hours=1, minutes=2)]
    written = [await saw(store.database, op, "customer:7", at) for at in times]
    assert written == [True, False, True, False]
    assert await saw(store.database, Actor("wu", "operator"), "customer:7", times[3])
    assert await store.database.run(lambda conn: record_view(conn, op, "conversation:7", times[3]))
    assert not await store.database.run(lambda conn: record_view(conn, op, "conversation:7", times[3]))
    found = (await AuditDesk(store.database).lines(ADMIN, AuditFilter(object="customer:7"))).items
    assert [(line.actor, line.action) for line in found] == [
        ("wu", "customer.view"),
        ("li", "customer.view"),
        ("li", "customer.view"),
    ]


async def test_lines_are_found_by_who_what_and_when_in_pages(store: SqlStore) -> None:
    await some_lines(store.database)
    await store.database.run(
        lambda conn: record(conn, "li", "user.add", "user:3", {"name": "\ud800\x00"}, now=START + timedelta(hours=2))
    )
    desk = AuditDesk(store.database)
    page = await desk.lines(ADMIN, AuditFilter(actor="ann"), limit=2)
    assert [line.id for line in page.items] == [5, 4]
    rest = await desk.lines(ADMIN, AuditFilter(actor="ann"), cursor=page.next)
    assert ([line.id for line in rest.items], rest.next) == ([3, 2, 1], "")
    assert [line.object for line in (await desk.lines(ADMIN, AuditFilter(action="user."))).items] == ["user:3"]
    assert (await desk.lines(ADMIN, AuditFilter(action="user"))).items == ()
    late = AuditFilter(since=START + timedelta(hours=1), until=START + timedelta(hours=3))
    assert [line.id for line in (await desk.lines(ADMIN, late)).items] == [6]
    assert (await desk.verify(ADMIN)).broken_at is None


async def test_the_log_is_read_by_who_may(store: SqlStore) -> None:
    desk = AuditDesk(store.database)
    for role in ("operator", "supervisor", "manager", "nobody"):
        with pytest.raises(NotPermitted):
            await desk.lines(Actor("li", role))
        with pytest.raises(NotPermitted):
            await desk.verify(Actor("li", role))
    assert (await desk.lines(Actor("li", "auditor"))).items == ()
