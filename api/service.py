"""`/sites`, `/appointments`, `/tasks`, `/policies`, `/channels`: the day's lists, the rules, and how the desk is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By, Of
from api.fields import Given, Id, MaybeName, MaybeWords, Moment, Name, Shown
from api.paging import Listed
from api.routing import DeskRoutes, plain
from api.versions import IfMatch, tag
from bot.service.what_if import WhatIf
from crm_sync.appointments import AppointmentLine
from desk.booking import MOST_FREE, Booking, BookingDesk
from desk.channels import ChannelDesk
from desk.day_lists import DayDesk
from desk.plain_yaml import plain_yaml
from desk.policies import PolicyDesk
from desk.sites import SiteDesk, SiteFields, SiteRecord
from desk.tasks import OpenTask, TaskDesk

SiteKey = Annotated[str, Path(min_length=1, max_length=60, description="The business's own code of the site")]


class SiteShown(Shown):
    """What everybody may know of a site."""

    key: str
    names: dict[str, str]
    kind: str
    latitude: float | None
    longitude: float | None
    address: str
    phone: str
    timezone: str
    calendar: str
    skills: list[str]
    languages: list[str]
    capacity: int = Field(description="Open tasks at a time; 0: no limit")


class Site(SiteShown):
    """Where service happens."""

    id: int
    open_tasks: int


class SiteGiven(Given):
    """All of a site; what is left out is empty."""

    names: dict[Literal["zh", "en"], Name] = Field(min_length=1)
    kind: MaybeName = ""
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)
    address: MaybeWords = ""
    phone: MaybeName = ""
    email: MaybeName = Field("", description="Where links to its tasks go")
    contact: MaybeName = Field("", description="channel:account:chat, where they go too")
    timezone: MaybeName = Field("", examples=["Asia/Shanghai"])
    calendar: MaybeName = Field("", description='Name in the rules; "": the default one')
    skills: list[Name] = Field([], max_length=100)
    languages: list[Name] = Field([], max_length=20)
    capacity: int = Field(0, ge=0, le=100_000, description="Open tasks at a time; 0: no limit")
    is_active: bool = True

    def fields(self) -> SiteFields:
        given = self.model_dump()
        return SiteFields(**{**given, "skills": tuple(self.skills), "languages": tuple(self.languages)})


class SiteKept(SiteShown):
    """A site as it is kept."""

    email: str
    contact: str
    is_active: bool


class Unreadable(Shown):
    """A payload that its vendor signed and nobody could read; what it holds is shown by `frontdesk inbox show`."""

    inbox_id: int
    channel: str
    account: str
    reason: str
    received_at: datetime
    size: int = Field(description="Bytes; 0 when they are no longer kept")


class FreeTime(Shown):
    """A time that can be booked."""

    starts_at: datetime
    ends_at: datetime
    left: int = Field(description="How many places")


class AppointmentGiven(Given):
    customer_id: Id
    service: Name = Field(description="Name of it in the rules")
    site: Name = Field(description="Key of the site")
    starts_at: Moment = Field(description="One of the free times")
    moves: Id | None = Field(None, description="The customer's appointment that is moved to this time")
    case_number: MaybeName = Field("", description="The case it is for")


class AppointmentMade(Shown):
    id: int


class AppointmentEnd(Given):
    state: Literal["done", "missed"]


class TaskEnd(Given):
    outcome: Name = Field(description="What came of it", examples=["reached"])
    note: MaybeWords = ""


class Policy(Shown):
    """A version of the rules, as it was put into the store."""

    version: int
    document: dict[str, Any]
    note: str
    author: str
    at: datetime


class PolicyInForce(Shown):
    """The rules that hold now."""

    version: int = Field(description="0: those of the assistant's service.yml, none was put yet")
    document: dict[str, Any]


class PolicyGiven(Given):
    document: dict[str, Any] = Field(description="The content of a service.yml")
    note: MaybeWords = ""


class PolicyPut(Shown):
    version: int


class PolicyTried(Given):
    document: dict[str, Any]
    days: int = Field(30, ge=1, le=3660, description="Complaints opened in the last so many days")


class Finding(Shown):
    """Something that was looked at."""

    check: str
    ok: bool
    finding: str
    repair: str


def service_routes(desk: ApiDesk) -> DeskRoutes:
    days = DayDesk(desk.database, desk.policy, desk.clock, desk.timezone)
    tasks, places = TaskDesk(desk.database, desk.clock), SiteDesk(desk.database, desk.clock)
    channels, booking = ChannelDesk(desk.database), BookingDesk(desk.database, desk.policy, desk.clock)
    rules = PolicyDesk(desk.database, desk.policy, desk.assistant, desk.clock, desk.library)
    routes = DeskRoutes(tags=["service"])

    @routes.get("/sites", response_model=Listed[Site])
    async def list_sites(by: By, kind: Annotated[str, Query(max_length=60)] = "") -> Any:
        """Active sites by key, each with how much it has to do."""
        return {"items": await days.sites(by, kind=kind)}

    @routes.get("/sites/{key}", response_model=SiteKept)
    async def get_site(by: By, key: SiteKey, response: Response) -> Any:
        """One site with all that is kept of it, also where it is not active. Changes take its ETag."""
        return _site(await places.show(by, key), response)

    @routes.put("/sites/{key}", response_model=SiteKept)
    async def put_site(by: By, key: SiteKey, given: SiteGiven, version: IfMatch, response: Response) -> Any:
        """The site is so from now on; a key that is new is a new site. Cases find it at once."""
        return _site(await places.put(by, key, given.fields(), version=version), response)

    @routes.get("/appointments", response_model=Listed[AppointmentLine])
    async def list_appointments(
        by: By,
        day: Annotated[date | None, Query(description="In the business's zone; left out: today")] = None,
        site: Annotated[str, Query(max_length=200)] = "",
    ) -> Any:
        """The appointments of a day, in order."""
        return {"items": await days.appointments(by, day, site=site)}

    @routes.get("/sites/{key}/free-times", response_model=Listed[FreeTime])
    async def list_free_times(
        by: By,
        key: SiteKey,
        service: Annotated[str, Query(min_length=1, max_length=200, description="Name of it in the rules")],
        limit: Annotated[int, Query(ge=1, le=MOST_FREE)] = 50,
    ) -> Any:
        """The next times at which the service can be booked there."""
        return {"items": await booking.free(by, key, service, limit=limit)}

    @routes.post("/appointments", response_model=AppointmentMade, status_code=201)
    async def book_appointment(by: By, given: AppointmentGiven) -> Any:
        """The time is the customer's, who is told of it in their chat and reminded."""
        return {"id": await booking.book(by, Booking(**given.model_dump()))}

    @routes.delete("/appointments/{appointment_id}", status_code=204)
    async def cancel_appointment(by: By, appointment_id: Id) -> None:
        """The place is free again, and the customer is told."""
        await booking.cancel(by, appointment_id)

    @routes.post("/appointments/{appointment_id}/end", status_code=204)
    async def end_appointment(by: By, appointment_id: Id, end: AppointmentEnd) -> None:
        """Whether the customer came."""
        await days.end_appointment(by, appointment_id, end.state)

    @routes.get("/tasks", response_model=Listed[OpenTask])
    async def list_tasks(
        by: By,
        assignee: Annotated[str, Query(max_length=200)] = "",
        kind: Annotated[str, Query(max_length=60)] = "",
    ) -> Any:
        """Open tasks, those due first at the top."""
        return {"items": await tasks.open(by, assignee=assignee, kind=kind)}

    @routes.post("/tasks/{task_id}/end", status_code=204)
    async def end_task(by: By, task_id: Id, end: TaskEnd) -> None:
        """The task is done, with what came of it."""
        await tasks.end(by, task_id, outcome=end.outcome, note=end.note)

    @routes.get("/policies", response_model=Listed[Policy])
    async def list_policies(by: By, of: Of, response: Response) -> Any:
        """Versions of the rules that were put into the store, the newest first; none: those of service.yml hold."""
        found = await rules.history(by, assistant=of)
        tag(response, found[0].version if found else 0)
        return {"items": found}

    @routes.get("/policies/current", response_model=PolicyInForce)
    async def get_current_policy(by: By, of: Of, response: Response) -> Any:
        """The rules that hold now, to be changed and put."""
        found = await rules.history(by, assistant=of)
        version = found[0].version if found else 0
        tag(response, version)
        return {"version": version, "document": found[0].document if found else plain_yaml(desk.rules_file(of)) or {}}

    @routes.put("/policies", response_model=PolicyPut)
    async def put_policy(by: By, of: Of, wanted: PolicyGiven, version: IfMatch, response: Response) -> Any:
        """The rules hold from now on, also for clocks that are running."""
        put = await rules.put(by, wanted.document, note=wanted.note, version=version, assistant=of)
        tag(response, put)
        return {"version": put}

    @routes.post("/policies/trial", response_model=WhatIf)
    async def try_policy(by: By, of: Of, wanted: PolicyTried) -> Any:
        """What the last complaints would have looked like under these rules; nothing changes."""
        return await rules.what_if(by, wanted.document, days=wanted.days, assistant=of)

    @routes.get("/health", response_model=Listed[Finding])
    async def list_findings(by: By) -> Any:
        """What `frontdesk doctor` finds: store, model, files, each channel. Takes as long as the vendors answer."""
        by.require("settings.read")
        return {"items": [_finding(item.as_dict()) for item in await desk.examine()]}

    @routes.get("/unreadable-payloads", response_model=Listed[Unreadable])
    async def list_unreadable_payloads(by: By, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Any:
        """What vendors sent and nobody could read, the newest first; without what it holds."""
        return {"items": await channels.unreadable(by, limit=limit)}

    return routes


def _site(kept: SiteRecord, response: Response) -> dict[str, Any]:
    tag(response, kept.version)
    return {"key": kept.key, **plain(kept.fields)}


def _finding(found: dict[str, Any]) -> dict[str, Any]:
    return {"repair": "", **found}
