"""Files, albums, keyboards, formatting, living messages and moved groups, judged by the strict stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Misconfigured, NotFound, PayloadInvalid, SendRefused, ServiceUnavailable
from bot.ports import StoredFile
from bot.types import Lane, OutMedia, OutPart, Receipt, RenderedReply, ReplyButton
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_flood import Limits
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from tests.channel_doubles import an_outbound

PICTURE = "https://shop.example/a.png"
FILM = "https://shop.example/a.mp4"


class Shelf:
    """A media library that holds these files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"small": b"12 bytes long", "photo": b"x" * 10_000_001}

    async def read(self, media_id: str) -> tuple[StoredFile, bytes]:
        if media_id == "away":
            raise ServiceUnavailable("media store", "no answer")
        if media_id not in self.files:
            raise NotFound(media_id)
        content = self.files[media_id]
        return StoredFile(media_id, "image/png", len(content), f"{media_id}.png"), content


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator(limits=Limits(chat_burst=100)) as simulator:
        simulator.user(42, "Li Wei").start()
        yield simulator


def adapter_for(telegram: TelegramSimulator, **more: Any) -> TelegramAdapter:
    settings = {"token": telegram.token, "api_base_url": telegram.url, "timeout_s": 5, **more}
    return TelegramAdapter("main", TelegramSettings(**settings), read_media=Shelf().read)


@pytest.fixture
async def adapter(telegram: TelegramSimulator) -> AsyncIterator[TelegramAdapter]:
    adapter = adapter_for(telegram)
    yield adapter
    await adapter.close()


def outbound(part: OutPart, **changes: Any) -> Any:
    return replace(an_outbound(), part=part, **changes)


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image", "voice", "audio", "video", "document"])
@pytest.mark.parametrize("by", ["address", "bytes"])
async def test_every_kind_of_file_goes_by_address_and_as_bytes(
    telegram: TelegramSimulator, adapter: TelegramAdapter, kind: Any, by: str
) -> None:
    file = OutMedia(kind, url=PICTURE) if by == "address" else OutMedia(kind, media_id="small", file_name="发票.png")

    receipt = await adapter.send(outbound(OutPart("look", (ReplyButton("ok", "ok"),), media=(file,))))

    (shown,) = telegram.user(42).received
    named = {"image": "photo"}.get(kind, kind)
    assert shown.files == [f"{named} {PICTURE}" if by == "address" else f"{named} 发票.png (13 bytes)"]
    assert (shown.text, shown.buttons, receipt) == ("look", ["ok"], Receipt(str(shown.message_id)))


