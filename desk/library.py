"""What the desk knows of the assistants beside the store: their files, and how their answers are found and shown.

`frontdesk` implements it; nothing here reads a file or builds an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bot.assistant import Assistant
from bot.ports import BatchIndex
from bot.types import OutPart, RenderedReply
from crm_sync.models import StoredArticle


class AssistantLibrary(Protocol):
    """Assistants by the name of their folder, which is how the store calls them too."""

    def names(self) -> Sequence[str]: ...

    def assistant(self, name: str) -> Assistant:
        """As it answers now, with the rules in force. Raises: NotFound."""
        ...

    async def seeded_articles(self, name: str) -> Sequence[StoredArticle]:
        """Those of the folder's files, as they are without edits. Raises: NotFound, AssistantInvalid."""
        ...

    def seeded_assistant(self, name: str) -> Assistant:
        """As the files have it, without edits of its texts. Raises: NotFound, AssistantInvalid."""
        ...

    def index(self, articles: Iterable[StoredArticle]) -> BatchIndex:
        """What ranks exactly these articles, as the bot ranks its own. Takes a second for thousands."""
        ...

    def channels(self) -> Sequence[str]:
        """Names of the channels this deployment serves."""
        ...

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        """What the channel would show of it. Raises: NotFound for a channel nobody serves."""
        ...

    async def files_hash(self, name: str) -> str:
        """Changes when the training files do. Raises: NotFound."""
        ...

    async def why_unreadable(self, packed: bytes) -> str:
        """Why this model cannot serve here, as the end of a sentence; "" when it can."""
        ...
