"""Broadcasts in the console: looked at, decided on, followed and judged, by whom it may concern."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.reach.document import read_broadcast
from bot.reach.preflight import Problem
from bot.reach.segments import read_segment
from bot.reach.states import SKIP_REASONS, BroadcastState, RecipientState
from bot.reach.uplift import Interval, Side, Uplift
from bot.reach.writing import document_of
from console.broadcasts_view import lead_of, problem_words
from console.composer import flat
from console.composer_form import document_of as document_from
from console.composer_form import fields_of
from console.form_fields import Fields
from console.frame import Look
from console.segment_form import definition_of, tree_from, tree_of
from console.words import WORDS
from crm_sync.broadcast_effect import ArmSums
from crm_sync.broadcast_tables import broadcast_counts, broadcast_recipients
from crm_sync.broadcast_tables import broadcasts as broadcast_rows
from crm_sync.broadcasts import named
from crm_sync.tables import conversations
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
    ("quota_short", {"channel": "line", "kind": "push", "needs": 9, "left": 3}),
    ("mass_is_all", {"channel": "wechat", "variant": "a"}),
    ("kind_not_allowed", {"channel": "wechat", "account": "main", "variant": "a", "kind": "mass:list"}),
    ("mass_is_plain", {"channel": "wechat", "variant": "a"}), ("mass_in_groups", {"channel": "wechat", "variant": "a"}),
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


# --- the composer ---------------------------------------------------------------------------------------------------


def written(**changes: str) -> dict[str, str]:
    """What the composer sends of a small broadcast."""
    usual = {
        "name": "spring", "title": "Spring check", "purpose": "promotion", "aud": "list", "list": "regulars",
        "ch.telegram": "1", "v0.name": "a", "v0.text.en": "Hello {name}", "f.name.en": "customer", "when": "now",
        "holdout": "20", "counts": "orders", "quiet_from": "21:00", "quiet_to": "09:00",
    }  # fmt: skip
    return {**usual, **changes}


async def test_what_the_composer_sends_is_a_draft_and_is_shown_to_be_changed(console: ConsoleUnderTest) -> None:
    await agreed(console.store, 2)
    bo = await console.enter("bo", "marketer")
    assert (await bo.page(f"{HERE}/new")).status_code == 200
    made = await bo.post(f"{HERE}/save", **written())
    assert made.headers["location"] == f"{HERE}/b/spring/preflight"
    opened = await console.reach.broadcasts.open(MIA, "spring")
    assert (opened.broadcast.holdout, opened.broadcast.audience.list) == (0.2, "regulars")
    form = await bo.page(f"{HERE}/b/spring/edit")
    assert "Hello {name}" in form.text
    changed = await bo.do(f"{HERE}/save", **written(known="spring", version="0", title="Later"))
    assert changed.status_code == 200
    stale = await bo.do(f"{HERE}/save", **written(known="spring", version="0", title="Too late"))
    assert stale.status_code == 409


async def test_the_preview_follows_what_is_written_and_names_what_is_missing(console: ConsoleUnderTest) -> None:
    bo = await console.enter("bo", "marketer")
    seen = await bo.do(f"{HERE}/try", **written(shown_variables="name"))
    assert "Hello customer" in seen.text
    assert "#fallbacks" not in seen.text
    missing = await bo.do(f"{HERE}/try", **written(**{"v0.text.en": "Hi {name}, {city}"}))
    assert "{city} needs words in en" in missing.text
    assert "f.city.en" in missing.text
    refused = await bo.do(f"{HERE}/save", **written(purpose=""))
    assert refused.status_code == 422
    alone = await bo.post(f"{HERE}/save", **written(**{"when": "at", "at": "someday"}))
    assert alone.status_code == 422
    assert "Spring check" in alone.text


async def test_cards_files_and_a_vendors_template_are_written_in_the_form(console: ConsoleUnderTest) -> None:
    bo = await console.enter("bo", "marketer")
    parts = {
        "v0.k0.title.en": "Tyres for {name}", "v0.k0.link": "book", "v0.m0.kind": "video",
        "v0.m0.url": "https://shop.example/a.mp4", "v0.m1.kind": "image", "l0.name": "book",
        "l0.url": "https://shop.example", "ch.wechat": "2", "v0.c.wechat.kind": "template",
        "v0.c.wechat.template": "tpl-1", "v0.c.wechat.t0.name": "thing1", "v0.c.wechat.t0.text.en": "Check, {name}",
    }  # fmt: skip

    saved = await bo.post(f"{HERE}/save", **written(**parts))

    assert saved.headers["location"] == f"{HERE}/b/spring/preflight"
    (variant,) = (await console.reach.broadcasts.open(MIA, "spring")).broadcast.content.variants
    assert [card["title"] for card in variant.piece.cards] == [{"en": "Tyres for {name}"}]
    assert [dict(file) for file in variant.piece.media] == [{"kind": "video", "url": "https://shop.example/a.mp4"}]
    on_wechat = variant.channels["wechat"]
    assert (on_wechat.kind, on_wechat.template_id) == ("template", "tpl-1")
    assert on_wechat.template_fields == {"thing1": {"en": "Check, {name}"}}
    shown = await bo.page(f"{HERE}/b/spring/edit")
    assert 'value="https://shop.example/a.mp4"' in shown.text


async def test_parts_are_added_and_taken_away_without_the_script_too(console: ConsoleUnderTest) -> None:
    bo = await console.enter("bo", "marketer")
    more = await bo.post(f"{HERE}/save", **written(shape="more:v"))
    assert 'name="v1.name" value="b"' in more.text
    two = written(shape="less:v0", **{"v1.name": "b", "v1.text.en": "Second"})
    fewer = await bo.do(f"{HERE}/try", **two)
    assert "v1.name" not in fewer.text
    assert "Second" in fewer.text


DOCUMENT_OF_ALL: dict[str, Any] = {
    **DOCUMENT,
    "topic": "",
    "audience": {"where": {"all": [{"field": "language", "is": "zh"}]}, "exclude": ["staff"]},
    "channels": ["wechat", "telegram"],
    "content": {
        "variants": [
            {
                "name": "a",
                "text": {"en": "Dear {name}, {link_book} {coupon}"},
                "image": "https://shop.example/a.jpg",
                "cards": [
                    {"title": {"en": title, "zh": "轮胎"}, "link": "book"} for title in ("A", "B", "C", "D {name}")
                ],
                "media": [
                    {"kind": "video", "url": "https://shop.example/a.mp4", "caption": "New"},
                    {"kind": "image", "media_id": "m-1"},
                    {"kind": "document", "url": "https://shop.example/list.pdf"},
                ],
                "buttons": [{"label": {"en": "Book"}, "link": "book"}],
                "channels": {"wechat": {"text": {"en": "Short {coupon}"}, "kind": "mass", "by": "tag"}},
            },
            {
                "name": "b",
                "text": {"en": "Second {coupon}"},
                "channels": {
                    "wechat": {
                        "kind": "template",
                        "template": "tpl-1",
                        "fields": {f"thing{n}": {"en": f"{n} {{name}}"} for n in range(1, 8)},
                    }
                },
            },
        ],
        "fallbacks": {"name": {"en": "customer"}},
        "links": {"book": "https://shop.example/book"},
        "coupons": "winter",
        "split": "bandit",
    },
    "plan": {
        "every": {"unit": "week", "at": "10:00", "weekdays": [1, 3]},
        "quiet": ["22:00", "08:00"],
        "steps": [
            {"name": "first", "variant": "a", "after": "0m", "when": {"else": "second"}},
            {"name": "second", "variant": "b", "after": "2d"},
        ],
    },
    "holdout": 0.15,
    "per_s": 12.5,
    "per_person": [1, 7],
    "stop": {"failures": 0.1, "blocks": 0.02, "complaints": 0.01, "after": 50},
    "effect": {"window_days": 7, "counts": ["orders"], "cost_minor": 5, "currency": "CNY"},
}


async def test_a_document_comes_back_from_the_form_as_it_was(console: ConsoleUnderTest) -> None:
    zone = console.frame.zone()
    before = read_broadcast(DOCUMENT_OF_ALL, zone)
    fields = fields_of(document_of(before), zone)
    fields.update(
        Fields.of({"q.t": "all", "q.0.t": "field", "q.0.field": "language", "q.0.op": "is", "q.0.value": "zh"})
    )
    assert read_broadcast(document_from(fields, document_of(before), {}), zone) == before


# --- segments -------------------------------------------------------------------------------------------------------

SEGMENT: dict[str, Any] = {
    "all": [
        {"field": "lifecycle", "one_of": ["fading", "lost"]},
        {"field": "turnover_year", "between": [100000, 500050]},
        {"field": "tag", "has_any": ["vip", "fleet"]},
        {"field": "phone_is_verified", "is": True},
        {"any": [
            {"did": "order", "within_days": 90, "where": {"field": "items", "contains": "tyres"}},
            {"did": "visit", "times": {"at_least": 3}, "total": {"more_than": 100000}},
        ]},
        {"not": {"any": [{"did": "case", "where": {"all": [
            {"field": "kind", "is": "complaint"}, {"field": "is_open", "is": True},
        ]}}]}},
    ]
}  # fmt: skip


def test_a_segment_comes_back_from_its_form_as_it_was() -> None:
    tree = tree_from(SEGMENT, {})
    assert definition_of(tree, {}) == SEGMENT
    assert read_segment(definition_of(tree, {}), {}) == read_segment(SEGMENT, {})
    fields = Fields.of(flat(tree, "q"))
    assert tree_of(fields) == tree


async def test_a_segment_is_built_counted_and_kept(console: ConsoleUnderTest) -> None:
    await agreed(console.store, 3)
    bo = await console.enter("bo", "marketer")
    assert (await bo.page(f"{HERE}/segments/new")).status_code == 200
    more = await bo.do(f"{HERE}/segments/look", **{"q.t": "all", "shape": "add:q:field"})
    assert 'name="q.0.field"' in more.text
    condition = {"q.t": "all", "q.0.t": "field", "q.0.field": "channel", "q.0.op": "has", "q.0.value": "telegram"}
    seen = await bo.do(f"{HERE}/segments/look", **condition)
    assert "3 people" in seen.text
    half = await bo.do(f"{HERE}/segments/look", **{**condition, "q.0.value": ""})
    assert "Not complete yet" in half.text
    kept = await bo.post(f"{HERE}/segments/save", name="reachable", title="Reachable", **condition)
    assert kept.headers["location"] == f"{HERE}/segments/reachable?done=saved"
    page = await bo.page(f"{HERE}/segments/reachable")
    assert 'value="telegram"' in page.text
    assert "Reachable" in (await bo.page(f"{HERE}/segments")).text
    snap = await bo.post(f"{HERE}/lists/snapshot", name="now", segment="reachable")
    assert snap.status_code == 303
    assert "3 people are on it" in (await bo.page(f"{HERE}/lists?made=now")).text
    assert (await bo.do(f"{HERE}/segments/archive", name="reachable", version=0)).status_code == 200


# --- lists, coupons, consents ---------------------------------------------------------------------------------------


async def test_an_uploaded_list_tells_the_lines_that_name_nobody(console: ConsoleUnderTest) -> None:
    bo = await console.enter("bo", "marketer")
    await bo.page(f"{HERE}/lists")
    answer = await bo.http.post(
        f"{HERE}/lists/upload",
        data={"csrf": bo.csrf, "name": "fair"},
        files={"file": ("fair.csv", "phone,备注\n13800000000,老客户\n".encode("gbk"), "text/csv")},
    )
    assert answer.status_code == 200, answer.text
    assert "0 people are on it" in answer.text
    assert "The file was read as GB18030." in answer.text
    assert "Lines that put nobody on it" in answer.text


async def test_a_pool_is_made_filled_and_a_code_that_was_never_given_is_refused(console: ConsoleUnderTest) -> None:
    bo = await console.enter("bo", "marketer")
    assert (await bo.post(f"{HERE}/coupons/new", name="winter", title="Winter")).status_code == 303
    added = await bo.post(f"{HERE}/coupons/codes", pool="winter", codes="A-1\nA-2\nA-1")
    page = await bo.page(added.headers["location"])
    assert "2 new codes" in page.text
    assert (await bo.do(f"{HERE}/coupons/redeem", code="A-1")).status_code == 422


async def test_the_register_says_who_agreed_to_what(console: ConsoleUnderTest) -> None:
    (who,) = await agreed(console.store, 1)
    bo = await console.enter("bo", "marketer")
    page = await bo.page(f"{HERE}/consents?purpose=promotion&channel=telegram")
    assert f'<a href="/console/customers/{who}">' in page.text
    assert "form" in page.text


async def test_sends_nobody_knows_the_end_of_are_listed_and_decided_on(console: ConsoleUnderTest) -> None:
    await agreed(console.store, 2)
    await a_draft(console)

    def lost(conn: Any) -> list[int]:
        talks = conn.execute(select(conversations.c.id, conversations.c.customer_id)).all()
        told = {"broadcast_id": 1, "channel": "telegram", "account": "main", "arm": "a", "state": "uncertain"}
        for talk in talks:
            values = {**told, "customer_id": talk.customer_id, "conversation_id": talk.id, "reason": "lost"}
            conn.execute(insert(broadcast_recipients).values(values))
        conn.execute(
            insert(broadcast_counts).values(broadcast_id=1, arm="a", state="uncertain", reason="lost", count=2)
        )
        return list(conn.execute(select(broadcast_recipients.c.id).order_by(broadcast_recipients.c.id)).scalars())

    first, _ = await console.store.database.run(lost)
    bo = await console.enter("bo", "marketer")
    shown = await bo.page(f"{HERE}/b/winter")
    assert ("the answer of the channel was lost" in shown.text, shown.text.count("/uncertain")) == (True, 6)
    assert (await bo.do(f"{HERE}/b/winter/uncertain", which="perhaps")).status_code == 422
    again = await bo.post(f"{HERE}/b/winter/uncertain", which="again", recipient=first)
    assert again.headers["location"] == f"{HERE}/b/winter?done=uncertain.again"
    await bo.post(f"{HERE}/b/winter/uncertain", which="leave")
    states = select(broadcast_recipients.c.state).order_by(broadcast_recipients.c.id)
    found = await console.store.database.run(lambda conn: conn.execute(states).scalars().all(), read=True)
    assert found == ["pending", "failed"]
    assert "Nobody knows whether these arrived" not in (await bo.page(f"{HERE}/b/winter")).text
