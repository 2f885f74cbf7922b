"""Nobody is sent to without a consent that holds: whatever was said, ended, merged and claimed, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Connection, select, update

from crm_sync import consent_register as register
from crm_sync import merging
from crm_sync.broadcast_tables import broadcast_recipients
from crm_sync.eligibility import SendRules, judged, moments, rechecked
from crm_sync.store import SqlStore
from crm_sync.tables import consents, conversations, customers
from tests.audience_rows import a_broadcast, a_person, a_recipient, add
from tests.store_steps import START

CHANNELS = ("telegram", "wechat")
PURPOSES = ("news", "club")
HOUR = timedelta(hours=1)


@dataclass
class Said:
    at: datetime
    purpose: str
    channel: str
    granted: bool
    until: datetime | None


@dataclass
class Life:
    """What some people said, kept beside the store; `who` says which record is whose now."""

    random: Random
    conn: Connection
    now: datetime = START
    said: dict[int, list[Said]] = field(default_factory=dict)  # record -> all it was ever told, in order
    who: dict[int, int] = field(default_factory=dict)  # record -> the one it is part of now
    merges: list[tuple[int, int, int]] = field(default_factory=list)
    have_parted: bool = False

    def agrees(self, person: int, purpose: str, channel: str) -> bool:
        """By hand: of everything their records were told, the last about this decides."""
        records = [record for record, root in self.who.items() if root == person]
        heard = sorted((said for record in records for said in self.said[record]), key=lambda said: said.at)
        about = [
            said
            for said in heard
            if said.purpose in (purpose, "*") and said.channel in (channel, "*") and said.at <= self.now
        ]
        return bool(about) and about[-1].granted and (about[-1].until is None or about[-1].until > self.now)

    def step(self) -> None:
        self.now += HOUR  # nothing happens at the same moment
        people = sorted(set(self.who.values()))
        person, purpose, channel = (self.random.choice(each) for each in (people, PURPOSES, CHANNELS))
        what = self.random.choice(("grant", "grant", "grant", "withdraw", "stop", "ask", "merge", "unmerge", "wait"))
        if what in ("grant", "withdraw"):
            until = self.now + self.random.choice((2, 20)) * HOUR if self.random.random() < 0.4 else None
            granted = what == "grant"
            self._say(person, purpose, channel, granted=granted, until=until if granted else None)
        elif what == "stop":
            register.withdraw_all(self.conn, person, source="chat", at=self.now)
            self.said[person].append(Said(self.now, "*", "*", False, None))
        elif what == "ask":  # asked is not agreed
            talk = self.conn.execute(select(conversations).where(conversations.c.customer_id == person)).first()
            if talk is not None:
                asked = {"purpose": purpose, "channel": channel, "source": "form", "now": self.now}
                who = {"customer_id": person, "identity_id": talk.identity_id}
                register.ask(self.conn, **who, **asked, expires_at=self.now + HOUR)
        elif what == "merge" and len(people) > 2:
            self._merge(*self.random.sample(people, 2))
        elif what == "unmerge" and self.merges:
            self._unmerge()
        elif what == "wait":
            self.now += 10 * HOUR

    def _say(self, person: int, purpose: str, channel: str, *, granted: bool, until: datetime | None) -> None:
        what = {"purpose": purpose, "channel": channel, "granted": granted, "source": "chat"}
        register.put(self.conn, person, at=self.now, until=until, **what)  # type: ignore[arg-type]  # by name
        self.said[person].append(Said(self.now, purpose, channel, granted, until))

    def _merge(self, one: int, other: int) -> None:
        merge_id = merging.merge(self.conn, one, other, evidence="staff", author="ann", now=self.now)
        assert merge_id is not None
        kept, merged = min(one, other), max(one, other)
        self.merges.append((merge_id, kept, merged))
        self.who = {record: kept if root == merged else root for record, root in self.who.items()}

    def _unmerge(self) -> None:
        """The last merge is undone: records are whose they were, and what was said since stays with the kept one."""
        merge_id, kept, merged = self.merges.pop()
        merging.unmerge(self.conn, merge_id, author="ann", now=self.now)
        roots = {record: record for record in self.who}
        for _, into, part in self.merges:
            roots = {record: into if root == part else root for record, root in roots.items()}
        self.who, self.have_parted = roots, True
        assert self.who[merged] != self.who[kept]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whoever_may_be_sent_to_has_a_consent_that_holds(store: SqlStore, seed: int) -> None:
    """The expression never says yes where the history says no; and it says no for want of consent only then."""

    def unit(conn: Connection) -> None:
        life = Life(Random(seed), conn)
        for _ in range(5):
            person = a_person(conn, *CHANNELS, agreed="")
            life.said[person], life.who[person] = [], person
        broadcast, allowed = a_broadcast(conn), 0
        for step in range(60):
            life.step()
            rules = SendRules(life.random.choice(PURPOSES), life.random.choice((CHANNELS, CHANNELS[::-1], ("wechat",))))
            _all_agree(conn, life, rules)
            allowed += _claimed(conn, life, rules, broadcast, str(step))
        assert allowed > 10  # the test would say nothing if nobody ever agreed

    await store.database.run(unit)


def _all_agree(conn: Connection, life: Life, rules: SendRules) -> None:
    for row in conn.execute(judged(select(customers.c.id), rules), moments(rules, life.now)):
        if row.reason == "erased":
            assert life.who[row.customer_id] != row.customer_id
            continue
        agreed = [channel for channel in rules.channels if life.agrees(row.customer_id, rules.purpose, channel)]
        if not row.reason:
            assert row.channel in agreed
        if life.have_parted:
            assert row.reason == "no_consent" or agreed  # what ended for both while they were one has ended
        else:
            assert (row.reason == "no_consent") == (not agreed)


def _claimed(conn: Connection, life: Life, rules: SendRules, broadcast: int, occasion: str) -> int:
    """Recipients written down before the next thing is said are asked about again when they are claimed."""
    for row in conn.execute(judged(select(customers.c.id), rules), moments(rules, life.now)).all():
        if not row.reason:
            where = {"identity_id": row.identity_id, "channel": row.channel, "occasion": occasion}
            a_recipient(conn, broadcast, row.customer_id, row.conversation_id, "pending", **where)
    life.step()
    mine = rechecked(rules, broadcast_recipients.c.channel).where(broadcast_recipients.c.occasion == occasion)
    rows = conn.execute(mine, moments(rules, life.now)).all()
    for row in rows:
        assert row.reason or life.agrees(row.person, rules.purpose, row.channel)
    over = update(broadcast_recipients).where(broadcast_recipients.c.occasion == occasion)
    conn.execute(over.values(state="skipped"))
    return sum(not row.reason for row in rows)


async def test_a_row_that_ended_before_it_began_agrees_to_nothing(store: SqlStore) -> None:
    def unit(conn: Connection) -> None:
        person = a_person(conn, "telegram", agreed="")
        row = {"purpose": "news", "channel": "telegram", "source": "x", "granted": True}
        add(conn, consents, customer_id=person, at=START, until=START - HOUR, **row)
        rules = SendRules("news", ("telegram",))
        assert [row.reason for row in conn.execute(judged(select(customers.c.id), rules), moments(rules, START))] == [
            "no_consent"
        ]

    await store.database.run(unit)
