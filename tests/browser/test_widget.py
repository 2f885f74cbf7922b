"""The widget in a real Chromium: what customers do with it, and what the network does to them."""

from __future__ import annotations

import re
from time import time
from typing import TYPE_CHECKING, Any

import pytest

from bot.ports import TOPIC_WEB
from bot.types import Button, Text
from channels.web import sign_identity
from tests.browser.conftest import IDENTITY_SECRET, NewPage, Shop, keep_picture
from tests.web_server import WebServer

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2,
}  # fmt: skip


async def _texts(page: Page, side: str = "") -> list[str]:
    """The words of the conversation in the order shown, without the greeting."""
    return await page.locator(f"#frontdesk-chat .list .msg{side} .body").all_text_contents()


async def _write(page: Page, text: str) -> None:
    await page.locator("#frontdesk-chat textarea").fill(text)
    await page.keyboard.press("Enter")


async def _see(page: Page, text: str) -> None:
    await page.locator("#frontdesk-chat .list .body", has_text=text).wait_for()


def _received(server: WebServer) -> list[str]:
    contents = [item.message.content for item in server.store.received if item.message]
    return [content.text if isinstance(content, Text) else f"[{content.value}]" for content in contents]


@pytest.mark.parametrize(
    ("language", "greeting", "question", "reply"),
    [
        ("zh", "您好，请直接写下您的问题", "我的订单到哪了？", "预计周二"),
        ("en", "Hello. Write what you need", "Where is my order?", "on its way"),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_a_customer_asks_and_is_answered(
    server: WebServer,
    new_page: NewPage,
    language: str,
    greeting: str,
    question: str,
    reply: str,
    scheme: str,
    device: str,
) -> None:
    page = await new_page(color_scheme=scheme, **(PHONE if device == "phone" else {}))
    await page.goto(f"{server.url}/?lang={language}")
    if device == "phone":
        await page.locator(".start").click()
    await page.locator("#frontdesk-chat .body", has_text=greeting).wait_for()
    await keep_picture(page, f"{device}-{language}-{scheme}-open")

    await _write(page, question)
    await _see(page, reply)

    assert await _texts(page, ".me") == [question]
    await keep_picture(page, f"{device}-{language}-{scheme}-answered")


async def test_a_likely_question_is_one_press(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await page.locator("#frontdesk-chat").get_by_role("button", name="Where is my order?").click()
    await _see(page, "on its way")

    assert await page.locator("#frontdesk-chat").get_by_role("button", name="Where is my order?").count() == 0
    link = page.locator("#frontdesk-chat .body a")
    assert await link.get_attribute("href") == "https://shop.example/track/2391"
    assert await link.get_attribute("rel") == "noopener noreferrer"


async def test_a_question_on_the_page_opens_the_chat_and_asks_it(server: WebServer, new_page: NewPage) -> None:
    page = await new_page(**PHONE)
    await page.goto(server.url + "/?lang=zh")
    await page.locator("main").get_by_role("button", name="我的订单到哪了？").click()
    await _see(page, "预计周二")


async def test_quick_replies_send_their_value_and_go(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=zh")
    await _write(page, "我的订单")
    await page.locator("#frontdesk-chat").get_by_role("button", name="转人工").click()
    await _see(page, "pressed /person")

    assert await _texts(page) == ["我的订单", "您的订单已发货，预计周二 18:00 前送达。", "转人工", "pressed /person"]
    assert server.store.received[-1].message.content == Button("/person", "转人工")
    assert await page.locator("#frontdesk-chat .chips:visible").count() == 0
    assert await page.locator("#frontdesk-chat header .sub").text_content() == "李强"


async def test_enter_while_composing_does_not_send(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=zh")
    box = page.locator("#frontdesk-chat textarea")
    await box.focus()
    ime = await page.context.new_cdp_session(page)
    await ime.send("Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5})
    enter = {"type": "rawKeyDown", "key": "Enter", "code": "Enter"}
    await ime.send("Input.dispatchKeyEvent", {**enter, "windowsVirtualKeyCode": 13})
    await ime.send("Input.insertText", {"text": "你好"})
    await ime.send("Input.dispatchKeyEvent", {**enter, "windowsVirtualKeyCode": 229})  # Safari: after the end
    assert (await box.input_value(), await _texts(page)) == ("你好", [])
    await page.keyboard.press("Enter")
    await _see(page, "echo: 你好")

    assert _received(server) == ["你好"]


async def test_shift_enter_begins_a_new_line_and_the_box_grows(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    box = page.locator("#frontdesk-chat textarea")
    await box.focus()
    height = (await box.bounding_box() or {})["height"]
    for line in ("one", "two", "three"):
        await page.keyboard.type(line)
        await page.keyboard.press("Shift+Enter")
    assert (await box.bounding_box() or {})["height"] > height
    await page.keyboard.press("Enter")
    await _see(page, "echo: one")

    assert _received(server) == ["one\ntwo\nthree\n"]


async def test_what_is_written_offline_is_sent_in_order_once_even_from_another_page(
    server: WebServer, new_page: NewPage
) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "before")
    await _see(page, "echo: before")
    await page.context.set_offline(True)
    for text in ("first", "second", "third"):
        await _write(page, text)
    notice = page.locator("#frontdesk-chat .notice")
    await notice.wait_for()
    assert "kept" in (await notice.text_content() or "")
    assert await page.locator("#frontdesk-chat [data-state=pending]").count() == 3
    await keep_picture(page, "offline")
    await page.close()

    again = await page.context.new_page()
    await page.context.set_offline(False)
    await again.goto(server.url + "/?lang=en")
    await _see(again, "echo: third")

    assert _received(server) == ["before", "first", "second", "third"]
    assert await _texts(again, ".me") == ["before", "first", "second", "third"]
    assert await again.locator("#frontdesk-chat [data-state=pending]").count() == 0


async def test_a_restart_of_the_server_loses_and_repeats_nothing(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "one")
    await _see(page, "echo: one")
    await server.stop()
    await _write(page, "while down")
    await page.locator("#frontdesk-chat [data-state=pending]").wait_for()
    conversation = server.store.received[0].message.sender.external_id
    server.store.append(server.store.conversation_of(conversation), "said while down")
    await server.start()
    await _see(page, "echo: while down")

    assert await _texts(page) == ["one", "echo: one", "said while down", "while down", "echo: while down"]
    assert _received(server) == ["one", "while down"]


async def test_an_answer_lost_on_the_way_back_does_not_double_the_message(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    lost: list[str] = []

    async def lose_the_first_answer(route: Any) -> None:
        if not lost:
            lost.append((await route.fetch()).status)
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/messages", lose_the_first_answer)
    await _write(page, "only once")
    await _see(page, "echo: only once")

    assert lost == [202]
    assert await _texts(page) == ["only once", "echo: only once"]
    assert _received(server) == ["only once"]


async def test_the_chat_works_by_keyboard_alone(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await page.locator("#frontdesk-chat textarea").focus()
    await page.keyboard.press("Escape")
    focused = "document.getElementById('frontdesk-chat').shadowRoot.activeElement?.className"
    assert await page.evaluate(focused) == "launcher"
    await page.keyboard.press("Enter")
    assert await page.evaluate(focused.replace("className", "tagName")) == "TEXTAREA"
    await page.keyboard.type("hello")
    await page.keyboard.press("Tab")
    assert await page.evaluate(focused) == "send"
    await page.keyboard.press("Enter")
    await _see(page, "echo: hello")
    assert await page.evaluate(focused.replace("className", "tagName")) == "TEXTAREA"
    for _ in range(2):
        await page.keyboard.press("Shift+Tab")
    assert await page.evaluate(focused) == "icon"
    await page.keyboard.press("Space")
    assert await page.locator("#frontdesk-chat dialog").is_visible() is False


async def test_a_screen_reader_finds_names_for_everything(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    chat = page.locator("#frontdesk-chat")
    for role, name in [("dialog", "Customer service"), ("log", "Conversation"), ("textbox", "Write a message")]:
        assert await chat.get_by_role(role, name=name).count() == 1  # type: ignore[arg-type]
    for name in ("Close", "Send"):
        assert await chat.get_by_role("button", name=name, exact=True).count() == 1
    await _write(page, "hello")
    await _see(page, "echo: hello")
    assert await chat.locator(".msg .name").all_text_contents() == ["You", "Automatic assistant"]
    await chat.locator("[role=log][aria-live=polite]").wait_for()


async def test_right_to_left_words_run_from_the_right(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "مرحبا، أين طلبي؟")
    await _write(page, "left to right")
    await _see(page, "echo: left")

    directions = await page.locator("#frontdesk-chat .list .me .body").evaluate_all(
        "nodes => nodes.map((node) => getComputedStyle(node).direction)"
    )
    assert directions == ["rtl", "ltr"]


async def test_on_a_right_to_left_page_the_chat_stands_on_the_left(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await page.evaluate("document.documentElement.dir = 'rtl'")
    box = await page.locator("#frontdesk-chat dialog").bounding_box()

    assert box is not None
    assert box["x"] < 100


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=\"document.title='owned'\">",
        "<script>document.title='owned'</script>",
        "javascript:document.title='owned'",
        "https://x.example/\"onmouseover=\"document.title='owned'",
        "{{constructor.constructor('return 1')()}}",
    ],
)
async def test_markup_in_a_message_is_only_text(server: WebServer, new_page: NewPage, text: str) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, text)
    await _see(page, "echo: ")

    assert await _texts(page) == [text, f"echo: {text}"]
    assert await page.title() != "owned"
    assert await page.locator("#frontdesk-chat .body img, #frontdesk-chat .body script").count() == 0
    assert await page.locator("#frontdesk-chat .body a[href^=javascript]").count() == 0


async def test_on_a_phone_the_chat_fills_the_screen(server: WebServer, new_page: NewPage) -> None:
    page = await new_page(**PHONE)
    await page.goto(server.url + "/?lang=zh")
    assert await page.locator("#frontdesk-chat dialog").is_visible() is False
    await page.locator("#frontdesk-chat .launcher").tap()
    box = await page.locator("#frontdesk-chat dialog").bounding_box()

    assert box == {"x": 0, "y": 0, "width": 390, "height": 844}
    size = await page.locator("#frontdesk-chat textarea").evaluate("node => getComputedStyle(node).fontSize")
    assert size == "16px"  # below, iOS zooms into the page
    await page.locator("#frontdesk-chat").get_by_role("button", name="关闭").tap()
    await page.locator("#frontdesk-chat .launcher").wait_for()
    assert await page.evaluate("document.documentElement.style.overflow") == ""


async def test_two_tabs_of_one_visitor_show_the_same_conversation(server: WebServer, new_page: NewPage) -> None:
    first = await new_page()
    await first.goto(server.url + "/?lang=en")
    second = await first.context.new_page()
    await second.goto(server.url + "/?lang=en")
    await _write(first, "from the first")
    await _see(second, "echo: from the first")
    await _write(second, "from the second")
    await _see(first, "echo: from the second")

    expected = ["from the first", "echo: from the first", "from the second", "echo: from the second"]
    assert await _texts(first) == await _texts(second) == expected
    assert _received(server) == ["from the first", "from the second"]


async def test_an_invalid_token_is_replaced_without_losing_the_message(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await page.evaluate(
        """localStorage.setItem("frontdesk:default:session", JSON.stringify({ token: "fd1.a.b", user: "v-old",
             expires_at: new Date(Date.now() + 1e9).toISOString(), at: Date.now() }))"""
    )
    await _write(page, "still me")
    await _see(page, "echo: still me")

    assert _received(server) == ["still me"]


async def test_typing_is_shown_until_the_answer_comes(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "hello")
    await _see(page, "echo: hello")
    user = server.store.received[0].message.sender.external_id
    conversation = server.store.conversation_of(user)
    server.signals.publish(TOPIC_WEB, {"conversation_id": conversation, "type": "typing"})
    await page.locator("#frontdesk-chat .typing").wait_for()
    server.say(conversation, "done")
    await _see(page, "done")

    assert await page.locator("#frontdesk-chat .typing").is_visible() is False


async def test_what_staff_put_right_or_take_back_changes_where_it_stands(server: WebServer, new_page: NewPage) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "hello")
    await _see(page, "echo: hello")
    conversation = server.store.conversation_of(server.store.received[0].message.sender.external_id)
    for words in ("come at nine", "bring the paper"):
        server.say(conversation, words, author="operator", name="Li")
        await _see(page, words)
    server.say(conversation, "come at ten", author="operator", name="Li", replaces=3)
    await _see(page, "come at ten")
    server.say(conversation, "", author="operator", replaces=4, deleted=True)
    server.say(conversation, "see you", author="operator", name="Li")
    await _see(page, "see you")

    shown = page.locator("#frontdesk-chat .list .msg:not([hidden]) .body")
    assert await shown.all_text_contents() == ["hello", "echo: hello", "come at ten", "see you"]


async def test_messages_that_come_while_closed_are_counted_and_read_when_opened(
    server: WebServer, new_page: NewPage
) -> None:
    page = await new_page()
    await page.goto(server.url + "/?lang=en")
    await _write(page, "hello")
    await _see(page, "echo: hello")
    user = server.store.received[0].message.sender.external_id
    conversation = server.store.conversation_of(user)
    async with page.expect_request("**/read"):
        await page.locator("#frontdesk-chat textarea").focus()
    await page.keyboard.press("Escape")
    for text in ("one", "two"):
        server.say(conversation, text)
    launcher = page.get_by_role("button", name="Open the chat (2)")
    await launcher.wait_for()
    await keep_picture(page, "unread")
    async with page.expect_response(lambda response: response.url.endswith("/read")):
        await launcher.click()

    assert server.store.read[conversation] == 4


async def _open_shop(page: Page, server: WebServer, shop: Shop, attributes: str = "") -> None:
    policy = f"default-src 'none'; script-src {server.url}; connect-src {server.url}; img-src data:"
    shop.page = f"""<!doctype html><html lang=en><meta charset=utf-8><link rel=icon href=data:,>
      <meta http-equiv="Content-Security-Policy" content="{policy}"><title>Shop</title>
      <body><h1>Shop</h1><script src="{server.url}/widget.js" {attributes}></script></body></html>"""
    await page.goto(shop.origin)
    await page.evaluate("Frontdesk.open()")  # it may be open already, as it was when the page was left


async def test_the_widget_works_on_another_site_with_a_strict_policy(
    server: WebServer, shop: Shop, new_page: NewPage
) -> None:
    page = await new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await _open_shop(page, server, shop, 'data-title="Linden Home" data-questions="One?|Two?"')
    await page.locator("#frontdesk-chat").get_by_role("button", name="Two?").click()
    await _see(page, "echo: Two?")
    background = "node => getComputedStyle(node).backgroundColor"
    assert await page.locator("#frontdesk-chat .me .body").evaluate(background) == "rgb(31, 111, 235)"
    assert await page.locator("#frontdesk-chat h2").text_content() == "Linden Home"
    assert complaints == []


async def test_a_logged_in_customer_is_recognised_and_gone_after_logging_out(
    server: WebServer, shop: Shop, new_page: NewPage
) -> None:
    page = await new_page()
    issued_at = int(time())
    signature = sign_identity(IDENTITY_SECRET, account="default", user="4711", issued_at=issued_at, name="王芳")
    signed = f"data-user=4711 data-name=王芳 data-issued-at={issued_at} data-signature={signature}"
    await _open_shop(page, server, shop, signed)
    await _write(page, "my secret order")
    await _see(page, "on its way")
    assert server.store.received[0].message.sender.external_id == "u-4711"
    assert server.store.received[0].message.sender_name == "王芳"

    await _open_shop(page, server, shop)
    await _write(page, "hello")
    await _see(page, "echo: hello")

    assert await _texts(page) == ["hello", "echo: hello"]
    assert re.match(r"v-", server.store.received[1].message.sender.external_id)


async def test_a_forged_sign_in_is_not_let_in(server: WebServer, shop: Shop, new_page: NewPage) -> None:
    page = await new_page()
    await _open_shop(page, server, shop, f"data-user=4711 data-issued-at={int(time())} data-signature={'00' * 32}")
    await page.locator("#frontdesk-chat .notice", has_text="expired").wait_for()

    assert server.store.received == []
