"""The person beside a conversation: facts, what is next, open cases with what is left of their promise, the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from console.cases_view import named
from console.frame import Look, Visit
from console.inbox_view import reason_words
from console.saying import span
from console.words import WORDS, say
from desk.cases import BoardFilter, CaseDesk, CaseLine
from desk.customer_records import ConsentLine, CustomerRecords, TimelineLine
from desk.tasks import OpenTask, TaskDesk

LINES = 20  # of the timeline; the whole is on the person's own page


@dataclass(frozen=True, slots=True)
class OpenCase:
    number: str
    summary: str
    left: str
    tone: str


@dataclass(frozen=True, slots=True)
class Happened:
    at: datetime
    words: str
    summary: str


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str
    tags: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]  # label, value
    next_action: str
    cases: tuple[OpenCase, ...]
    timeline: tuple[Happened, ...]
    consents: tuple[ConsentLine, ...]
    phone: str = ""
    tasks: tuple[OpenTask, ...] = ()


async def person_of(
    visit: Visit, records: CustomerRecords, cases: CaseDesk, customer_id: int, tasks: TaskDesk
) -> Person:
    """Raises: NotPermitted, CustomerNotFound."""
    actor, look = visit.actor, visit.look
    line = await records.line(actor, customer_id)
    happened = await records.timeline(actor, customer_id, limit=LINES)
    consents = await records.consents(actor, customer_id)
    found = await cases.board(actor, BoardFilter(customer_id=customer_id)) if actor.may("cases.read") else []
    facts = (
        ("person.phone", line.phone),
        ("person.email", line.email),
        ("person.language", line.language),
        ("person.class", " ".join(filter(None, (line.value_class, line.credit_class, line.lifecycle)))),
        ("person.since", f"{line.created_at.astimezone(look.zone):%Y-%m-%d}"),
    )
    return Person(
        id=line.id,
        name=line.name,
        tags=line.tags,
        facts=tuple((visit.t(label), value) for label, value in facts if value),
        next_action=line.next_action,
        cases=tuple(open_case(case, look) for case in found),
        timeline=tuple(
            Happened(item.at, happened_words(item.kind, look), happened_about(item, look)) for item in happened.items
        ),
        consents=tuple(item for item in consents if item.until is None),
        phone=line.phone,
        tasks=await tasks.of(actor, customer_id),
    )


def open_case(case: CaseLine, look: Look) -> OpenCase:
    left, tone = left_of(case, look)
    return OpenCase(case.number, case.summary, left, tone)


def left_of(case: CaseLine, look: Look) -> tuple[str, str]:
    """What is left of the promise that runs out first, and whether that is a reason to worry: "", warn or bad."""
    if case.due_at is None:
        return "", ""
    if case.due_at <= look.now:
        return say(look.language, "person.late", time=span(look.now - case.due_at, look.language)), "bad"
    left = case.due_at - look.now
    tone = "warn" if left.total_seconds() < 3600 else ""
    return say(look.language, "person.left", time=span(left, look.language)), tone


def happened_words(kind: str, look: Look) -> str:
    """What a line of the timeline says; a case's status is worded as its kind and that status."""
    if (key := f"happened.{kind}") in WORDS:
        return say(look.language, key)
    what, _, status = kind.partition("_")
    if (key := f"status.{status}") in WORDS:
        return f"{named('kind', what, look)}: {say(look.language, key)}"
    return kind.replace("_", " ")


def happened_about(item: TimelineLine, look: Look) -> str:
    """What a line adds to its words; what only repeats them is left out."""
    repeats = item.kind.endswith(f"_{item.summary}")
    return "" if repeats else reason_words(item.summary, look)
