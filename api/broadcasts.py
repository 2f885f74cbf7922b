"""`/broadcasts`: written, looked at, decided on, followed, measured."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from api.desk import ApiDesk, By
from api.fields import Given, Id, Name, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes, plain
from api.versions import IfMatch, tag
from bot.reach.states import BroadcastState
from desk.broadcast_preflight import Preview
from desk.broadcast_results import Compared, Results
from desk.broadcasts import Preflight

BroadcastName = Annotated[str, Path(min_length=1, max_length=60, description="Name of the broadcast")]
PlainName = Annotated[str, Path(min_length=1, max_length=60)]
Document = Annotated[dict[str, Any], Field(max_length=100, description="As `docs/broadcasts.md` describes it")]
State = BroadcastState


class BroadcastLine(Shown):
    """A broadcast as the list shows it."""

    id: int
    name: str
    title: str
    state: State
    purpose: str
    channels: list[str]
    recipients: int
    at: datetime | None = Field(description="When it starts or started")
    created_by: str
    ended_at: datetime | None


class Broadcast(Shown):
    """A broadcast with its document."""

    id: int
    name: str
    state: State
    document: dict[str, Any]
    version: int
    created_by: str
    edited_by: str = Field(description="Who wrote it last")
    created_at: datetime
    updated_at: datetime
    approved_by: str
    approved_at: datetime | None
    is_approved: bool = Field(description="This very document")
    next_at: datetime | None
    reason: str
    started_at: datetime | None
    ended_at: datetime | None


class BroadcastProgress(Shown):
    total: int = Field(description="Everybody meant, held out and skipped included")
    done: int = Field(description="About whom nothing more will happen")
    state: State
    reason: str
    counts: dict[str, int] = Field(description="Recipients by state")
    reasons: dict[str, int] = Field(description="Of those who were skipped or failed")
    arms: dict[str, int]
    started_at: datetime | None
    ended_at: datetime | None


class AccountCount(Shown):
    channel: str
    account: str
    people: int


class PreflightProblem(Shown):
    code: str
    is_blocking: bool
    details: dict[str, Any]


class VendorQuota(Shown):
    """What a vendor allows in this period (a day or a month), what was used of it and what this broadcast would."""

    channel: str
    account: str
    kind: str
    period: str
    limit: int
    used: int
    needs: int
    left: int
    of: str = Field(description="account, or person: so much for each of them")


class BroadcastPreflight(Shown):
    """What would happen if it started now."""

    at: datetime
    may_start: bool
    reached: list[AccountCount]
    skipped: dict[str, int] = Field(description="People by the reason they would not get it")
    asleep: int = Field(description="Of those reached: who wait until their quiet hours are over")
    held_out: int
    starts_at: datetime | None
    takes_s: float
    coupons_left: int | None
    quotas: list[VendorQuota]
    cost_minor: int
    problems: list[PreflightProblem]


class IntervalShown(Shown):
    """An estimate and where it lies with 95 %."""

    estimate: float
    low: float
    high: float


class ArmSumsShown(Shown):
    people: int
    successes: int
    amount: float
    withdrew: int
    complained: int
    sent: int
    delivered: int
    read: int
    clicked: int
    replied: int
    left: int = Field(description="Took their consent back or blocked us")
    blocked: int


class UpliftShown(Shown):
    share: IntervalShown
    amount: IntervalShown
    extra: IntervalShown


class ArmResults(Shown):
    """One variant, or all of them as "", against those held out."""

    arm: str
    sums: ArmSumsShown
    uplift: UpliftShown | None = Field(description="null: nobody to compare with")
    withdrawn: IntervalShown | None
    complaints: IntervalShown | None
    differs: bool = Field(description="From zero, as far as can be told")
    per_1000_minor: float | None = Field(description="Revenue for each thousand people that there would not have been")


class ClickedLink(Shown):
    name: str
    address: str
    people: int
    times: int


class BroadcastResults(Shown):
    at: datetime
    share: float = Field(description="Of the time in which something may come that is over")
    currency: str
    whole: ArmResults
    variants: list[ArmResults]
    held_out: ArmSumsShown
    links: list[ClickedLink]
    cost_minor: int
    brought_minor: IntervalShown | None = Field(description="Revenue there would not have been")
    returned: float | None = Field(description="Of each unit spent, what came back beyond it; null without cost")


class ComparisonLine(Shown):
    name: str
    title: str
    results: BroadcastResults


class PreviewGiven(Given):
    document: Document
    customer_id: Id | None = None


class UncertainSend(Shown):
    """`reason`: lost (the vendor's answer), or interrupted (our process died)."""

    id: int
    customer_id: int
    conversation_id: int
    channel: str
    account: str
    reason: str


class UncertainDecision(Given):
    send_again: bool = Field(description="false: they count as failed and are never tried again")
    ids: list[Id] | None = Field(None, min_length=1, max_length=1000, description="null: all there are")


class Decided(Shown):
    recipients: int


class DocumentGiven(Given):
    document: Document


class TestGiven(Given):
    variant: Name
    customer_id: Id


class SentTest(Shown):
    message_id: int


def broadcast_routes(desk: ApiDesk) -> DeskRoutes:
    reach = desk.reach
    casts, results = reach.broadcasts, reach.results
    routes = DeskRoutes(tags=["broadcasts"])

    def shown(stored: Any, response: Response) -> Any:
        tag(response, stored.version)
        return stored

    # --- broadcasts ---------------------------------------------------------------------------------------------

    @routes.get("/broadcasts", response_model=Listed[BroadcastLine])
    async def list_broadcasts(by: By, paging: Paged, state: Annotated[State | None, Query()] = None) -> Any:
        """Broadcasts, the newest first."""
        states = [state.value] if state else []
        return paging.shown(await casts.page(by, states=states, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/broadcasts", response_model=Broadcast, status_code=201)
    async def create_broadcast(by: By, given: DocumentGiven, response: Response) -> Any:
        """A draft; what is wrong with the document is said with its place."""
        stored = await casts.create(by, given.document)
        response.headers["Location"] = f"/api/v1/broadcasts/{stored.name}"
        return shown(stored, response)

    @routes.post("/broadcasts/preview", response_model=Listed[Preview])
    async def preview_broadcast(by: By, given: PreviewGiven) -> Any:
        """How a document would look on each channel, to one customer or with its fallbacks; nothing is kept."""
        return {"items": await casts.previews(by, given.document, given.customer_id)}

    @routes.get("/broadcast-comparison", response_model=Listed[ComparisonLine])
    async def compare_broadcasts(
        by: By,
        name: Annotated[list[Annotated[str, Field(min_length=1, max_length=60)]], Query(min_length=1, max_length=12)],
    ) -> Any:
        """Results of several side by side, in the order given."""
        lines = await results.compare(by, name)
        return {
            "items": [{"name": line.name, "title": line.title, "results": _results(line.results)} for line in lines]
        }

    @routes.get("/broadcasts/{name}", response_model=Broadcast)
    async def get_broadcast(by: By, name: BroadcastName, response: Response) -> Any:
        """A broadcast with its document."""
        return shown((await casts.open(by, name)).stored, response)

    @routes.put("/broadcasts/{name}", response_model=Broadcast)
    async def edit_broadcast(
        by: By, name: BroadcastName, given: DocumentGiven, version: IfMatch, response: Response
    ) -> Any:
        """It says this; an approval it had is void."""
        seen = await _version(by, name, version)
        return shown(await casts.edit(by, name, given.document, version=seen), response)

    @routes.get("/broadcasts/{name}/status", response_model=BroadcastProgress)
    async def get_broadcast_status(by: By, name: BroadcastName) -> Any:
        """How far it is, cheap enough to be asked every second."""
        found = await casts.status(by, name)
        return {**plain(found), "total": found.total, "done": found.done}

    @routes.get("/broadcasts/{name}/preflight", response_model=BroadcastPreflight)
    async def get_broadcast_preflight(by: By, name: BroadcastName) -> Any:
        """How many would get it, who not and why, how long it takes, and what is wrong."""
        return _preflight(await casts.preflight(by, name))

    @routes.post("/broadcasts/{name}/approval-request", response_model=Broadcast)
    async def ask_broadcast_approval(by: By, name: BroadcastName, version: IfMatch, response: Response) -> Any:
        """A second person is asked to look."""
        return shown(await casts.ask_approval(by, name, version=await _version(by, name, version)), response)

    @routes.post("/broadcasts/{name}/approval", response_model=Broadcast)
    async def approve_broadcast(by: By, name: BroadcastName, version: IfMatch, response: Response) -> Any:
        """It may be sent as it is; its author cannot say so."""
        return shown(await casts.approve(by, name, version=await _version(by, name, version)), response)

    @routes.post("/broadcasts/{name}/start", response_model=Broadcast)
    async def start_broadcast(by: By, name: BroadcastName, version: IfMatch, response: Response) -> Any:
        """It begins now, or at its time."""
        return shown(await casts.start(by, name, version=version), response)

    @routes.post("/broadcasts/{name}/pause", response_model=Broadcast)
    async def pause_broadcast(by: By, name: BroadcastName, response: Response) -> Any:
        """Nothing more leaves within a second."""
        return shown(await casts.pause(by, name), response)

    @routes.post("/broadcasts/{name}/resume", response_model=Broadcast)
    async def resume_broadcast(by: By, name: BroadcastName, response: Response) -> Any:
        """It goes on with those not yet tried."""
        return shown(await casts.resume(by, name), response)

    @routes.post("/broadcasts/{name}/cancel", response_model=Broadcast)
    async def cancel_broadcast(by: By, name: BroadcastName, response: Response) -> Any:
        """Nothing more of it ever leaves."""
        return shown(await casts.cancel(by, name), response)

    @routes.post("/broadcasts/{name}/test", response_model=SentTest, status_code=201)
    async def test_broadcast(by: By, name: BroadcastName, given: TestGiven) -> Any:
        """One of the staff, tagged "test", gets the variant as everybody would."""
        return {"message_id": await casts.test(by, name, given.variant, given.customer_id)}

    @routes.get("/broadcasts/{name}/results", response_model=BroadcastResults)
    async def get_broadcast_results(by: By, name: BroadcastName) -> Any:
        """What it brought compared with those held out, and the harm."""
        return _results(await results.results(by, name))

    @routes.get("/broadcasts/{name}/recipients.csv", response_class=Response, response_model=None)
    async def export_broadcast(by: By, name: BroadcastName) -> Response:
        """A line for each recipient."""
        return StreamingResponse(await results.export(by, name), media_type="text/csv")

    # --- what nobody knows the end of -----------------------------------------------------------------------------

    @routes.get("/broadcasts/{name}/uncertain-sends", response_model=Listed[UncertainSend])
    async def list_uncertain_sends(
        by: By, name: BroadcastName, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Any:
        """Recipients who may or may not have got it, the oldest first; none of them is tried again undecided."""
        return {"items": await reach.uncertain.find(by, name, limit)}

    @routes.post("/broadcasts/{name}/uncertain-sends/decision", response_model=Decided)
    async def decide_uncertain_sends(by: By, name: BroadcastName, given: UncertainDecision) -> Any:
        """These are due again, though some may get it twice, or count as failed for good."""
        decide = reach.uncertain.send_again if given.send_again else reach.uncertain.mark_failed
        return {"recipients": await decide(by, name, given.ids)}

    async def _version(by: Any, name: str, given: int | None) -> int:
        return given if given is not None else (await casts.open(by, name)).stored.version

    return routes


def _results(found: Results) -> dict[str, Any]:
    names = ("name", "address", "people", "times")
    return {
        **plain(found),
        "whole": _arm(found.whole),
        "variants": [_arm(each) for each in found.variants],
        "links": [dict(zip(names, link, strict=True)) for link in found.links],
        "brought_minor": plain(found.brought_minor) if found.brought_minor else None,
        "returned": found.returned,
    }


def _arm(found: Compared) -> dict[str, Any]:
    return {**plain(found), "differs": found.differs, "per_1000_minor": found.per_1000_minor}


def _preflight(found: Preflight) -> dict[str, Any]:
    return {
        "at": found.at,
        "may_start": found.may_start,
        "reached": [
            {"channel": channel, "account": account, "people": people}
            for (channel, account), people in found.counted.reached.items()
        ],
        "skipped": dict(found.counted.skipped),
        "asleep": found.counted.asleep,
        "held_out": found.held_out,
        "starts_at": found.starts_at,
        "takes_s": found.takes.total_seconds(),
        "coupons_left": found.coupons_left,
        "quotas": [{**plain(each), "left": each.left} for each in found.quotas],
        "cost_minor": found.cost_minor,
        "problems": [
            {"code": each.code, "is_blocking": each.is_blocking, "details": dict(each.details)}
            for each in found.problems
        ],
    }
