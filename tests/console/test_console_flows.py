"""The pages of flows: pictures, what the bot says and its history, tests of conversations, and what is refused."""

from __future__ import annotations

import re

from tests.console.console_under_test import Browser, ConsoleUnderTest
from tests.staff_steps import LEAD
from tests.store_steps import converse

NAME = "utter_phone_noted"  # holds {phone}
TEXT = f"/console/flows/texts/{NAME}"


async def _says(browser: Browser, text: str, **more: object) -> str:
    answer = await browser.do(f"{TEXT}/save", language="en", text=text, channel="", **{"seen": 0, **more})
    return f"{answer.status_code} {answer.text}"


async def test_each_flow_is_a_picture_with_what_it_says(console: ConsoleUnderTest) -> None:
    li = await console.enter("li")
    page = await li.page("/console/flows")
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page.text
    assert " style=" not in page.text
    flows = re.findall(r'href="/console/flows/picture/([^"?]+)\?', page.text)
    assert len(flows) > 1
    for flow in flows:
        shown = await li.page(f"/console/flows/picture/{flow}")
        assert shown.status_code == 200
        assert "<title>" in shown.text
    assert (await li.page("/console/flows/picture/none")).status_code == 404


async def test_words_are_changed_checked_and_taken_back(console: ConsoleUnderTest) -> None:
    lena = await console.enter("lena", "supervisor")
    assert "In use from now on." in await _says(lena, "We will call {phone} <soon>.")
    page = await lena.page(TEXT)
    assert "We will call {phone} &lt;soon&gt;." in page.text
    assert "edited" in (await lena.page("/console/flows/texts?edited=1")).text
    assert NAME in (await lena.part("/console/flows/texts?q=call+soon")).text
    taken_back = await lena.do(f"{TEXT}/revert", language="en", version=0, seen=1)
    assert "These words are in use again." in taken_back.text
    assert "We will call {phone} &lt;soon&gt;.</textarea>" not in (await lena.page(TEXT)).text


async def test_what_is_wrong_is_said_before_anything_is_saved(console: ConsoleUnderTest) -> None:
    lena = await console.enter("lena", "supervisor")
    checked = await lena.do(f"{TEXT}/check", language="en", text="Hello {nobody}.", channel="")
    assert "A variable is not known" in checked.text
    assert (await _says(lena, "Hello {nobody}.")).startswith("422")
    assert (await _says(lena, "  ")).startswith("422")
    fine = await lena.do(f"{TEXT}/check", language="en", text="We call {phone}.", channel="")
    assert 'class="bubble"' in fine.text
    assert (await lena.do(f"{TEXT}/save", language="en", text="We call.")).status_code == 422
    assert (await lena.do(f"{TEXT}/save", language="fr", text="We call.", channel="")).status_code == 422


async def test_who_saves_after_another_keeps_their_words(console: ConsoleUnderTest) -> None:
    lena, wang = await console.enter("lena", "supervisor"), await console.enter("wang", "manager")
    await _says(lena, "Calling {phone} today.")
    late = await _says(wang, "Calling {phone} now.")
    assert late.startswith("409")
    assert "Calling {phone} now.</textarea>" in late
    assert "<ins>now</ins>" in late
    assert 'name="seen" value="1"' in late
    assert "In use from now on." in await _says(wang, "Calling {phone} now.", seen=1)


async def test_a_conversation_is_a_test_that_can_be_read_exported_and_deleted(console: ConsoleUnderTest) -> None:
    lena = await console.enter("lena", "supervisor")
    assert "Make this a test" in (await lena.page("/console/flows/tests")).text
    await converse(console.store, "<i>where</i> is my order", "On its way.", user="ann")
    made = await console.content.tests.make(LEAD, "shop", 1)
    page = await lena.page("/console/flows/tests")
    assert "&lt;i&gt;where&lt;/i&gt; is my order" in page.text
    assert "is my order" in (await lena.page("/console/flows/tests.yml")).text
    assert (await lena.do(f"/console/flows/tests/{made.id}/drop")).status_code == 200
    assert (await lena.do(f"/console/flows/tests/{made.id}/drop")).status_code == 404
    assert (await lena.do(f"/console/flows/tests/{2**70}/drop")).status_code == 404


async def test_who_may_not_publish_reads_only(console: ConsoleUnderTest) -> None:
    li, eve = await console.enter("li"), await console.enter("eve", "auditor")
    page = await li.page(TEXT)
    assert "<fieldset disabled>" in page.text
    assert "Save and use" not in page.text
    assert (await _says(li, "We call {phone}.")).startswith("403")
    assert (await eve.page("/console/flows")).status_code == 403
    assert (await li.page("/console/flows/texts/utter_none")).status_code == 404
