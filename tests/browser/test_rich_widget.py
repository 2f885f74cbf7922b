"""What the chat can do beyond words, in a real Chromium on the real store: files, cards, asks, forms, welcome, menu."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from bot.types import (
    Button,
    Card,
    Event,
    InboundMessage,
    Location,
    Media,
    OutMedia,
    RenderedReply,
    ReplyButton,
    Text,
)
from channels.markup import to_html
from channels.web import WebExtras
from config.settings import WebSettings, WelcomeRule
from tests.browser.conftest import NewPage, keep_picture
from tests.browser.running_desk import Desk, a_desk, words
from tests.media_files import PDF, photo

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2,
}  # fmt: skip
SQUARE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
LONG = "漢" * 20_000


def _card(number: int, **fields: Any) -> Card:
    return Card(
        f"Kettle {number}", "1.7 litres, steel", buttons=(ReplyButton("Choose it", f"/kettle{number}"),), **fields
    )


def answer(message: InboundMessage) -> Sequence[RenderedReply]:
    match message.content:
        case Media() as file:
            return [words(f"got {file.kind} {file.file_name}")]
        case Location() as place:
            return [words(f"at {place.latitude:.2f}, {place.longitude:.2f}")]
        case Button(value=value):
            return [words(f"pressed {value}")]
        case Text("cards"):
            cards = tuple(_card(number, url=f"https://shop.example/{number}") for number in range(1, 5))
            return [words("Which of these?", cards=cards)]
        case Text("bad cards"):
            bad = (
                Card("javascript", url="javascript:document.title='owned'", image_url="javascript:alert(1)"),
                Card("<b>\u202eevil</b>", LONG),
                Card("مرحبا", "نص عربي"),
            )
            return [words("Look:", cards=bad)]
        case Text("rate" | "date" | "location" | "contact" as ask):
            kinds: dict[str, Any] = {"rate": "rating"}
            return [words(f"Please: {ask}", ask=kinds.get(ask, ask))]
        case Text("markdown"):
            return [words(MARKDOWN, text_format="markdown")]
        case Text("plain marks"):
            return [words("**not bold** https://shop.example/a.")]
        case Text("picture"):
            return [words("", image_url="https://shop.example/none.png")]
        case Text("files"):
            return [
                words("", media=(OutMedia("document", url="https://shop.example/manual.pdf", file_name="说明书.pdf"),)),
                words("", media=(OutMedia("audio", url="https://shop.example/a.mp3", caption="listen"),)),
                words("", media=(OutMedia("document", url="javascript:alert(1)", file_name="bad"),)),
            ]
        case Text(text):
            return [words(f"echo: {text}")]
    return []


MARKDOWN = (
    "**Two** ways, *really*:\n- `SO-2391` at [the shop](https://shop.example/a_b)\n- _or_ 2*3*4\n[x](javascript:1)"
)


@pytest_asyncio.fixture(loop_scope="package")
async def desk(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(sqlite_url, tmp_path / "media", WebSettings(), answer) as running:
        yield running


def _chat(page: Page) -> Locator:
    return page.locator("#frontdesk-chat")


async def _arrive(page: Page, desk: Desk, language: str = "en") -> None:
    async with page.expect_response("**/config"):
        await page.goto(f"{desk.url}/?lang={language}")


async def _write(page: Page, text: str) -> None:
    await _chat(page).locator("textarea").fill(text)
    await page.keyboard.press("Enter")


async def _see(page: Page, text: str) -> None:
    await _chat(page).locator(".list .body", has_text=text).last.wait_for()


# --- files ----------------------------------------------------------------------------------------------------------


async def _choose(page: Page, *files: Any) -> None:
    async with page.expect_file_chooser() as chooser:
        await _chat(page).get_by_role("button", name=re.compile("Add a file|添加文件")).click()
    await (await chooser.value).set_files(list(files))


def _file(name: str, content: bytes, mime: str) -> dict[str, Any]:
    return {"name": name, "mimeType": mime, "buffer": content}


async def test_a_picture_is_sent_seen_and_still_there_after_a_reload(desk: Desk, new_page: NewPage) -> None:
    page = await new_page(bypass_csp=True)
    await _arrive(page, desk)
    await _choose(page, _file("leak.jpg", photo(size=(600, 400)), "image/jpeg"))
    await _see(page, "got image leak.jpg")
    image = _chat(page).locator(".me .picture img")
    assert await image.evaluate("image => image.naturalWidth") > 0
    await keep_picture(page, "rich-picture")

    await page.reload()
    await image.wait_for()
    assert "/media/" in (await image.get_attribute("src") or "")
    await page.wait_for_function(
        "document.querySelector('#frontdesk-chat').shadowRoot.querySelector('.me .picture img').naturalWidth > 0"
    )
    (sent,) = desk.said()
    assert isinstance(sent, Media)
    assert await _chat(page).locator(".me").count() == 1


async def test_a_document_is_pasted_or_dropped_as_well(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "hello")
    await _see(page, "echo: hello")
    for happening, target in (("paste", "textarea"), ("drop", "dialog")):
        await page.evaluate(
            """([happening, target, bytes]) => {
              const found = document.querySelector('#frontdesk-chat').shadowRoot.querySelector(target);
              const carried = new DataTransfer();
              carried.items.add(new File([new Uint8Array(bytes)], happening + ".pdf", { type: "application/pdf" }));
              found.dispatchEvent(happening === "paste"
                ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
            }""",
            [happening, target, list(PDF)],
        )
        await _see(page, f"got document {happening}.pdf")
    assert [content.size for content in desk.said()[1:]] == [len(PDF)] * 2
    await keep_picture(page, "rich-documents")


async def test_a_file_chosen_offline_is_sent_once_from_another_page(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "hello")
    await _see(page, "echo: hello")
    await page.context.set_offline(True)
    await _choose(page, _file("invoice.pdf", PDF, "application/pdf"))
    await _chat(page).locator("[data-state=pending]", has_text="invoice.pdf").wait_for()
    await page.close()

    again = await page.context.new_page()
    await page.context.set_offline(False)
    await _arrive(again, desk)
    await _see(again, "got document invoice.pdf")

    assert [type(content) for content in desk.said()] == [Text, Media]
    assert await _chat(again).locator("[data-state=pending]").count() == 0


async def test_an_upload_whose_answer_is_lost_is_one_file_and_one_message(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    lost: dict[str, int] = {}

    async def lose_the_first_answer(route: Any) -> None:
        path = route.request.url.rsplit("/", 1)[1]
        if path in lost:
            await route.continue_()
        else:
            lost[path] = (await route.fetch()).status
            await route.abort()

    await page.route(re.compile("/(uploads|messages)$"), lose_the_first_answer)
    await _choose(page, _file("invoice.pdf", PDF, "application/pdf"))
    await _see(page, "got document invoice.pdf")

    assert lost == {"uploads": 201, "messages": 202}
    assert len(desk.said()) == 1


async def test_what_cannot_be_sent_says_why_and_holds_up_nothing(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _choose(page, _file("page.html", b"<html><script>1</script></html>", "text/html"))
    failed = _chat(page).locator("[data-state=failed]")
    await failed.wait_for()
    assert "Files of this kind are not taken" in (await failed.text_content() or "")
    await _choose(page, _file("big.pdf", PDF + bytes(2_000_000), "application/pdf"))
    notice = _chat(page).locator(".notice", has_text="too large; 2 MB at most")
    await notice.wait_for()
    await keep_picture(page, "rich-refused")
    await _write(page, "hello")
    await _see(page, "echo: hello")

    assert desk.said() == [Text("hello")]


async def test_a_session_that_ends_between_a_file_and_its_message_loses_neither(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "hello")
    await _see(page, "echo: hello")

    ended: list[bool] = []

    async def end_the_session(route: Any) -> None:
        if ended:
            await route.continue_()
            return
        ended.append(True)
        await page.evaluate(
            """() => { const key = "frontdesk:default:session", session = JSON.parse(localStorage.getItem(key));
                 localStorage.setItem(key, JSON.stringify({ ...session, token: "fd1.a.b" })); }"""
        )
        await route.continue_(headers={**route.request.headers, "authorization": "Bearer fd1.a.b"})

    await page.route("**/messages", end_the_session)
    await _choose(page, _file("invoice.pdf", PDF, "application/pdf"))
    await _see(page, "got document invoice.pdf")

    assert [type(content) for content in desk.said()] == [Text, Media]


async def test_where_no_files_are_taken_there_is_no_button(sqlite_url: str, tmp_path: Path, new_page: NewPage) -> None:
    async with a_desk(sqlite_url, tmp_path / "media", WebSettings(attachments=False), answer) as desk:
        page = await new_page()
        await _arrive(page, desk)
        assert await _chat(page).get_by_role("button", name="Add a file").count() == 0


# --- what the bot shows ---------------------------------------------------------------------------------------------


async def test_markdown_is_shown_as_the_other_channels_show_it(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "markdown")
    body = _chat(page).locator(".bot .body", has=page.locator("b"))
    await body.wait_for()
    shown = await body.evaluate(
        """body => { const copy = body.cloneNode(true);
             const names = ["target", "rel", "class"];
             for (const node of copy.querySelectorAll("*")) names.forEach((name) => node.removeAttribute(name));
             for (const item of copy.querySelectorAll("li")) item.replaceWith("\\n• ", ...item.childNodes);
             for (const list of copy.querySelectorAll("ul")) list.replaceWith(...list.childNodes);
             return copy.innerHTML; }"""
    )
    assert shown.replace("2*3*4[", "2*3*4\n[") == to_html(MARKDOWN)
    await keep_picture(page, "rich-markdown")


async def test_marks_in_a_plain_text_are_text_and_its_link_is_a_link(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "plain marks")
    link = _chat(page).locator(".bot .body a")
    await link.wait_for()

    assert await link.get_attribute("href") == "https://shop.example/a"
    assert await _chat(page).locator(".bot .body").text_content() == "**not bold** https://shop.example/a."


async def test_a_carousel_is_moved_and_answered_by_keyboard(desk: Desk, new_page: NewPage) -> None:
    page = await new_page(bypass_csp=True)
    await _arrive(page, desk)
    await _write(page, "cards")
    row = _chat(page).locator(".cards")
    await row.wait_for()
    await keep_picture(page, "rich-cards")
    await row.focus()
    await page.keyboard.press("ArrowRight")
    await page.wait_for_function(
        "document.querySelector('#frontdesk-chat').shadowRoot.querySelector('.cards').scrollLeft > 0"
    )
    for _ in range(4):
        await page.keyboard.press("Tab")
    assert (
        await page.evaluate("document.querySelector('#frontdesk-chat').shadowRoot.activeElement.textContent")
        == "Choose it"
    )
    await page.keyboard.press("Enter")
    await _see(page, "pressed /kettle2")

    assert await _chat(page).locator(".one a").first.get_attribute("href") == "https://shop.example/1"


async def test_cards_cannot_carry_scripts_and_stay_in_their_place(desk: Desk, new_page: NewPage) -> None:
    page = await new_page(**PHONE)
    await _arrive(page, desk)
    await page.evaluate("Frontdesk.open()")
    await _write(page, "bad cards")
    await _chat(page).locator(".one").nth(2).wait_for()

    assert await _chat(page).locator(".one a, .one img, .one b").count() == 0
    assert await _chat(page).locator(".one h3").nth(1).text_content() == "<b>\u202eevil</b>"
    assert await _chat(page).locator(".one p").nth(1).evaluate("p => p.getBoundingClientRect().height") < 200
    direction = "node => getComputedStyle(node).direction"
    assert await _chat(page).locator(".one h3").nth(2).evaluate(direction) == "rtl"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await keep_picture(page, "rich-bad-cards")


async def test_files_of_ours_are_links_players_or_nothing(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "files")
    await _chat(page).locator(".bot audio").wait_for()

    assert await _chat(page).locator("a.file").evaluate_all("links => links.map((link) => link.href)") == [
        "https://shop.example/manual.pdf"
    ]
    assert await _chat(page).locator(".caption").text_content() == "listen"


async def test_a_picture_that_is_gone_leaves_a_word(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await page.route("https://shop.example/**", lambda route: route.abort())
    await _write(page, "picture")

    await _chat(page).locator("a.picture", has_text="Picture").wait_for()


# --- what the bot asks for ------------------------------------------------------------------------------------------


async def test_stars_are_chosen_with_arrows_and_sent_as_a_number(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "rate")
    await _chat(page).get_by_role("radiogroup", name="Rating").wait_for()
    await _chat(page).get_by_role("radio", name="1 star").focus()
    await page.keyboard.press("Space")
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
    assert await _chat(page).locator(".star.on").count() == 4
    await keep_picture(page, "rich-stars")
    await page.keyboard.press("Enter")
    await _see(page, "echo: 4")

    assert desk.said()[-1] == Text("4")
    assert await _chat(page).locator(".ask:visible").count() == 0


async def test_a_day_is_sent_as_iso_and_said_in_words(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk, "zh")
    await _write(page, "date")
    field = _chat(page).get_by_label("选择日期").locator("input")
    await field.fill("2026-12-01")
    assert await _chat(page).locator(".said").text_content() == "2026年12月1日星期二"
    await keep_picture(page, "rich-date")
    await _chat(page).locator(".ask").get_by_role("button", name="提交").click()
    await _see(page, "echo: 2026-12-01")

    assert desk.said()[-1] == Text("2026-12-01")


async def test_a_place_is_shared_only_after_pressing(desk: Desk, new_page: NewPage) -> None:
    page = await new_page(geolocation={"latitude": 31.2304, "longitude": 121.4737}, permissions=["geolocation"])
    await _arrive(page, desk)
    await _write(page, "location")
    share = _chat(page).get_by_role("button", name="Send my location")
    await share.wait_for()
    assert len(desk.said()) == 1
    await keep_picture(page, "rich-location")
    await share.click()
    await _see(page, "at 31.23, 121.47")

    assert desk.said()[-1] == Location(31.2304, 121.4737)
    assert await _chat(page).locator(".me .body").last.text_content() == "My location"


async def test_a_refused_location_is_said_so(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await page.add_init_script("navigator.geolocation.getCurrentPosition = (found, failed) => failed({ code: 1 })")
    await _arrive(page, desk)
    await _write(page, "location")
    await _chat(page).get_by_role("button", name="Send my location").click()

    await _chat(page).locator(".notice", has_text="could not be found").wait_for()


async def test_a_number_is_asked_for_with_the_right_keyboard(desk: Desk, new_page: NewPage) -> None:
    page = await new_page(**PHONE)
    await _arrive(page, desk)
    await page.evaluate("Frontdesk.open()")
    await _write(page, "contact")
    field = _chat(page).locator(".ask input")
    assert await field.get_attribute("type") == "tel"
    await field.fill("13800002210")
    await page.keyboard.press("Enter")
    await _see(page, "echo: 13800002210")


# --- the form, the welcome, the looks -------------------------------------------------------------------------------

FORM = WebSettings(
    title="Linden Home",
    form=("name*", "phone", "email", "consent*"),
    privacy_url="https://shop.example/privacy",
    continue_on=("telegram/main",),
)


async def _telegram(token: str, expires_at: datetime) -> str:
    return f"https://t.me/linden_bot?start={token}"


@pytest_asyncio.fixture(loop_scope="package")
async def asking_desk(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    extras = WebExtras(links={"telegram/main": _telegram})
    async with a_desk(sqlite_url, tmp_path / "media", FORM, answer, extras) as running:
        yield running


async def test_the_form_comes_first_and_what_was_asked_waits_for_it(asking_desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, asking_desk)
    await page.locator("main").get_by_role("button", name="Where is my order?").click()
    form = _chat(page).get_by_role("form", name="Before we begin")
    await form.wait_for()
    await keep_picture(page, "rich-form")
    assert asking_desk.said() == []
    assert await _chat(page).locator("textarea").is_visible() is False
    await form.get_by_label("Name").fill("Ann")
    await page.keyboard.press("Enter")
    assert asking_desk.said() == []  # the box is not checked
    await form.get_by_role("checkbox").check()
    await form.get_by_role("button", name="Start").click()
    await _see(page, "echo: Where is my order?")

    profile = Event("profile", {"name": "Ann", "phone": "", "email": "", "consent": True, "source": "web:form"})
    assert asking_desk.said() == [profile, Text("Where is my order?")]
    await page.reload()
    await _see(page, "echo: Where is my order?")
    assert await form.count() == 0
    assert await _chat(page).locator(".msg .body").count() == 3  # the greeting, and two messages: no event


async def test_the_chat_goes_on_elsewhere(asking_desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, asking_desk)
    await _chat(page).get_by_role("button", name="More").click()
    await keep_picture(page, "rich-menu")
    await _chat(page).get_by_role("menuitem", name="Continue on Telegram").click()
    link = _chat(page).get_by_role("link", name="Open Telegram")
    await link.wait_for()
    await keep_picture(page, "rich-continue")

    assert re.match(r"https://t\.me/linden_bot\?start=[\w-]{22}$", await link.get_attribute("href") or "")
    assert "will ask you to confirm" in (await _chat(page).locator(".panel").text_content() or "")


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_the_conversation_is_saved_as_a_page(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, desk)
    await _write(page, "hello <b>")
    await _see(page, "echo: hello")
    await _chat(page).get_by_role("button", name="More").click()
    async with page.expect_download() as download:
        await _chat(page).get_by_role("menuitem", name="Save the conversation").click()
    saved = await download.value
    content = _text_of(await saved.path())

    assert saved.suggested_filename == f"conversation-{datetime.now(UTC):%Y-%m-%d}.html"
    assert "hello &lt;b&gt;" in content
    assert "echo: hello" in content


PRINTED = """window.printed = new Promise((printed) => {
  const line = () => getComputedStyle(document.querySelector("article")).borderTopWidth;
  window.print = () => printed([document.title, document.querySelector("main").innerText, line()]);
});"""


async def test_the_conversation_is_printed_from_a_page_of_its_own(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await page.context.add_init_script(PRINTED)
    await _arrive(page, desk)
    await _write(page, "hello <b>")
    await _see(page, "echo: hello")
    await _chat(page).get_by_role("button", name="More").click()
    async with page.expect_popup() as popup:
        await _chat(page).get_by_role("menuitem", name="Print the conversation").click()
    opened = await popup.value
    await opened.wait_for_load_state()
    async with asyncio.timeout(10):
        title, content, line = await opened.evaluate("window.printed")

    assert (title, line) == ("Customer service", "1px")  # with its style, whatever the page around the chat forbids
    assert "hello <b>" in content
    assert "echo: hello <b>" in content
    assert await opened.locator("script, b").count() == 0


async def test_a_browser_that_opens_no_page_for_printing_is_not_met_with_silence(desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await page.add_init_script("window.open = () => null")
    await _arrive(page, desk)
    await _write(page, "hello")
    await _see(page, "echo: hello")
    await _chat(page).get_by_role("button", name="More").click()
    await _chat(page).get_by_role("menuitem", name="Print the conversation").click()

    await _chat(page).locator(".notice", has_text="try again").wait_for()


async def test_what_a_visitor_is_told_stays_whatever_arrives_until_they_do_something_else(
    desk: Desk, new_page: NewPage
) -> None:
    page = await new_page()
    await page.add_init_script("window.open = () => null")
    await _arrive(page, desk)
    await _write(page, "hello")
    await _see(page, "echo: hello")
    again = await page.context.new_page()
    await _arrive(again, desk)
    notice = _chat(page).locator(".notice")
    await _chat(page).get_by_role("button", name="More").click()
    await _chat(page).get_by_role("menuitem", name="Print the conversation").click()
    await notice.wait_for()

    await _write(again, "from the other tab")
    await _see(page, "echo: from the other tab")

    assert "try again" in await notice.inner_text()
    await _write(page, "never mind")
    await notice.wait_for(state="hidden")


async def test_the_menu_is_used_by_keyboard(asking_desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    await _arrive(page, asking_desk)
    more = _chat(page).get_by_role("button", name="More")
    await more.focus()
    await page.keyboard.press("Enter")
    await _chat(page).get_by_role("menu").wait_for()
    focused = "document.querySelector('#frontdesk-chat').shadowRoot.activeElement.textContent"
    seen = []
    for key in ("Home", "ArrowDown", "ArrowUp", "ArrowUp"):
        await page.keyboard.press(key)
        seen.append(await page.evaluate(focused))
    save, printed, go_on = "Save the conversation", "Print the conversation", "Continue on Telegram"
    assert seen == [save, printed, save, go_on]
    await page.keyboard.press("Escape")

    assert await _chat(page).get_by_role("menu").count() == 0
    assert await more.evaluate("node => node.getRootNode().activeElement === node")
    assert await _chat(page).locator("dialog").is_visible()


WELCOME = WebSettings(
    welcome=(
        WelcomeRule(text="别处", path="/elsewhere/*", after_s=0),
        WelcomeRule(text="深夜", hours="00:00-00:00", after_s=0),
        WelcomeRule(text="需要帮您选尺码吗？", text_en="Need help with sizes?", path="/*", after_s=0.05),
    )
)


async def test_who_stays_on_a_page_is_greeted_once_and_nothing_is_sent(
    sqlite_url: str, tmp_path: Path, new_page: NewPage
) -> None:
    async with a_desk(sqlite_url, tmp_path / "media", WELCOME, answer) as desk:
        page = await new_page(**PHONE)
        await _arrive(page, desk)
        teaser = _chat(page).locator(".teaser")
        await teaser.wait_for()
        await keep_picture(page, "rich-welcome")
        await _chat(page).get_by_role("button", name="Need help with sizes?").click()
        assert await _chat(page).locator(".msg .body").first.text_content() == "Need help with sizes?"
        assert desk.said() == []
        assert await page.evaluate("localStorage.getItem('frontdesk:default:session')") is None

        await _write(page, "yes, size 38")
        await _see(page, "echo: yes, size 38")
        events = await desk.store.events_after(1, 0, 10)
        assert [(event.get("kind"), event["text"]) for event in events[:2]] == [("event", ""), (None, "yes, size 38")]

        await page.reload()
        await page.evaluate("new Promise((done) => setTimeout(done, 200))")  # four times the rule's delay
        assert await teaser.count() == 0


CONTRAST = """() => {
  const root = document.querySelector("#frontdesk-chat").shadowRoot;
  const style = getComputedStyle(root.querySelector(".me .body"));
  const part = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (css) => {
    const [r, g, b] = css.match(/[\\d.]+/g).map((c) => part(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(style.color), light(style.backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.mark.parametrize(
    ("accent", "scheme"), [("#0a7d55", "light"), ("#0a7d55", "dark"), ("#ffe100", "light"), ("#101010", "dark")]
)
async def test_any_accent_stays_readable(
    sqlite_url: str, tmp_path: Path, new_page: NewPage, accent: str, scheme: str
) -> None:
    settings = WebSettings(accent=accent, position="left", title="Linden Home")
    async with a_desk(sqlite_url, tmp_path / "media", settings, answer) as desk:
        page = await new_page(color_scheme=scheme)
        await _arrive(page, desk)
        await _write(page, "rate")
        await _chat(page).locator(".stars").wait_for()
        await keep_picture(page, f"rich-accent-{accent[1:]}-{scheme}")
        ratio = await page.evaluate(CONTRAST)
        assert ratio >= 4.5
        box = await _chat(page).locator("dialog").bounding_box()
        assert box is not None
        assert box["x"] < 100


# --- several tabs ---------------------------------------------------------------------------------------------------


async def test_a_draft_and_the_open_card_follow_from_tab_to_tab(desk: Desk, new_page: NewPage) -> None:
    first = await new_page(bypass_csp=True)
    await _arrive(first, desk)
    second = await first.context.new_page()
    await _arrive(second, desk)
    await _chat(first).locator("textarea").fill("half a question")
    await second.wait_for_function(
        "document.querySelector('#frontdesk-chat').shadowRoot.querySelector('textarea').value === 'half a question'"
    )
    await first.bring_to_front()
    await _chat(first).locator("textarea").press("Escape")
    await _chat(second).locator(".launcher").wait_for()
    await second.reload()
    assert await _chat(second).locator("textarea").input_value() == "half a question"
    assert await _chat(second).locator("dialog").is_visible() is False


async def test_unread_messages_show_in_the_title_until_read_in_any_tab(desk: Desk, new_page: NewPage) -> None:
    first = await new_page(bypass_csp=True)
    await _arrive(first, desk)
    await _write(first, "hello")
    await _see(first, "echo: hello")
    second = await first.context.new_page()
    await _arrive(second, desk)
    title = await second.title()
    # What is read is noted, and closing has reached the other tab: from here on nobody notes anything by itself.
    await second.wait_for_function("Number(localStorage.getItem('frontdesk:default:read:')) >= 2")
    await second.evaluate("Frontdesk.close()")
    for page in (first, second):
        await _chat(page).locator(".launcher").wait_for()
    await second.evaluate("localStorage.setItem('frontdesk:default:read:', '0')")
    await first.evaluate("dispatchEvent(new StorageEvent('storage', { key: 'frontdesk:default:read:' }))")
    await first.wait_for_function("document.title.startsWith('(1) ')")
    await first.evaluate("Frontdesk.open()")
    await first.wait_for_function("!document.title.startsWith('(')")
    await second.wait_for_function("!document.title.startsWith('(')")

    assert await second.title() == title


async def test_of_several_hidden_tabs_one_makes_a_sound(desk: Desk, new_page: NewPage) -> None:
    pages = [await new_page(bypass_csp=True)]
    pages.append(await pages[0].context.new_page())
    await pages[0].context.add_init_script(
        """Object.defineProperty(document, "hidden", { get: () => window.pretendsHidden === true });
           window.sounds = 0; const Real = AudioContext;
           window.AudioContext = class extends Real { constructor() { super(); window.sounds++; } };"""
    )
    for page in pages:
        await _arrive(page, desk)
    await _write(pages[0], "hello")
    for page in pages:
        await _see(page, "echo: hello")
        await page.wait_for_function(
            "document.querySelector('#frontdesk-chat').shadowRoot.querySelector('[role=log]').ariaLive === 'polite'"
        )
        await page.evaluate("window.pretendsHidden = true")
    await pages[0].evaluate("Frontdesk.ask('again')")
    for page in pages:
        await _see(page, "echo: again")
        await page.wait_for_function("localStorage.getItem('frontdesk:default:sounded') === '4'")

    sounds = [
        await page.evaluate("navigator.locks.request('frontdesk:default:sound', () => window.sounds)") for page in pages
    ]
    assert sum(sounds) == 1


# --- by keyboard ----------------------------------------------------------------------------------------------------

FOCUSED = """() => { const at = document.querySelector("#frontdesk-chat").shadowRoot.activeElement;
  return at && (at.ariaLabel || at.textContent || at.name || at.type); }"""


async def _press_until(page: Page, name: str, key: str = "Tab", most: int = 40) -> None:
    """Presses `key` until what is called `name` has the focus."""
    for _ in range(most):
        if name in (await page.evaluate(FOCUSED) or ""):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{name!r} is not reached with {key}; last was {await page.evaluate(FOCUSED)!r}")


async def test_a_whole_visit_needs_no_mouse(asking_desk: Desk, new_page: NewPage) -> None:
    page = await new_page()
    page.on("filechooser", lambda chooser: None)  # from the start: a key is faster than asking for it later
    await _arrive(page, asking_desk)
    await page.evaluate("Frontdesk.close()")
    await _press_until(page, "Open the chat")
    await page.keyboard.press("Enter")
    await _chat(page).locator(".profile").wait_for()
    await page.keyboard.type("Ann")  # the form's first field has the focus
    for key in ("Tab", "Tab", "Tab", "Space"):  # past what is optional, to the box
        await page.keyboard.press(key)
    await _press_until(page, "Start")
    await page.keyboard.press("Enter")
    await _chat(page).locator("textarea").wait_for()
    await page.keyboard.type("cards")
    await page.keyboard.press("Enter")
    await _chat(page).locator(".one").first.wait_for()
    await _press_until(page, "Choose it", "Shift+Tab")
    await page.keyboard.press("Enter")
    await _see(page, "pressed /kettle4")
    await page.keyboard.type("rate")
    await page.keyboard.press("Enter")
    await _chat(page).locator(".stars").wait_for()
    await _press_until(page, "star", "Shift+Tab")
    for key in ("Space", "ArrowRight", "Enter"):
        await page.keyboard.press(key)
    await _see(page, "echo: ")
    await _press_until(page, "Add a file", "Shift+Tab")
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files([_file("a.pdf", PDF, "application/pdf")])
    await _see(page, "got document a.pdf")
    await _press_until(page, "More", "Shift+Tab")
    for key in ("Enter", "End", "Enter"):
        await page.keyboard.press(key)
    await _chat(page).get_by_role("link", name="Open Telegram").wait_for()
    assert await page.evaluate(FOCUSED) == "Open Telegram"
    await page.keyboard.press("Escape")

    assert await _chat(page).locator("dialog").is_visible() is False
    assert [type(content) for content in asking_desk.said()] == [Event, Text, Button, Text, Text, Media]


# --- everybody ------------------------------------------------------------------------------------------------------


async def _findings(page: Page) -> list[str]:
    """Serious and critical findings of axe-core inside the chat."""
    from axe_playwright_python.async_playwright import Axe

    found = await Axe().run(page, context="#frontdesk-chat")  # type: ignore[no-untyped-call]
    return [
        json.dumps(
            [violation["id"], [node["html"] for node in violation["nodes"]], violation["nodes"][0]["failureSummary"]]
        )
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_any_state(
    asking_desk: Desk, new_page: NewPage, language: str, scheme: str
) -> None:
    page = await new_page(color_scheme=scheme)
    await _arrive(page, asking_desk, language)
    found = {"form": await _findings(page)}
    form = _chat(page).locator(".profile")
    await form.locator("[name=name]").fill("Ann")
    await form.locator("[name=consent]").check()
    await form.locator(".go").click()
    await form.wait_for(state="detached")
    found["greeting"] = await _findings(page)
    for number, said in enumerate(
        ["hello", "cards", "rate", "date", "location", "contact", "markdown", "files"], start=1
    ):
        await _write(page, said)
        await _chat(page).locator(".list .bot").nth(number - 1).wait_for()
        await page.evaluate("import('/widget-more.js').then(() => new Promise(requestAnimationFrame))")
        found[said] = await _findings(page)
    await _choose(page, _file("a.pdf", PDF, "application/pdf"))
    await _see(page, "got document")
    found["file"] = await _findings(page)
    await _choose(page, _file("a.html", b"<html>", "text/html"))
    await _chat(page).locator("[data-state=failed]").wait_for()
    found["refused"] = await _findings(page)
    await _chat(page).locator("header .icon").first.click()
    found["menu"] = await _findings(page)
    await _chat(page).get_by_role("menuitem").last.click()
    await _chat(page).locator(".panel").wait_for()
    found["panel"] = await _findings(page)
    await page.evaluate("Frontdesk.close()")
    found["closed"] = await _findings(page)

    assert {state: findings for state, findings in found.items() if findings} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_on_a_phone_everything_fits(desk: Desk, new_page: NewPage, language: str, scheme: str) -> None:
    page = await new_page(color_scheme=scheme, **PHONE)
    await _arrive(page, desk, language)
    await page.evaluate("Frontdesk.open()")
    for number, said in enumerate(["markdown", "cards", "rate"], start=1):
        await _write(page, said)
        await _chat(page).locator(".list .bot").nth(number if number > 2 else number - 1).wait_for()
    await _chat(page).locator(".stars").wait_for()
    await keep_picture(page, f"rich-phone-{language}-{scheme}")

    wide = await _chat(page).locator(".scroll").evaluate("node => node.scrollWidth - node.clientWidth")
    assert wide == 0
    assert await _chat(page).locator(".stars").evaluate("node => node.getBoundingClientRect().right") <= 390
