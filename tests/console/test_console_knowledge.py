"""The knowledge pages: from a question nobody could answer to an article that answers, and what is refused."""

from __future__ import annotations

import re

import pytest

from bot.service.policy import read_policy
from tests.console.console_under_test import ConsoleUnderTest
from tests.staff_steps import LI

GIFT = {"language": "en", "title": "Gift wrapping", "answer": "Yes, for 2 euros.", "questions": "do you wrap gifts"}
ONE = "/console/knowledge/article/gifts"


async def test_a_draft_is_reviewed_published_and_answers(console: ConsoleUnderTest) -> None:
    li, lena = await console.enter("li"), await console.enter("lena", "supervisor")
    made = await li.do("/console/knowledge/new", id="gifts", **GIFT)
    assert f'data-go="{ONE}?assistant=shop"' in made.text
    assert "It waits for review." in (await li.do(f"{ONE}/submit", language="en", seen=1)).text
    listed = await lena.page("/console/knowledge?state=review")
    assert "Gift wrapping" in listed.text
    assert "Opening hours" not in listed.text
    assert "It answers the next customer." in (await lena.do(f"{ONE}/publish", language="en", seen=1)).text
    (stored,) = await console.store.articles("shop")
    assert stored.answer == "Yes, for 2 euros."


async def test_the_list_says_which_languages_are_missing_and_finds_words_of_answers(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    page = await li.page("/console/knowledge?missing=zh")
    assert page.text.count(">missing</span>") == 2
    found = await li.part("/console/knowledge?q=money")
    assert "Refunds" in found.text
    assert "Opening hours" not in found.text
    assert "Clear the search" in (await li.part("/console/knowledge?q=nothing-like-it")).text


async def test_who_saves_after_another_keeps_their_words_and_sees_what_differs(
    console: ConsoleUnderTest,
) -> None:
    li, lena = await console.enter("li"), await console.enter("lena", "supervisor")
    await li.do("/console/knowledge/new", id="gifts", **GIFT)
    await lena.do(f"{ONE}/save", **{**GIFT, "answer": "Yes, for 3 euros."}, seen=1)
    late = await li.do(f"{ONE}/save", **{**GIFT, "answer": "Free <b>today</b>."}, seen=1)
    assert late.status_code == 409
    assert "Free &lt;b&gt;today&lt;/b&gt;.</textarea>" in late.text
    assert "lena saved meanwhile" in late.text
    assert "<del>" in late.text
    assert 'name="seen" value="2"' in late.text
    assert (await li.do(f"{ONE}/save", **GIFT, seen=2)).status_code == 200


async def test_versions_are_compared_and_restored(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    address = "/console/knowledge/article/refunds"
    words = {"language": "en", "title": "Refunds", "answer": "Money comes back within 3 days.", "questions": "refund"}
    await li.do(f"{address}/save", **words, seen=0)
    diff = await li.part(f"{address}/compare?language=en&version=0")
    assert "<del>5</del><ins>3</ins>" in diff.text
    assert (
        "The older words are the newest draft."
        in (await li.do(f"{address}/restore", language="en", version=0, seen=1)).text
    )
    assert (await li.part(f"{address}/compare?language=en&version=77")).status_code == 404


async def test_what_is_written_is_shown_as_channels_show_it_and_tried(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    shown = await li.do(f"{ONE}/preview", **{**GIFT, "answer": "A line of words. " * 6})
    assert shown.text.count('class="bubble"') > 1
    tried = await li.do(f"{ONE}/try", **GIFT)
    assert "answered now" in tried.text


async def test_questions_nobody_could_answer_become_a_draft_with_one_click(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    empty = await li.page("/console/knowledge/unanswered")
    assert "Every question of these days is answered" in empty.text
    made = await li.do("/console/knowledge/unanswered", language="en", question="do you <i>wrap</i> gifts")
    (address,) = re.findall(r'data-go="([^"]+)"', made.text)
    page = await li.page(address)
    assert "do you &lt;i&gt;wrap&lt;/i&gt; gifts" in page.text
    assert "still to be written" in page.text


async def test_with_four_eyes_the_author_is_told_who_publishes(console: ConsoleUnderTest) -> None:
    console.content.library.policy = read_policy({"knowledge": {"four_eyes": True}})
    lena = await console.enter("lena", "supervisor")
    await lena.do("/console/knowledge/new", id="gifts", **GIFT)
    page = await lena.page(ONE)
    assert "somebody else has to publish it" in page.text
    assert f'action="{ONE}/publish"' not in page.text
    assert (await lena.do(f"{ONE}/publish", language="en", seen=1)).status_code == 403


async def test_roles_see_and_do_what_they_may(console: ConsoleUnderTest) -> None:
    viewer, auditor, li = (
        await console.enter("vi", "viewer"),
        await console.enter("eve", "auditor"),
        await console.enter("li"),
    )
    page = await viewer.page("/console/knowledge/article/refunds")
    assert "<fieldset disabled>" in page.text
    assert "Save draft" not in page.text
    assert (await viewer.do(f"{ONE}/save", **GIFT, seen=0)).status_code == 403
    assert (await auditor.page("/console/knowledge")).status_code == 403
    await li.do("/console/knowledge/new", id="gifts", **GIFT)
    assert (await li.do(f"{ONE}/publish", language="en", seen=1)).status_code == 403


@pytest.mark.parametrize("fields", [{"language": "fr"}, {"title": ""}, {"answer": "x" * 9000}, {"id": "../x"}])
async def test_what_cannot_be_kept_is_refused(console: ConsoleUnderTest, fields: dict[str, str]) -> None:
    li = await console.enter("li")
    answer = await li.do("/console/knowledge/new", **{"id": "gifts", **GIFT, **fields})
    assert answer.status_code == 422
    assert await console.content.knowledge.articles(LI, "shop", search="gift") == []


async def test_unknown_articles_and_assistants_are_not_there(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    assert (await li.page("/console/knowledge/article/none")).status_code == 404
    assert (await li.page("/console/knowledge?assistant=other")).status_code == 404
