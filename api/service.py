"""`/sites`, `/appointments`, `/tasks`, `/policies`, `/channels`: the day's lists, the rules, and how the desk is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By, Of
from api.fields import Given, Id, MaybeWords, Name, Shown
from api.paging import Listed
from api.routing import DeskRoutes
from api.versions import IfMatch, tag
from bot.service.what_if import WhatIf
from crm_sync.appointments import AppointmentLine
from desk.day_lists import DayDesk
from desk.plain_yaml import plain_yaml
from desk.policies import PolicyDesk
from desk.tasks import OpenTask, TaskDesk


class Site(Shown):
    """Where service happens."""

    id: int
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
    open_tasks: int


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
    tasks = TaskDesk(desk.database, desk.clock)
    rules = PolicyDesk(desk.database, desk.policy, desk.assistant, desk.clock, desk.library)
    routes = DeskRoutes(tags=["service"])

    @routes.get("/sites", response_model=Listed[Site])
    async def list_sites(by: By, kind: Annotated[str, Query(max_length=60)] = "") -> Any:
        """Active sites by key, each with how much it has to do."""
        return {"items": await days.sites(by, kind=kind)}

    @routes.get("/appointments", response_model=Listed[AppointmentLine])
    async def list_appointments(
        by: By,
        day: Annotated[date | None, Query(description="In the business's zone; left out: today")] = None,
        site: Annotated[str, Query(max_length=200)] = "",
    ) -> Any:
        """The appointments of a day, in order."""
        return {"items": await days.appointments(by, day, site=site)}

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

    return routes


def _finding(found: dict[str, Any]) -> dict[str, Any]:
    return {"repair": "", **found}
