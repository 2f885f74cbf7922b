"""`/segments`, `/audience-lists`, `/coupon-pools`, `/consents`: whom broadcasts are for, what they give."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.broadcasts import Document, PlainName
from api.customers import Customer, CustomerId
from api.desk import ApiDesk, By
from api.fields import Given, Id, LongText, MaybeName, MaybeWords, Moment, Name, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from api.uploads import FileGiven
from api.versions import IfMatch, tag
from crm_sync.import_rows import RowError
from desk.consents import Agreed

MOST_ERRORS: Final = 1000  # lines that are told


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


class UploadGiven(FileGiven):
    """A CSV or XLSX file; its columns are found by their names."""

    name: Name
    kind: Literal["upload", "exclusion"] = "upload"


class Uploaded(Shown):
    made: AudienceListShown
    errors: list[RowError] = Field(description="Lines that put nobody on it")
    encoding: str = Field(description="In which the file was read: UTF-8, UTF-16 or GB18030; empty for a workbook")


class OnList(Given):
    listed: bool


def audience_routes(desk: ApiDesk) -> DeskRoutes:
    reach = desk.reach
    routes = DeskRoutes(tags=["broadcasts"])

    def shown(stored: Any, response: Response) -> Any:
        tag(response, stored.version)
        return stored

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

    @routes.delete("/segments/{name}", response_model=Segment)
    async def archive_segment(by: By, name: PlainName, version: IfMatch, response: Response) -> Any:
        """It is offered no more; broadcasts that name it keep it."""
        return shown(await reach.segments.archive(by, name, version=version), response)

    @routes.get("/audience-lists", response_model=Listed[AudienceListShown])
    async def list_audience_lists(by: By, paging: Paged) -> Any:
        """Lists of people, the newest first."""
        return paging.shown(await reach.audiences.page(by, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/audience-lists", response_model=AudienceListShown, status_code=201)
    async def snapshot_audience(by: By, given: SnapshotGiven) -> Any:
        """Everybody a segment means now is on a new list."""
        return await reach.audiences.snapshot(by, given.name, segment=given.segment, where=given.where, kind=given.kind)

    @routes.post("/audience-lists/upload", response_model=Uploaded, status_code=201)
    async def upload_audience(by: By, given: UploadGiven) -> Any:
        """The people whom the lines of a file name are on a new list; the other lines are told with their reasons."""
        by.require("broadcasts.write")
        suffix = Path(given.file_name).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"list{suffix if suffix == '.xlsx' else '.csv'}"
            await asyncio.to_thread(file.write_bytes, given.bytes())
            done = await reach.audiences.upload(by, given.name, file, kind=given.kind, shown_as=given.file_name)
        return {"made": done.list, "errors": done.errors[:MOST_ERRORS], "encoding": done.encoding}

    @routes.get("/audience-lists/{name}", response_model=AudienceListShown)
    async def get_audience_list(by: By, name: PlainName) -> Any:
        """One list."""
        return await reach.audiences.show(by, name)

    @routes.delete("/audience-lists/{name}", status_code=204)
    async def archive_audience_list(by: By, name: PlainName) -> None:
        """It is offered no more."""
        await reach.audiences.archive(by, name)

    @routes.get("/audience-lists/{name}/people", response_model=Listed[Customer])
    async def list_audience_people(by: By, name: PlainName, paging: Paged) -> Any:
        """Who is on it."""
        return paging.shown(await reach.audiences.people(by, name, cursor=paging.cursor, limit=paging.limit))

    @routes.put("/audience-lists/{name}/people/{customer_id}", response_model=AudienceListShown)
    async def put_audience_person(by: By, name: PlainName, customer_id: CustomerId, given: OnList) -> Any:
        """The person is on the list, or is not any more."""
        return await reach.audiences.put_person(by, name, customer_id, listed=given.listed)

    @routes.get("/audience-lists/{name}/errors", response_model=Listed[RowError])
    async def list_audience_errors(by: By, name: PlainName) -> Any:
        """Lines of the uploaded file that put nobody on it, with their reasons."""
        return {"items": (await reach.audiences.errors(by, name))[:MOST_ERRORS]}

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
        granted: Annotated[bool | None, Query()] = None,
        customer_id: Annotated[Id | None, Query()] = None,
    ) -> Any:
        """The register, the newest first."""
        found = await reach.consents.page(
            by,
            purpose=purpose,
            channel=channel,
            granted=granted,
            customer_id=customer_id,
            cursor=paging.cursor,
            limit=paging.limit,
        )
        return paging.shown(found)

    @routes.get("/consents/summary", response_model=Listed[Agreed])
    async def count_consents(by: By) -> Any:
        """How many people agree to what, by purpose and channel."""
        return {"items": await reach.consents.summary(by)}

    return routes
