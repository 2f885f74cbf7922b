"""Segments are kept and looked at; lists are made of them, of files and by hand; lines that name nobody are told."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from bot.errors import AssistantInvalid, InputError, NotFound, StaleState
from crm_sync import audience_lists, merging
from crm_sync.addressing import CRM, Address, find_or_create_people
from crm_sync.audience_lists import people_on
from crm_sync.broadcast_tables import audience_members
from crm_sync.store import SqlStore
from crm_sync.tables import identities
from desk.actors import Actor
from desk.audiences import AudienceDesk
from desk.segments import SegmentDesk
from tests.audience_rows import a_person
from tests.staff import policy
from tests.store_steps import START, SetClock

MIA = Actor("mia", "marketer")
CHINESE = {"field": "language", "is": "zh"}
ZONE = "Asia/Shanghai"


def desks(store: SqlStore) -> tuple[SegmentDesk, AudienceDesk]:
    segments = SegmentDesk(store.database, policy, SetClock(), lambda: ZONE)
    return segments, AudienceDesk(store.database, segments, ZoneInfo(ZONE))


async def people(store: SqlStore, count: int = 4) -> list[int]:
    """Every second of them speaks Chinese."""

    def unit(conn: Connection) -> list[int]:
        return [a_person(conn, language="zh" if n % 2 else "en", phone=f"+861380000000{n}") for n in range(count)]

    return await store.database.run(unit)


async def test_a_segment_is_looked_at_kept_changed_and_archived(store: SqlStore) -> None:
    segments, _ = desks(store)
    ids = await people(store)
    look = await segments.look(MIA, CHINESE)
    assert (look.count, sorted(line.id for line in look.sample)) == (2, ids[1::2])
    assert look.words == {"en": "language is “zh”", "zh": "语言为“zh”"}
    kept = await segments.save(MIA, "chinese", CHINESE, title=" 说中文的客户 ")
    assert (kept.title, kept.version, kept.definition) == ("说中文的客户", 0, CHINESE)
    with pytest.raises(InputError, match="already"):
        await segments.save(MIA, "chinese", CHINESE)
    with pytest.raises(InputError, match="small letters"):
        await segments.save(MIA, "Chinese people", CHINESE)
    with pytest.raises(AssistantInvalid, match="there is no field 'x'"):
        await segments.save(MIA, "chinese", {"field": "x", "is": "y"}, version=0)
    changed = await segments.save(MIA, "chinese", {"all": []}, version=0)
    assert changed.version == 1
    with pytest.raises(StaleState):
        await segments.save(MIA, "chinese", CHINESE, version=0)
    await segments.save(MIA, "another", CHINESE)
    first = await segments.page(MIA, limit=1)
    second = await segments.page(MIA, limit=1, cursor=first.next)
    assert [each.name for each in (*first.items, *second.items)] == ["another", "chinese"]
    await segments.archive(MIA, "another", version=0)
    assert [each.name for each in (await segments.page(MIA)).items] == ["chinese"]


async def test_a_snapshot_stays_as_it_was(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience_lists, "CHUNK", 2)
    segments, lists = desks(store)
    ids = await people(store, 9)
    await segments.save(MIA, "chinese", CHINESE)
    made = await lists.snapshot(MIA, "then", segment="chinese")
    assert (made.kind, made.source, made.members) == ("snapshot", "chinese", 4)
    await people(store, 2)
    shown = await lists.people(MIA, "then", limit=3)
    rest = await lists.people(MIA, "then", cursor=shown.next)
    assert [line.id for line in (*shown.items, *rest.items)] == ids[1::2]
    with pytest.raises(InputError, match="already"):
        await lists.snapshot(MIA, "then", where=CHINESE)
    with pytest.raises(InputError, match="one of them"):
        await lists.snapshot(MIA, "both", segment="chinese", where=CHINESE)
    with pytest.raises(NotFound):
        await lists.snapshot(MIA, "nobody", segment="nobody")


async def test_a_list_that_was_never_finished_is_nobodys_and_makes_room(store: SqlStore) -> None:
    _, lists = desks(store)
    await people(store)
    begin = audience_lists.begin
    await store.database.run(lambda conn: begin(conn, "half", "snapshot", "x", by="mia", now=START))
    with pytest.raises(NotFound):
        await lists.show(MIA, "half")
    assert (await lists.page(MIA)).items == ()
    assert (await lists.snapshot(MIA, "half", where=CHINESE)).members == 2


async def test_an_uploaded_list_names_people_and_tells_every_line_that_does_not(
    store: SqlStore, tmp_path: Path
) -> None:
    _, lists = desks(store)

    def fill(conn: Connection) -> tuple[list[int], int, str]:
        ids = [a_person(conn, phone=f"+861380000000{n}") for n in range(4)]
        for _ in range(2):
            a_person(conn, phone="+8613900000000")
        gone = a_person(conn)
        merging.merge(conn, ids[0], gone, evidence="staff", author="ann", now=START)
        address = Address(*CRM, "K-7", "K-7")
        keyed = find_or_create_people(conn, [address], START)[address.identity_key()].customer_id
        talker = a_person(conn, "telegram")

        outside = conn.execute(select(identities.c.external_id).where(identities.c.customer_id == talker)).scalar_one()
        return [*ids, keyed, talker], gone, outside

    ids, gone, outside = await store.database.run(fill)
    file = tmp_path / "people.csv"
    lines = [
        "phone,customer_id,key,channel,account,external_id,remark",
        "138 0000 0001,,,,,,fine",
        "+8613800000001,,,,,,the same again",
        f",{ids[1]},,,,,the same by number",
        f",{gone},,,,,part of the first now",
        ",,K-7,,,,by the business's key",
        f",,,telegram,main,{outside},by the channel's own id",
        "13900000000,,,,,,shared",
        "13700000000,,,,,,nobody",
        ",999999,,,,,nobody",
        ",abc,,,,,no number",
        f"13800000002,{ids[3]},,,,,two people",
        ",,,,,,nothing",
        f"13800000003,{ids[3]},,,,,twice the same person on one line",
        "13800000002,,,,,,by phone only",
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = await lists.upload(MIA, "fair", file)
    assert (done.list.rows, done.list.members, done.list.duplicates, done.list.strangers) == (14, 6, 2, 4)
    told = {error.line: error.reason for error in done.errors}
    assert set(told) == {3, 4, 8, 9, 10, 11, 12, 13}
    assert "is already on line 2" in told[3]
    assert (told[4], told[8], told[9]) == (
        "names somebody an earlier line names",
        "is the number of several people",
        "names nobody we know",
    )
    assert "13800000001" not in told[3]
    assert await lists.errors(MIA, "fair") == done.errors
    on_it = people_on(done.list.id)
    found = await store.database.run(lambda conn: {row.id for row in conn.execute(on_it)}, read=True)
    assert found == set(ids)


async def test_people_are_put_on_an_exclusion_list_by_hand(store: SqlStore) -> None:
    _, lists = desks(store)
    ids = await people(store)
    await lists.snapshot(MIA, "never", where={"any": [{"field": "tag", "has": "never"}]}, kind="exclusion")
    for _ in range(2):
        made = await lists.put_person(MIA, "never", ids[0])
    assert (made.kind, made.members) == ("exclusion", 1)
    made = await lists.put_person(MIA, "never", ids[0], listed=False)
    left = await store.database.run(lambda conn: conn.execute(select(audience_members)).all(), read=True)
    assert (made.members, left) == (0, [])
    await lists.archive(MIA, "never")
    assert (await lists.page(MIA, kind="exclusion")).items == ()


async def test_a_merged_record_on_a_list_is_nobody_of_its_own(store: SqlStore) -> None:
    _, lists = desks(store)
    ids = await people(store)
    made = await lists.snapshot(MIA, "all", where={"all": []})

    def merged(conn: Connection) -> list[int]:
        merging.merge(conn, ids[0], ids[1], evidence="staff", author="ann", now=START)
        return [row.id for row in conn.execute(people_on(made.id))]

    assert await store.database.run(merged) == [ids[0], ids[2], ids[3]]
