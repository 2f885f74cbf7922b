"""Who may be sent a broadcast, of people made up at random: the statements say what counting by hand says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, insert, select

from bot.reach.states import SKIP_REASONS
from crm_sync.broadcast_tables import audience_lists, audience_members, broadcast_recipients, broadcasts, contact_wishes
from crm_sync.columns import EPOCH
from crm_sync.eligibility import EVERYTHING, SendRules, between, judged, moments
from crm_sync.service_tables import customer_merges
from crm_sync.store import SqlStore
from crm_sync.tables import cases, consents, conversations, customers, identities, metadata, reply_windows
from tests.store_steps import START

PEOPLE = 250
DAY = timedelta(days=1)
CHANNELS = ("telegram", "wechat", "web")
Row = dict[str, Any]


@dataclass
class World:
    """Rows by table, made up."""

    chance: Random
    rows: dict[Any, list[Row]] = field(default_factory=lambda: defaultdict(list))
    found: dict[Any, dict[Any, list[Row]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, table: Any, **values: Any) -> Row:
        row = {"id": len(self.rows[table]) + 1, **values}
        self.rows[table].append(row)
        return row

    def some(self, share: float) -> bool:
        return self.chance.random() < share

    def of(self, table: Any, **wanted: Any) -> Iterator[Row]:
        """Once all of them are made up."""
        (name, value), *others = wanted.items()
        if (table, name) not in self.found:
            for row in self.rows[table]:
                self.found[table, name][row[name]].append(row)
        return (row for row in self.found[table, name][value] if all(row[key] == wish for key, wish in others))


def made_up(seed: int) -> World:
    world = World(Random(seed))
    chance = world.chance
    world.add(audience_lists, name="no", kind="exclusion", created_at=START)
    for name in ("earlier", "before"):
        world.add(broadcasts, name=name, state="running", document={}, seed=1, created_at=START, updated_at=START)
    for _ in range(PEOPLE):
        who = world.add(customers, created_at=START, erased_at=START if world.some(0.03) else None)["id"]
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            _talk(world, who)
        for _ in range(chance.choice((0, 3, 5, 7))):
            agrees = world.some(0.85)
            world.add(
                consents,
                customer_id=who,
                purpose=chance.choice(("news", "news", "offers") if agrees else ("news", "offers", EVERYTHING)),
                channel=chance.choice(CHANNELS if agrees else (*CHANNELS, EVERYTHING)),
                source="test",
                granted=agrees,
                at=START + chance.choice((-3, -2, -2, -1, 0, 1)) * DAY,
                until=chance.choice((None, None, None, START - DAY, START + DAY)),
            )
        if world.some(0.1):
            world.add(audience_members, list_id=1, customer_id=who)
        if world.some(0.15):
            _case(world, who)
        if world.some(0.3):
            off, week = chance.choice(([], ["offers"], ["sales", "news"])), chance.choice((None, 0, 1, 2))
            world.add(contact_wishes, customer_id=who, topics_off=off, per_week=week, updated_at=START)
        if world.some(0.04) and who > 1:
            undone = START if world.some(0.5) else None
            merge = {"kept_customer_id": 1, "merged_customer_id": who, "evidence": "staff", "at": START}
            world.add(customer_merges, **merge, undone_at=undone)
    return world


def _talk(world: World, who: int) -> None:
    chance, channel = world.chance, world.chance.choice(CHANNELS)
    number = len(world.rows[conversations]) + 1
    place = {"customer_id": who, "channel": channel, "account": "main", "created_at": START}
    gone = START if world.some(0.15) else None
    them = world.add(identities, **place, key=f"i{number}", external_id=f"u{number}", unreachable_at=gone)["id"]
    owner = "bot" if world.some(0.92) else chance.choice(("queue", "operator"))
    wrote = chance.choice((None, START - DAY, START - DAY, START - 2 * DAY))
    talk = {"key": f"c{number}", "chat_id": f"u{number}", "identity_id": them, "owner": owner}
    talk_id = world.add(conversations, **place, **talk, last_inbound_at=wrote)["id"]
    if world.some(0.7):
        window = {"kind": "message", "used": chance.randint(0, 3), "quota": 3, "opened_at": START - DAY}
        closes = START + chance.choice((-1, 1)) * DAY
        world.add(reply_windows, identity_id=them, **window, closes_at=closes)
    for broadcast in (1, 2):
        if world.some(0.35):
            state = chance.choice(("sent", "sent", "uncertain", "sending", "failed", "skipped"))
            at = None if state == "sending" else START + chance.choice((-1, -5, -40)) * DAY
            heard = {"conversation_id": talk_id, "identity_id": them, "state": state, "sent_at": at}
            mass = {"batch": chance.choice(("", "m1", "m1")), "broadcast_id": broadcast, "customer_id": who}
            world.add(broadcast_recipients, **mass, occasion=str(number), **heard)


def _case(world: World, who: int) -> None:
    number, kind = f"C-{who}", world.chance.choice(("complaint", "complaint", "request"))
    what = {"kind": kind, "category": "x", "subject": number, "severity": 2, "status": "open", "summary": ""}
    row = {**what, "number": number, "details": {}, "opened_at": START, "updated_at": START}
    world.add(cases, customer_id=who, **row, is_open=world.some(0.7))


# --- by hand ----------------------------------------------------------------------------------------------------------


def by_hand(world: World, rules: SendRules, who: Row) -> tuple[str, int | None]:
    """The first reason against it, and the conversation where they would be reached."""
    talks = [
        talk
        for talk in world.of(conversations, customer_id=who["id"])
        if talk["channel"] in rules.channels and _agreed(world, rules, who["id"], talk["channel"])
    ]
    reachable = [talk for talk in talks if next(world.of(identities, id=talk["identity_id"]))["unreachable_at"] is None]
    in_window = [talk for talk in reachable if _has_window(world, rules, talk)]
    place = max(
        (talk for talk in in_window if _has_quota(world, rules, talk)),
        key=lambda talk: (-rules.channels.index(talk["channel"]), talk["last_inbound_at"] or EPOCH, talk["id"]),
        default=None,
    )
    all_talks, wish = (
        list(world.of(conversations, customer_id=who["id"])),
        next(world.of(contact_wishes, customer_id=who["id"]), {"topics_off": [], "per_week": None}),
    )
    merged = any(row["undone_at"] is None for row in world.of(customer_merges, merged_customer_id=who["id"]))
    is_complaint = any(row["is_open"] for row in world.of(cases, customer_id=who["id"], kind="complaint"))
    weekly = wish["per_week"] is not None and wish["per_week"] <= _heard(world, all_talks, START - 7 * DAY)
    most, days = rules.cap or (10**9, 0)
    ladder = {
        "erased": who["erased_at"] is not None or merged,
        "excluded": bool(rules.exclude) and any(world.of(audience_members, customer_id=who["id"])),
        "no_consent": place is None
        and not any(_agreed(world, rules, who["id"], channel) for channel in rules.channels),
        "topic_off": bool(rules.topic) and rules.topic in wish["topics_off"],
        "unreachable": place is None and bool(talks) and not reachable,
        "no_channel": place is None and not talks,
        "open_case": rules.is_promotion and is_complaint,
        "live_chat": rules.is_promotion and any(talk["owner"] != "bot" for talk in all_talks),
        "capped": weekly or _heard(world, all_talks, START - days * DAY) >= most,
        "out_of_window": bool(rules.windowed) and place is None and not in_window,
        "quota": bool(rules.monthly) and place is None,
    }
    return next((reason for reason, holds in ladder.items() if holds), ""), place["id"] if place else None


def _agreed(world: World, rules: SendRules, who: int, channel: str) -> bool:
    said = list(world.of(consents, customer_id=who))

    def stands(grant: Row) -> bool:
        return not any(
            not each["granted"]
            and each["purpose"] in (rules.purpose, EVERYTHING)
            and each["channel"] in (channel, EVERYTHING)
            and _holds(each)
            and (each["at"], each["id"]) > (grant["at"], grant["id"])
            for each in said
        )

    return any(
        each["granted"]
        and each["purpose"] == rules.purpose
        and each["channel"] == channel
        and each["at"] <= START
        and _holds(each)
        and stands(each)
        for each in said
    )


def _holds(row: Row) -> bool:
    return row["until"] is None or row["until"] > START


def _has_window(world: World, rules: SendRules, talk: Row) -> bool:
    if talk["channel"] not in rules.windowed:
        return True
    return any(
        row["closes_at"] > START and row["used"] < row["quota"]
        for row in world.of(reply_windows, identity_id=talk["identity_id"])
    )


def _has_quota(world: World, rules: SendRules, talk: Row) -> bool:
    month = moments(rules, START)["eligible_month_since"]
    had = sum(
        bool(row["batch"]) and row["state"] in ("sending", "sent", "uncertain") and _since(row, month, or_at=True)
        for row in world.of(broadcast_recipients, conversation_id=talk["id"])
    )
    return all(
        (channel, account) != (talk["channel"], talk["account"]) or had < most
        for channel, account, most in rules.monthly
    )


def _heard(world: World, talks: list[Row], since: datetime) -> int:
    return sum(
        row["state"] in ("sending", "sent", "uncertain") and _since(row, since)
        for talk in talks
        for row in world.of(broadcast_recipients, conversation_id=talk["id"])
    )


def _since(row: Row, since: datetime, *, or_at: bool = False) -> bool:
    at: datetime | None = row["sent_at"]
    return at is None or at > since or (or_at and at == since)


ALL = SKIP_REASONS[: SKIP_REASONS.index("quota") + 1]
RULES = (
    SendRules("news", ("telegram",)),
    SendRules("news", ("wechat", "telegram"), topic="news", exclude=(1,), cap=(2, 7)),
    SendRules("offers", CHANNELS, is_promotion=False, cap=(1, 30)),
    SendRules("news", ("wechat", "web"), windowed=frozenset({"web"}), monthly=(("wechat", "main", 1),)),
    SendRules("news", ("telegram",), is_promotion=False, monthly=(("telegram", "main", 1),)),
)


def _ask(conn: Connection, rules: SendRules) -> dict[int, tuple[str, int | None]]:
    """Range by range, as recipients are written down."""
    within = between(bindparam("after", type_=BigInteger), bindparam("through", type_=BigInteger))
    asked = judged(select(customers.c.id).where(*within(customers.c.id)), rules, within)
    found = {}
    for after, through in ((0, 50), (50, 51), (51, PEOPLE)):
        for row in conn.execute(asked, {**moments(rules, START), "after": after, "through": through}):
            found[row.customer_id] = (row.reason, row.conversation_id)
    return found


async def test_everybodys_reason_and_place_are_those_found_by_hand(store: SqlStore) -> None:
    world = made_up(1)

    def unit(conn: Connection) -> None:
        for table in metadata.sorted_tables:
            if rows := world.rows.get(table):
                keys = {column.name for column in table.columns}
                conn.execute(insert(table), [{name: row[name] for name in row if name in keys} for row in rows])
        seen: set[str] = set()
        for rules in RULES:
            wanted = {who["id"]: by_hand(world, rules, who) for who in world.rows[customers]}
            assert _ask(conn, rules) == wanted
            seen |= {reason for reason, _ in wanted.values()}
        assert seen == {*ALL, ""}

    await store.database.run(unit)
