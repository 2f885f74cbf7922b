"""`/hooks`: subscribers of what happens, what each was told, and telling it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By
from api.fields import Given, Id, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from api.versions import IfMatch, tag
from crm_sync.hook_events import EVENTS

Url = Annotated[str, Field(min_length=8, max_length=2000, examples=["https://erp.example/frontdesk"])]
EventNames = Annotated[
    list[Annotated[str, Field(max_length=60)]],
    Field(min_length=1, max_length=50, description="Names of `GET /hook-events`, or `*`", examples=[["case.opened"]]),
]


class Hook(Shown):
    """A subscriber, without its secret."""

    id: int
    url: str
    events: list[str]
    is_active: bool
    failing_since: datetime | None = Field(description="Its tries fail since then; null: the last one did not")
    version: int
    created_by: str
    created_at: datetime


class NewHook(Shown):
    """The only time anybody sees the secret."""

    hook: Hook
    secret: str


class HookGiven(Given):
    url: Url
    events: EventNames


class HookChanges(Given):
    url: Url | None = None
    events: EventNames | None = None
    is_active: bool | None = None


class Delivery(Shown):
    """Something the subscriber was, or is to be, told."""

    id: int
    event: str
    payload: dict[str, Any]
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    next_at: datetime | None
    status: int | None = Field(description="HTTP status of the last try")
    reason: str
    created_at: datetime
    done_at: datetime | None


class EventName(Shown):
    name: str
    about: str


def hook_routes(desk: ApiDesk) -> DeskRoutes:
    hooks = desk.hooks
    routes = DeskRoutes(tags=["hooks"])

    @routes.get("/hook-events", response_model=Listed[EventName])
    async def list_hook_events(by: By) -> Any:
        """What subscribers can be told of."""
        return {"items": [{"name": name, "about": about} for name, about in EVENTS.items()]}

    @routes.get("/hooks", response_model=Listed[Hook])
    async def list_hooks(by: By) -> Any:
        """Every subscriber."""
        return {"items": await hooks.list(by)}

    @routes.post("/hooks", response_model=NewHook, status_code=201)
    async def create_hook(by: By, wanted: HookGiven, response: Response) -> Any:
        """A subscriber is told of what happens from now on. Its secret is shown this once."""
        made = await hooks.create(by, wanted.url, wanted.events)
        tag(response, made.hook.version)
        response.headers["Location"] = f"/api/v1/hooks/{made.hook.id}"
        return made

    @routes.get("/hooks/{hook_id}", response_model=Hook)
    async def get_hook(by: By, hook_id: Id, response: Response) -> Any:
        """One subscriber."""
        found = await hooks.get(by, hook_id)
        tag(response, found.version)
        return found

    @routes.patch("/hooks/{hook_id}", response_model=Hook)
    async def change_hook(by: By, hook_id: Id, wanted: HookChanges, version: IfMatch, response: Response) -> Any:
        """Another address, other events, or silence (`is_active: false`)."""
        found = await hooks.change(
            by, hook_id, url=wanted.url, events=wanted.events, is_active=wanted.is_active, version=version
        )
        tag(response, found.version)
        return found

    @routes.delete("/hooks/{hook_id}", status_code=204)
    async def remove_hook(by: By, hook_id: Id) -> None:
        """The subscriber is gone, with its log."""
        await hooks.remove(by, hook_id)

    @routes.post("/hooks/{hook_id}/secret", response_model=NewHook)
    async def renew_hook_secret(by: By, hook_id: Id) -> Any:
        """Requests are signed with a new secret from now on."""
        return await hooks.renew_secret(by, hook_id)

    @routes.post("/hooks/{hook_id}/ping", status_code=202, response_model=None)
    async def ping_hook(by: By, hook_id: Id) -> Response:
        """An event `ping` is sent, to try it out; see its deliveries."""
        await hooks.ping(by, hook_id)
        return Response(status_code=202)

    @routes.get("/hooks/{hook_id}/deliveries", response_model=Listed[Delivery])
    async def list_hook_deliveries(
        by: By,
        hook_id: Id,
        paging: Paged,
        state: Annotated[Literal["pending", "delivered", "failed", ""], Query()] = "",
    ) -> Any:
        """What the subscriber was told, the newest first; kept for 30 days."""
        return paging.shown(await hooks.deliveries(by, hook_id, state=state, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/hooks/{hook_id}/deliveries/{delivery_id}/replay", response_model=Delivery)
    async def replay_hook_delivery(by: By, hook_id: Id, delivery_id: Id) -> Any:
        """It is told once more, with the same event id."""
        return await hooks.replay(by, hook_id, delivery_id)

    return routes
