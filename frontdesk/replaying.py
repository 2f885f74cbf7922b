"""`frontdesk replay`: transcripts against the current assistant, on a store of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from config.settings import Settings
from frontdesk.app import App
from frontdesk.replay import Summary, replay_transcripts
from frontdesk.saying import say_with


async def replay_files(settings: Settings, files: Sequence[Path]) -> Summary:
    """Every conversation starts with a customer nobody has met; the configured store is not touched."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-replay-") as folder:
        own = settings.model_copy(
            update={"database_url": SecretStr(f"sqlite:///{folder}/replay.db"), "redis_url": None}
        )
        app = await App.open(own)
        try:
            return await replay_transcripts(files, lambda user, text: say_with(app, user, text))
        finally:
            await app.close()