async def test_a_files_own_caption_is_shown_when_there_are_no_other_words(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    await adapter.send(outbound(OutPart("", media=(OutMedia("document", url=PICTURE, caption="the <receipt>"),))))

    assert telegram.user(42).received[0].text == "the <receipt>"


async def test_a_picture_too_large_for_a_photo_arrives_as_a_file(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    await adapter.send(outbound(OutPart("", media=(OutMedia("image", media_id="photo"),))))

    assert telegram.user(42).received[0].files == ["document photo.png (10000001 bytes)"]


@pytest.mark.parametrize(
    ("media_id", "kind"), [("gone", SendRefused), ("away", ServiceUnavailable)], ids=["gone", "away"]
)
async def test_a_file_the_library_cannot_give_decides_the_class(
    telegram: TelegramSimulator, adapter: TelegramAdapter, media_id: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await adapter.send(outbound(OutPart("look", media=(OutMedia("image", media_id=media_id),))))

    assert telegram.user(42).received == []


async def test_without_a_media_library_a_file_of_ours_is_set_aside(telegram: TelegramSimulator) -> None:
    settings = TelegramSettings(token=telegram.token, api_base_url=telegram.url)
    adapter = TelegramAdapter("main", settings)

    with pytest.raises(SendRefused, match="media library"):
        await adapter.send(outbound(OutPart("", media=(OutMedia("image", media_id="small"),))))
    await adapter.close()


async def test_a_path_on_this_machine_is_never_sent(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    for place in (__file__, f"file://{__file__}"):
        await adapter.send(outbound(OutPart("look", media=(OutMedia("document", url=place),))))

    assert [shown.files for shown in telegram.user(42).received] == [[], []]


async def test_a_file_telegram_cannot_fetch_arrives_as_words_and_address(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    files = (OutMedia("image", url=PICTURE, caption="one"), OutMedia("video", url="https://shop.example/b.broken"))

    await adapter.send(outbound(OutPart("both", media=files)))

    assert telegram.user(42).received[0].text == f"both\none\n{PICTURE}\nhttps://shop.example/b.broken"


async def test_an_upload_whose_answer_is_lost_may_have_arrived(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.faults.plan(Fault("drop_answer", "sendPhoto"))

    with pytest.raises(ServiceUnavailable) as caught:
        await adapter.send(outbound(OutPart("", media=(OutMedia("image", media_id="small"),))))

    assert caught.value.happened == "unknown"


# --- albums -------------------------------------------------------------------------------------------------------


async def test_several_files_are_one_album(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    files = (
        OutMedia("image", media_id="small"),
        OutMedia("video", url=FILM, caption="how it sounds"),
        OutMedia("image", url=PICTURE),
    )

    receipt = await adapter.send(outbound(OutPart("**three** views", media=files, text_format="markdown")))

    shown = telegram.user(42).received
    assert [one.files[0] for one in shown] == ["photo small.png (13 bytes)", f"video {FILM}", f"photo {PICTURE}"]
    assert [one.text for one in shown] == ["three views", "how it sounds", ""]
    assert receipt == Receipt(str(shown[0].message_id))
    assert len(telegram.ledger.entries("call", method="sendMediaGroup")) == 1


async def test_a_reply_with_many_files_of_all_kinds_is_cut_into_what_can_be_sent_together(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    pictures = tuple(OutMedia("image", url=f"https://shop.example/{number}.png") for number in range(12))
    others = tuple(OutMedia(kind, url=FILM) for kind in ("video", "document", "document", "audio", "voice"))

    for part in adapter.encode(RenderedReply("all of it", (ReplyButton("ok", "ok"),), media=pictures + others)):
        await adapter.send(outbound(part))

    shown = telegram.user(42).received
    assert [file for one in shown for file in one.files] == [
        *(f"photo {file.url}" for file in pictures),
        *(f"{kind} {FILM}" for kind in ("video", "document", "document", "audio", "voice")),
    ]
    assert (shown[-1].text, shown[-1].buttons) == ("all of it", ["ok"])
    assert telegram.ledger.entries("call", outcome="refused") == []


# --- formatting ---------------------------------------------------------------------------------------------------


async def test_formatting_is_shown_and_what_only_looks_like_it_is_not(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    text = "**bold** <b>not</b> [shop](https://shop.example/?a=1&b=2) 3 < 4 & *x*"

    await adapter.send(outbound(OutPart(text, text_format="markdown")))
    await adapter.send(outbound(OutPart(text)))

    formatted, plain = telegram.user(42).received
    assert formatted.text == "bold <b>not</b> shop 3 < 4 & x"
    assert "<b>bold</b> &lt;b&gt;not" in formatted.html
    assert plain.text == text


@pytest.mark.parametrize("lane", [Lane.REPLY, Lane.BROADCAST])
async def test_markup_telegram_does_not_take_never_keeps_the_words_back(
    telegram: TelegramSimulator, adapter: TelegramAdapter, lane: Lane
) -> None:
    telegram.faults.plan(Fault("unparsable", "sendMessage"))

    await adapter.send(outbound(OutPart("**bold** [shop](https://shop.example)", text_format="markdown"), lane=lane))

    assert [shown.text for shown in telegram.user(42).received] == ["bold shop (https://shop.example)"]


async def test_a_long_formatted_text_arrives_whole_within_the_limit_counted_after_formatting(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    text = "\n".join(
        f"- **item {number}** costs <{number}> & [more](https://shop.example/{number})" for number in range(400)
    )

    parts = adapter.encode(RenderedReply(text, text_format="markdown"))
    for part in parts:
        await adapter.send(outbound(part))

    shown = telegram.user(42).received
    assert len(shown) == len(parts) > 1
    assert all(
        f"item {number} costs <{number}> & more" in "\n".join(one.text for one in shown) for number in range(400)
    )
    assert all(one.html for one in shown)


async def test_previews_of_links_are_off_unless_wanted(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    wanting = adapter_for(telegram, link_previews=True)
    for sender in (adapter, wanting):
        for lane in (Lane.REPLY, Lane.BROADCAST):
            await sender.send(outbound(OutPart("https://shop.example"), lane=lane))
    await wanting.close()

    calls = telegram.ledger.entries("call", method="sendMessage")
    assert [call.get("link_preview_options") for call in calls] == [{"is_disabled": True}] * 2 + [None] * 2


# --- keyboards ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "text", "label"),
    [
        ("location", "您在哪里？", "📍 发送我的位置"),
        ("location", "Where are you?", "📍 Share my location"),
        ("contact", "怎么联系您？", "📱 发送我的手机号"),
        ("contact", "May I have your number?", "📱 Share my phone number"),
    ],
)
async def test_one_touch_shares_what_is_asked_for_and_the_key_goes_with_the_answer(
    telegram: TelegramSimulator, adapter: TelegramAdapter, ask: Any, text: str, label: str
) -> None:
    customer = telegram.user(42)
    (part,) = adapter.encode(RenderedReply(text, (ReplyButton("Skip", "skip"),), ask=ask))

    await adapter.send(outbound(part))
    keys = [key["text"] for row in customer.keys for key in row]
    customer.touch(label)
    await adapter.send(outbound(OutPart("thank you")))

    assert keys == [label, "Skip"]
    kind = telegram.bot.pending[-1].update["message"]
    assert kind.get("location") or kind["contact"]["user_id"] == 42
    assert customer.keys == []


async def test_a_question_answered_in_words_leaves_no_keys_behind(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    await adapter.send(outbound(OutPart("Where are you?", ask="location")))
    telegram.user(42).send_text("at home")
    assert telegram.user(42).keys

    await adapter.send(outbound(OutPart("thank you")))

    assert telegram.user(42).keys == []


async def test_in_a_group_the_words_alone_ask(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.group(-1007)

    await adapter.send(outbound(OutPart("Where are you?", ask="location"), chat_id="-1007"))

    assert [shown.text for shown in telegram.group(-1007).received] == ["Where are you?"]
    assert telegram.group(-1007).keys == []


# --- living messages ----------------------------------------------------------------------------------------------


def a_status(text: str, **changes: Any) -> Any:
    return outbound(OutPart(text, status_key="case:C-1024-7"), **changes)


async def pinned(telegram: TelegramSimulator, ids: list[int]) -> bool:
    return await telegram.bot.pulse.until(lambda: telegram.user(42).pinned == ids, 5)


async def test_a_complaints_status_is_pinned_once_and_then_changed_in_place(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    first = await adapter.send(a_status("received"))
    again = await adapter.send(a_status("in progress", edits=first.vendor_message_id))

    (shown,) = telegram.user(42).received
    assert (shown.text, again) == ("in progress", first)
    assert await pinned(telegram, [shown.message_id])
    (call,) = telegram.ledger.entries("call", method="pinChatMessage")
    assert call["disable_notification"] is True


async def test_a_status_that_is_said_again_has_arrived(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    first = await adapter.send(a_status("received"))

    assert await adapter.send(a_status("received", edits=first.vendor_message_id)) == first
    assert len(telegram.user(42).received) == 1


@pytest.mark.parametrize("why", ["deleted", "keyboard", "no id of Telegram's"])
async def test_a_status_that_cannot_be_changed_is_said_anew_and_pinned_instead(
    telegram: TelegramSimulator, adapter: TelegramAdapter, why: str
) -> None:
    first = await adapter.send(a_status("received"))
    old = int(first.vendor_message_id)
    assert await pinned(telegram, [old])
    edits = first.vendor_message_id
    if why == "deleted":
        telegram.user(42).chat = [shown for shown in telegram.user(42).chat if shown.message_id != old]
    elif why == "keyboard":
        telegram.user(42).message(old, by="bot").is_editable = False
    else:
        edits = "x7"

    again = await adapter.send(a_status("in progress", edits=edits))

    assert again.vendor_message_id != first.vendor_message_id
    assert telegram.user(42).received[-1].text == "in progress"
    new = int(again.vendor_message_id)
    assert await pinned(telegram, [new] if edits != "x7" else [old, new])


@pytest.mark.parametrize("fault", ["error_500", "drop_request", "rate_limited"])
async def test_a_pin_that_fails_fails_nothing_else(
    telegram: TelegramSimulator, adapter: TelegramAdapter, fault: str
) -> None:
    telegram.faults.plan(Fault(fault, "pinChatMessage"))

    receipt = await adapter.send(a_status("received"))
    assert await telegram.bot.pulse.until(lambda: bool(telegram.ledger.entries("call", method="pinChatMessage")), 5)

    assert receipt.vendor_message_id
    assert telegram.user(42).pinned == []


async def test_only_a_complaints_status_in_a_private_chat_is_pinned(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.group(-1007)
    await adapter.send(a_status("received", chat_id="-1007"))
    await adapter.send(outbound(OutPart("shipped", status_key="order:2391")))
    await adapter.send(outbound(OutPart("hello")))
    await adapter.close()

    assert telegram.ledger.entries("call", method="pinChatMessage") == []


async def test_an_edit_keeps_formatting_and_buttons(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    first = await adapter.send(a_status("received"))
    part = OutPart("**solved**", (ReplyButton("Thanks", "thanks"),), text_format="markdown", status_key="case:C-1024-7")

    await adapter.send(outbound(part, edits=first.vendor_message_id))

    (shown,) = telegram.user(42).received
    assert (shown.text, shown.buttons, shown.is_edited) == ("solved", ["Thanks"], True)


# --- groups -------------------------------------------------------------------------------------------------------


async def test_a_group_that_moved_gets_the_message_and_the_receipt_says_where(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.group(-7).migrate(-1007, telegram.user(42))

    for part in (OutPart("hello"), OutPart("", media=(OutMedia("image", url=PICTURE),))):
        receipt = await adapter.send(outbound(part, chat_id="-7"))
        assert receipt.moved_to == "-1007"
    edited = await adapter.send(a_status("received", chat_id="-7", edits="5"))

    assert edited.moved_to == "-1007"
    assert [shown.text for shown in telegram.group(-1007).received] == ["hello", "", "received"]
    assert telegram.group(-7).received == []


async def test_a_topic_is_answered_in_its_topic_and_the_general_one_in_general(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.group(-1007).topics = {55}

    await adapter.send(outbound(OutPart("in orders"), chat_id="-1007", topic="55"))
    await adapter.send(outbound(OutPart("in general"), chat_id="-1007"))
    await adapter.send_typing("-1007", "55")
    with pytest.raises(SendRefused, match="thread not found"):
        await adapter.send(outbound(OutPart("nowhere"), chat_id="-1007", topic="56"))

    assert [(shown.text, shown.topic) for shown in telegram.group(-1007).received] == [
        ("in orders", 55),
        ("in general", None),
    ]
    assert telegram.group(-1007).actions == ["typing"]


# --- paid broadcasts ----------------------------------------------------------------------------------------------


async def test_only_broadcasts_are_paid_for_and_only_when_allowed(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    paying = adapter_for(telegram, allow_paid_broadcast=True, paid_broadcast_per_s=500)
    for sender in (adapter, paying):
        for lane in (Lane.REPLY, Lane.BROADCAST):
            await sender.send(outbound(OutPart("news"), lane=lane))
    await paying.send(outbound(OutPart("", media=(OutMedia("image", url=PICTURE),)), lane=Lane.BROADCAST))
    await paying.close()

    paid = [call.get("allow_paid_broadcast") for call in telegram.ledger.entries("call")]
    assert paid == [None, None, None, True, True]
    assert (adapter.capabilities.broadcast_per_s, paying.capabilities.broadcast_per_s) == (None, 500)


# --- files of customers -------------------------------------------------------------------------------------------


async def test_a_customers_file_is_fetched(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.bot.files["document-1"] = b"%PDF-1.7"

    found = await adapter.fetch_media("document-1", max_bytes=8)

    assert (found.content, found.mime, found.file_name) == (b"%PDF-1.7", "", "document-1")


@pytest.mark.parametrize("content", [None, "unknown"])
async def test_a_file_telegram_does_not_give_is_not_found(
    telegram: TelegramSimulator, adapter: TelegramAdapter, content: Any
) -> None:
    if content is None:
        telegram.bot.files["document-1"] = None

    with pytest.raises(NotFound):
        await adapter.fetch_media("document-1", max_bytes=100)


async def test_a_file_longer_than_wanted_is_not_kept(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.bot.files["document-1"] = b"123456789"
    telegram.bot.files["film"] = b"x" * 20_000_001

    for name, most in (("document-1", 8), ("film", 10**9)):
        with pytest.raises(PayloadInvalid):
            await adapter.fetch_media(name, max_bytes=most)


async def test_a_download_that_breaks_off_is_tried_again_later(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.bot.files["document-1"] = b"123456789"

    for fault in (Fault("drop_request", "download", times=2), Fault("error_502", "download")):
        telegram.faults.plan(fault)
        with pytest.raises(ServiceUnavailable):
            await adapter.fetch_media("document-1", max_bytes=100)
        telegram.faults.clear()


async def test_a_local_bot_api_servers_files_are_read_from_the_shared_disk(tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    file.write_bytes(b"x" * 21_000_000)
    async with TelegramSimulator(is_local=True) as telegram:
        telegram.bot.files |= {"film": b"x" * 21_000_000, "gone": b"1"}
        telegram.bot.local_paths |= {"film": str(file), "gone": str(tmp_path / "gone")}
        adapter = adapter_for(telegram, local=True)
        found = await adapter.fetch_media("film", max_bytes=30_000_000)
        with pytest.raises(PayloadInvalid):
            await adapter.fetch_media("film", max_bytes=20_000_000)
        with pytest.raises(NotFound):
            await adapter.fetch_media("gone", max_bytes=100)
        await adapter.close()

    assert (len(found.content), found.file_name) == (21_000_000, "film.mp4")


@pytest.mark.parametrize(
    ("address", "is_local", "is_taken"),
    [
        ("http://bot-api.internal:8081", False, False),
        ("http://bot-api.internal:8081", True, True),
        ("http://127.0.0.1:8081", False, True),
        ("http://localhost:8081", False, True),
        ("https://bot-api.example", False, True),
    ],
)
def test_a_token_crosses_no_network_in_the_clear(address: str, is_local: bool, is_taken: bool) -> None:
    settings = TelegramSettings(token="1:a", api_base_url=address, local=is_local)
    if is_taken:
        TelegramAdapter("main", settings)
        return
    with pytest.raises(Misconfigured, match="plain http"):
        TelegramAdapter("main", settings)
