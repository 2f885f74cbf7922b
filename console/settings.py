"""Settings: accounts, roles, canned replies, rules, channels, tokens and subscribers, the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import yaml
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError
from console.frame import Frame, Visit, screen
from console.hours import TRIED_DAYS, hours_routes
from desk.accounts import AccountChange, AccountDesk
from desk.audit import AuditDesk, AuditFilter
from desk.canned import VARIABLES, CannedDesk
from desk.channels import ChannelDesk
from desk.hooks import KINDS, HookDesk
from desk.permissions import PERMISSIONS
from desk.plain_yaml import plain_yaml
from desk.policies import PolicyDesk
from desk.roles import RoleDesk
from desk.tokens import TokenDesk

# Page -> the permission without which it is not shown.
PAGES: Final = {
    "people": "users.read",
    "roles": "users.read",
    "canned": "conversations.read",
    "hours": "settings.read",
    "promises": "settings.read",
    "rules": "settings.read",
    "channels": "settings.read",
    "tokens": "tokens.write",
    "hooks": "tokens.write",
    "audit": "audit.read",
}


class Finding(Protocol):
    """What a check of the deployment found."""

    @property
    def check(self) -> str: ...
    @property
    def is_broken(self) -> bool: ...
    @property
    def finding(self) -> str: ...
    @property
    def repair(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SettingsServices:
    """What the settings work with. `rules_file`: service.yml as the folder has it; `examine`: the doctor's look."""

    accounts: AccountDesk
    roles: RoleDesk
    canned: CannedDesk
    policies: PolicyDesk
    tokens: TokenDesk
    hooks: HookDesk
    audit: AuditDesk
    channel_desk: ChannelDesk
    rules_file: Callable[[], str]
    examine: Callable[[], Awaitable[Sequence[Finding]]]
    teams: Callable[[str], Sequence[tuple[str, str]]]
    channels: Callable[[], Sequence[str]]


def settings_routes(frame: Frame, services: SettingsServices) -> list[BaseRoute]:
    desk = SettingsScreen(services)

    def see(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str = "") -> Route:
        return Route(f"/console/settings{path}", screen(frame, work, permission), methods=["GET"])

    def act(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str) -> Route:
        return Route(f"/console/settings{path}", screen(frame, work, permission), methods=["POST"])

    return [
        see("", desk.first),
        *hours_routes(frame, services.policies, services.rules_file, desk.page),
        *(see(f"/{name}", getattr(desk, name), PAGES[name]) for name in PAGES if name not in ("hours", "promises")),
        see("/people/{name}", desk.person, "users.read"),
        act("/people", desk.add_person, "users.write"),
        act("/people/{name}", desk.change_person, "users.write"),
        act("/people/{name}/disable", desk.disable_person, "users.write"),
        act("/people/{name}/enable", desk.enable_person, "users.write"),
        act("/people/{name}/password", desk.reset_password, "users.write"),
        act("/people/{name}/second-factor-off", desk.second_factor_off, "users.write"),
        act("/roles", desk.save_role, "users.write"),
        act("/roles/delete", desk.delete_role, "users.write"),
        act("/canned", desk.save_canned, "canned.write"),
        act("/canned/remove", desk.remove_canned, "canned.write"),
        act("/rules/try", desk.try_rules, "settings.read"),
        act("/rules", desk.put_rules, "settings.write"),
        act("/tokens", desk.create_token, "tokens.write"),
        act("/tokens/revoke", desk.revoke_token, "tokens.write"),
        act("/hooks", desk.create_hook, "tokens.write"),
        act("/hooks/{id:int}", desk.change_hook, "tokens.write"),
        act("/hooks/{id:int}/remove", desk.remove_hook, "tokens.write"),
        act("/hooks/{id:int}/ping", desk.ping_hook, "tokens.write"),
        act("/hooks/{id:int}/replay", desk.replay, "tokens.write"),
        see("/hooks/{id:int}", desk.hook, "tokens.write"),
        act("/audit/verify", desk.verify, "audit.read"),
    ]


