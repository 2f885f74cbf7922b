"""Notes call colleagues, canned replies fill themselves in, views are kept, and articles are suggested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import insert

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.types import ArticleHit, Language, OpenCase, UpdateCustomer
from crm_sync.conversation_notes import called
from crm_sync.store import SqlStore
from crm_sync.tables import orders
from desk.actors import Actor
from desk.canned import CannedDesk
from desk.conversations import ConversationDesk, HistoryNote
from desk.helping import Alike, HelpDesk
from desk.notes import NoteDesk
from desk.replies import ReplyDesk
from desk.views import ViewDesk, inbox_filter
from tests.staff_steps import LEAD, LI, WU, an_outside, held, staff, wrote
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse

MANAGER = Actor("boss", "manager")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    await staff(opened, LI, WU, LEAD, wu="吴敏")
    yield opened
    await opened.close()


# --- notes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("@wu please", ["wu"]),
        ("看看@吴敏请先看维修记录", ["wu"]),
        ("@WU, @wang.", ["wang", "wu"]),
        ("@wuxi is a city, mail wu@example.com", []),
        ("@wang2", []),
    ],
)
def test_a_name_after_an_at_sign_calls(words: str, names: list[str]) -> None:
    known = {"wu": ("wu", "吴敏"), "wang": ("wang", ""), "li": ("li", "")}
    assert called(words.casefold(), known) == names


async def test_a_note_calls_a_colleague_once_and_stands_in_the_history(desk: SqlStore, clock: SetClock) -> None:
    notes = NoteDesk(desk.database, an_outside(clock))
    where = await held(desk, LI)
    note = await notes.add(LI, where, "  @wu @li have a look  ")
    assert (note.text, note.mentions) == ("@wu @li have a look", ("li", "wu"))
    (notice,) = (await notes.notices(WU)).items
    assert (notice.kind, notice.conversation_id, notice.reference, notice.by) == ("mention", where, str(note.id), "li")
    assert (await notes.notices(LI)).items == ()
    await notes.change(LI, where, note.id, "@wu @wang have a look")
    assert (await notes.unread(WU), await notes.unread(LEAD)) == (1, 1)
    assert await notes.mark_read(WU, [notice.id]) == 1
    assert (await notes.unread(WU), (await notes.notices(WU, unread=True)).items) == (0, ())
    shown = (await ConversationDesk(desk.database, an_outside(clock)).open(LI, where)).history.entries[-1]
    assert isinstance(shown, HistoryNote)
    assert (shown.text, shown.edited_at) == ("@wu @wang have a look", clock.at)


async def test_notes_are_ones_own_and_only_where_one_sees(desk: SqlStore, clock: SetClock) -> None:
    notes = NoteDesk(desk.database, an_outside(clock))
    where = await wrote(desk, team="shop")
    note = await notes.add(WU, where, "ours")
    for words in ("", " ", "x" * 5000):
        with pytest.raises(InputError):
            await notes.add(WU, where, words)
    with pytest.raises(NotFound):
        await notes.add(LI, where, "hello")
    with pytest.raises(NotPermitted):
        await notes.change(LEAD, where, note.id, "mine now")
    with pytest.raises(NotFound):
        await notes.change(WU, where, 99, "nothing")


async def test_notices_come_in_pages(desk: SqlStore, clock: SetClock) -> None:
    notes = NoteDesk(desk.database, an_outside(clock))
    where = await held(desk, LI)
    for _ in range(3):
        await notes.add(LI, where, "@wu")
    first = await notes.notices(WU, limit=2)
    second = await notes.notices(WU, cursor=first.next, limit=2)
    assert [item.id for item in (*first.items, *second.items)] == [3, 2, 1]
    assert await notes.mark_read(WU) == 3
    token = Actor("token:crm", "operator")
    assert ((await notes.notices(token)).items, await notes.unread(token), await notes.mark_read(token)) == ((), 0, 0)
    assert [person.shown_as for person in await notes.colleagues(LI)] == ["li", "wang", "吴敏"]


# --- canned replies -------------------------------------------------------------------------------------------------


async def test_a_canned_reply_is_filled_in_for_the_conversation(desk: SqlStore, clock: SetClock) -> None:
    canned = CannedDesk(desk.database, an_outside(clock))
    case = OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "late", {})
    where = (await converse(desk, "hi", "ok", effects=[UpdateCustomer(name="{case}"), case])).conversation
    order = {"number": "2391", "customer_id": where.customer.customer_id, "status": "paid", "updated_at": START}
    await desk.database.run(lambda conn: conn.execute(insert(orders).values(order)))
    texts = {
        "zh": "您好{name}，{case} 正在处理，{operator}",
        "en": "Hello {name}, {case} of {order}, {site}. {operator}",
    }
    made = await canned.save(LEAD, "/Hello", texts)
    filled = await canned.use(WU, made.id, where.id)
    assert filled.text == "Hello {case}, C-1024-7 of 2391, {site}. 吴敏"
    assert (filled.language, filled.missing) == ("en", ("site",))
    assert (await canned.use(WU, made.id, where.id, language="zh")).text == "您好{case}，C-1024-7 正在处理，吴敏"
    assert (await canned.find(WU, "hello"))[0].used == 2


async def test_typing_after_the_slash_finds_shortcuts_first_then_words(desk: SqlStore, clock: SetClock) -> None:
    canned = CannedDesk(desk.database, an_outside(clock))
    await canned.save(LEAD, "thanks", {"en": "Thank you for waiting"})
    await canned.save(LEAD, "wait", {"en": "One moment"})
    await canned.save(LEAD, "退款", {"zh": "退款将在三天内到账"})
    await canned.save(LEAD, "shop-only", {"en": "wait in the shop"}, team="shop")
    assert [item.shortcut for item in await canned.find(LI, "/wait")] == ["wait", "thanks"]
    assert [item.shortcut for item in await canned.find(WU, "wait")] == ["wait", "shop-only", "thanks"]
    assert [item.shortcut for item in await canned.find(LI, "三天")] == ["退款"]
    assert [item.shortcut for item in await canned.find(LI, "")] == ["thanks", "wait", "退款"]
    assert await canned.find(LI, "nothing") == []


async def test_a_canned_reply_that_cannot_be_is_refused_with_why(desk: SqlStore, clock: SetClock) -> None:
    canned = CannedDesk(desk.database, an_outside(clock))
    made = await canned.save(LEAD, "hello", {"en": "Hello {name}"})
    with pytest.raises(InputError, match=r"no variable \{nmae\}.*\{name\}"):
        await canned.save(LEAD, "hi", {"en": "Hi {nmae}"})
    for shortcut, texts in (("a b", {"en": "x"}), ("hello", {"en": "x"}), ("x", {"en": " "}), ("y", {"fr": "x"})):
        with pytest.raises(InputError):
            await canned.save(LEAD, shortcut, texts)
    with pytest.raises(NotPermitted):
        await canned.save(LI, "mine", {"en": "x"})
    changed = await canned.save(LEAD, "hello", {"en": "Hello again"}, canned_id=made.id, version=made.version)
    with pytest.raises(StaleState):
        await canned.save(LEAD, "hello", {"en": "Hello"}, canned_id=made.id, version=made.version)
    assert changed.version == 1
    await canned.remove(LEAD, made.id)
    with pytest.raises(NotFound):
        await canned.remove(LEAD, made.id)
    theirs = await canned.save(LEAD, "theirs", {"en": "x"}, team="shop")
    with pytest.raises(NotFound):
        await canned.use(LI, theirs.id, await held(desk, LI))


# --- views ----------------------------------------------------------------------------------------------------------


async def test_views_are_ones_own_until_they_are_shared(desk: SqlStore, clock: SetClock) -> None:
    views = ViewDesk(desk.database, clock)
    await views.save(LI, "inbox", "Mine on web", {"list": "mine", "channel": "web"})
    mine = await views.save(LI, "inbox", "Mine on web", {"list": "mine", "channel": "telegram"})
    shared = await views.save(LEAD, "inbox", "Urgent", {"list": "queue", "min_priority": 3}, is_shared=True)
    assert [view.title for view in await views.of(LI, "inbox")] == ["Mine on web", "Urgent"]
    assert [view.title for view in await views.of(WU, "inbox")] == ["Urgent"]
    assert inbox_filter(mine.filter).channel == "telegram"
    with pytest.raises(NotPermitted):
        await views.save(LI, "inbox", "For all", {}, is_shared=True)
    with pytest.raises(NotFound):
        await views.remove(WU, mine.id)
    with pytest.raises(NotPermitted):
        await views.remove(WU, shared.id)
    await views.remove(LI, mine.id)
    assert [view.title for view in await views.of(LI, "inbox")] == ["Urgent"]


@pytest.mark.parametrize("wanted", [{"list": "everything"}, {"colour": "red"}, {"channel": 1}, {"min_priority": "3"}])
async def test_a_filter_that_is_none_is_not_kept(desk: SqlStore, clock: SetClock, wanted: dict[str, object]) -> None:
    with pytest.raises(InputError):
        await ViewDesk(desk.database, clock).save(LI, "inbox", "x", wanted)


# --- help with an answer --------------------------------------------------------------------------------------------


class _Shelf:
    """Knows one article, and answers only what names it."""

    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        return (ArticleHit("fee", "Fee", "It is free.", language, 0.8, True),) if "fee" in text else ()


class _Backwards:
    async def translate(self, text: str, *, to: str) -> str:
        return f"{to}:{text[::-1]}"


async def test_the_article_for_the_last_words_is_suggested_and_others_are_found(desk: SqlStore) -> None:
    helps = HelpDesk(desk.database, lambda channel, account: _Shelf())
    where = await held(desk, LI, "what is the fee")
    await wrote(desk, "hello?")
    found = await helps.suggest(LI, where)
    assert found is not None
    assert (found.article_id, found.text, found.asked) == ("fee", "It is free.", "what is the fee hello?")
    assert [hit.title for hit in await helps.articles(LI, where, " fee ")] == ["Fee"]
    assert await helps.articles(LI, where, " ") == ()
    assert await helps.suggest(LI, await held(desk, LI, "hello", user="tom")) is None


async def test_words_are_translated_where_somebody_translates(desk: SqlStore) -> None:
    where = await held(desk, LI, "abc")
    shelf = _Shelf()
    helps = HelpDesk(desk.database, lambda channel, account: shelf, _Backwards())
    assert await helps.translate(LI, where, 1, to="zh") == "zh:cba"
    with pytest.raises(NotFound):
        await helps.translate(LI, where, 99, to="zh")
    with pytest.raises(RuleError):
        await HelpDesk(desk.database, lambda channel, account: shelf).translate(LI, where, 1, to="zh")


async def test_the_examples_most_like_what_the_customer_said_are_found_by_the_model_of_their_channel(
    desk: SqlStore, clock: SetClock
) -> None:
    where = await held(desk, LI, "is it free")
    asked: list[tuple[str, str, str]] = []

    def nearest(channel: str, account: str, text: str) -> list[Alike]:
        asked.append((channel, account, text))
        return [Alike(f"example {n}", "fees", 1 / (n + 1)) for n in range(9)]

    helps = HelpDesk(desk.database, lambda channel, account: _Shelf(), nearest=nearest)
    found = await helps.examples(LI, where, 1)
    assert [each.text for each in found] == ["example 0", "example 1", "example 2"]
    assert asked == [("telegram", "default", "is it free")]
    (ours,) = (await ReplyDesk(desk.database, an_outside(clock)).send(LI, where, "yes", client_id="a")).message_ids
    elsewhere = await held(desk, LI, "", user="tom")
    for message, talk in ((99, where), (ours, where), (1, elsewhere)):
        with pytest.raises(NotFound):
            await helps.examples(LI, talk, message)
