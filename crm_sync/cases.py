"""Cases in the store: opened, changed by one at a time, with who, when and why. Each function is part of a transaction.

Which status may follow which is `bot.service_types.CASE_MOVES`; what the business's rules add (clocks, teams, severity)
arrives with the change, decided by whoever knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.errors import CaseNotFound, RuleError, StaleState
from bot.service_types import CASE_MOVES, CLOSED_STATUSES, CaseParty, ClockStart, may_become
from bot.types import OpenCase, UpdateCase
from crm_sync import clocks as clock_rows
from crm_sync import site_tasks
from crm_sync.columns import is_postgres, is_state
from crm_sync.numbers import read
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import assets, case_links, clocks, sites
from crm_sync.sites import HOURS_OF_CASE
from crm_sync.staff_notices import notify
from crm_sync.statements import Statement, Together, insert_of, insert_rows, prefixed
from crm_sync.subjects import Subject, line_of, note
from crm_sync.tables import case_events, cases, customers, timeline

Author = Literal["customer", "operator", "site", "bot", "system"]
PARTIES: Final[Mapping[Author, CaseParty]] = {
    "customer": "customer",
    "bot": "system",
    "operator": "staff",
    "site": "site",
    "system": "system",
}
OURS: Final = frozenset({"operator", "site"})
ANSWERS: Final = frozenset({"in_progress", "waiting_customer", "solved"})  # by staff: the customer has heard from us


@dataclass(frozen=True, slots=True)
class By:
    """Who does something to a case, and when. `name`: of the member of staff, or who at the site."""

    author: Author
    at: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Working time as the calendars count it, for clocks that stand still or go on."""

    spent: clock_rows.Spent
    again: clock_rows.Again


@dataclass(frozen=True, slots=True)
class CaseChange:
    """What becomes different; what is None or empty stays as it is. `note` says why.

    `clocks` begin with it, in place of running ones of their kinds; those of `tighter` only where they run out first.
    """

    note: str = ""
    is_internal: bool = False
    status: str = ""
    severity: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    team: str | None = None
    site_id: int | None = None
    cause: str = ""
    remedy: str = ""
    score: int | None = None
    clocks: tuple[ClockStart, ...] = ()
    tighter: tuple[ClockStart, ...] = ()
    back_to_site: bool = True  # when it is reopened, the site that had it is asked again


_LOCKED: Final = (
    select(cases, HOURS_OF_CASE.label("site_hours"))
    .where(cases.c.number == bindparam("number"))
    .with_for_update(of=cases)
)
_ERASED_AT: Final = select(customers.c.erased_at).where(customers.c.id == bindparam("id"))
_TWIN: Final = (
    select(cases)
    .where(and_(*(cases.c[name] == bindparam(name) for name in ("customer_id", "kind", "category", "subject"))))
    .where(cases.c.is_open)
    .with_for_update()
)
_EVENT: Final = ("case_id", "kind", "author", "by", "note", "is_internal", "changes", "at")
_LINE: Final = ("customer_id", "conversation_id", "kind", "summary", "reference", "author", "at")
_LINK: Final = ("case_id", "conversation_id", "at")
_SITE: Final = select(sites).where(sites.c.key == bindparam("key"))


# --- reading ------------------------------------------------------------------------------------------------------


def locked_case(conn: Connection, number: str, version: int | None = None) -> Any:
    """The row of the case, with `site_hours`; nobody else changes it before this transaction ends.

    `version`: the one the caller has seen. Raises: CaseNotFound; StaleState when it has changed since; RuleError when
    its customer was erased.
    """
    row = conn.execute(_LOCKED, {"number": full_number(number)}).first()
    if row is None:
        raise CaseNotFound(f"there is no case {number}")
    erased_at = conn.execute(_ERASED_AT, {"id": row.customer_id}).scalar_one()  # read once the lock is ours
    if erased_at is not None:
        raise RuleError(f"the customer of case {row.number} was erased; nothing can be done on it any more")
    if version is not None and version != row.version:
        raise StaleState(f"case {row.number} was changed by somebody else; look at it again")
    return row


