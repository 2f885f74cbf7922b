"""The understanding pages: what was not understood is labelled in place, taken back, given away as examples."""

from __future__ import annotations

import pytest

from crm_sync.tables import UNCLEAR_TEMPLATES
from tests.console.console_under_test import ConsoleUnderTest
from tests.integration.test_understanding_desk import asked

UNCLEAR = next(iter(UNCLEAR_TEMPLATES))
PAGE = "/console/understanding"


async def test_what_was_not_understood_is_labelled_in_place_and_taken_back(console: ConsoleUnderTest) -> None:
    inbox_id, talk = await asked(console.store, "the <b>thing</b> with the thing", template=UNCLEAR, score=0.3)
    li = await console.enter("li")
    page = await li.page(PAGE)
    assert "the &lt;b&gt;thing&lt;/b&gt; with the thing" in page.text
    assert f'href="/console/inbox/{talk}?list=all"' in page.text
    assert 'value="order_status" data-choice="1"' in page.text
    done = await li.do(f"{PAGE}/{inbox_id}/label", intent="order_status", text="the thing")
    assert f'data-into="#u-{inbox_id}"' in done.text
    assert "Every message was understood." in (await li.page(PAGE)).text
    labelled = await li.page(f"{PAGE}?labelled=1")
    assert "li says:" in labelled.text
    again = await li.do(f"{PAGE}/{inbox_id}/label", intent="-", text="the thing")
    assert "<b>Nothing to learn</b>" in again.text
    assert (await li.do(f"{PAGE}/{inbox_id}/unlabel")).status_code == 200
    assert f'id="u-{inbox_id}"' in (await li.page(PAGE)).text


async def test_labelled_messages_are_given_away_as_examples(console: ConsoleUnderTest) -> None:
    inbox_id, _ = await asked(console.store, "=where is it", template=UNCLEAR, score=0.3)
    li = await console.enter("li")
    await li.do(f"{PAGE}/{inbox_id}/label", other="order_status")
    csv = await li.page(f"{PAGE}/examples.csv")
    assert csv.content.decode("utf-8-sig").splitlines() == ["text,intent", "'=where is it,order_status"]


@pytest.mark.parametrize("kind", ["unclear", "unsure", "corrected", "handed_over", "unhelpful"])
async def test_an_empty_list_says_so(console: ConsoleUnderTest, kind: str) -> None:
    li = await console.enter("li")
    page = await li.page(f"{PAGE}?kind={kind}")
    assert page.status_code == 200
    assert '<p class="empty">' in page.text


async def test_long_lists_go_on_where_they_ended(console: ConsoleUnderTest) -> None:
    for place in range(51):
        await asked(console.store, f"word {place}", template=UNCLEAR, score=0.3)
    li = await console.enter("li")
    page = await li.page(PAGE)
    assert page.text.count("<article") == 50
    (_, address) = page.text.split('data-more="', 1)
    more = await li.part(address.split('"', 1)[0].replace("&amp;", "&"))
    assert more.text.count("<article") == 1


async def test_what_cannot_be_is_refused(console: ConsoleUnderTest) -> None:
    inbox_id, _ = await asked(console.store, "word", template=UNCLEAR, score=0.3)
    li, an, eve = await console.enter("li"), await console.enter("an", "analyst"), await console.enter("eve", "auditor")
    assert (await li.do(f"{PAGE}/{inbox_id}/label", intent="no_such_meaning")).status_code == 422
    assert (await li.do(f"{PAGE}/{inbox_id}/label", intent="")).status_code == 422
    assert (await li.do(f"{PAGE}/{2**70}/label", intent="-")).status_code == 404
    assert (await li.do(f"{PAGE}/{inbox_id + 99}/label", intent="-")).status_code == 404
    assert (await li.page(f"{PAGE}?kind=secrets")).status_code == 404
    assert "data-choice=" not in (await an.page(PAGE)).text
    assert (await an.do(f"{PAGE}/{inbox_id}/label", intent="-")).status_code == 403
    assert (await eve.page(PAGE)).status_code == 403


async def test_an_empty_queue_says_how_many_messages_could_be_labelled(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    assert "No one is waiting.</p>" in (await li.page("/console/inbox?list=queue")).text
    await asked(console.store, "word", template=UNCLEAR, score=0.3)
    page = await li.page("/console/inbox?list=queue")
    assert "No one is waiting. 1 unclear messages could be labelled." in page.text
