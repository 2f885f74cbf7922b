"""The stream of an open console: rows, new lines and heads come to who may see them, and to nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message

from bot.errors import StoreUnavailable
from bot.ports import SendOutcome
from bot.types import OpenCase, UpdateCase
from console.live_hub import Listener, LiveHub
from crm_sync.database import Database
from desk.actors import actor_named
from desk.case_board import CaseBoard
from desk.inbox import InboxDesk, InboxFilter, SharedRow, line_for
from tests.console.console_under_test import Browser, ConsoleUnderTest
from tests.staff_steps import LEAD, LI, change, held, wrote
from tests.store_steps import converse, send_all

WITHIN_S = 20.0


@dataclass
class Stream:
    """What came so far over one stream."""

    text: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def events(self, name: str) -> list[Any]:
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if lines.get("event") == name:
                found.append(json.loads(lines["data"]))
        return found

    async def until(self, words: str) -> None:
        async with asyncio.timeout(WITHIN_S), self.changed:
            await self.changed.wait_for(lambda: words in self.text)


@asynccontextmanager
async def listening(console: ConsoleUnderTest, browser: Browser, query: str) -> AsyncIterator[Stream]:
    """A stream that is open until the block ends; the hub runs meanwhile."""
    stream, gone = Stream(), asyncio.Event()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/console/live", "raw_path": b"/console/live",
        "root_path": "", "scheme": "http", "query_string": query.encode(), "server": ("desk.example", 80),
        "client": ("127.0.0.1", 1), "headers": [(b"cookie", cookie.encode())],
    }  # fmt: skip

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        async with stream.changed:
            stream.text += message.get("body", b"").decode()
            stream.changed.notify_all()

    hub = asyncio.create_task(console.hub.run())
    served = asyncio.create_task(console.app(scope, receive, send))
    try:
        await stream.until(": still here")
        yield stream
    finally:
        gone.set()
        console.hub.close()
        await asyncio.wait_for(served, WITHIN_S)
        hub.cancel()


async def test_a_new_message_is_a_row_and_a_line(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "first words")
    li = await console.enter()
    newest = (await console.services.conversations.open((await _actor(console)), talk)).history.newest
    async with listening(console, li, f"list=all&open={talk}&after={newest}") as stream:
        await wrote(console.store, "second words")
        console.hub.hear({"conversation_ids": [talk]})
        await stream.until("<bdi>second words</bdi>")
        await stream.until('data-into=\\"#talk\\"')
    rows = [row for event in stream.events("rows") for row in event]
    assert {row["id"] for row in rows} == {talk}
    assert "second words" in rows[-1]["html"]


async def test_a_message_that_could_not_be_taken_back_is_said_to_be_in_the_chat_and_what_is_done_about_it_is_seen(
    console: ConsoleUnderTest,
) -> None:
    li = await console.enter()
    talk = await held(console.store, LI)
    replies, outbox = console.services.replies, console.store.outbox
    (message,) = (await replies.send(LI, talk, "oops", client_id="a")).message_ids
    await send_all(console.store)
    await replies.take_back(LI, talk, message)
    (leaving,) = await outbox.claim("s", 10)
    await outbox.finish([SendOutcome(leaving.outbox_id, "failed", reason="message can't be deleted")])
    page = (await li.page(f"/console/inbox/{talk}?list=all")).text
    assert "could not be taken out" in page
    assert "taken-back" not in page
    newest = (await console.services.conversations.open(LI, talk)).history.newest
    async with listening(console, li, f"list=all&open={talk}&after={newest}") as stream:
        await stream.until("could not be taken out")
        done = await li.do(f"/console/inbox/{talk}/drop", outbox=leaving.outbox_id, message=message, of="removal")
        assert "It stays in the customer" in done.text
        assert "it is left there" in done.text
        console.hub.hear({"conversation_id": talk})
        await stream.until("it is left there")
    page = (await li.page(f"/console/inbox/{talk}?list=all")).text
    assert "it is left there" in page
    assert f'action="/console/inbox/{talk}/edit"' in page  # it may be put right, or tried again


async def test_who_may_not_see_a_conversation_hears_only_that_it_is_none_of_theirs(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "not for you", team="quality")
    li = await console.enter()
    async with listening(console, li, "list=all") as stream:
        console.hub.hear({"conversation_id": talk})
        await stream.until(f'"id": {talk}')
    assert stream.events("rows")[-1] == [{"id": talk, "html": ""}]
    assert "not for you" not in stream.text


async def test_what_changed_is_read_once_for_all_consoles_and_told_once(console: ConsoleUnderTest) -> None:
    """Each of them hears of what is theirs to see; a line that is as it was is told again to nobody."""
    ours = await wrote(console.store, "for care", team="care")
    theirs = await wrote(console.store, "for quality", user="bob", team="quality")
    await wrote(console.store, "for nobody", user="cid")
    inbox = CountedInbox(console.store.database)
    hub = LiveHub(console.frame, inbox, CaseBoard(console.store.database), console.services.notes)
    li, lead = Listener(LI, None), Listener(LEAD, None)
    hub.join(li)
    hub.join(lead)
    running = asyncio.create_task(hub.run())
    for _ in range(2):
        hub.hear({"conversation_ids": [ours, theirs]})
        await inbox.until_read()
    running.cancel()
    assert inbox.asked == [[ours, theirs], [ours, theirs]]
    for listener in (li, lead):
        (found,) = {id(found): found for found in listener.fresh.values()}.values()  # of the first look only
        seen = [row_id for row_id, line in found.lines.items() if line_for(listener.actor, InboxFilter(), line)]
        assert seen == ([ours] if listener is li else [ours, theirs])
    assert li.fresh[ours] is lead.fresh[ours]


async def test_the_store_being_away_loses_no_change(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello")
    inbox = CountedInbox(console.store.database, fails=1)
    hub = LiveHub(console.frame, inbox, CaseBoard(console.store.database), console.services.notes)
    lead = Listener(LEAD, None)
    hub.join(lead)
    running = asyncio.create_task(hub.run())
    hub.hear({"conversation_id": talk})
    await inbox.until_read()
    await asyncio.wait_for(lead.woken.wait(), WITHIN_S)
    running.cancel()
    assert inbox.asked == [[talk], [talk]]


class CountedInbox(InboxDesk):
    """Remembers which lines were read; the first `fails` times the store is away."""

    def __init__(self, database: Database, fails: int = 0) -> None:
        super().__init__(database)
        self.asked: list[list[int]] = []
        self._fails, self._read = fails, asyncio.Event()

    async def shared(self, ids: Sequence[int]) -> dict[int, SharedRow]:
        self.asked.append(list(ids))
        if len(self.asked) <= self._fails:
            raise StoreUnavailable("away")
        found = await super().shared(ids)
        self._read.set()
        return found

    async def until_read(self) -> None:
        """Lines were read, and handed out."""
        await asyncio.wait_for(self._read.wait(), WITHIN_S)
        self._read.clear()


async def test_a_row_that_left_the_list_is_taken_out(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "help", owner="queue", waiting_since=console.clock.now())
    li = await console.enter()
    async with listening(console, li, "list=queue") as stream:
        await change(console.store, talk, owner="operator", operator="wu", waiting_since=None)
        console.hub.hear({"conversation_id": talk})
        await stream.until('"html": ""')


async def test_a_colleague_who_types_is_seen_by_the_others_only(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "help")
    li = await console.enter()
    async with listening(console, li, f"list=all&open={talk}") as stream:
        console.hub.hear({"conversation_id": talk, "kind": "typing", "user": "li"})
        console.hub.hear({"conversation_id": talk, "kind": "typing", "user": "wu"})
        await stream.until("wu is writing")
    assert "li is writing" not in stream.text


async def test_an_open_board_hears_that_something_happened_to_a_case(console: ConsoleUnderTest) -> None:
    opened = OpenCase("C-1024-7", "complaint", "brakes", "car", 2, "brakes squeak", {}, team="care")
    await converse(console.store, "hi", "ok", effects=[opened])
    li = await console.enter()
    page = await li.page("/console/cases?team=care")
    assert 'data-live="/console/live?board=1"' in page.text
    async with listening(console, li, "board=1") as stream:
        await stream.until("event: board")
        seen = stream.text.count("event: board")
        await console.services.cases.take(LI, "C-1024-7")
        async with asyncio.timeout(WITHIN_S), stream.changed:
            await stream.changed.wait_for(lambda: stream.text.count("event: board") > seen)
    assert "C-1024-7" not in stream.text  # what is on the board is asked for, by whoever may see it
    shown = await li.part("/console/cases?team=care")
    assert 'data-into="#board"' in shown.text
    assert "C-1024-7" in shown.text
    assert "C-1024-7" not in (await li.part("/console/cases?team=shop")).text


async def test_who_has_or_watches_a_case_hears_of_news_in_it_whatever_wrote_them(console: ConsoleUnderTest) -> None:
    opened = OpenCase("C-1024-7", "complaint", "brakes", "car", 2, "brakes squeak", {}, team="care")
    await converse(console.store, "hi", "ok", effects=[opened])
    li = await console.enter()
    await console.services.cases.take(LI, "C-1024-7")
    async with listening(console, li, "board=1") as stream:
        await stream.until("event: board")
        # A turn writes this one, which tells nobody but the conversation.
        await converse(console.store, "more", "noted", effects=[UpdateCase("C-1024-7", note="it smokes")])
        await stream.until("event: notice")
    (told,) = stream.events("notice")
    assert told["unread"] == 1
    assert told["url"] == "/console/cases/C-1024-7"
    assert "C-1024-7" in told["text"]
    assert "smokes" not in stream.text


async def test_a_session_that_ended_ends_its_stream(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    await li.page("/console/inbox")
    await li.http.post("/console/sign-out", data={"csrf": li.csrf})
    answer = await li.http.get("/console/live")
    assert answer.status_code in (303, 401)


async def test_a_place_of_another_page_begins_anew(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "help")
    li = await console.enter()
    async with listening(console, li, f"list=all&open={talk}&after=nonsense") as stream:
        await stream.until("data-go")


async def _actor(console: ConsoleUnderTest, name: str = "li") -> Any:
    return await actor_named(console.store.database, name)