class SettingsScreen:
    """One method for each route."""

    def __init__(self, services: SettingsServices) -> None:
        self._do = services

    async def first(self, visit: Visit) -> Response:
        name = next((name for name, permission in PAGES.items() if visit.actor.may(permission)), None)
        return visit.go(f"/console/settings/{name}" if name else "/console/me")

    def page(self, visit: Visit, name: str, template: str = "", **values: Any) -> Response:
        pages = [(page, visit.t(f"settings.{page}")) for page, wanted in PAGES.items() if visit.actor.may(wanted)]
        title = visit.t(f"settings.{name}")
        shown = {"pages": pages, "page_name": name, "notice": "", "secret": "", **values}
        return visit.page("settings", template or f"settings/{name}.html", title=title, **shown)

    # --- people ------------------------------------------------------------------------------------------------------

    async def people(self, visit: Visit, *, notice: str = "", secret: str = "") -> Response:
        accounts = await self._do.accounts.list(visit.actor)
        roles = await self._do.roles.list(visit.actor)
        return self.page(visit, "people", accounts=accounts, roles=_titles(roles, visit), notice=notice, secret=secret)

    async def person(self, visit: Visit, *, notice: str = "", secret: str = "") -> Response:
        account = await self._do.accounts.show(visit.actor, visit.request.path_params["name"])
        roles = await self._do.roles.list(visit.actor)
        return self.page(
            visit,
            "people",
            "settings/person.html",
            account=account,
            roles=_titles(roles, visit),
            channels=self._do.channels(),
            notice=notice,
            secret=secret,
        )

    async def add_person(self, visit: Visit) -> Response:
        made = await self._do.accounts.add(
            visit.actor,
            visit.text("name").strip(),
            role=visit.text("role"),
            values=AccountChange(display_name=visit.text("display_name") or None, email=visit.text("email") or None),
        )
        notice = visit.t("people.added", name=made.account.name)
        return await self.people(visit, notice=notice, secret=made.password)

    async def change_person(self, visit: Visit) -> Response:
        name = visit.request.path_params["name"]
        change = AccountChange(
            role=visit.text("role"),
            display_name=visit.text("display_name"),
            email=visit.text("email"),
            languages=_listed(visit, "languages"),
            topics=tuple(part.strip() for part in visit.text("topics").split(",") if part.strip()),
            channels=_listed(visit, "channels"),
            capacity=visit.number("capacity"),
        )
        await self._do.accounts.change(visit.actor, name, change, version=visit.number("version"))
        return visit.go(f"/console/settings/people/{name}")

    async def disable_person(self, visit: Visit) -> Response:
        name = visit.request.path_params["name"]
        await self._do.accounts.disable(visit.actor, name, version=visit.number("version"))
        return visit.go(f"/console/settings/people/{name}")

    async def enable_person(self, visit: Visit) -> Response:
        name = visit.request.path_params["name"]
        await self._do.accounts.enable(visit.actor, name, version=visit.number("version"))
        return visit.go(f"/console/settings/people/{name}")

    async def reset_password(self, visit: Visit) -> Response:
        made = await self._do.accounts.reset_password(visit.actor, visit.request.path_params["name"])
        return await self.person(visit, notice=visit.t("people.reset"), secret=made.password)

    async def second_factor_off(self, visit: Visit) -> Response:
        await self._do.accounts.second_factor_off(visit.actor, visit.request.path_params["name"])
        return await self.person(visit, notice=visit.t("saved"))

    # --- roles -------------------------------------------------------------------------------------------------------

    async def roles(self, visit: Visit) -> Response:
        at = 1 if visit.look.language == "zh" else 0
        roles = await self._do.roles.list(visit.actor)
        wanted = visit.text("role")
        chosen = next((role for role in roles if role.name == wanted), None)
        permissions = [(name, words[at]) for name, words in PERMISSIONS.items()]
        return self.page(visit, "roles", all_roles=roles, at=at, chosen=chosen, permissions=permissions)

    async def save_role(self, visit: Visit) -> Response:
        name, title = visit.text("name").strip(), visit.text("title").strip()
        permissions, version = set(_listed(visit, "permissions")), visit.number("version")
        if version is None:
            await self._do.roles.create(visit.actor, name, permissions=permissions, title=title)
        else:
            await self._do.roles.change(visit.actor, name, permissions=permissions, title=title, version=version)
        return visit.go(f"/console/settings/roles?role={name}")

    async def delete_role(self, visit: Visit) -> Response:
        await self._do.roles.delete(visit.actor, visit.text("name"), version=visit.number("version"))
        return visit.go("/console/settings/roles")

    # --- canned replies ----------------------------------------------------------------------------------------------

    async def canned(self, visit: Visit) -> Response:
        found = await self._do.canned.find(visit.actor, visit.text("q"), limit=200)
        teams = self._do.teams(visit.look.language)
        return self.page(visit, "canned", found=found, teams=teams, variables=VARIABLES, query=visit.text("q"))

    async def save_canned(self, visit: Visit) -> Response:
        texts = {"zh": visit.text("zh"), "en": visit.text("en")}
        await self._do.canned.save(
            visit.actor,
            visit.text("shortcut"),
            texts,
            canned_id=visit.number("id"),
            team=visit.text("team"),
            version=visit.number("version"),
        )
        return visit.go("/console/settings/canned")

    async def remove_canned(self, visit: Visit) -> Response:
        await self._do.canned.remove(visit.actor, visit.needed("id"))
        return visit.go("/console/settings/canned")

    # --- rules -------------------------------------------------------------------------------------------------------

    async def rules(self, visit: Visit, *, text: str = "", tried: Any = None, wrong: str = "") -> Response:
        history = await self._do.policies.history(visit.actor)
        version = history[0].version if history else 0
        text = text or (_written(history[0].document) if history else self._do.rules_file())
        return self.page(visit, "rules", history=history, version=version, text=text, tried=tried, wrong=wrong)

    async def try_rules(self, visit: Visit) -> Response:
        """Last month under these rules; what was written stays in the field."""
        text = visit.text("text")
        try:
            tried = await self._do.policies.what_if(visit.actor, _document(text), days=TRIED_DAYS)
        except InputError as error:
            return await self.rules(visit, text=text, wrong=str(error))
        return await self.rules(visit, text=text, tried=tried)

    async def put_rules(self, visit: Visit) -> Response:
        text = visit.text("text")
        try:
            document = _document(text)
            await self._do.policies.put(visit.actor, document, note=visit.text("note"), version=visit.number("version"))
        except InputError as error:
            return await self.rules(visit, text=text, wrong=str(error))
        return visit.go("/console/settings/rules")

    # --- channels ----------------------------------------------------------------------------------------------------

    async def channels(self, visit: Visit) -> Response:
        unreadable = await self._do.channel_desk.unreadable(visit.actor)
        return self.page(visit, "channels", findings=await self._do.examine(), unreadable=unreadable)

    # --- tokens and subscribers --------------------------------------------------------------------------------------

    async def tokens(self, visit: Visit, *, secret: str = "") -> Response:
        tokens = await self._do.tokens.list(visit.actor)
        roles = _titles(await self._do.roles.list(visit.actor), visit) if visit.actor.may("users.read") else []
        return self.page(visit, "tokens", tokens=tokens, roles=roles, secret=secret)

    async def create_token(self, visit: Visit) -> Response:
        made = await self._do.tokens.create(
            visit.actor,
            visit.text("name").strip(),
            role=visit.text("role"),
            per_minute=visit.number("per_minute") or 600,
            expires_at=_day(visit.text("expires"), visit),
        )
        return await self.tokens(visit, secret=made.token)

    async def revoke_token(self, visit: Visit) -> Response:
        await self._do.tokens.revoke(visit.actor, visit.needed("id"))
        return visit.go("/console/settings/tokens")

    async def hooks(self, visit: Visit, *, secret: str = "") -> Response:
        hooks = await self._do.hooks.list(visit.actor)
        return self.page(visit, "hooks", hooks=hooks, events=KINDS, secret=secret)

    async def hook(self, visit: Visit) -> Response:
        hook = await self._do.hooks.get(visit.actor, visit.path_id("subscriber"))
        page = await self._do.hooks.deliveries(visit.actor, hook.id, cursor=visit.text("cursor"))
        return self.page(visit, "hooks", "settings/hook.html", hook=hook, deliveries=page.items, next=page.next)

    async def create_hook(self, visit: Visit) -> Response:
        made = await self._do.hooks.create(visit.actor, visit.text("url").strip(), _listed(visit, "events"))
        return await self.hooks(visit, secret=made.secret)

    async def change_hook(self, visit: Visit) -> Response:
        hook_id = visit.path_id("subscriber")
        active, version = visit.text("active") == "1", visit.number("version")
        await self._do.hooks.change(visit.actor, hook_id, is_active=active, version=version)
        return visit.go(f"/console/settings/hooks/{hook_id}")

    async def remove_hook(self, visit: Visit) -> Response:
        await self._do.hooks.remove(visit.actor, visit.path_id("subscriber"))
        return visit.go("/console/settings/hooks")

    async def ping_hook(self, visit: Visit) -> Response:
        hook_id = visit.path_id("subscriber")
        await self._do.hooks.ping(visit.actor, hook_id)
        return visit.go(f"/console/settings/hooks/{hook_id}")

    async def replay(self, visit: Visit) -> Response:
        hook_id = visit.path_id("subscriber")
        await self._do.hooks.replay(visit.actor, hook_id, visit.needed("delivery"))
        return visit.go(f"/console/settings/hooks/{hook_id}")

    # --- the audit log -----------------------------------------------------------------------------------------------

    async def audit(self, visit: Visit, *, verdict: Any = None) -> Response:
        which = AuditFilter(actor=visit.text("actor"), object=visit.text("object"), action=visit.text("action"))
        page = await self._do.audit.lines(visit.actor, which, cursor=visit.text("cursor"))
        asked = {"actor": which.actor, "object": which.object, "action": which.action}
        return self.page(
            visit, "audit", lines=page.items, asked=asked, next={**asked, "cursor": page.next}, more=page.next,
            verdict=verdict,
        )  # fmt: skip

    async def verify(self, visit: Visit) -> Response:
        return await self.audit(visit, verdict=await self._do.audit.verify(visit.actor))


def _titles(roles: Sequence[Any], visit: Visit) -> list[tuple[str, str]]:
    at = 1 if visit.look.language == "zh" else 0
    return [(role.name, role.titles[at] or role.name) for role in roles]


def _listed(visit: Visit, name: str) -> tuple[str, ...]:
    return tuple(value for value in visit.form.getlist(name) if isinstance(value, str))


def _day(text: str, visit: Visit) -> datetime | None:
    """The beginning of that day in the business's zone; None for none. Raises: InputError."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=visit.look.zone)
    except ValueError as exc:
        raise InputError("this is no day") from exc


def _written(document: Any) -> str:
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)


def _document(text: str) -> Any:
    """The rules as written. Raises: InputError with the line."""
    try:
        return plain_yaml(text)
    except (yaml.YAMLError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise InputError(f"{where}{getattr(exc, 'problem', None) or 'this is no YAML'}") from exc
