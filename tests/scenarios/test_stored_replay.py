"""A conversation with the real application becomes a test that passes, and fails when the bot answers otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Connection, insert, select, update

from bot.edited_texts import EditedText
from bot.errors import InputError, NotFound, NotPermitted
from config.settings import NluSettings, Settings
from crm_sync.tables import conversations, customers, messages
from desk.actors import Actor
from desk.regression import RegressionDesk, as_yaml
from desk.responses import ResponseDesk
from frontdesk.app import App
from frontdesk.clock import SystemClock
from frontdesk.replaying import replay_read, stored_transcripts
from frontdesk.saying import say_with
from frontdesk.transcripts import read_transcripts

ROOT = Path(__file__).parents[2]
LENA = Actor("lena", "supervisor")


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(database_url=sqlite_url, nlu=NluSettings(model_dir=ROOT / ".frontdesk" / "model"))


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    opened = await App.open(settings, exclusive=False)
    yield opened
    await opened.close()


async def test_a_conversation_becomes_a_test_without_personal_data_that_passes(
    app: App, settings: Settings, tmp_path: Path
) -> None:
    for text in ("hello", "where is my order SO-20391", "my number is 13912345678, I am Zoe Quill", "thank you"):
        said = await say_with(app, "zoe", text)
    talk = said["conversation_id"]

    def unit(conn: Connection) -> None:
        conn.execute(update(customers).values(name="Zoe Quill"))

    await app.store.database.run(unit)
    desk = RegressionDesk(app.store.database, app.library, SystemClock())
    test = await desk.make(LENA, "shop", talk)
    written = as_yaml([test])
    for secret in ("20391", "13912345678", "Zoe", "Quill"):
        assert secret not in written
    assert yaml.safe_load(written)["conversations"][0]["steps"][0] == {"user": "hello"}
    (tmp_path / "made.yml").write_text(written, encoding="utf-8")
    assert len(read_transcripts(tmp_path / "made.yml")) == 1
    summary = await replay_read(settings, await stored_transcripts(settings))
    assert summary.passed, "\n".join(summary.lines())
    assert summary.tests == 1


async def test_the_test_fails_when_the_bot_no_longer_answers_so(app: App, settings: Settings) -> None:
    responses = ResponseDesk(app.store.database, app.library, SystemClock())
    await responses.save(LENA, "shop", "utter_greet", "en", [EditedText("Ahoy, landlubber of the sea.")], seen=0)
    assert await app.runtimes.follow()
    talk = (await say_with(app, "ann", "hello"))["conversation_id"]
    desk = RegressionDesk(app.store.database, app.library, SystemClock())
    test = await desk.make(LENA, "shop", talk, name="greeting")
    assert test.document["steps"] == [{"user": "hello"}, {"bot": "Ahoy, landlubber of the sea."}]
    summary = await replay_read(settings, await stored_transcripts(settings))  # on a store without that edit
    assert summary.failures == 1
    again = await desk.make(LENA, "shop", talk, name="greeting")
    assert [each.id for each in await desk.tests(LENA, "shop")] == [again.id]
    await desk.drop(LENA, "shop", again.id)
    assert await desk.tests(LENA, "shop") == []
    with pytest.raises(NotFound):
        await desk.drop(LENA, "shop", again.id)


async def test_what_nobody_may_see_or_repeat_becomes_no_test(app: App) -> None:
    talk = (await say_with(app, "ann", "hello"))["conversation_id"]
    desk = RegressionDesk(app.store.database, app.library, SystemClock())
    with pytest.raises(NotFound):
        await desk.make(LENA, "shop", 999)
    with pytest.raises(NotPermitted):
        await desk.make(Actor("vic", "viewer"), "shop", talk)

    def unit(conn: Connection) -> int:
        conn.execute(update(conversations).values(team="night", owner="queue"))
        row = {"conversation_id": talk, "direction": "out", "author": "operator", "kind": "text", "text": "Hi"}
        conn.execute(insert(messages).values(**row, at=SystemClock().now()))
        return int(conn.execute(select(messages.c.id).order_by(messages.c.id.desc())).scalar() or 0)

    last = await app.store.database.run(unit)
    with pytest.raises(NotFound):
        await desk.make(Actor("bob", "operator", frozenset({"day"})), "shop", talk)
    with pytest.raises(InputError):
        await desk.make(LENA, "shop", talk, first=last)