def found_case(conn: Connection, number: str) -> Any:
    """The row of the case. Raises: CaseNotFound."""
    row = conn.execute(select(cases).where(cases.c.number == full_number(number))).first()
    if row is None:
        raise CaseNotFound(f"there is no case {number}")
    return row


def full_number(number: str) -> str:
    """The number as it is stored, from any usual spelling of it. Raises: CaseNotFound."""
    full = read(number)
    if full is None:
        raise CaseNotFound(f"{number!r} is no case number")
    return full


# --- by the customer, in a turn -----------------------------------------------------------------------------------


def open_case(conn: Connection, effect: OpenCase, subject: Subject) -> None:
    """The case is open, with its clocks and its first line of history.

    Where the customer has an open one about the same thing, that one is added to instead.
    """
    site = conn.execute(_SITE, {"key": effect.site}).first() if effect.site else None
    site_id = site.id if site is not None else None
    row = _insert(conn, effect, subject.customer_id, subject.conversation_id, now=subject.now, site_id=site_id)
    if row is None:
        existing = _open_twin(conn, effect, subject.customer_id)
        told = UpdateCase(effect.number, effect.summary, effect.details, effect.severity, clocks=effect.clocks)
        _by_customer(conn, existing, told, subject)
        return
    by = By("customer", subject.now)
    event = _event(row.id, "opened", by, words=effect.summary, changes={}, is_internal=False)
    line = line_of(subject, f"{effect.kind}_opened", effect.summary, effect.number)
    _write_down(conn, event, line, effect.clocks, conversation_id=subject.conversation_id)
    if site is not None and site.is_active:
        who = subject.customer_id
        site_tasks.offer_first(conn, row.id, who, site=site, now=subject.now, distance_m=effect.distance_m)


def _open_twin(conn: Connection, case: Any, customer_id: int) -> Any:
    same = {"kind": case.kind, "category": case.category, "subject": case.subject}
    return conn.execute(_TWIN, {"customer_id": customer_id, **same}).first()


def _insert(
    conn: Connection,
    effect: OpenCase,
    customer_id: int,
    conversation_id: int | None,
    *,
    now: datetime,
    site_id: int | None,
    whole: bool = False,
) -> Any:
    """The row of the new case, only its id unless `whole`; None where an open one is about the same thing."""
    row = {
        "number": effect.number,
        "customer_id": customer_id,
        "conversation_id": conversation_id,
        "kind": effect.kind,
        "category": effect.category,
        "subject": effect.subject,
        "severity": effect.severity,
        "status": "received",
        "summary": effect.summary,
        "details": dict(effect.details),
        "is_open": True,
        "opened_at": now,
        "updated_at": now,
        "quality_type": effect.quality_type,
        "wish": effect.wish,
        "language": effect.language,
        "team": effect.team,
        "site_id": site_id,
        "asset_id": _asset_id(conn, effect.asset, customer_id),
        "value_minor": effect.value_minor,
        "currency": effect.currency,
        "policy_version": effect.policy_version,
    }
    names, on_postgres = tuple(row), is_postgres(conn)
    if whole:  # the answer of the API is read from it, which takes no bare tuple
        return conn.execute(_opened_whole(names, on_postgres), row).first()
    return next(iter(_opened(names, on_postgres).rows(conn, row)), None)


@cache
def _opened(names: tuple[str, ...], on_postgres: bool) -> Statement:
    return Statement(_opening(names, on_postgres).returning(cases.c.id))


@cache
def _opened_whole(names: tuple[str, ...], on_postgres: bool) -> Any:
    return _opening(names, on_postgres).returning(*cases.c)


def _opening(names: tuple[str, ...], on_postgres: bool) -> Any:
    build = postgresql.insert if on_postgres else sqlite.insert
    index = cases.c.customer_id, cases.c.kind, cases.c.category, cases.c.subject
    statement = build(cases).values({name: bindparam(name, type_=cases.c[name].type) for name in names})
    return statement.on_conflict_do_nothing(index_elements=index, index_where=cases.c.is_open)


def _asset_id(conn: Connection, asset_id: int | None, customer_id: int) -> int | None:
    if asset_id is None:
        return None
    mine = and_(assets.c.id == asset_id, assets.c.customer_id == customer_id)
    return conn.execute(select(assets.c.id).where(mine)).scalar()


