"""Opening hours, holidays and promises in Settings: filled in as forms, tried, saved as a version, refused in words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from bot.service.policy import ServicePolicy, read_policy
from desk.policies import history
from tests.console.console_under_test import ConsoleUnderTest

WEEK: dict[str, Any] = {
    f"d{day}.{end}": at for day in range(5) for end, at in (("opens", "09:00"), ("closes", "17:00"))
}
USUAL = {**WEEK, "name": "default", "timezone": "Europe/Berlin", "version": 0}
PROMISED = {
    **{f"{kind}.{severity}": "8" for kind in ("first_response", "update", "solution") for severity in range(1, 5)},
    "callback_h": "1,5", "followup_h": "16", "warn_percent": "50", "calendar": "default", "version": 0,
    "r0.to": "lead", "r0.after": "1", "r1.to": "", "r1.after": "", "around_the_clock": "4",
}  # fmt: skip


async def _rules(console: ConsoleUnderTest) -> ServicePolicy:
    found = await history(console.store.database, "desk")
    return read_policy(found[0].document)


async def test_hours_holidays_and_days_with_other_hours_are_saved_and_shown_again(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    days = {
        "h0.from": "2026-12-24", "h0.to": "2026-12-26", "h1.from": "2027-01-01", "h1.to": "",
        "w0.day": "2026-12-31", "w0.opens": "09:00", "w0.closes": "12:00", "w1.day": "",
    }  # fmt: skip
    assert (await max_.post("/console/settings/hours", **USUAL, **days)).status_code == 303
    calendar = (await _rules(console)).calendars.get("default")
    assert calendar.timezone == "Europe/Berlin"
    assert not calendar.spans(date(2026, 12, 25))
    assert not calendar.spans(date(2027, 1, 1))
    assert calendar.is_open(datetime(2026, 12, 31, 10, tzinfo=UTC))
    assert not calendar.is_open(datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert not calendar.spans(date(2026, 11, 28))  # a Saturday
    shown = (await max_.page("/console/settings/hours")).text
    assert re.findall(r'name="h\d+\.(?:from|to)" value="([^"]+)"', shown)[:4] == [
        "2026-12-24", "2026-12-26", "2027-01-01", "2027-01-01",
    ]  # fmt: skip
    assert 'name="w0.day" value="2026-12-31"' in shown


async def test_what_makes_no_sense_is_said_and_stays_in_the_form(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    wrong = await max_.post("/console/settings/hours", **{**USUAL, "d0.opens": "18:00", "timezone": "Mars/Olympus"})
    assert "Mars/Olympus" in wrong.text
    assert 'role="alert"' in wrong.text
    assert 'value="18:00"' in wrong.text
    assert await history(console.store.database, "desk") == []


async def test_another_calendar_is_added_and_removed_and_the_rest_of_the_rules_stays(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    written = "calendars:\n  default: {holidays: [2026-10-01]}\nhandoff: {lease_min: 7}\n"
    assert (await max_.post("/console/settings/rules", text=written, version=0, note="")).status_code == 303
    added = {**USUAL, "name": "night", "version": 1}
    assert (await max_.post("/console/settings/hours", **added)).status_code == 303
    rules = await _rules(console)
    assert rules.calendars.get("night").timezone == "Europe/Berlin"
    assert not rules.calendars.get("default").spans(date(2026, 10, 1))
    assert (await max_.post("/console/settings/hours/remove", name="night", version=2)).status_code == 303
    (newest, *_) = await history(console.store.database, "desk")
    assert "night" not in newest.document["calendars"]
    assert newest.document["handoff"] == {"lease_min": 7}


async def test_hours_somebody_else_changed_meanwhile_are_not_overwritten(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    assert (await max_.post("/console/settings/hours", **USUAL)).status_code == 303
    assert (await max_.post("/console/settings/hours", **USUAL)).status_code == 409


async def test_promises_are_tried_and_then_hold(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    tried = await max_.post("/console/settings/promises/try", **PROMISED)
    assert 'role="status"' in tried.text
    assert 'name="callback_h" value="1,5"' in tried.text
    assert await history(console.store.database, "desk") == []
    assert (await max_.post("/console/settings/promises", **PROMISED)).status_code == 303
    promises = (await _rules(console)).promises
    assert promises.callback_h == 1.5
    assert promises.warn_share == 0.5
    assert [(rung.to, rung.after_h) for rung in promises.ladder] == [("lead", 1)]
    assert promises.around_the_clock == {4}
    assert 'value="1.5"' in (await max_.page("/console/settings/promises")).text


async def test_a_promise_that_is_no_number_is_refused_and_stays_in_the_form(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    wrong = await max_.post("/console/settings/promises", **{**PROMISED, "update.2": "soon"})
    assert "&#39;soon&#39; is no number" in wrong.text
    assert 'name="update.2" value="soon"' in wrong.text
    assert await history(console.store.database, "desk") == []
