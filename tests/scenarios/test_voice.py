"""Voice messages: passed to colleagues with a kind word, or understood where the deployment installed something."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Misconfigured
from bot.types import Media
from config.settings import MediaSettings, Settings
from crm_sync.customers import customer_record, find_customers
from frontdesk.app import App
from tests import media_files
from tests.scenarios.app_under_test import shop_settings
from tests.store_steps import said

ENGINE = '''
import asyncio
from bot.errors import ServiceUnavailable

ASKED = []

class TableOfSounds:
    """Hears by looking the recording's last bytes up."""

    async def transcribe(self, content, *, mime, language):
        ASKED.append((len(content), mime, language))
        said = content.rpartition(b"said:")[2].decode()
        if said == "silence":
            return ""
        if said == "nothing works":
            raise ServiceUnavailable("ears")
        if said == "a bug":
            raise KeyError("a bug")
        if said == "for ever":
            await asyncio.Event().wait()
        return said

def broken():
    raise RuntimeError("no model file")
'''


def voice_that_says(words: str) -> bytes:
    return media_files.ogg() + b"said:" + words.encode()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package with two engines, installed as pip would leave it."""
    site = tmp_path / "site"
    info = site / "table_of_sounds-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "table_of_sounds.py").write_text(ENGINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: table-of-sounds\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[frontdesk.speech_to_text]\n"
        "table = table_of_sounds:TableOfSounds\nbroken = table_of_sounds:broken\nmissing = nowhere:Nothing\n"
    )
    monkeypatch.syspath_prepend(site)
    yield lambda: sys.modules["table_of_sounds"]
    sys.modules.pop("table_of_sounds", None)


def settings_for(folder: Path, **media: Any) -> Settings:
    return shop_settings(folder).model_copy(update={"media": MediaSettings(folder=folder / "media", **media)})


Speak = Callable[[str], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def desk_that_hears(folder: Path, **media: Any) -> AsyncIterator[Speak]:
    """A web visitor's voice messages through the real app; each call gives the customer's record after the turn."""
    app = await App.open(settings_for(folder, **media))

    async def speak(words: str) -> dict[str, Any]:
        (hello,) = await app.inbox.accept([said("hello", key="hello")])
        assert hello.conversation_id is not None
        content = voice_that_says(words)
        upload = await app.media.add(content, conversation_id=hello.conversation_id, is_upload=True)
        await app.inbox.accept([said(Media("voice", upload.media_id))])
        while await app.worker.run_once():
            continue
        (customer,) = await find_customers(app.store.database, "web/default/ann")
        return await customer_record(app.store.database, customer)

    try:
        yield speak
    finally:
        await app.close()


def answers(record: dict[str, Any]) -> str:
    return "\n".join(message["text"] for message in record["messages"] if message["direction"] == "out")


async def test_without_an_engine_a_colleague_listens_and_the_customer_is_told(tmp_path: Path) -> None:
    async with desk_that_hears(tmp_path) as speak:
        record = await speak("where is my order 2391")
    assert "a colleague will listen to it" in answers(record)
    assert [(task["kind"], task["is_open"]) for task in record["tasks"]] == [("listen", True)]
    assert [(file["kind"], file["state"]) for file in record["files"]] == [("voice", "stored")]


async def test_many_voice_messages_are_one_open_task(tmp_path: Path) -> None:
    async with desk_that_hears(tmp_path) as speak:
        await speak("one")
        record = await speak("two")
    assert len(record["tasks"]) == 1


async def test_with_an_engine_voice_is_answered_like_typed_words(tmp_path: Path, installed: Any) -> None:
    async with desk_that_hears(tmp_path, speech_to_text="table") as speak:
        record = await speak("I want to talk to a person")
    assert [(len(voice_that_says("I want to talk to a person")), "audio/ogg", "en")] == installed().ASKED
    assert record["tasks"] == []
    (voice,) = [message for message in record["messages"] if message["kind"] == "media"]
    assert voice["text"] == "I want to talk to a person"  # staff read what was heard
    assert voice["intent"] == "human_handoff"


@pytest.mark.parametrize("words", ["silence", "nothing works", "a bug", "for ever"])
async def test_what_cannot_be_heard_in_time_goes_to_a_colleague(tmp_path: Path, installed: Any, words: str) -> None:
    async with desk_that_hears(tmp_path, speech_to_text="table", speech_timeout_s=0.2) as speak:
        record = await speak(words)
    assert len(installed().ASKED) >= 1
    assert "a colleague will listen to it" in answers(record)
    assert [task["kind"] for task in record["tasks"]] == ["listen"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("unknown", "no installed package"), ("broken", "RuntimeError"), ("missing", "ModuleNotFoundError")],
)
async def test_an_engine_that_is_not_there_stops_the_start_by_name(
    tmp_path: Path, installed: Any, name: str, why: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        await App.open(settings_for(tmp_path, speech_to_text=name))
    assert "FRONTDESK_MEDIA__SPEECH_TO_TEXT" in str(caught.value)
    assert why in str(caught.value)