def update_case(conn: Connection, effect: UpdateCase, subject: Subject) -> None:
    """The customer's words, answers or verdict are in the case. Another customer's case stays as it is."""
    mine = and_(cases.c.number == effect.number, cases.c.customer_id == subject.customer_id)
    existing = conn.execute(select(cases).where(mine).with_for_update()).first()
    if existing is not None:  # another customer's case, or none: a number alone gives no right to it
        _by_customer(conn, existing, effect, subject)


def _by_customer(conn: Connection, case: Any, effect: UpdateCase, subject: Subject) -> None:
    """Severity only rises; a status the case cannot get from the customer now is left out, the words are kept."""
    status = effect.status if may_become(case.status, effect.status, "customer") else ""
    if status == "reopened" and not case.is_open and _open_twin(conn, case, case.customer_id) is not None:
        status = ""  # the other one carries on
    rises = effect.severity is not None and effect.severity > case.severity
    change = CaseChange(
        note=effect.note,
        status=status,
        severity=effect.severity if rises else None,
        details={key: value for key, value in effect.details.items() if value},
        clocks=effect.clocks if status == "reopened" else (),
        tighter=effect.clocks if rises and status != "reopened" else (),
        back_to_site=effect.back_to_site,
    )
    change_case(conn, case, change, By("customer", subject.now))
    link(conn, case.id, subject.conversation_id, subject.now)
    told = effect.note or effect.status or case.summary
    note(conn, subject, f"{case.kind}_updated", told, case.number)


# --- by staff -----------------------------------------------------------------------------------------------------


def open_by_staff(conn: Connection, wanted: OpenCase, customer_id: int, conversation_id: int | None, by: By) -> Any:
    """The case is open, with its clocks, its site's task and its first line of history; its row.

    Raises: RuleError when the customer has an open one about the same thing.
    """
    site = conn.execute(_SITE, {"key": wanted.site}).first() if wanted.site else None
    site_id = site.id if site is not None else None
    row = _insert(conn, wanted, customer_id, conversation_id, now=by.at, site_id=site_id, whole=True)
    if row is None:
        twin = _open_twin(conn, wanted, customer_id)
        raise RuleError(f"case {twin.number} about the same thing is open; go on with that one")
    event = _event(row.id, "opened", by, words=wanted.summary, changes={}, is_internal=False)
    line = _timeline_line(row, by, f"{wanted.kind}_opened", wanted.summary)
    _write_down(conn, event, line, wanted.clocks, conversation_id=conversation_id)
    if site is not None and site.is_active:
        site_tasks.offer_first(conn, row.id, customer_id, site=site, now=by.at, distance_m=None)
    return row


# --- by anybody ---------------------------------------------------------------------------------------------------


def change_case(conn: Connection, case: Any, change: CaseChange, by: By, clockwork: Clockwork | None = None) -> Any:
    """The locked case is as the change says, its clocks follow, its history has a line; the row as it is now.

    Who has it and who watches it have a notice, but not of what they did themselves. Where anything of the case was
    written, the row has `next_due`: when the first promise that runs then runs out.

    Raises: RuleError for a status that may not follow, or when another open case about the same thing carries on.
    """
    values, changes = _differences(case, change)
    if change.status:
        if not may_become(case.status, change.status, PARTIES[by.author]):
            raise RuleError(_why_not(case, change.status))
        if change.status == "reopened" and not case.is_open:
            twin = _open_twin(conn, case, case.customer_id)
            if twin is not None:
                raise RuleError(f"case {twin.number} about the same thing is open; go on with that one")
        values.update(_of_status(case, change.status, by))
        changes.update(status=change.status, was=case.status)
        _move_clocks(conn, case, change, by, clockwork)
        _move_site_task(conn, case, change, by)
    elif by.author in OURS and not change.is_internal and change.note and case.first_response_at is None:
        values["first_response_at"] = by.at
        _end_clocks(conn, case.id, change.clocks, by.at, met=("first_response",))
    else:
        _end_clocks(conn, case.id, change.clocks, by.at)
    clock_rows.tighten(conn, change.tighter, by.at, case_id=case.id)
    kind = "status" if change.status else "updated" if changes or by.author == "customer" else "note"
    event = _event(case.id, kind, by, words=change.note, changes=changes, is_internal=change.is_internal)
    line = None
    if by.author != "customer" and change.status:
        line = _timeline_line(case, by, f"{case.kind}_{change.status}", change.note)
    _write_down(conn, event, line, change.clocks)
    row = case
    if values or not change.is_internal:
        values.update(updated_at=by.at, version=case.version + 1)
        given = {**prefixed("to_", values), "which": case.id, "from": by.at}
        row = conn.execute(_changed(tuple(sorted(values))), given).one()
    if heard := {*row.watchers, row.owner} - {"", by.name if by.author == "operator" else ""}:
        notify(conn, heard, "case_changed", by.at, reference=row.number, by=by.name)
    return row


