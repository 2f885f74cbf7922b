"""One-time codes in the store: alike for numbers of nobody, bound to their conversation, few, soon over, used once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from bot.errors import RecipientUnreachable, ServiceUnavailable
from bot.service_types import SendCode, TryCode
from bot.types import CodeTried, Effect, Language, Lookup, Need, OpenCase, Receipt, UpdateCustomer
from bot.values import one_time_code
from channels.base import ChannelAdapter
from crm_sync import lookup_codes as codes
from crm_sync.erasure import erase_customer, export_customer
from crm_sync.lookup_contacts import Ways
from crm_sync.service_tables import audit, customer_merges, timers
from crm_sync.store import SqlStore
from crm_sync.tables import customers, inbox, lookup_codes, messages, metadata, orders
from frontdesk.code_sending import CodeSender
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import Chat, shop
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse

PHONE, MAIL = "+8613800000001", "owner@example.org"
ALL = Ways(sms=True, email=True, chats=frozenset({("telegram", "default")}))


class Postman:
    """Takes text messages, mail and chat messages; refuses what it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.errors: dict[str, Exception] = {}

    @property
    def code(self) -> str:
        """The last code that left."""
        return one_time_code(self.sent[-1][1]) or "" if self.sent else ""

    def take(self, way: str, to: str, words: str) -> None:
        if way in self.errors:
            raise self.errors[way]
        self.sent.append((to, words))


class Texter(Postman):
    async def send(self, to: str, words: str, language: Language) -> None:
        self.take("sms", to, words)


class Mailer:
    def __init__(self, postman: Postman) -> None:
        self._postman = postman

    async def send(self, to: str, subject: str, words: str) -> None:
        self._postman.take("email", to, words)


class Chats:
    """A channel whose chats are open to us."""

    def __init__(self, postman: Postman) -> None:
        self._postman = postman

    def encode(self, reply: Any) -> tuple[Any, ...]:
        return (reply,)

    async def send(self, outbound: Any) -> Receipt:
        self._postman.take("chat", outbound.chat_id, outbound.part.text)
        return Receipt("1")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def post() -> Texter:
    return Texter()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    store.turns.can_send_codes = True
    yield store
    await store.close()


async def run(store: SqlStore, statement: Any) -> Any:
    return await store.database.run(lambda conn: conn.execute(statement) and None)


async def rows(store: SqlStore, statement: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(statement)), read=True)


async def deliver(store: SqlStore, clock: SetClock, post: Texter, ways: Ways = ALL) -> None:
    """What is due leaves."""
    adapters: dict[tuple[str, str], ChannelAdapter] = {("telegram", "default"): Chats(post)}  # type: ignore[dict-item]  # all that is used of one
    sender = CodeSender(ways, adapters, texter=post, mailer=Mailer(post))
    outside = {codes.KIND: sender.deliver}
    await Scheduler(store, LocalSignals(), clock, shop, periodic=(), outside=outside).settle()


async def an_order(store: SqlStore, number: str = "8888", *, phone: str = PHONE, customer: int | None = None) -> None:
    row = {"number": number, "phone": phone, "customer_id": customer, "status": "shipped", "updated_at": START}
    await run(store, insert(orders).values(**row))


async def an_owner(store: SqlStore, *effects: Effect, user: str = "77", channel: str = "telegram") -> int:
    claimed = await converse(store, "hi", "ok", user=user, channel=channel, effects=effects)
    return int(claimed.conversation.customer.customer_id)


async def ask(store: SqlStore, number: str = "8888", *, user: str = "ann", kind: Any = "order") -> int:
    """The conversation in which a code was asked for."""
    claimed = await converse(store, "yes", "sent", user=user, effects=(SendCode(kind, number, "en"),))
    return int(claimed.conversation.id)


async def answer(store: SqlStore, kind: str, key: str) -> Any:
    need = Need(kind, key)
    return (await store.fetch([need], 1))[need]  # type: ignore[arg-type]


