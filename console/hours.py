"""Settings: opening hours with holidays, and promises, as forms over the rules; every saving is a version of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError
from console.form_fields import Fields
from console.frame import Frame, Visit, screen
from desk.plain_yaml import plain_yaml
from desk.policies import PolicyDesk
from desk.policy_forms import (
    BY_SEVERITY,
    RUNGS,
    CalendarForm,
    PromiseForm,
    calendar_forms,
    promise_form,
    with_calendar,
    with_promises,
    without_calendar,
)

DAYS: Final = 7
SPANS: Final = 2  # shown for a day at least: a morning and an afternoon
BLANK: Final = 3  # rows left free for what is added
MOST: Final = 400  # rows of one kind
TRIED_DAYS: Final = 30
Page = Callable[..., Response]


def hours_routes(frame: Frame, policies: PolicyDesk, rules_file: Callable[[], str], page: Page) -> list[BaseRoute]:
    """`page(visit, name, **values)` is a page of the settings."""
    desk = HoursScreen(policies, rules_file, page)

    def act(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str = "settings.write") -> Route:
        return Route(f"/console/settings{path}", screen(frame, work, permission), methods=["POST"])

    return [
        Route("/console/settings/hours", screen(frame, desk.hours, "settings.read"), methods=["GET"]),
        Route("/console/settings/promises", screen(frame, desk.promises, "settings.read"), methods=["GET"]),
        act("/hours", desk.put_calendar),
        act("/hours/remove", desk.remove_calendar),
        act("/promises", desk.put_promises),
        act("/promises/try", desk.try_promises, "settings.read"),
    ]


class HoursScreen:
    def __init__(self, policies: PolicyDesk, rules_file: Callable[[], str], page: Page) -> None:
        self._policies, self._rules_file, self._page = policies, rules_file, page

    async def _rules(self, visit: Visit) -> tuple[dict[str, Any], int]:
        """What is in force, and the version it is; the file's is 0."""
        history = await self._policies.history(visit.actor)
        if history:
            return dict(history[0].document), history[0].version
        return dict(plain_yaml(self._rules_file()) or {}), 0

    # --- opening hours ---------------------------------------------------------------------------------------------

    async def hours(self, visit: Visit, *, typed: CalendarForm | None = None, wrong: str = "") -> Response:
        document, version = await self._rules(visit)
        forms = calendar_forms(document)
        if typed is not None:
            known = [form.name for form in forms]
            forms = [typed if form.name == typed.name else form for form in forms]
            forms += [typed] if typed.name not in known else []
        fresh = replace(forms[0], name="")
        shown = [(form, tuple(_padded(spans) for spans in form.week), _days(form)) for form in [*forms, fresh]]
        return self._page(visit, "hours", calendars=shown, version=version, typed=typed, wrong=wrong)

    async def put_calendar(self, visit: Visit) -> Response:
        document, _ = await self._rules(visit)
        form = _calendar(Fields.sent(visit.form))
        try:
            changed = with_calendar(document, form)
        except InputError as error:
            return await self.hours(visit, typed=form, wrong=str(error))
        return await self._put(visit, changed, f"{visit.t('settings.hours')}: {form.name}", "hours")

    async def remove_calendar(self, visit: Visit) -> Response:
        document, _ = await self._rules(visit)
        try:
            changed = without_calendar(document, visit.text("name"))
        except InputError as error:
            return await self.hours(visit, wrong=str(error))
        return await self._put(visit, changed, f"{visit.t('remove')}: {visit.text('name')}", "hours")

    # --- promises --------------------------------------------------------------------------------------------------

    async def promises(
        self, visit: Visit, *, typed: PromiseForm | None = None, tried: Any = None, wrong: str = ""
    ) -> Response:
        document, version = await self._rules(visit)
        form = typed or promise_form(document)
        ladder = (*form.ladder, ("", ""), ("", ""))
        names = [each.name for each in calendar_forms(document)]
        return self._page(
            visit, "promises", form=form, kinds=BY_SEVERITY, ladder=ladder, rungs=RUNGS, names=names,
            version=version, tried=tried, wrong=wrong,
        )  # fmt: skip

    async def put_promises(self, visit: Visit) -> Response:
        document, _ = await self._rules(visit)
        form = _promises(Fields.sent(visit.form))
        try:
            changed = with_promises(document, form)
        except InputError as error:
            return await self.promises(visit, typed=form, wrong=str(error))
        return await self._put(visit, changed, visit.text("note") or visit.t("settings.promises"), "promises")

    async def try_promises(self, visit: Visit) -> Response:
        """Last month under these promises; what was typed stays in the form."""
        document, _ = await self._rules(visit)
        form = _promises(Fields.sent(visit.form))
        try:
            tried = await self._policies.what_if(visit.actor, with_promises(document, form), days=TRIED_DAYS)
        except InputError as error:
            return await self.promises(visit, typed=form, wrong=str(error))
        return await self.promises(visit, typed=form, tried=tried)

    async def _put(self, visit: Visit, document: dict[str, Any], note: str, back: str) -> Response:
        await self._policies.put(visit.actor, document, note=note[:200], version=visit.number("version"))
        return visit.go(f"/console/settings/{back}")


def _padded(spans: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return (*spans, *((("", ""),) * max(0, SPANS - len(spans))))


def _days(form: CalendarForm) -> tuple[Any, Any]:
    """Holidays and working days with rows left free."""
    working = ((day, _padded(spans)) for day, spans in (*form.working, *((("", ()),) * BLANK)))
    return (*form.holidays, *((("", ""),) * BLANK)), tuple(working)


def _calendar(fields: Fields) -> CalendarForm:
    return CalendarForm(
        name=fields.text("name")[:60],
        timezone=fields.text("timezone"),
        week=tuple(_sent_spans(fields, f"d{day}") for day in range(DAYS)),
        holidays=tuple(
            (fields.text(f"h{at}.from"), fields.text(f"h{at}.to"))
            for at in range(fields.count("h", "from", MOST))
            if fields.text(f"h{at}.from") or fields.text(f"h{at}.to")
        ),
        working=tuple(
            (fields.text(f"w{at}.day"), _sent_spans(fields, f"w{at}"))
            for at in range(fields.count("w", "day", MOST))
            if fields.text(f"w{at}.day")
        ),
    )


def _sent_spans(fields: Fields, stem: str) -> tuple[tuple[str, str], ...]:
    spans = zip(fields.get(f"{stem}.opens", []), fields.get(f"{stem}.closes", []), strict=False)
    return tuple((opens, closes) for opens, closes in spans if opens or closes)


def _promises(fields: Fields) -> PromiseForm:
    return PromiseForm(
        hours={kind: tuple(fields.text(f"{kind}.{severity}") for severity in range(1, 5)) for kind in BY_SEVERITY},
        callback_h=fields.text("callback_h"),
        followup_h=fields.text("followup_h"),
        warn_percent=fields.text("warn_percent"),
        ladder=tuple(
            (fields.text(f"r{at}.to"), fields.text(f"r{at}.after"))
            for at in range(fields.count("r", "to", MOST))
            if fields.text(f"r{at}.to")
        ),
        around_the_clock=tuple(fields.all("around_the_clock")),
        calendar=fields.text("calendar") or "default",
    )
