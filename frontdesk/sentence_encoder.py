"""The sentence encoder the settings name, loaded once for the process."""

from __future__ import annotations

import functools
from pathlib import Path

from nlu.embedded.encoder import SentenceEncoder, load_encoder


@functools.lru_cache(maxsize=2)
def sentence_encoder(folder: Path | None) -> SentenceEncoder | None:
    """None for no folder. Raises: AssistantInvalid, saying what is missing."""
    return None if folder is None else load_encoder(folder)