async def view(store: SqlStore, conversation: int, number: str = "8888", kind: str = "order") -> Lookup:
    found: Lookup = await answer(store, "lookup", f"{conversation}|{kind}|{number}")
    return found


async def type_code(
    store: SqlStore, conversation: int, typed: str, number: str = "8888", *, user: str = "ann", kind: Any = "order"
) -> CodeTried:
    """How it fares, and counted as the turn counts it."""
    tried: CodeTried = await answer(store, "code", f"{conversation}|{kind}|{number}|{typed}")
    effect = TryCode(kind, number, is_right=tried.outcome == "right")
    await converse(store, f"it is {typed}", "ok", user=user, effects=(effect,))
    return tried


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_the_code_sent_to_the_number_on_the_order_opens_it_here_for_a_while(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed, "SO-8888")
    conversation = await ask(timed)
    assert (await view(timed, conversation)).order is None
    await deliver(timed, clock, post)
    assert [to for to, _ in post.sent] == [PHONE]
    tried = await type_code(timed, conversation, post.code)

    assert (tried.outcome, tried.order and tried.order.number) == ("right", "SO-8888")
    assert (await view(timed, conversation)).order is not None
    assert (await view(timed, conversation, "9999")).order is None  # that lookup only
    assert (await type_code(timed, conversation, post.code)).outcome == "over"  # it works once
    clock.advance(minutes=31)
    assert (await view(timed, conversation)).order is None


async def test_a_number_of_nobody_is_the_same_in_all_that_the_conversation_sees(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed)
    seen = []
    for number, user in (("8888", "ann"), ("7777", "bob")):
        conversation = await ask(timed, number, user=user)
        before = await view(timed, conversation, number)
        await deliver(timed, clock, post)
        wrong = other(post.code)
        tries = [await type_code(timed, conversation, wrong, number, user=user) for _ in range(6)]
        seen.append((before, tries, await view(timed, conversation, number)))

    assert seen[0] == seen[1]
    assert [tried.left for tried in seen[0][1]] == [4, 3, 2, 1, 0, 0]
    assert len(post.sent) == 1
    counted = await rows(timed, select(timers.c.kind, func.count()).group_by(timers.c.kind))
    assert [tuple(row) for row in counted] == [(codes.KIND, 2)]  # the turn leaves the same behind


async def test_five_tries_burn_a_code_even_for_the_right_one(timed: SqlStore, clock: SetClock, post: Texter) -> None:
    await an_order(timed)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    outcomes = [(await type_code(timed, conversation, other(post.code))).outcome for _ in range(5)]

    assert outcomes == ["wrong", "wrong", "wrong", "wrong", "over"]
    assert (await type_code(timed, conversation, post.code)).outcome == "over"
    assert (await view(timed, conversation)).order is None


