"""Broadcasts in the console: looked at, decided on, followed and judged, by whom it may concern."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from sqlalchemy import insert, update

from bot.reach.preflight import Problem
from bot.reach.states import SKIP_REASONS, BroadcastState, RecipientState
from bot.reach.uplift import Interval, Side, Uplift
from console.broadcasts_view import lead_of, problem_words
from console.frame import Look
from console.words import WORDS
from crm_sync.broadcast_effect import ArmSums
from crm_sync.broadcast_tables import broadcast_counts
from crm_sync.broadcast_tables import broadcasts as broadcast_rows
from crm_sync.broadcasts import named
from desk.broadcast_results import Compared
from tests.broadcast_steps import DOCUMENT, MIA, agreed
from tests.console.console_under_test import ConsoleUnderTest
from tests.store_steps import START

HERE = "/console/broadcasts"


async def a_draft(console: ConsoleUnderTest, **changes: Any) -> None:
    """Written by somebody else than who looks."""
    await console.reach.broadcasts.create(MIA, {**deepcopy(dict(DOCUMENT)), **changes})


async def test_a_broadcast_is_looked_at_approved_and_started_by_another(console: ConsoleUnderTest) -> None:
    await agreed(console.store, 4)
    await a_draft(console)
    bo = await console.enter("bo", "marketer")
    listed = await bo.page(HERE)
    assert "Winter check" in listed.text
    looked = await bo.page(f"{HERE}/b/winter/preflight")
    assert looked.status_code == 200
    assert "Few people are held out" in looked.text
    assert "Hello customer" in looked.text
    assert (await bo.do(f"{HERE}/b/winter/approve", version=0)).status_code == 200
    started = await bo.post(f"{HERE}/b/winter/start", version=1)
    assert started.headers["location"] == f"{HERE}/b/winter?done=start"
    assert (await console.reach.broadcasts.status(MIA, "winter")).state in ("preparing", "scheduled")
    shown = await bo.page(f"{HERE}/b/winter?done=start")
    assert "Started." in shown.text
    assert "data-poll" in shown.text


async def test_what_is_in_the_way_is_said_and_there_is_no_button_to_start(console: ConsoleUnderTest) -> None:
    await a_draft(console, audience={"list": "nobody"})
    bo = await console.enter("bo", "marketer", language="zh")
    page = await bo.page(f"{HERE}/b/winter/preflight")
    assert "找不到所选人群" in page.text
    assert "/b/winter/start" not in page.text


async def test_two_who_decide_at_once_see_that_the_other_was_faster(console: ConsoleUnderTest) -> None:
    await agreed(console.store, 2)
    await a_draft(console)
    bo = await console.enter("bo", "marketer")
    assert (await bo.do(f"{HERE}/b/winter/approve", version=0)).status_code == 200
    assert (await bo.do(f"{HERE}/b/winter/ask", version=0)).status_code == 409


async def test_progress_tells_counts_reasons_rate_and_how_long_yet(console: ConsoleUnderTest) -> None:
    await a_draft(console)
    counts = [("sent", "", 600), ("pending", "", 300), ("skipped", "no_consent", 90), ("failed", "blocked", 10)]

    def unit(conn: Any) -> None:
        key = named(conn, "winter").id
        changed = update(broadcast_rows).where(broadcast_rows.c.id == key)
        conn.execute(changed.values(state="running", started_at=START))
        rows = [
            {"broadcast_id": key, "arm": "a", "state": state, "reason": reason, "count": count}
            for state, reason, count in counts
        ]
        conn.execute(insert(broadcast_counts), rows)

    await console.store.database.run(unit)
    console.clock.advance(seconds=61)
    bo = await console.enter("bo", "marketer")
    page = await bo.page(f"{HERE}/b/winter")
    for words in ("700 of 1,000", "10 a second", "30 s", "did not agree to this", "blocked"):
        assert words in page.text, words
    before = int((console.clock.now().timestamp() - 10) * 1000)
    part = await bo.part(f"{HERE}/b/winter?a={before}_510&b={before}_510&state=running")
    assert "10 a second" in part.text
    assert part.text.startswith('<template data-into="#progress"')
    assert (await bo.do(f"{HERE}/b/winter/pause")).status_code == 200
    paused = await bo.part(f"{HERE}/b/winter?state=running")
    assert "paused" in paused.text
    assert "data-poll" not in paused.text


async def test_results_without_anybody_sent_to_say_so_and_export_is_a_file(console: ConsoleUnderTest) -> None:
    await a_draft(console)
    boss = await console.enter("boss", "admin")
    assert "Nothing can be said yet" in (await boss.page(f"{HERE}/b/winter/results")).text
    file = await boss.page(f"{HERE}/b/winter/recipients.csv")
    assert file.headers["content-type"].startswith("text/csv")
    assert file.text.startswith("customer_id,")
    assert "No broadcast has begun yet" in (await boss.page(f"{HERE}/compare")).text


async def test_the_calendar_shows_a_month_and_what_has_no_day_yet(console: ConsoleUnderTest) -> None:
    await a_draft(console)
    bo = await console.enter("bo", "marketer")
    page = await bo.page(f"{HERE}/calendar?month=2026-12")
    assert "2026-12" in page.text
    assert "Winter check" in page.text
    assert "?month=2027-01" in page.text
    assert (await bo.page(f"{HERE}/calendar?month=nonsense")).status_code == 200


@pytest.mark.parametrize("path", ["", "/calendar", "/compare", "/b/winter", "/b/winter/preflight"])
async def test_whoever_may_not_see_broadcasts_sees_none(console: ConsoleUnderTest, path: str) -> None:
    await a_draft(console)
    li = await console.enter("li", "operator")
    assert (await li.page(f"{HERE}{path}")).status_code == 403


async def test_whoever_only_reads_decides_nothing_and_forged_forms_do_nothing(console: ConsoleUnderTest) -> None:
    await a_draft(console)
    ann = await console.enter("ann", "analyst")
    page = await ann.page(f"{HERE}/b/winter/preflight")
    assert page.status_code == 200
    assert '<form method="post"' not in page.text
    assert (await ann.do(f"{HERE}/b/winter/start", version=0)).status_code == 403
    bo = await console.enter("bo", "marketer")
    assert (await bo.http.post(f"{HERE}/b/winter/approve", data={"version": "1"})).status_code == 403


async def test_what_a_title_holds_is_shown_as_text(console: ConsoleUnderTest) -> None:
    await a_draft(console, title="<script>x</script>")
    bo = await console.enter("bo", "marketer")
    for path in ("", "/calendar", "/b/winter", "/b/winter/preflight", "/b/winter/results"):
        assert "<script>x" not in (await bo.page(f"{HERE}{path}")).text, path


# --- words ----------------------------------------------------------------------------------------------------------


def look(console: ConsoleUnderTest, language: Any = "en") -> Look:
    return Look(language, console.frame.zone(), console.clock.now())


def test_every_state_and_reason_has_words() -> None:
    keys = [f"bc.skip.{reason}" for reason in SKIP_REASONS]
    keys += [f"bc.state.{state.value}" for state in BroadcastState]
    keys += [f"bc.recipient.{state.value}" for state in RecipientState]
    assert [key for key in keys if key not in WORDS] == []


CODES = [
    ("no_such_channel", {"channel": "x"}), ("unknown_variable", {"variable": "x", "nearest": ""}),
    ("no_common_language", {}), ("nobody", {}), ("nobody_reached", {}), ("no_holdout", {}), ("small_holdout", {}),
    ("time_passed", {}), ("no_such_pool", {}), ("coupons_over", {}), ("too_few_coupons", {"left": 1, "needed": 2}),
    ("too_long", {"channel": "x", "variant": "a"}), ("no_such_audience", {"reason": "x"}),
    ("link_dead", {"link": "x", "url": "https://x.example"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "details"), CODES)
async def test_every_problem_has_words(console: ConsoleUnderTest, code: str, details: dict[str, Any]) -> None:
    assert problem_words(Problem(code, details=details), look(console, "zh"))


async def test_the_lead_says_whether_it_differs_from_zero(console: ConsoleUnderTest) -> None:
    def lead(low: float, middle: float, high: float) -> str:
        found = Interval(middle, low, high)
        uplift = Uplift(found, found, found, Side(100, 1), Side(100, 1))
        return lead_of(Compared("", ArmSums(), uplift, None, None), look(console))

    assert lead(0.01, 0.02, 0.03) == "It helped: 2.0 more people in a hundred (1.0 to 3.0) than without it."
    assert lead(-0.03, -0.02, -0.01) == "It did harm: 2.0 fewer people in a hundred (1.0 to 3.0) than without it."
    assert lead(-0.01, 0.0, 0.01) == "It does not differ from zero: 0.0 in a hundred, between -1.0 and 1.0."
