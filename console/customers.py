"""Customers: found, the whole record of one, facts put right, consents, merges, and what is handed out or erased."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import CustomerNotFound, InputError, StaleState
from console.cases_view import named
from console.customers_view import PROFILE, classes_of, sections_of, why_class
from console.frame import NOTHING, SAFE, Frame, Visit, part, screen, toast
from console.person import happened_about, happened_words, person_of
from console.saying import person_name
from desk.cases import CaseDesk
from desk.customer_records import CustomerFilter, CustomerRecords
from desk.customers import CustomerDesk
from desk.tasks import OUTCOMES, TaskDesk

LIFECYCLES: Final = ("new", "growing", "stable", "fading", "lost", "won_back")
CREDIT: Final = ("A", "B", "C", "D")
KINDS: Final = (
    "case_opened", "complaint_opened", "complaint_updated", "task_done", "customer_updated", "consent_granted",
    "consent_withdrawn", "appointment_booked", "customers_merged", "customers_unmerged", "feedback",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CustomerServices:
    """What the screens of customers work with. `export` and `erase` know the files too; `attributes`: names of facts
    with their titles in a language.
    """

    records: CustomerRecords
    desk: CustomerDesk
    tasks: TaskDesk
    cases: CaseDesk
    attributes: Callable[[str], Sequence[tuple[str, str]]]
    export: Callable[[int], Awaitable[Mapping[str, Any]]]
    erase: Callable[[int], Awaitable[Mapping[str, Any]]]


def customers_routes(frame: Frame, services: CustomerServices) -> list[BaseRoute]:
    desk = CustomersScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, method: str = "POST") -> Route:
        return Route(f"/console/customers{path}", screen(frame, work, permission), methods=[method])

    one = "/{id:int}"
    return [
        route("", desk.list, "customers.read", "GET"),
        route("", desk.list, "customers.read"),
        route("/proposals", desk.proposals, "customers.merge", "GET"),
        route("/proposals/{id:int}", desk.decide, "customers.merge"),
        route(one, desk.page, "customers.read", "GET"),
        route(f"{one}/edit", desk.changing(desk.edit), "customers.write"),
        route(f"{one}/tag", desk.changing(desk.tag), "customers.write"),
        route(f"{one}/untag", desk.changing(desk.untag, back="tag"), "customers.write"),
        route(f"{one}/class", desk.changing(desk.credit), "customers.class"),
        route(f"{one}/consent", desk.changing(desk.consent), "customers.write"),
        route(f"{one}/task", desk.changing(desk.task), "cases.work"),
        route(f"{one}/merge", desk.changing(desk.merge), "customers.merge"),
        route(f"{one}/unmerge", desk.changing(desk.unmerge), "customers.merge"),
        route(f"{one}/export", desk.export, "customers.export"),
        route(f"{one}/erase", desk.erase, "customers.erase"),
    ]


class CustomersScreen:
    """One method for each route."""

    def __init__(self, services: CustomerServices) -> None:
        self._do = services

    # --- looking ------------------------------------------------------------------------------------------------

    async def list(self, visit: Visit) -> Response:
        """Those that fit. Words of a search come as a form: no address holds a name or number."""
        names = ("q", "tag", "value_class", "credit_class", "lifecycle")
        fields = {name: visit.text(name).strip()[:200] for name in names}
        if visit.request.method != "POST":
            fields["q"] = ""
        elif not fields["q"]:
            return visit.go("/console/customers?" + urlencode({name: value for name, value in fields.items() if value}))
        page = await self._do.records.find(visit.actor, CustomerFilter(**fields), cursor=visit.text("cursor"))
        shown = {name: value for name, value in fields.items() if value}
        return visit.page(
            "customers",
            "customers/list.html",
            fields=fields,
            lines=[(line, classes_of(line, visit.look)) for line in page.items],
            next=page.next,
            is_first=not visit.text("cursor"),
            shown=shown,
            is_narrowed=bool(shown),
            lifecycles=[(name, visit.t(f"lifecycle.{name}")) for name in LIFECYCLES],
            credit=CREDIT,
        )

    async def proposals(self, visit: Visit) -> Response:
        return visit.page("customers", "customers/proposals.html", pairs=await self._pairs(visit))

    async def page(self, visit: Visit) -> Response:
        names = await self._names(visit)
        title = person_name(visit.look.language, names["line"].name, names["line"].id, names["line"].phone)
        return visit.page("customers", "customers/record.html", title=title, **names)

    # --- changing: each gives the words of the toast ----------------------------------------------------------------

    async def edit(self, visit: Visit) -> str:
        titles = dict(self._do.attributes(visit.look.language))
        known = (*PROFILE, *titles)
        given = {name: visit.text(name) for name in known if name in visit.form}
        seen = {name: visit.text(f"was_{name}") for name in given if f"was_{name}" in visit.form}
        wanted = {name: value for name, value in given.items() if seen.get(name) != value}
        changed = await self._do.desk.edit(visit.actor, visit.path_id("customer"), wanted, seen=seen) if wanted else []
        words = [titles.get(name) or visit.t(_label(name)) for name in changed]
        return visit.t("record.saved", fields=", ".join(words)) if changed else visit.t("record.unchanged")

    async def tag(self, visit: Visit) -> str:
        await self._do.desk.tag(visit.actor, visit.path_id("customer"), visit.text("tag"))
        return visit.t("saved")

    async def untag(self, visit: Visit) -> str:
        await self._do.desk.untag(visit.actor, visit.path_id("customer"), visit.text("tag"))
        return visit.t("record.untagged", tag=visit.text("tag"))

    async def credit(self, visit: Visit) -> str:
        await self._do.desk.set_credit_class(visit.actor, visit.path_id("customer"), visit.text("credit_class"))
        return visit.t("saved")

    async def consent(self, visit: Visit) -> str:
        purpose, channel = visit.text("purpose").strip()[:100], visit.text("channel").strip()[:40]
        if not purpose or not channel or visit.text("granted") not in ("0", "1"):
            raise InputError("a consent has a purpose, a channel and an answer")
        await self._do.records.set_consent(
            visit.actor,
            visit.path_id("customer"),
            purpose=purpose,
            channel=channel,
            granted=visit.text("granted") == "1",
            told=visit.text("told"),
        )
        return visit.t("saved")

    async def task(self, visit: Visit) -> str:
        outcome = visit.text("outcome")
        if outcome not in OUTCOMES:
            raise InputError(f"there is no outcome {outcome!r}")
        await self._do.tasks.end(
            visit.actor,
            visit.needed("task"),
            customer_id=visit.path_id("customer"),
            outcome=outcome,
            note=visit.text("note"),
        )
        return visit.t("done")

    async def merge(self, visit: Visit) -> str:
        await self._do.desk.merge(visit.actor, visit.path_id("customer"), visit.number("other") or 0)
        return visit.t("done")

    async def unmerge(self, visit: Visit) -> str:
        await self._do.desk.unmerge(visit.actor, visit.number("merge") or 0)
        return visit.t("done")

    def changing(
        self, work: Callable[[Visit], Awaitable[str]], *, back: str = ""
    ) -> Callable[[Visit], Awaitable[Response]]:
        """The work is done, and the record, or the panel beside a conversation, shows what came of it. `back`: the
        act that takes it back, with the same fields.
        """

        async def changed(visit: Visit) -> Response:
            try:
                words, status = await work(visit), 200
            except StaleState:
                if not visit.is_part:
                    raise
                words, status = visit.t("stale"), 409
            if not visit.is_part:
                return visit.go(f"/console/customers/{visit.path_id('customer')}")
            if visit.text("panel"):
                person = await person_of(
                    visit, self._do.records, self._do.cases, visit.path_id("customer"), self._do.tasks
                )
                shown = part("#side", visit.html("inbox/side.html", person=person))
            else:
                shown = part("#record", visit.html("customers/whole.html", **await self._names(visit)), "replace")
            undo = NOTHING
            if back and status == 200:
                fields = {name: visit.text(name) for name in ("tag", "panel") if visit.text(name)}
                undo = visit.undo(f"/console/customers/{visit.path_id('customer')}/{back}", **fields)
            return visit.parts(shown, toast(words, undo), status=status)

        return changed

    async def decide(self, visit: Visit) -> Response:
        is_same = visit.text("verdict") == "same"
        await self._do.desk.decide(visit.actor, visit.path_id("customer"), is_same=is_same)
        if not visit.is_part:
            return visit.go("/console/customers/proposals")
        html = visit.html("customers/pairs.html", pairs=await self._pairs(visit))
        return visit.parts(part("#pairs", html, "replace"), toast(visit.t("done")))

    # --- handing out, erasing ---------------------------------------------------------------------------------------

    async def export(self, visit: Visit) -> Response:
        await self._do.records.may_export(visit.actor, visit.path_id("customer"))
        document = await self._do.export(visit.path_id("customer"))
        name = f"customer-{visit.path_id('customer')}.json"
        content = json.dumps(document, ensure_ascii=False, indent=1, default=str)
        headers = {**SAFE, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/json", headers=headers)

    async def erase(self, visit: Visit) -> Response:
        if visit.text("sure") != "1":
            raise InputError(visit.t("record.erase.what"))
        await self._do.records.may_erase(visit.actor, visit.path_id("customer"))
        receipt = await self._do.erase(visit.path_id("customer"))
        return visit.page("customers", "customers/receipt.html", receipt=receipt)

    # --- how it looks -----------------------------------------------------------------------------------------------

    async def _pairs(self, visit: Visit) -> Sequence[Any]:
        pairs = []
        for one in await self._do.records.proposals(visit.actor):
            try:
                both = [
                    await self._do.records.line(visit.actor, who) for who in (one.customer_id, one.other_customer_id)
                ]
            except CustomerNotFound:  # erased since it was proposed
                continue
            evidence = [named("evidence", name, visit.look) for name in one.evidence]
            pairs.append((one, both, evidence, f"{one.score:.0%}"))
        return pairs

    async def _names(self, visit: Visit) -> dict[str, Any]:
        customer_id, actor, look = visit.path_id("customer"), visit.actor, visit.look
        record = await self._do.records.sections(actor, customer_id)
        line = await self._do.records.line(actor, customer_id)
        is_get = visit.request.method == "GET"
        kind, cursor = (visit.text("kind"), visit.text("cursor")) if is_get else ("", "")
        kinds = frozenset({kind}) if kind else frozenset[str]()
        happened = await self._do.records.timeline(actor, customer_id, kinds=kinds, cursor=cursor)
        held = {row["name"]: row["value"] for row in record["attributes"]}
        return {
            "line": line,
            "profile": [(name, _label(name), getattr(line, name)) for name in PROFILE],
            "attributes": [(name, title, held.get(name, "")) for name, title in self._do.attributes(look.language)],
            "classes": classes_of(line, look),
            "why": why_class(record["value"], look),
            "credit": CREDIT,
            "sections": sections_of(record, look),
            "tasks": await self._do.tasks.of(actor, customer_id),
            "outcomes": [(name, visit.t(f"outcome.{name}")) for name in OUTCOMES],
            "consents": await self._do.records.consents(actor, customer_id),
            "channels": sorted({row["channel"] for row in record["identities"]}),
            "happened": [
                (item, happened_words(item.kind, look), happened_about(item, look)) for item in happened.items
            ],
            "kind": kind,
            "kinds": [(name, happened_words(name, look)) for name in KINDS],
            "earlier": urlencode({"kind": kind, "cursor": happened.next}) if happened.next else "",
            "merges": await self._do.records.merges(actor, customer_id),
        }


def _label(name: str) -> str:
    return {"name": "customers.name", "timezone": "record.timezone"}.get(name, f"person.{name}")
