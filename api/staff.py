"""`/users`, `/roles`, `/tokens`, `/audit`: who may do what, and who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By
from api.fields import Given, Id, MaybeName, Moment, Name, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from api.versions import IfMatch, tag
from crm_sync.audit_chain import AuditLine
from desk.accounts import Account, AccountChange, AccountDesk
from desk.audit import AuditDesk, AuditFilter, Verdict
from desk.permissions import PERMISSIONS
from desk.roles import RoleDesk
from desk.tokens import PER_MINUTE, TokenDesk, TokenLine

UserName = Annotated[str, Path(max_length=60, description="Name of the account")]
RoleName = Annotated[str, Path(max_length=60, description="Name of the role")]
Names = Annotated[list[Name], Field(max_length=100)]


class AccountChanges(Given):
    """What is left out stays as it is."""

    role: Name | None = None
    display_name: MaybeName | None = None
    email: MaybeName | None = None
    languages: Names | None = None
    topics: Names | None = None
    channels: Names | None = None
    capacity: Annotated[int, Field(ge=0, le=1000)] | None = None


class AccountGiven(AccountChanges):
    name: Name


class NewPassword(Shown):
    """The only time anybody sees it."""

    password: str
    account: Account


class Role(Shown):
    name: str
    titles: list[str] = Field(description="English, Chinese")
    permissions: list[str]
    version: int | None = Field(description="Null: built in")
    accounts: int


class RoleGiven(Given):
    name: Name
    title: MaybeName = ""
    permissions: Names


class RoleChanges(Given):
    title: MaybeName | None = None
    permissions: Names | None = None


class Permission(Shown):
    name: str
    about: str


class TokenGiven(Given):
    name: Name
    role: Name
    per_minute: int = Field(PER_MINUTE, ge=1, le=100_000, description="Requests in any minute")
    expires_at: Moment | None = None


class NewToken(Shown):
    """The only time anybody sees the token."""

    token: str
    line: TokenLine


class OpenSession(Shown):
    id: int
    device: str
    method: Literal["password", "oidc"]
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Ended(Shown):
    count: int


def staff_routes(desk: ApiDesk) -> DeskRoutes:
    accounts = AccountDesk(desk.database, desk.clock, desk.policy, desk.signals)
    roles, tokens = RoleDesk(desk.database, desk.clock), TokenDesk(desk.database, desk.clock)
    audit = AuditDesk(desk.database)
    routes = DeskRoutes(tags=["staff"])

    def account(found: Account, response: Response) -> Account:
        tag(response, found.version)
        return found

    @routes.get("/users", response_model=Listed[Account])
    async def list_users(by: By) -> Any:
        """All accounts by name, disabled ones too."""
        return {"items": await accounts.list(by)}

    @routes.post("/users", response_model=NewPassword, status_code=201)
    async def add_user(by: By, wanted: AccountGiven) -> Any:
        """An account with a password made for it, to be changed when signing in."""
        change = _change(wanted)
        return await accounts.add(by, wanted.name, role=wanted.role or "operator", values=change)

    @routes.get("/users/{name}", response_model=Account)
    async def get_user(by: By, name: UserName, response: Response) -> Any:
        """One account."""
        return account(await accounts.show(by, name), response)

    @routes.patch("/users/{name}", response_model=Account)
    async def change_user(by: By, name: UserName, wanted: AccountChanges, version: IfMatch, response: Response) -> Any:
        """The account is as wanted; another role ends its sessions."""
        return account(await accounts.change(by, name, _change(wanted), version=version), response)

    @routes.post("/users/{name}/disable", response_model=Account)
    async def disable_user(by: By, name: UserName, version: IfMatch, response: Response) -> Any:
        """The account cannot sign in any more; its history stays."""
        return account(await accounts.disable(by, name, version=version), response)

    @routes.post("/users/{name}/enable", response_model=Account)
    async def enable_user(by: By, name: UserName, version: IfMatch, response: Response) -> Any:
        """The account can sign in again."""
        return account(await accounts.enable(by, name, version=version), response)

    @routes.post("/users/{name}/password", response_model=NewPassword)
    async def reset_user_password(by: By, name: UserName) -> Any:
        """A new password, to be changed when signing in; the account's sessions are over."""
        return await accounts.reset_password(by, name)

    @routes.delete("/users/{name}/second-factor", response_model=Account)
    async def turn_user_second_factor_off(by: By, name: UserName, response: Response) -> Any:
        """The account signs in with its password alone until it sets up a second factor anew."""
        return account(await accounts.second_factor_off(by, name), response)

    @routes.get("/users/{name}/sessions", response_model=Listed[OpenSession])
    async def list_user_sessions(by: By, name: UserName) -> Any:
        """Where the account is signed in, the newest first."""
        return {"items": await accounts.sessions(by, name)}

    @routes.delete("/users/{name}/sessions/{session_id}", status_code=204)
    async def end_user_session(by: By, name: UserName, session_id: Id) -> None:
        """This session is over."""
        await accounts.end_session(by, name, session_id)

    @routes.delete("/users/{name}/sessions", response_model=Ended)
    async def end_user_sessions(by: By, name: UserName) -> Any:
        """All sessions of the account are over."""
        return {"count": await accounts.end_sessions(by, name)}

    @routes.get("/permissions", response_model=Listed[Permission])
    async def list_permissions(by: By) -> Any:
        """What roles can permit."""
        return {"items": [{"name": name, "about": words[0]} for name, words in PERMISSIONS.items()]}

    @routes.get("/roles", response_model=Listed[Role])
    async def list_roles(by: By) -> Any:
        """Built-in roles, then the business's own."""
        return {"items": await roles.list(by)}

    @routes.post("/roles", response_model=Role, status_code=201)
    async def create_role(by: By, wanted: RoleGiven) -> Any:
        """A role of the business's own."""
        return await roles.create(by, wanted.name, permissions=wanted.permissions, title=wanted.title)

    @routes.patch("/roles/{name}", response_model=Role)
    async def change_role(by: By, name: RoleName, wanted: RoleChanges, version: IfMatch, response: Response) -> Any:
        """The role permits this from now on."""
        found = await roles.change(by, name, permissions=wanted.permissions, title=wanted.title, version=version)
        tag(response, found.version or 0)
        return found

    @routes.delete("/roles/{name}", status_code=204)
    async def delete_role(by: By, name: RoleName, version: IfMatch) -> None:
        """There is no such role any more; nobody may have it."""
        await roles.delete(by, name, version=version)

    @routes.get("/tokens", response_model=Listed[TokenLine])
    async def list_tokens(by: By) -> Any:
        """API tokens, also those that open nothing any more."""
        return {"items": await tokens.list(by)}

    @routes.post("/tokens", response_model=NewToken, status_code=201)
    async def create_token(by: By, wanted: TokenGiven) -> Any:
        """A token, shown this once."""
        return await tokens.create(
            by, wanted.name, role=wanted.role, per_minute=wanted.per_minute, expires_at=wanted.expires_at
        )

    @routes.delete("/tokens/{token_id}", response_model=TokenLine)
    async def revoke_token(by: By, token_id: Id) -> Any:
        """The token opens nothing any more."""
        return await tokens.revoke(by, token_id)

    @routes.get("/audit", response_model=Listed[AuditLine])
    async def list_audit(
        by: By,
        paging: Paged,
        actor: Annotated[str, Query(max_length=200)] = "",
        object_: Annotated[str, Query(alias="object", max_length=200, description="kind:id")] = "",
        action: Annotated[str, Query(max_length=60, description="With a dot at its end: all that begin so")] = "",
        since: Annotated[Moment | None, Query()] = None,
        until: Annotated[Moment | None, Query()] = None,
    ) -> Any:
        """Who saw or changed what, the newest first."""
        which = AuditFilter(actor, object_, action, since, until)
        return paging.shown(await audit.lines(by, which, cursor=paging.cursor, limit=paging.limit))

    @routes.post("/audit/verification", response_model=Verdict)
    async def verify_audit(by: By) -> Any:
        """Whether every line of the audit log is as it was written."""
        return await audit.verify(by)

    return routes


def _change(wanted: AccountChanges) -> AccountChange:
    return AccountChange(
        role=wanted.role,
        display_name=wanted.display_name,
        email=wanted.email,
        languages=_all(wanted.languages),
        topics=_all(wanted.topics),
        channels=_all(wanted.channels),
        capacity=wanted.capacity,
    )


def _all(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
