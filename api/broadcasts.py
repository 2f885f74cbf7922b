"""`/broadcasts`, `/segments`, `/audience-lists`, `/coupon-pools`, `/consents`: what marketers do, by program."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from api.desk import ApiDesk, By
from api.fields import Given, Id, LongText, MaybeName, MaybeWords, Moment, Name, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from api.versions import IfMatch, tag
from bot.reach.states import BroadcastState
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


class BroadcastPreflight(Shown):
    """What would happen if it started now."""

    at: datetime
    may_start: bool
    reached: list[AccountCount]
    skipped: dict[str, int] = Field(description="People by the reason they would not get it")
    held_out: int
    starts_at: datetime | None
    takes_s: float
    coupons_left: int | None
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
    left: int


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


class BroadcastResults(Shown):
    at: datetime
    share: float = Field(description="Of the time in which something may come that is over")
    currency: str
    whole: ArmResults
    variants: list[ArmResults]
    held_out: ArmSumsShown
    links: list[tuple[str, str, int, int]] = Field(description="Name, address, people, times")
    cost_minor: int


class DocumentGiven(Given):
    document: Document


class TestGiven(Given):
    variant: Name
    customer_id: Id


class SentTest(Shown):
    message_id: int


class Segment(Shown):
    id: int
    name: str
    title: str
    definition: dict[str, Any]
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class SegmentGiven(Given):
    definition: Document
    title: MaybeName = ""


class SegmentPerson(Shown):
    id: int
    name: str
    value_class: str
    lifecycle: str


class SegmentCount(Shown):
    words: dict[str, str]
    count: int
    sample: list[SegmentPerson]


class AudienceListShown(Shown):
    id: int
    name: str
    kind: str
    source: str
    rows: int
    members: int
    duplicates: int
    strangers: int
    created_by: str
    created_at: datetime


class SnapshotGiven(Given):
    """Of a segment by name, or of a definition: one of them."""

    name: Name
    segment: MaybeName = ""
    where: Document | None = None
    kind: Literal["snapshot", "exclusion"] = "snapshot"


class CouponPool(Shown):
    name: str
    title: str
    terms: dict[str, str]
    valid_until: datetime | None
    codes: int
    left: int
    redeemed: int


class PoolGiven(Given):
    name: Name
    title: MaybeName = ""
    terms: dict[Literal["en", "zh"], MaybeWords] = Field({}, description="What a code is good for")
    valid_until: Moment | None = None


class CodesGiven(Given):
    codes: LongText = Field(description="One on each line")


class CodesAdded(Shown):
    new: int
    known: int
    pool: CouponPool


class CodeGiven(Given):
    code: Annotated[str, Field(min_length=1, max_length=100)]


class Redeemed(Shown):
    pool: str


class ConsentLine(Shown):
    """What somebody said, and what shows that they did."""

    id: int
    customer_id: int
    purpose: str
    channel: str
    source: str
    granted: bool
    at: datetime
    until: datetime | None
    proof: dict[str, Any]


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
        return await casts.status(by, name)

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
        return await results.results(by, name)

    @routes.get("/broadcasts/{name}/recipients.csv", response_class=Response, response_model=None)
    async def export_broadcast(by: By, name: BroadcastName) -> Response:
        """A line for each recipient."""
        return StreamingResponse(await results.export(by, name), media_type="text/csv")

    async def _version(by: Any, name: str, given: int | None) -> int:
        return given if given is not None else (await casts.open(by, name)).stored.version

    # --- whom they are for --------------------------------------------------------------------------------------

    @routes.get("/segments", response_model=Listed[Segment])
    async def list_segments(by: By, paging: Paged) -> Any:
        """Segments by name."""
        return paging.shown(await reach.segments.page(by, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/segments/count", response_model=SegmentCount)
    async def count_segment(by: By, given: SegmentGiven) -> Any:
        """Whom a definition means now; nothing is kept."""
        return await reach.segments.look(by, given.definition)

    @routes.get("/segments/{name}", response_model=Segment)
    async def get_segment(by: By, name: PlainName, response: Response) -> Any:
        """One segment."""
        return shown(await reach.segments.show(by, name), response)

    @routes.put("/segments/{name}", response_model=Segment)
    async def save_segment(by: By, name: PlainName, given: SegmentGiven, version: IfMatch, response: Response) -> Any:
        """The segment says this; without `If-Match` it is a new one."""
        saved = await reach.segments.save(by, name, given.definition, title=given.title, version=version)
        return shown(saved, response)

    @routes.get("/audience-lists", response_model=Listed[AudienceListShown])
    async def list_audience_lists(by: By, paging: Paged) -> Any:
        """Lists of people, the newest first."""
        return paging.shown(await reach.audiences.page(by, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/audience-lists", response_model=AudienceListShown, status_code=201)
    async def snapshot_audience(by: By, given: SnapshotGiven) -> Any:
        """Everybody a segment means now is on a new list."""
        return await reach.audiences.snapshot(by, given.name, segment=given.segment, where=given.where, kind=given.kind)

    # --- coupons and consents -----------------------------------------------------------------------------------

    @routes.get("/coupon-pools", response_model=Listed[CouponPool])
    async def list_coupon_pools(by: By) -> Any:
        """Pools with what is left of them, the newest first."""
        return {"items": await reach.coupons.pools(by)}

    @routes.post("/coupon-pools", response_model=CouponPool, status_code=201)
    async def create_coupon_pool(by: By, given: PoolGiven) -> Any:
        """An empty pool."""
        terms = {str(language): words for language, words in given.terms.items()}
        return await reach.coupons.create(by, given.name, title=given.title, terms=terms, valid_until=given.valid_until)

    @routes.post("/coupon-pools/{name}/codes", response_model=CodesAdded)
    async def add_coupon_codes(by: By, name: PlainName, given: CodesGiven) -> Any:
        """The codes are in the pool; those that were there stay as they are."""
        return await reach.coupons.add(by, name, given.codes)

    @routes.post("/coupon-redemptions", response_model=Redeemed)
    async def redeem_coupon(by: By, given: CodeGiven) -> Any:
        """A code that a customer was given is used now, once."""
        return {"pool": await reach.coupons.redeem(by, given.code)}

    @routes.get("/consents", response_model=Listed[ConsentLine])
    async def list_consents(
        by: By,
        paging: Paged,
        purpose: Annotated[str, Query(max_length=60)] = "",
        channel: Annotated[str, Query(max_length=40)] = "",
    ) -> Any:
        """The register, the newest first."""
        found = await reach.consents.page(
            by, purpose=purpose, channel=channel, cursor=paging.cursor, limit=paging.limit
        )
        return paging.shown(found)

    return routes


def _preflight(found: Preflight) -> dict[str, Any]:
    return {
        "at": found.at,
        "may_start": found.may_start,
        "reached": [
            {"channel": channel, "account": account, "people": people}
            for (channel, account), people in found.counted.reached.items()
        ],
        "skipped": dict(found.counted.skipped),
        "held_out": found.held_out,
        "starts_at": found.starts_at,
        "takes_s": found.takes.total_seconds(),
        "coupons_left": found.coupons_left,
        "cost_minor": found.cost_minor,
        "problems": [
            {"code": each.code, "is_blocking": each.is_blocking, "details": dict(each.details)}
            for each in found.problems
        ],
    }
