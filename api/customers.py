"""`/customers`: found, seen whole, put right, merged and taken apart, handed out, erased."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api import versions
from api.desk import ApiDesk, By
from api.fields import Given, Id, MaybeName, Name, Shown
from api.paging import Listed, Paged
from api.problems import Problem
from api.routing import DeskRoutes
from api.versions import IfMatch
from desk.customer_records import CustomerFilter, CustomerRecords
from desk.customers import PROFILE, CustomerDesk, RecordChange
from desk.paging import LONGEST, MOST, PAGE
from desk.tasks import OpenTask, TaskDesk

CustomerId = Annotated[Id, Path(description="Id of the customer")]


class Customer(Shown):
    """A customer as a list shows them."""

    id: int
    name: str
    phone: str
    phone_is_verified: bool
    email: str
    language: str
    timezone: str
    credit_class: str = Field(description="A to D, as staff gave it; empty: none")
    value_class: str = Field(description="A to C by share of turnover; empty: not computed yet")
    lifecycle: str
    next_action: str = Field(description="What would be best to do next")
    tags: list[str]
    created_at: datetime


class CustomerSearch(Given):
    words: Annotated[Name, Field(description="Id, phone number, channel/account/id, or part of name or e-mail")]
    tag: Annotated[MaybeName, Field(max_length=60)] = ""
    credit_class: Literal["A", "B", "C", "D", ""] = ""
    value_class: Literal["A", "B", "C", ""] = ""
    lifecycle: Annotated[MaybeName, Field(max_length=40)] = ""
    cursor: Annotated[str, Field(max_length=LONGEST, description="`next` of the page before")] = ""
    limit: int = Field(PAGE, ge=1, le=MOST, description="How many at most")


class CustomerRecord(Shown):
    """Everything known about a customer; each section in order of time."""

    model_config = ConfigDict(extra="allow")

    customer: dict[str, Any]
    identities: list[dict[str, Any]]
    conversations: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    timeline: list[dict[str, Any]]


class Happened(Shown):
    """Something that happened with a customer."""

    id: int
    kind: str
    summary: str
    reference: str
    author: str
    conversation_id: int | None
    at: datetime


class Consent(Shown):
    """What a customer agreed to, or took back."""

    id: int
    purpose: str
    channel: str
    source: str
    granted: bool
    at: datetime
    until: datetime | None = Field(description="When something else was said; null: in force")


class ConsentGiven(Given):
    purpose: Name = Field(examples=["news"])
    channel: Name = Field(examples=["telegram"])
    granted: bool
    told: MaybeName = Field("", description="How the customer said so, e.g. on the telephone")


class Wishes(Shown):
    """How the customer wants to be written to."""

    topics_off: list[str]
    per_week: int | None = Field(description="null: as the business does")
    quiet: list[str] = Field(description='From and until, HH:MM where the customer is; "": as the business does')
    source: str


class EnteredConsent(Shown):
    in_force: bool = Field(description="false: the customer is asked in the chat to confirm it first")
    items: list[Consent]


class CustomerChanges(Given):
    """What the record says from now on; what is left out stays, and "" empties a field."""

    name: MaybeName | None = None
    phone: MaybeName | None = None
    email: MaybeName | None = None
    language: Literal["zh", "en", ""] | None = None
    timezone: MaybeName | None = Field(None, examples=["Asia/Shanghai"])
    credit_class: Literal["A", "B", "C", "D", ""] | None = None
    attributes: dict[Name, MaybeName] = Field({}, max_length=100, description="Fields the business's rules name")
    seen: dict[Name, MaybeName] = Field(
        {}, description="What fields said when they were read; 409 when one of them says something else by now"
    )
    add_tags: list[Name] = Field([], max_length=50)
    remove_tags: list[Name] = Field([], max_length=50)


class Changed(Shown):
    """Names of what is different now."""

    changed: list[str]


class Merge(Shown):
    """Two records that are, or were, one."""

    id: int
    kept_customer_id: int
    merged_customer_id: int
    evidence: str
    author: str
    at: datetime
    undone_at: datetime | None


class MergeWanted(Given):
    other_customer_id: Id


class Merged(Shown):
    merge_id: int | None = Field(description="Null when the two were one record already")


class Proposal(Shown):
    """Two records that may be one person."""

    id: int
    customer_id: int
    other_customer_id: int
    evidence: list[str] = Field(description="Names of the fields that agree")
    score: float
    at: datetime


class Decision(Given):
    is_same: bool = Field(description="true: merge the two; false: never propose them again")


class ErasureWanted(Given):
    """Said twice, because it cannot be undone."""

    customer_id: Id = Field(description="The customer's id once more")
    confirm: Literal["erase"]


def customer_routes(desk: ApiDesk) -> DeskRoutes:
    records = CustomerRecords(desk.database, desk.clock, desk.policy)
    changes, tasks = CustomerDesk(desk.database, desk.policy, desk.clock), TaskDesk(desk.database, desk.clock)
    routes = DeskRoutes(tags=["customers"])

    @routes.get("/customers", response_model=Listed[Customer])
    async def list_customers(
        by: By,
        paging: Paged,
        tag: Annotated[str, Query(max_length=60)] = "",
        credit_class: Annotated[Literal["A", "B", "C", "D", ""], Query()] = "",
        value_class: Annotated[Literal["A", "B", "C", ""], Query()] = "",
        lifecycle: Annotated[str, Query(max_length=40)] = "",
        q: Annotated[str | None, Query(include_in_schema=False)] = None,
    ) -> Any:
        """Customers, the newest first. `POST /customers/search` finds them by who they are."""
        if q is not None:  # not left out silently: whoever meant one person would get them all
            raise Problem("invalid", "names and numbers are searched by POST /customers/search: addresses are logged")
        which = CustomerFilter("", tag, credit_class, value_class, lifecycle)
        return paging.shown(await records.find(by, which, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/customers/search", response_model=Listed[Customer])
    async def search_customers(by: By, given: CustomerSearch) -> Any:
        """Customers by who they are, the newest first; the words are in the body, because addresses are logged."""
        which = CustomerFilter(given.words, given.tag, given.credit_class, given.value_class, given.lifecycle)
        page = await records.find(by, which, cursor=given.cursor, limit=given.limit)
        return {"items": page.items, "next": page.next or None}

    @routes.get("/customers/{customer_id}", response_model=Customer)
    async def get_customer(by: By, customer_id: CustomerId, response: Response) -> Any:
        """One customer; a record that was merged into another answers as that one. Changes take its ETag."""
        line = await records.line(by, customer_id)
        versions.tag(response, line.version)
        return line

    @routes.patch("/customers/{customer_id}", response_model=Changed)
    async def change_customer(by: By, customer_id: CustomerId, wanted: CustomerChanges, version: IfMatch) -> Any:
        """The record is put right, all of it or nothing; who changed which fields is kept. Needs customers.write,
        classes customers.class.
        """
        given = {name: getattr(wanted, name) for name in PROFILE}
        fields = {**{name: said for name, said in given.items() if said is not None}, **wanted.attributes}
        change = RecordChange(fields, wanted.credit_class, wanted.add_tags, wanted.remove_tags)
        return {"changed": await changes.change(by, customer_id, change, seen=wanted.seen, version=version)}

    @routes.get("/customers/{customer_id}/record", response_model=CustomerRecord)
    async def get_customer_record(by: By, customer_id: CustomerId) -> Any:
        """Everything known about the customer: identities, conversations, messages, cases, orders, consents …"""
        return await records.record(by, customer_id)

    @routes.get("/customers/{customer_id}/timeline", response_model=Listed[Happened])
    async def list_customer_timeline(
        by: By,
        customer_id: CustomerId,
        paging: Paged,
        kind: Annotated[list[Name], Query(max_length=20)] = [],  # noqa: B006
    ) -> Any:
        """What happened, the newest first; messages are in their conversations."""
        found = await records.timeline(by, customer_id, kinds=frozenset(kind), cursor=paging.cursor, limit=paging.limit)
        return paging.shown(found)

    @routes.get("/customers/{customer_id}/consents", response_model=Listed[Consent])
    async def list_customer_consents(by: By, customer_id: CustomerId) -> Any:
        """What was agreed to and taken back, the newest first."""
        return {"items": await records.consents(by, customer_id)}

    @routes.post("/customers/{customer_id}/consents", response_model=EnteredConsent, status_code=201)
    async def set_customer_consent(by: By, customer_id: CustomerId, wanted: ConsentGiven) -> Any:
        """It is kept what the customer said; with `told`, what needs confirming is asked for in the chat."""
        purpose, channel, granted = wanted.purpose, wanted.channel, wanted.granted
        if not wanted.told.strip():
            kept = await records.set_consent(by, customer_id, purpose=purpose, channel=channel, granted=granted)
            return {"in_force": True, "items": kept}
        in_force = await desk.reach.consents.enter(
            by, customer_id, purpose=purpose, channel=channel, granted=granted, told=wanted.told
        )
        return {"in_force": in_force, "items": await records.consents(by, customer_id)}

    @routes.get("/customers/{customer_id}/wishes", response_model=Wishes)
    async def get_customer_wishes(by: By, customer_id: CustomerId) -> Any:
        """How the customer wants to be written to."""
        return await desk.reach.consents.wishes(by, customer_id)

    @routes.get("/customers/{customer_id}/tasks", response_model=Listed[OpenTask])
    async def list_customer_tasks(by: By, customer_id: CustomerId) -> Any:
        """What is to be done for the customer, what is due first at the top."""
        return {"items": await tasks.of(by, customer_id)}

    @routes.get("/customers/{customer_id}/merges", response_model=Listed[Merge])
    async def list_customer_merges(by: By, customer_id: CustomerId) -> Any:
        """Records that were put together with this one."""
        return {"items": await records.merges(by, customer_id)}

    @routes.post("/customers/{customer_id}/merges", response_model=Merged, status_code=201)
    async def merge_customers(by: By, customer_id: CustomerId, wanted: MergeWanted) -> Any:
        """One record is made of two; the older one is kept, and it can be undone."""
        return {"merge_id": await changes.merge(by, customer_id, wanted.other_customer_id)}

    @routes.delete("/customer-merges/{merge_id}", response_model=Merge)
    async def undo_customer_merge(by: By, merge_id: Id) -> Any:
        """The two are apart again: what was moved goes back."""
        return await changes.unmerge(by, merge_id)

    @routes.get("/merge-proposals", response_model=Listed[Proposal])
    async def list_merge_proposals(by: By) -> Any:
        """Records that may be one person, the most likely first."""
        return {"items": await records.proposals(by)}

    @routes.post("/merge-proposals/{proposal_id}/decision", response_model=Merged)
    async def decide_merge_proposal(by: By, proposal_id: Id, decision: Decision) -> Any:
        """The pair is merged, or never proposed again."""
        return {"merge_id": await changes.decide(by, proposal_id, is_same=decision.is_same)}

    @routes.post("/customers/{customer_id}/export", response_model=dict[str, Any])
    async def export_customer(by: By, customer_id: CustomerId) -> Any:
        """Every row of every table that names the person, with links to their files; that it was asked for is kept."""
        await records.may_export(by, customer_id)
        return await desk.export(customer_id)

    @routes.post("/customers/{customer_id}/erase", response_model=dict[str, Any])
    async def erase_customer(by: By, customer_id: CustomerId, wanted: ErasureWanted) -> Any:
        """The person is erased for good; a receipt names every table touched."""
        if wanted.customer_id != customer_id:
            raise Problem("invalid", "customer_id is not the id in the address")
        await records.may_erase(by, customer_id)
        return await desk.erase(customer_id)

    return routes
