"""Every assistant's own conversation tests go as written: the real application, a store and a clock of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from frontdesk.replaying import replay_files
from frontdesk.transcripts import read_transcripts

ASSISTANTS = Path(__file__).parents[2] / "config" / "assistants"
FOLDERS = sorted({path.parents[1] for path in ASSISTANTS.glob("*/tests/*.yml")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
async def test_the_transcripts_of_an_assistant_go_as_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = sorted((folder / "tests").glob("*.yml"))
    expected = sum(len(read_transcripts(path)) for path in files)
    settings = Settings(assistant=folder, nlu={"model_dir": ASSISTANTS.parents[1] / ".frontdesk" / "model"})
    summary = await replay_files(settings, files)
    assert summary.passed, "\n".join(summary.lines())
    assert summary.tests == expected >= 12
