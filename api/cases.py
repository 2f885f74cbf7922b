"""`/cases`: the board, one case with its history, what staff do on it, compensation, what cases teach."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By
from api.fields import Given, Id, MaybeName, MaybeWords, Moment, Name, Shown, Words
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from api.versions import IfMatch, tag
from crm_sync.case_lists import BoardFilter
from desk import learning
from desk.actors import Actor
from desk.case_board import MOST_AT_ONCE, CaseBoard, DueLine, on_each
from desk.case_opening import CaseOpening, NewCase
from desk.cases import CaseDesk
from desk.compensation import CompensationDesk
from desk.paging import Page, page_of, read_cursor
from desk.pay_plans import PayPlanDesk
from desk.site_offers import SiteOffers

Number = Annotated[str, Path(max_length=40, description="Number of the case", examples=["C-1024-7"])]
Status = Literal[
    "received", "assigned", "in_progress", "waiting_customer", "solved", "reopened", "confirmed", "withdrawn", ""
]


class CaseLine(Shown):
    """A case as the board shows it."""

    id: int
    number: str
    kind: str
    category: str
    quality_type: str
    subject: str
    severity: int = Field(description="1 low to 4 critical")
    status: str
    summary: str
    team: str
    owner: str
    customer_id: int
    opened_at: datetime
    updated_at: datetime
    version: int
    due_at: datetime | None = Field(description="When the promise that runs out first does")
    is_late: bool


class CaseEvent(Shown):
    id: int
    kind: str
    author: str
    by: str
    note: str
    is_internal: bool
    changes: dict[str, Any]
    at: datetime


class CaseClock(Shown):
    """A promise in working time."""

    kind: str
    state: str
    due_at: datetime | None
    warned_at: datetime | None
    breached_at: datetime | None
    ended_at: datetime | None


class Compensation(Shown):
    id: int
    case_id: int
    kind: str
    amount_minor: int = Field(description="In minor units; of points, how many")
    currency: str
    state: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str
    decided_at: datetime | None


class CaseConversation(Shown):
    id: int
    channel: str
    account: str


class Case(Shown):
    """A case with all that belongs to it."""

    id: int
    number: str
    version: int
    customer_id: int
    customer_name: str | None
    kind: str
    category: str
    quality_type: str
    subject: str
    severity: int
    status: str
    is_open: bool
    summary: str
    details: dict[str, Any]
    wish: str
    team: str
    owner: str
    watchers: list[str]
    site: str = Field(description="Key of the site; empty: none")
    cause: str
    remedy: str
    score: int | None = Field(description="How satisfied, 1 to 5")
    reopened: int
    opened_at: datetime
    updated_at: datetime
    first_response_at: datetime | None
    solved_at: datetime | None
    closed_at: datetime | None
    conversations: list[CaseConversation]
    events: list[CaseEvent]
    clocks: list[CaseClock]
    compensations: list[Compensation]


class CaseState(Shown):
    """A case after it was changed."""

    number: str
    status: str
    owner: str
    team: str
    severity: int
    version: int
    updated_at: datetime


class Assignment(Given):
    """To a person or a team; nobody named: to who asks."""

    owner: MaybeName = ""
    team: MaybeName = ""
    why: MaybeWords = ""


class StatusChange(Given):
    """`words` are what is done and why: the customer is told. A solution needs codes for cause and remedy."""

    status: Literal["in_progress", "waiting_customer", "solved", "reopened", "withdrawn"]
    words: Words
    cause: MaybeName = ""
    remedy: MaybeName = ""


class NoteGiven(Given):
    words: Words
    is_internal: bool = Field(True, description="false: the customer is told")


class CaseChanges(Given):
    severity: Literal[1, 2, 3, 4]
    why: Words


class CodesGiven(Given):
    cause: str = Field("", max_length=60, description="A code of the rules that hold for the case")
    remedy: str = Field("", max_length=60)


class OfferGiven(Given):
    kind: Literal["refund", "voucher", "points", "goods"]
    amount_minor: int = Field(gt=0, le=10**12, description="In minor units; of points, how many")
    currency: str = Field("", max_length=3, pattern="^([A-Z]{3})?$", examples=["CNY"])
    reason: MaybeWords = ""


class OfferDecision(Given):
    approve: bool
    why: MaybeWords = ""


class ProposedCompensation(Compensation):
    number: str


class Instalment(Shown):
    amount_minor: int
    due_on: str = Field(description="A day, in the business's zone", examples=["2026-12-25"])


class PlanChoice(Shown):
    """A plan for paying later that could be granted, with what would be due when."""

    plan: str
    is_asked: bool = Field(description="The customer would like this one")
    currency: str
    parts: list[Instalment]


class PlanGiven(Given):
    plan: MaybeName = Field("", description="Of the rules; empty: the one the customer asked for")


class PlanGranted(Shown):
    plan: str
    parts: dict[str, list[Instalment]] = Field(description="By the key of the payment they take the place of")


class SiteChoice(Shown):
    """A site that can solve the case."""

    key: str
    names: dict[str, str]
    distance_m: int | None = Field(description="The way to the customer; null: nobody knows where they are")
    opens_at: datetime | None = Field(description="While it is closed: when it opens")
    open_tasks: int


class SiteGiven(Given):
    site: Name = Field(description="Key of the site")


class SiteLink(Shown):
    site: str
    link: str = Field(description="Where the site works on it, without an account")
    expires_at: datetime


class LinkGiven(Given):
    conversation_id: Id


class Watching(Given):
    wanted: bool


class CaseGiven(Given):
    customer_id: Id
    kind: Literal["complaint", "return", "exchange", "repair", "suggestion"]
    words: Words = Field(description="What happened")
    category: MaybeName = ""
    subject: MaybeName = Field("", description="What it is about: an order, a device; empty: each case by itself")
    severity: Literal[1, 2, 3, 4] | None = None
    team: MaybeName = ""
    site: MaybeName = Field("", description="Key of the site that is to solve it")
    conversation_id: Id | None = None


class BulkGiven(Given):
    """`words`: needed by all but `take` and `assign`; codes for cause and remedy by `solve`."""

    numbers: list[Annotated[str, Field(max_length=40)]] = Field(min_length=1, max_length=MOST_AT_ONCE)
    act: Literal["take", "assign", "note", "tell", "progress", "ask", "solve", "withdraw"]
    words: MaybeWords = ""
    owner: MaybeName = ""
    team: MaybeName = ""
    cause: MaybeName = ""
    remedy: MaybeName = ""


class Done(Shown):
    number: str
    error: str | None = Field(description="Why nothing was done; null: it is")


class Column(Shown):
    status: str
    count: int
    cases: list[CaseLine]


class RewardGiven(Given):
    points: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(None, description="null: as the rules have it")


class Rewarded(Shown):
    points: int


class RepeatedCause(Shown):
    cause: str
    category: str
    quality_type: str
    site: str
    product: str
    count: int
    reopened: int
    score: float | None


class Alert(Shown):
    """More of one kind of case than usual."""

    id: int
    category: str
    quality_type: str
    product: str
    site_id: int | None
    period_from: datetime
    period_to: datetime
    count: int
    expected: float
    sigma: float | None
    at: datetime


def case_routes(desk: ApiDesk) -> DeskRoutes:
    cases = CaseDesk(desk.database, desk.policy, desk.clock)
    board, opening = CaseBoard(desk.database), CaseOpening(desk.database, desk.policy, desk.clock)
    money = CompensationDesk(desk.database, desk.policy, desk.clock)
    at_sites = SiteOffers(desk.database, desk.policy, desk.clock, desk.site_link)
    plans = PayPlanDesk(desk.database, desk.policy, desk.clock)
    routes = DeskRoutes(tags=["cases"])

    def changed(row: Any, response: Response) -> Any:
        tag(response, row.version)
        return row

    @routes.get("/cases", response_model=Listed[CaseLine])
    async def list_cases(
        by: By,
        paging: Paged,
        status: Annotated[Status, Query(description="Left out: all that are open")] = "",
        team: Annotated[str, Query(max_length=200)] = "",
        owner: Annotated[str, Query(max_length=200)] = "",
        site: Annotated[str, Query(max_length=200, description="Key of a site")] = "",
        severity: Annotated[int | None, Query(ge=1, le=4)] = None,
        kind: Annotated[str, Query(max_length=40)] = "",
    ) -> Any:
        """Cases, the newest first."""
        which = BoardFilter(status, team, owner, site, severity, kind)
        after = read_cursor(paging.cursor, int)
        limit = min(paging.limit, 199)  # the board itself gives 200, and one tells whether more follow
        rows = await cases.board(by, which, before=after[0] if after else None, limit=limit + 1)
        page: Page[Any] = page_of(rows, limit, lambda line: (line.id,))
        return paging.shown(page)

    @routes.post("/cases", response_model=CaseState, status_code=201)
    async def open_case(by: By, given: CaseGiven, response: Response) -> Any:
        """A case for a customer, e.g. one who has called; 409 when one about the same thing is open.

        What is left out is found in the words by the rules. The customer is not told: a note that is not internal is.
        """
        fields = given.model_dump(exclude={"customer_id"})
        row = await opening.open(by, given.customer_id, NewCase(**fields))
        response.headers["Location"] = f"/api/v1/cases/{row.number}"
        return changed(row, response)

    @routes.post("/cases/bulk", response_model=Listed[Done])
    async def act_on_cases(by: By, given: BulkGiven) -> Any:
        """The same act on many cases, each for itself; what became of every one of them."""
        done = await on_each(given.numbers, lambda number: _act(cases, by, number, given))
        return {"items": [{"number": each.number, "error": each.error and str(each.error)} for each in done]}

    @routes.get("/case-board", response_model=Listed[Column])
    async def get_case_board(
        by: By,
        team: Annotated[str, Query(max_length=200)] = "",
        owner: Annotated[str, Query(max_length=200)] = "",
        site: Annotated[str, Query(max_length=200, description="Key of a site")] = "",
        severity: Annotated[int | None, Query(ge=1, le=4)] = None,
        kind: Annotated[str, Query(max_length=40)] = "",
        limit: Annotated[int, Query(ge=1, le=100, description="Cases of each column at most")] = 20,
    ) -> Any:
        """Open cases by status: how many, and the newest of them; the rest are in `GET /cases?status=`."""
        columns = await board.columns(by, BoardFilter("", team, owner, site, severity, kind), limit=limit)
        return {"items": [{"status": one.status, "count": one.count, "cases": one.page.items} for one in columns]}

    @routes.get("/case-promises", response_model=Listed[DueLine])
    async def list_case_promises(
        by: By,
        paging: Paged,
        since: Annotated[Moment, Query()],
        until: Annotated[Moment, Query()],
        team: Annotated[str, Query(max_length=200)] = "",
        owner: Annotated[str, Query(max_length=200)] = "",
        site: Annotated[str, Query(max_length=200, description="Key of a site")] = "",
    ) -> Any:
        """Promises of open cases that run out in this time, the soonest first."""
        which = BoardFilter(team=team, owner=owner, site=site)
        return paging.shown(await board.due(by, which, since, until, cursor=paging.cursor, limit=paging.limit))

    @routes.get("/cases/{number}", response_model=Case)
    async def get_case(by: By, number: Number, response: Response) -> Any:
        """A case with its history, promises, conversations and compensations."""
        found = await cases.show(by, number)
        tag(response, found["version"])
        return found

    @routes.patch("/cases/{number}", response_model=CaseState)
    async def change_case(by: By, number: Number, wanted: CaseChanges, version: IfMatch, response: Response) -> Any:
        """The case weighs this much from now on; promises that are sooner begin."""
        row = await cases.classify(by, number, severity=wanted.severity, why=wanted.why, version=version)
        return changed(row, response)

    @routes.post("/cases/{number}/assignment", response_model=CaseState)
    async def assign_case(by: By, number: Number, to: Assignment, version: IfMatch, response: Response) -> Any:
        """Somebody has it: a person, a team's queue, or who asks when neither is named."""
        if not to.owner and not to.team:
            return changed(await cases.take(by, number, version=version), response)
        row = await cases.assign(by, number, owner=to.owner, team=to.team, why=to.why, version=version)
        return changed(row, response)

    @routes.post("/cases/{number}/status", response_model=CaseState)
    async def set_case_status(
        by: By, number: Number, wanted: StatusChange, version: IfMatch, response: Response
    ) -> Any:
        """The case goes on, and the customer hears of it."""
        match wanted.status:
            case "in_progress":
                row = await cases.progress(by, number, wanted.words, version=version)
            case "waiting_customer":
                row = await cases.ask(by, number, wanted.words, version=version)
            case "solved":
                row = await cases.solve(
                    by, number, wanted.words, cause=wanted.cause, remedy=wanted.remedy, version=version
                )
            case "reopened":
                row = await cases.reopen(by, number, wanted.words, version=version)
            case "withdrawn":
                row = await cases.withdraw(by, number, wanted.words, version=version)
        return changed(row, response)

    @routes.post("/cases/{number}/notes", response_model=CaseState, status_code=201)
    async def add_case_note(by: By, number: Number, note: NoteGiven, response: Response) -> Any:
        """A note for colleagues, or news for the customer."""
        row = await (cases.note if note.is_internal else cases.tell)(by, number, note.words)
        return changed(row, response)

    @routes.put("/cases/{number}/codes", response_model=CaseState)
    async def explain_case(by: By, number: Number, codes: CodesGiven, version: IfMatch, response: Response) -> Any:
        """What caused it, or helped, is known by these codes, also of a case that is over."""
        row = await cases.explain(by, number, cause=codes.cause, remedy=codes.remedy, version=version)
        return changed(row, response)

    @routes.put("/cases/{number}/watching", status_code=204)
    async def watch_case(by: By, number: Number, wanted: Watching) -> None:
        """Who asks hears of what happens to the case, or no longer."""
        await cases.watch(by, number, wanted=wanted.wanted)

    @routes.post("/cases/{number}/conversations", status_code=204)
    async def link_case(by: By, number: Number, link: LinkGiven) -> None:
        """A conversation of the case's customer belongs to it."""
        await cases.link(by, number, link.conversation_id)

    @routes.post("/cases/{number}/reward", response_model=Rewarded)
    async def reward_suggestion(by: By, number: Number, given: RewardGiven) -> Any:
        """The customer has points for a suggestion that is taken up, once."""
        return {"points": await money.reward(by, number, amount=given.points)}

    @routes.post("/cases/{number}/compensations", response_model=Compensation, status_code=201)
    async def offer_compensation(by: By, number: Number, offer: OfferGiven) -> Any:
        """Approved when the role may give as much, else proposed."""
        return await money.offer(by, number, offer.kind, offer.amount_minor, offer.currency, reason=offer.reason)

    @routes.get("/cases/{number}/site-choices", response_model=Listed[SiteChoice])
    async def list_site_choices(by: By, number: Number) -> Any:
        """Sites that can solve it, the best first."""
        return {"items": await at_sites.choices(by, number)}

    @routes.post("/cases/{number}/site", response_model=SiteLink)
    async def give_case_to_site(by: By, number: Number, given: SiteGiven, version: IfMatch) -> Any:
        """The site has it, and is sent its link where it has an e-mail or a chat; earlier links stop working."""
        return await at_sites.offer(by, number, given.site, version=version)

    @routes.get("/cases/{number}/payment-plans", response_model=Listed[PlanChoice])
    async def list_payment_plans(by: By, number: Number) -> Any:
        """What could be granted for what the customer owes; nothing when nothing is owed or the case is over."""
        return {"items": await plans.choices(by, number)}

    @routes.post("/cases/{number}/payment-plan", response_model=PlanGranted)
    async def grant_payment_plan(by: By, number: Number, given: PlanGiven, version: IfMatch) -> Any:
        """Instalments take the place of what is owed, and the customer is told the days."""
        return await plans.grant(by, number, given.plan, version=version)

    @routes.get("/compensations", response_model=Listed[ProposedCompensation])
    async def list_proposed_compensations(by: By) -> Any:
        """What waits for a decision, the oldest first."""
        return {"items": await money.proposed(by)}

    @routes.post("/compensations/{compensation_id}/decision", response_model=Compensation)
    async def decide_compensation(by: By, compensation_id: Id, decision: OfferDecision) -> Any:
        """Approved or refused, by somebody else than who proposed it."""
        return await money.decide(by, compensation_id, approve=decision.approve, why=decision.why)

    @routes.get("/case-causes", response_model=Listed[RepeatedCause])
    async def list_repeated_causes(
        by: By,
        since: Annotated[Moment, Query()],
        until: Annotated[Moment, Query()],
        group: Annotated[Literal["kind", "site", "product"], Query()] = "kind",
    ) -> Any:
        """Causes found again and again in this time."""
        return {"items": await learning.repeated_causes(desk.database, by, since, until, by=group)}

    @routes.get("/case-alerts", response_model=Listed[Alert])
    async def list_case_alerts(by: By) -> Any:
        """Alerts nobody has looked into, the newest first."""
        return {"items": await learning.open_alerts(desk.database, by)}

    @routes.post("/case-alerts/{alert_id}/seen", status_code=204)
    async def see_case_alert(by: By, alert_id: Id) -> None:
        """Somebody looks into the alert."""
        await learning.see_alert(desk.database, by, alert_id, desk.clock.now())

    return routes


async def _act(cases: CaseDesk, by: Actor, number: str, given: BulkGiven) -> None:
    """One act of many. Raises: what `CaseDesk` does."""
    match given.act:
        case "take":
            await cases.take(by, number)
        case "assign":
            await cases.assign(by, number, owner=given.owner, team=given.team, why=given.words)
        case "note":
            await cases.note(by, number, given.words)
        case "tell":
            await cases.tell(by, number, given.words)
        case "progress":
            await cases.progress(by, number, given.words)
        case "ask":
            await cases.ask(by, number, given.words)
        case "solve":
            await cases.solve(by, number, given.words, cause=given.cause, remedy=given.remedy)
        case "withdraw":
            await cases.withdraw(by, number, given.words)