async def test_a_code_is_over_after_ten_minutes_and_when_a_new_one_was_asked_for(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    first = post.code
    clock.advance(minutes=9)
    await ask(timed)
    await deliver(timed, clock, post)
    if first != post.code:
        assert (await type_code(timed, conversation, first)).outcome == "wrong"
    clock.advance(minutes=10)
    assert (await type_code(timed, conversation, post.code)).outcome == "over"


async def test_a_code_counts_only_in_the_conversation_that_asked(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed)
    ann = await ask(timed)
    await deliver(timed, clock, post)
    of_ann = post.code
    bob = await ask(timed, user="bob")
    await deliver(timed, clock, post)
    of_bob = post.code
    if of_ann != of_bob:
        assert (await type_code(timed, bob, of_ann, user="bob")).outcome == "wrong"
        assert (await type_code(timed, ann, of_bob)).outcome == "wrong"

    assert (await type_code(timed, ann, of_ann)).outcome == "right"
    assert (await type_code(timed, bob, of_bob, user="bob")).outcome == "right"


async def test_three_codes_an_hour_for_a_conversation_and_for_a_number(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    for number in ("1111", "2222", "8888"):
        conversation = await ask(timed, number)
    assert (await view(timed, conversation, "3333")).codes_left == 0
    for user in ("bob", "cid"):
        asked = await ask(timed, user=user)
    assert (await view(timed, asked, "SO-8888")).codes_left == 0  # whoever asked, however it is written
    clock.advance(minutes=61)
    assert (await view(timed, asked)).codes_left == 3


async def test_one_person_gets_three_codes_an_hour_whatever_numbers_are_asked_for(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    for place, number in enumerate(("1111", "2222", "3333", "4444")):
        await an_order(timed, number)
        await ask(timed, number, user=f"user-{place}")
    await deliver(timed, clock, post)

    assert len(post.sent) == 3


async def test_codes_that_leave_at_once_are_counted_one_after_the_other(timed: SqlStore, clock: SetClock) -> None:
    numbers = ("1111", "2222", "3333", "4444", "5555")
    for place, number in enumerate(numbers):
        await an_order(timed, number)
        await ask(timed, number, user=f"user-{place}")
    ids = [row.id for row in await rows(timed, select(lookup_codes.c.id))]
    prepare = [partial(codes.prepare, code_id=each, code="482913", ways=ALL, now=clock.now()) for each in ids]
    parcels = await asyncio.gather(*(timed.database.run(each) for each in prepare))

    assert sum(parcel is not None for parcel in parcels) == 3


@pytest.mark.parametrize(
    ("kind", "known", "unknown", "intent"),
    [("order", "8888", "7777", "order_status"), ("case", "C-1024-7", "C-2048-2", "complaint_status")],
)
async def test_what_is_said_of_a_number_there_is_and_of_one_there_is_not_differs_in_the_number_alone(
    timed: SqlStore, clock: SetClock, post: Texter, kind: str, known: str, unknown: str, intent: str
) -> None:
    await an_owner(timed, OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "parcel late", {}))
    await an_order(timed)
    said = []
    for number, user in ((known, "ann"), (unknown, "bob")):
        conversation = await ask(timed, number, user=user, kind=kind)
        await deliver(timed, clock, post)
        seen = await view(timed, conversation, number, kind)
        chat = Chat(language="en", elsewhere={Need("lookup", f"1|{kind}|{number}"): seen})
        found = {"order_number": number} if kind == "order" else {}
        words = [chat.hear(f"how about {number}?", intent, entities=found)]
        words.append(chat.hear("yes", "affirm"))
        tried = await type_code(timed, conversation, other(post.code or "0"), number, user=user, kind=kind)
        chat.elsewhere[Need("code", f"1|{kind}|{number}|111111")] = tried
        words.append(chat.hear("111111", "inform"))
        said.append("\n".join(words).replace(number, "NUMBER"))

    assert said[0] == said[1]
    assert "Tries left: 4" in said[0]


async def test_a_contact_that_takes_nothing_gives_way_to_the_next(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    owner = await an_owner(timed, UpdateCustomer(email=MAIL, phone=PHONE))
    await an_order(timed, phone="", customer=owner)
    post.errors = {"sms": RecipientUnreachable("sms", "no such number")}
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    assert [to for to, _ in post.sent] == [MAIL]
    assert (await type_code(timed, conversation, post.code)).outcome == "right"


async def test_a_chat_the_owner_has_with_us_is_written_to_past_the_outbox(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    owner = await an_owner(timed)
    await an_order(timed, phone="", customer=owner)
    await ask(timed)
    await deliver(timed, clock, post, Ways(chats=ALL.chats))

    assert [to for to, _ in post.sent] == ["77"]
    assert post.code not in str(await rows(timed, select(messages.c.text)))


async def test_what_fails_for_a_while_is_tried_again_until_the_code_would_be_over(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed)
    await ask(timed)
    post.errors = {"sms": ServiceUnavailable("sms", "away")}
    await deliver(timed, clock, post)
    assert post.sent == []
    post.errors = {}
    clock.advance(minutes=1)
    await deliver(timed, clock, post)
    assert len(post.sent) == 1


async def test_the_proven_number_is_the_askers_and_merges_as_proof_does(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    owner = await an_owner(timed, UpdateCustomer(phone=PHONE, phone_is_verified=True))
    await an_order(timed, phone="", customer=owner)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    await type_code(timed, conversation, post.code)
    await deliver(timed, clock, post)  # the check for who has proven the same number

    merged = await rows(timed, select(customer_merges.c.kept_customer_id, customer_merges.c.evidence))
    assert [tuple(row) for row in merged] == [(owner, "verified_phone")]
    lines = await rows(timed, select(audit.c.action).order_by(audit.c.id))
    assert {"code_sent", "lookup_opened", "shown_by_code"} <= {row.action for row in lines}


async def test_a_code_by_mail_proves_no_telephone(timed: SqlStore, clock: SetClock, post: Texter) -> None:
    owner = await an_owner(timed, UpdateCustomer(email=MAIL))
    await an_order(timed, phone="", customer=owner)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    await type_code(timed, conversation, post.code)

    proven = await rows(timed, select(customers.c.id).where(customers.c.phone_is_verified))
    assert proven == []
    assert await rows(timed, select(customer_merges.c.id)) == []


async def test_a_case_is_opened_by_code_with_or_without_its_check_digit(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    case = OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "parcel late", {})
    await an_owner(timed, case, UpdateCustomer(email=MAIL))
    conversation = await ask(timed, "C-1024", kind="case")
    await deliver(timed, clock, post)
    tried = await type_code(timed, conversation, post.code, "C-1024-7", kind="case")

    assert tried.case is not None
    assert (await view(timed, conversation, "c1024", "case")).case == tried.case


async def test_a_contact_taken_off_the_record_takes_its_code_along(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    await an_order(timed)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    await run(timed, update(orders).values(phone="+8613800000009"))

    assert (await type_code(timed, conversation, post.code)).outcome == "wrong"


async def test_the_code_is_nowhere_in_the_store(timed: SqlStore, clock: SetClock, post: Texter) -> None:
    await an_order(timed)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    await type_code(timed, conversation, post.code)
    left = []
    for table in metadata.sorted_tables:
        left += [repr(tuple(row)) for row in await rows(timed, select(table))]

    alone = re.compile(rf"(?<![0-9a-f]){post.code}(?![0-9a-f])")
    assert [line for line in left if alone.search(line)] == []
    raw = await rows(timed, select(inbox.c.raw).order_by(inbox.c.id.desc()).limit(1))
    assert raw[0].raw == b""
    assert "it is ••••••" in str(await rows(timed, select(messages.c.text)))


async def test_erasing_who_asked_or_who_owns_leaves_no_code_that_opens(
    timed: SqlStore, clock: SetClock, post: Texter
) -> None:
    owner = await an_owner(timed, UpdateCustomer(email=MAIL))
    await an_order(timed, phone="", customer=owner)
    conversation = await ask(timed)
    await deliver(timed, clock, post)
    (asker,) = [row.id for row in await rows(timed, select(customers.c.id).where(customers.c.id != owner))]
    assert len((await export_customer(timed.database, asker))["lookup_codes"]) == 1
    await erase_customer(timed.database, owner)  # type: ignore[arg-type]
    assert (await type_code(timed, conversation, post.code)).outcome == "wrong"
    await erase_customer(timed.database, asker)
    assert await rows(timed, select(lookup_codes.c.id)) == []


async def test_codes_are_forgotten_after_a_day(timed: SqlStore, clock: SetClock) -> None:
    await ask(timed)
    clock.advance(hours=25)
    assert await timed.database.run(lambda conn: codes.forget(conn, clock.now())) == 1
    assert await rows(timed, select(lookup_codes.c.id)) == []
