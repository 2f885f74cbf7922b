"""What staff and sites do in a transcript, through the same desk as everybody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from bot.errors import InputError, NotFound
from bot.service.policy import ServicePolicy
from bot.service_types import Notice, as_is
from crm_sync.notices import tell
from crm_sync.service_tables import compensations, site_tasks
from crm_sync.site_tasks import SiteForm
from crm_sync.store import SqlStore
from crm_sync.tables import cases, conversations, tasks
from crm_sync.tasks import end_task
from desk.actors import Actor
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.handoff import HandoffDesk
from desk.site_work import act
from frontdesk.clock import MovableClock
from frontdesk.signals import LocalSignals

STAFF = Actor("ann", "operator")
LEAD = Actor("bob", "manager")
CASE_VERBS = (
    "take",
    "progress",
    "ask",
    "solve",
    "note",
    "tell",
    "reopen",
    "withdraw",
    "offer",
    "approve",
    "reward",
    "care",
)
CHAT_VERBS = ("join", "hand_back")  # the conversation itself: a colleague takes it, and gives it back to the bot
SITE_VERBS = ("accept", "report", "close", "decline")


class ReplayStaff:
    """Acts on a customer's newest case, chat or site task. Raises: as the desk does; InputError for unknown verbs."""

    def __init__(
        self,
        store: SqlStore,
        policy: Callable[[], ServicePolicy],
        clock: MovableClock,
        flows: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._store, self._policy, self._clock = store, policy, clock
        self._handoff = HandoffDesk(store.database, policy, clock, LocalSignals(), flows=flows)
        self._cases = CaseDesk(store.database, policy, clock)
        self._compensation = CompensationDesk(store.database, policy, clock)

    async def staff(self, customer_id: int, action: Mapping[str, str]) -> None:
        """The first key of `action` is what is done, its value the words; the others are its details."""
        verb, words = next(iter(action.items()))
        if verb == "care":
            await self._store.database.run(lambda conn: _care(conn, customer_id, words, self._clock.now()))
            return
        if verb in CHAT_VERBS:
            await self._on_the_chat(customer_id, verb, words, action.get("flow", ""))
            return
        number = await self._newest_case(customer_id)
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "take": lambda: self._cases.take(STAFF, number),
            "progress": lambda: self._cases.progress(STAFF, number, words),
            "ask": lambda: self._cases.ask(STAFF, number, words),
            "solve": lambda: self._cases.solve(
                STAFF, number, words, cause=action.get("cause", ""), remedy=action.get("remedy", "")
            ),
            "note": lambda: self._cases.note(STAFF, number, words),
            "tell": lambda: self._cases.tell(STAFF, number, words),
            "reopen": lambda: self._cases.reopen(STAFF, number, words),
            "withdraw": lambda: self._cases.withdraw(LEAD, number, words),
            "offer": lambda: self._compensation.offer(STAFF, number, words, int(action.get("amount", "0"))),
            "approve": lambda: self._approve(words),
            "reward": lambda: self._compensation.reward(LEAD, number, amount=int(words) if words else None),
        }
        if verb not in acts:
            raise InputError(f"staff cannot {verb}; they can {', '.join((*CASE_VERBS, *CHAT_VERBS))}")
        await acts[verb]()

    async def site(self, customer_id: int, action: Mapping[str, str]) -> None:
        """What the site does with its newest task for this customer."""
        verb, words = next(iter(action.items()))
        if verb not in SITE_VERBS:
            raise InputError(f"a site cannot {verb}; it can {', '.join(SITE_VERBS)}")
        mine = (
            select(site_tasks).where(site_tasks.c.customer_id == customer_id).order_by(site_tasks.c.id.desc()).limit(1)
        )
        task = await self._store.database.run(lambda conn: conn.execute(mine).first(), read=True)
        if task is None:
            raise NotFound("no site has a task for this customer")
        form = SiteForm(task.id, task.link_serial, task.version, verb, words)  # type: ignore[arg-type]  # one of SITE_VERBS
        await act(self._store.database, form, self._policy(), self._clock.now())

    async def _approve(self, why: str) -> None:
        proposed = (
            select(compensations.c.id).where(compensations.c.state == "proposed").order_by(compensations.c.id.desc())
        )
        newest = await self._store.database.run(lambda conn: conn.execute(proposed.limit(1)).scalar(), read=True)
        if newest is None:
            raise NotFound("nothing is proposed")
        await self._compensation.decide(LEAD, newest, approve=True, why=why)

    async def _on_the_chat(self, customer_id: int, verb: str, outcome: str, flow: str) -> None:
        mine = select(conversations.c.id).where(conversations.c.customer_id == customer_id)
        newest = mine.order_by(conversations.c.last_message_at.desc()).limit(1)
        chat = await self._store.database.run(lambda conn: conn.execute(newest).scalar_one(), read=True)
        if verb == "join":
            await self._handoff.take(LEAD, chat)
        elif outcome in ("", "solved", "continue"):
            await self._handoff.hand_back(LEAD, chat, outcome=outcome, flow=flow)  # type: ignore[arg-type]  # one of them
        else:
            raise InputError("a chat is handed back solved, or to continue")

    async def _newest_case(self, customer_id: int) -> str:
        def unit(conn: Connection) -> str:
            mine = select(cases.c.number).where(cases.c.customer_id == customer_id)
            number = conn.execute(mine.order_by(cases.c.is_open.desc(), cases.c.id.desc()).limit(1)).scalar()
            if number is None:
                raise NotFound("this customer has no case")
            return str(number)

        return await self._store.database.run(unit, read=True)


def _care(conn: Connection, customer_id: int, rule: str, now: datetime) -> None:
    """What the rule suggests is said to the customer, and the task it asked for is done. Raises: NotFound."""
    wanted = select(tasks).where(tasks.c.customer_id == customer_id, tasks.c.is_open, tasks.c.rule == rule)
    task = conn.execute(wanted.order_by(tasks.c.id.desc()).limit(1)).first()
    if task is None:
        raise NotFound(f"no rule {rule!r} asked anybody to look after this customer")
    tell(conn, customer_id, Notice("utter_care", {"text": as_is(task.suggestion)}), now=now, key=f"care:{task.id}")
    end_task(conn, task.id, outcome="reached", note="", by=STAFF.name, now=now)
