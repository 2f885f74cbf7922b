"""From a label to a better answer: trained beside what serves, compared, promoted without a restart, taken back."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.errors import AssistantInvalid
from config.settings import NluSettings, Settings
from crm_sync import trainings
from crm_sync.store import SqlStore
from crm_sync.tables import turns
from desk.actors import Actor
from desk.model_learning import Learning, ModelDesk
from desk.understanding import UnderstandingDesk
from frontdesk.app import App
from frontdesk.clock import SystemClock
from frontdesk.runtimes import Runtimes
from frontdesk.saying import say_with
from tests.staff_steps import staff

LENA = Actor("lena", "supervisor")
ROOT = Path(__file__).parents[2]
NAME = "assistant"
TAUGHT = ("zork my gizmo", "please zork the gizmo now", "the gizmo needs a zork")


@pytest.fixture
async def app(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "faults" / NAME, tmp_path / NAME)
    opened = await App.open(
        Settings(
            assistant=tmp_path / NAME, database_url=sqlite_url, nlu=NluSettings(model_dir=ROOT / ".frontdesk" / "model")
        )
    )
    yield opened
    await opened.close()


async def _newest_turn(store: SqlStore) -> tuple[int, str]:
    """Its inbox id, and the version of the model that understood it."""
    newest = select(turns.c.inbox_id, turns.c.model).order_by(turns.c.inbox_id.desc()).limit(1)
    row = await store.database.run(lambda conn: conn.execute(newest).one(), read=True)
    return row.inbox_id, row.model


async def _state(desk: ModelDesk) -> Learning:
    return await desk.state(LENA, NAME)


@pytest.mark.slow
async def test_labels_are_learnt_in_the_background_and_the_candidate_is_promoted_and_taken_back(
    app: App, tmp_path: Path
) -> None:
    await staff(app.store, LENA)
    desk = ModelDesk(app.store.database, app.library, SystemClock())
    labels = UnderstandingDesk(app.store.database, app.library, SystemClock())
    intent = sorted(app.runtimes.default_assistant().intents)[0]
    for words in TAUGHT:
        await say_with(app, "ann", words)
        await labels.label(LENA, NAME, (await _newest_turn(app.store))[0], intent)
    served = (await _state(desk)).active
    assert not await app.learning.run_once()
    await desk.train(LENA, NAME)
    assert await app.learning.run_once()
    state = await _state(desk)
    assert state.newest is not None
    assert (state.newest.state, state.newest.reason, state.newest.progress) == ("done", "", 1.0)
    assert state.candidate is not None
    assert state.active == served != state.candidate.candidate
    assert state.candidate.comparison["learnt"] == 3
    assert not any(words in str(state.candidate.comparison) for words in TAUGHT)

    await desk.promote(LENA, NAME, state.candidate.candidate, seen=served)
    await say_with(app, "ann", "zork")
    assert (await _newest_turn(app.store))[1] == served  # the old one serves until the new one is loaded
    assert await app.runtimes.follow()
    await say_with(app, "ann", "zork my gizmo")
    assert (await _newest_turn(app.store))[1] == state.candidate.candidate
    # Another process that starts now serves it too; and when the files change, what was taught stays.
    other = Runtimes(app.settings, app.store)
    await other.load()
    loaded = next(iter(other.loaded()))
    assert loaded.model_version == state.candidate.candidate
    assert loaded.assistant.tuning.sure == loaded.sure_from  # the files name no score of their own
    more = "  - intent: extra_wish\n    examples: |\n      - sing a song\n      - sing me something\n"
    with (tmp_path / NAME / "data" / "nlu.yml").open("a") as file:
        file.write(more)
    await Runtimes(app.settings, app.store).load()
    renewed = await app.store.active_model(NAME)
    assert renewed is not None
    assert renewed.version not in (served, state.candidate.candidate)
    assert len(renewed.manifest["learnt"]) == 3

    assert await desk.roll_back(LENA, NAME, seen=renewed.version) == state.candidate.candidate
    assert await app.runtimes.follow()
    await Runtimes(app.settings, app.store).load()  # a restart does not undo it
    assert (await _state(desk)).active == state.candidate.candidate


async def test_a_training_that_cannot_be_done_says_why_and_the_old_model_serves(app: App, tmp_path: Path) -> None:
    await staff(app.store, LENA)
    desk = ModelDesk(app.store.database, app.library, SystemClock())
    (tmp_path / NAME / "data" / "nlu.yml").write_text("nlu: [")
    await desk.train(LENA, NAME)
    assert await app.learning.run_once()
    state = await _state(desk)
    assert state.newest is not None
    assert state.newest.state == trainings.FAILED
    assert "nlu.yml" in state.newest.reason
    assert (await say_with(app, "ann", "hello"))["replies"]


async def test_a_stored_model_that_is_cut_short_is_refused_and_the_old_one_serves(app: App) -> None:
    served = await app.store.active_model(NAME)
    assert served is not None
    half = served.packed[: len(served.packed) // 2]
    await app.store.put_model(NAME, "half", half, training_hash=served.training_hash, manifest={}, activate=True)
    with pytest.raises(AssistantInvalid, match="is not a packed NLU model"):
        await app.runtimes.follow()
    await say_with(app, "ann", "hello")
    assert (await _newest_turn(app.store))[1] == served.version
