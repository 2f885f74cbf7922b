"""What the bot says is changed without a restart: checked, with its history, and never more than the words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.assistant import TemplateButton, Variation
from bot.edited_texts import EditedResponse, EditedText, with_edits
from bot.errors import InputError, NotFound, NotPermitted, StaleState
from crm_sync import response_versions
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.responses import ResponseDesk
from tests.builders import shop
from tests.library import SampleLibrary
from tests.store_steps import SetClock

LENA, ANN = Actor("lena", "supervisor"), Actor("ann", "operator")
NAME = "utter_phone_noted"  # holds {phone}
NEW = (EditedText("We will call {phone}."),)


@pytest.fixture
def desk(store: SqlStore) -> ResponseDesk:
    return ResponseDesk(store.database, SampleLibrary(), SetClock())


async def in_force(store: SqlStore) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    rows = await store.database.run(lambda conn: response_versions.current(conn, "shop"), read=True)
    return {(row.name, row.language): row.texts for row in rows}


async def test_saved_words_are_in_force_and_every_process_is_told(store: SqlStore, desk: ResponseDesk) -> None:
    before = await store.model_epoch()
    await desk.save(LENA, "shop", NAME, "en", NEW, seen=0, note="shorter")
    assert await in_force(store) == {(NAME, "en"): (("", "We will call {phone}."),)}
    assert await store.model_epoch() > before
    view = await desk.response(ANN, "shop", NAME)
    assert view.line.texts["en"] == NEW
    assert view.line.edited == ("en",)
    assert view.line.texts["zh"] == view.files["zh"]
    assert view.variables == ("phone",)
    assert [(row.version, row.by, row.note) for row in view.history] == [(1, "lena", "shorter")]


async def test_earlier_words_and_the_file_s_come_back(store: SqlStore, desk: ResponseDesk) -> None:
    await desk.save(LENA, "shop", NAME, "en", NEW, seen=0)
    await desk.save(LENA, "shop", NAME, "en", [EditedText("Calling {phone} soon.")], seen=1)
    await desk.revert(LENA, "shop", NAME, "en", version=1, seen=2)
    assert (await in_force(store))[NAME, "en"] == (("", "We will call {phone}."),)
    await desk.revert(LENA, "shop", NAME, "en", version=0, seen=3)
    assert await in_force(store) == {}
    view = await desk.response(LENA, "shop", NAME)
    assert view.line.texts == view.files
    assert (view.line.edited, view.seen["en"], len(view.history)) == ((), 4, 4)
    with pytest.raises(NotFound):
        await desk.revert(LENA, "shop", NAME, "en", version=9, seen=4)


async def test_two_who_change_the_same_words_are_not_both_right(store: SqlStore, desk: ResponseDesk) -> None:
    await desk.save(LENA, "shop", NAME, "en", NEW, seen=0)
    with pytest.raises(StaleState):
        await desk.save(LENA, "shop", NAME, "en", [EditedText("Noted: {phone}")], seen=0)
    await desk.save(LENA, "shop", NAME, "zh", [EditedText("我们会拨打 {phone}。")], seen=0)
    assert {key[1] for key in await in_force(store)} == {"zh", "en"}


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ((), "empty"),
        ((EditedText("  "),), "empty"),
        ((EditedText("Hello {customer}"),), "unknown_variable"),
        ((EditedText("{phone}" * 1000),), "too_long"),
        (tuple(EditedText(f"{{phone}} {place}") for place in range(21)), "too_many"),
        ((*NEW, EditedText("{phone}", "telegram")), "channel"),
    ],
)
async def test_words_that_would_break_a_reply_are_refused(
    store: SqlStore, desk: ResponseDesk, texts: tuple[EditedText, ...], code: str
) -> None:
    found = desk.check(ANN, "shop", NAME, "en", texts)
    assert code in {finding.code for finding in found if finding.level == "error"}
    with pytest.raises(InputError):
        await desk.save(LENA, "shop", NAME, "en", texts, seen=0)
    assert await in_force(store) == {}


def test_what_is_perhaps_meant_is_a_warning(desk: ResponseDesk) -> None:
    found = desk.check(ANN, "shop", NAME, "en", [EditedText("We will call you as soon as a colleague is free again.")])
    assert [(finding.level, finding.code) for finding in found] == [
        ("warning", "unused_variable"),
        ("warning", "split"),
    ]
    assert "narrow" in found[1].message


def test_a_preview_is_cut_as_the_channel_shows_it(desk: ResponseDesk) -> None:
    parts = desk.preview(ANN, "shop", NAME, "en", EditedText("We call {phone}, " * 4), channel="narrow")
    assert len(parts) > 1
    assert "{phone}" in parts[0].text


async def test_responses_are_found_by_name_words_and_whether_they_were_edited(
    store: SqlStore, desk: ResponseDesk
) -> None:
    assert [line.name for line in await desk.responses(ANN, "shop", search="phone_noted")] == [NAME]
    await desk.save(LENA, "shop", NAME, "en", [EditedText("{phone} is with the pigeons")], seen=0)
    assert [line.name for line in await desk.responses(ANN, "shop", search="PIGEONS")] == [NAME]
    assert [line.name for line in await desk.responses(ANN, "shop", only_edited=True)] == [NAME]
    asked = {line.name: line.flows for line in await desk.responses(ANN, "shop")}
    assert any(asked.values())


async def test_who_may_not_change_what_the_bot_says_is_told_so(desk: ResponseDesk) -> None:
    with pytest.raises(NotPermitted):
        await desk.save(ANN, "shop", NAME, "en", NEW, seen=0)
    with pytest.raises(NotPermitted):
        await desk.responses(Actor("aud", "auditor"), "shop")
    with pytest.raises(NotFound):
        await desk.response(ANN, "shop", "utter_nonsense")


# --- laying edits over the files --------------------------------------------------------------------------------


def test_only_words_change_buttons_and_pictures_stay() -> None:
    button = TemplateButton("Yes", "intent:affirm")
    en = Variation("Shall we?", "en", buttons=(button,), image="https://shop.example/a.png")
    telegram = replace(en, text="Shall we, on Telegram?", channel="telegram", buttons=())
    zh = Variation("可以吗？", "zh")
    assistant = with_edits(shop(), [])
    responses = {**assistant.responses, "utter_x": (en, telegram, zh)}
    values = {name: getattr(assistant, name) for name in assistant.__dataclass_fields__}
    base = type(assistant)(**{**values, "responses": responses})
    texts = (EditedText("May we?"), EditedText("Or not?"), EditedText("May we here?", "telegram"))
    said = with_edits(base, [EditedResponse("utter_x", "en", texts)]).responses["utter_x"]
    assert said == (
        replace(en, text="May we?"),
        replace(en, text="Or not?"),
        replace(telegram, text="May we here?"),
        zh,
    )
    assert with_edits(base, [EditedResponse("utter_gone", "en", texts)]).responses == responses