@cache
def _changed(names: tuple[str, ...]) -> Any:
    """Writes these columns; gives the row, and in `next_due` when the first running promise after `from` runs out."""
    values = {name: bindparam(f"to_{name}", type_=cases.c[name].type) for name in names}
    runs = and_(clocks.c.case_id == cases.c.id, is_state(clocks.c.state, "running"))
    later = clocks.c.due_at > bindparam("from", type_=clocks.c.due_at.type)
    next_due = select(func.min(clocks.c.due_at)).where(runs, later).scalar_subquery().label("next_due")
    return update(cases).where(cases.c.id == bindparam("which")).values(values).returning(*cases.c, next_due)


def _differences(case: Any, change: CaseChange) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns to write, and what the history says."""
    values: dict[str, Any] = {}
    changes: dict[str, Any] = {key: value for key, value in change.details.items() if case.details.get(key) != value}
    if changes:
        values["details"] = {**case.details, **changes}
    for name in ("severity", "owner", "team", "site_id", "score"):
        value = getattr(change, name)
        if value is not None and value != getattr(case, name):
            values[name] = changes[name] = value
    for name in ("cause", "remedy"):
        if (value := getattr(change, name)) and value != getattr(case, name):
            values[name] = changes[name] = value
    return values, changes


def _why_not(case: Any, status: str) -> str:
    following = ", ".join(sorted(CASE_MOVES.get(case.status, {}))) or "nothing"
    return f"case {case.number} is {case.status}; it cannot become {status} (only {following})"


def _of_status(case: Any, status: str, by: By) -> dict[str, Any]:
    values: dict[str, Any] = {"status": status, "is_open": status not in CLOSED_STATUSES}
    if status in ANSWERS and by.author in OURS and case.first_response_at is None:
        values["first_response_at"] = by.at
    if status == "solved":
        values["solved_at"] = by.at
    if status in CLOSED_STATUSES:
        values["closed_at"] = by.at
    if status == "reopened":
        values.update(reopened=case.reopened + 1, solved_at=None, closed_at=None)
    return values


def _move_clocks(conn: Connection, case: Any, change: CaseChange, by: By, clockwork: Clockwork | None) -> None:
    """First response and solution are met, all stand still while the customer is waited for, and end with the case.

    So do those in whose place others begin with the change.
    """
    status, met = change.status, ("first_response",) if change.status in ANSWERS and by.author in OURS else ()
    is_over = status in ("solved", *CLOSED_STATUSES)
    if not is_over and "waiting_customer" in (status, case.status):
        clock_rows.end(conn, by.at, met=met, case_id=case.id)  # before others stand still or go on
        met = ()
        if status != "waiting_customer":
            clock_rows.resume_all(conn, case.id, by.at, clockwork.again if clockwork else None)
        elif clockwork is None:
            raise ValueError("clocks can only stand still for whoever knows the calendars")
        else:
            clock_rows.pause_all(conn, case.id, by.at, clockwork.spent)
    if status == "solved":
        met = (*met, "solution")
    _end_clocks(conn, case.id, change.clocks, by.at, met=met, is_over=is_over)


def _end_clocks(
    conn: Connection, case_id: int, starts: Sequence[ClockStart], at: datetime, *, met: Sequence[str] = (),
    is_over: bool = False,
) -> None:  # fmt: skip
    """Clocks of the kinds `met` have ended, and those in whose place others begin; all when it `is_over`."""
    clock_rows.end(conn, at, met=met, stopped=None if is_over else [start.kind for start in starts], case_id=case_id)


def _move_site_task(conn: Connection, case: Any, change: CaseChange, by: By) -> None:
    """A site has nothing to do for a case that is over; it is asked again when the case is reopened."""
    if change.status in ("solved", *CLOSED_STATUSES):
        site_tasks.withdraw(conn, case.id, by.at)
    elif change.status == "reopened" and case.site_id is not None and change.back_to_site:
        key = site_tasks.offer_again(conn, case, by.at)
        if key:
            again = f"offered to site {key} again"
            case_event(conn, case.id, "note", By("system", by.at), words=again, is_internal=True)


# --- what belongs to a case ---------------------------------------------------------------------------------------


def link(conn: Connection, case_id: int, conversation_id: int, at: datetime) -> None:
    """The case is linked with the conversation it was spoken about in."""
    row = {"case_id": case_id, "conversation_id": conversation_id, "at": at}
    insert_if_absent(conn, case_links, row, key=("case_id", "conversation_id"))


def watch(conn: Connection, case: Any, name: str, *, wanted: bool, now: datetime) -> None:
    """This member of staff hears of what happens to the case, or no longer."""
    if wanted == (name in case.watchers):
        return
    watchers = [*case.watchers, name] if wanted else [other for other in case.watchers if other != name]
    conn.execute(update(cases).where(cases.c.id == case.id).values(watchers=watchers))
    changes = {"watching": wanted}
    case_event(conn, case.id, "watch", By("operator", now, name), changes=changes, is_internal=True)


def case_event(
    conn: Connection,
    case_id: int,
    kind: str,
    by: By,
    *,
    words: str = "",
    changes: Mapping[str, Any] = MappingProxyType({}),
    is_internal: bool = False,
) -> None:
    """The history of the case has this line. `is_internal`: the customer never sees it."""
    row = _event(case_id, kind, by, words=words, changes=changes, is_internal=is_internal)
    insert_rows(conn, case_events, [row])


def tell_timeline(conn: Connection, case: Any, by: By, kind: str, words: str) -> None:
    """The customer's timeline has this line about the case."""
    insert_rows(conn, timeline, [_timeline_line(case, by, kind, words)])


