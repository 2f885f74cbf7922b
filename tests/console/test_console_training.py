"""The training page: a candidate is asked for, followed, compared side by side, promoted and taken back."""

from __future__ import annotations

from sqlalchemy import Connection

from crm_sync import trainings
from tests.console.console_under_test import ConsoleUnderTest
from tests.integration.test_understanding_desk import asked

PAGE = "/console/understanding/training"


async def _compared(console: ConsoleUnderTest, inbox_id: int) -> None:
    """The training that waits is done, and its candidate takes one message otherwise."""
    row = {"id": inbox_id, "verdict": "better", "before": ["greet", 0.31], "after": ["order_status", 0.92]}
    worse = {"name": "a <test>", "failure": "said nothing"}
    comparison = {
        "looked_at": 1, "known": 1, "right_before": 0, "right_after": 1, "counts": {"better": 1},
        "rows": [{**row, "truth": "order_status", "learnt": False}], "disagreeing": [],
        "transcripts": {"tests": 2, "before": 2, "after": 1, "better": [], "worse": [worse]},
    }  # fmt: skip

    def unit(conn: Connection) -> None:
        taken = trainings.take(conn, "w", console.clock.now())
        assert taken is not None
        done = {"candidate": "v2", "baseline": "v1", "comparison": comparison}
        assert trainings.end(conn, taken.id, trainings.DONE, console.clock.now(), **done)

    await console.store.database.run(unit)


async def test_a_candidate_is_trained_compared_promoted_and_taken_back(console: ConsoleUnderTest) -> None:
    inbox_id, talk = await asked(console.store, "where is <my> parcel")
    await console.store.put_model("shop", "v1", b"one", activate=True)
    await console.store.put_model("shop", "v2", b"two")
    lena = await console.enter("lena", "supervisor")
    assert "There is no candidate." in (await lena.page(PAGE)).text
    started = await lena.do(f"{PAGE}/start")
    assert f'data-poll="{PAGE}?assistant=shop"' in started.text
    assert "Waiting for a worker 0 %" in started.text
    await _compared(console, inbox_id)
    page = await lena.page(PAGE)
    assert "data-poll" not in page.text
    for words in (
        "where is &lt;my&gt; parcel", "0 before, 1 after, of 1", "2 before, 1 after, of 2", "a &lt;test&gt;",
        f'href="/console/inbox/{talk}?list=all"', "0.31", "0.92",
    ):  # fmt: skip
        assert words in page.text
    assert "where is" not in (await lena.page(f"{PAGE}?verdict=worse")).text
    promoted = await lena.do(f"{PAGE}/promote", version="v2", seen="v1")
    assert "Version v2 serves." in promoted.text
    assert (await lena.do(f"{PAGE}/promote", version="v2", seen="v1")).status_code == 409
    back = await lena.do(f"{PAGE}/rollback", seen="v2")
    assert "Version v1 serves again." in back.text
    active = await console.store.active_model("shop")
    assert active is not None
    assert active.version == "v1"


async def test_what_a_role_may_not_do_is_neither_offered_nor_done(console: ConsoleUnderTest) -> None:
    await console.store.put_model("shop", "v1", b"one", activate=True)
    li, eve = await console.enter("li"), await console.enter("eve", "auditor")
    page = await li.page(PAGE)
    assert page.status_code == 200
    assert "/start" not in page.text
    for act in ("start", "stop", "promote", "rollback"):
        assert (await li.do(f"{PAGE}/{act}", version="v1", seen="v1")).status_code == 403
    assert (await eve.page(PAGE)).status_code == 403


async def test_what_cannot_be_is_refused_in_plain_words(console: ConsoleUnderTest) -> None:
    await console.store.put_model("shop", "v1", b"one", activate=True)
    await console.store.put_model("shop", "bad", b"damaged")
    lena = await console.enter("lena", "supervisor")
    assert (await lena.do(f"{PAGE}/stop")).status_code == 404
    assert (await lena.do(f"{PAGE}/rollback", seen="v1")).status_code == 422
    assert (await lena.do(f"{PAGE}/promote", version="no", seen="v1")).status_code == 404
    refused = await lena.do(f"{PAGE}/promote", version="bad", seen="v1")
    assert refused.status_code == 422
    assert "damaged" in refused.text
    assert (await lena.page(f"{PAGE}?verdict=secrets")).status_code == 404
    await lena.do(f"{PAGE}/start")
    assert (await lena.do(f"{PAGE}/stop")).status_code == 200
