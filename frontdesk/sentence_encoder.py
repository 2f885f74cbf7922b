"""The sentence encoder the settings name, loaded once for the process."""

from __future__ import annotations

import functools
from pathlib import Path

from nlu.embedded.encoder import SentenceEncoder, load_encoder
from nlu.reranking import Reranker


@functools.lru_cache(maxsize=2)
def sentence_encoder(folder: Path | None) -> SentenceEncoder | None:
    """None for no folder. Raises: AssistantInvalid, saying what is missing."""
    return None if folder is None else load_encoder(folder)


@functools.lru_cache(maxsize=2)
def article_reranker(folder: Path | None) -> Reranker | None:
    """What orders articles by their meaning, None for no folder. Raises: AssistantInvalid, saying what is missing."""
    encoder = sentence_encoder(folder)
    return None if encoder is None else Reranker(encoder)