def _write_down(
    conn: Connection,
    event: Mapping[str, Any],
    line: Mapping[str, Any] | None,
    starts: Sequence[ClockStart],
    *,
    conversation_id: int | None = None,
) -> None:
    """The case's history has the event, the timeline the line; these clocks begin, which none of their kind is before.

    `conversation_id`: the new case is linked with it.
    """
    case_id, at = event["case_id"], event["at"]
    values = prefixed("event_", event)
    if line is not None:
        values |= prefixed("line_", line)
    if conversation_id is not None:
        values |= prefixed("link_", {"case_id": case_id, "conversation_id": conversation_id, "at": at})
    for place, start in enumerate(starts):
        values |= prefixed(f"clock{place}_", clock_rows.row_of(start, at, case_id=case_id))
    _written_down(len(starts), line is not None, conversation_id is not None).change(conn, values)


@cache
def _written_down(starts: int, has_line: bool, has_link: bool) -> Together:
    changes = [insert_of(case_events, _EVENT, "event_")]
    if has_line:
        changes.append(insert_of(timeline, _LINE, "line_"))
    if has_link:
        changes.append(insert_of(case_links, _LINK, "link_"))
    if starts:
        changes.append(clock_rows.insert_of_rows([f"clock{place}_" for place in range(starts)]))
    return Together(*changes)


def _event(
    case_id: int, kind: str, by: By, *, words: str, changes: Mapping[str, Any], is_internal: bool
) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "kind": kind,
        "author": by.author,
        "by": by.name,
        "note": words,
        "is_internal": is_internal,
        "changes": dict(changes),
        "at": by.at,
    }


def _timeline_line(case: Any, by: By, kind: str, words: str) -> dict[str, Any]:
    return {
        "customer_id": case.customer_id,
        "conversation_id": case.conversation_id,
        "kind": kind,
        "summary": words,
        "reference": case.number,
        "author": by.author,
        "at": by.at,
    }
