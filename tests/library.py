"""The sample assistant as the desk works on it, without a model: what the application hands to its services."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bot.assistant import Assistant
from bot.errors import NotFound
from bot.ports import BatchIndex
from bot.service.policy import ServicePolicy
from bot.types import Capabilities, OutPart, RenderedReply
from channels.encoding import encode_reply
from crm_sync.models import StoredArticle
from nlu.knowledge import ArticleIndex
from tests.builders import shop

NARROW = Capabilities(
    channel="narrow", max_text=40, length_unit="codepoint", buttons=0, can_edit=False, can_type=False,
    idempotency_key=False, direct=False,
)  # fmt: skip
REFUNDS = StoredArticle("refunds", "en", "Refunds", "Money comes back within 5 days.", ("when do I get my money back",))
OPENING = StoredArticle("opening", "en", "Opening hours", "We are open 9 to 21.", ("when are you open",))


@dataclass
class SampleLibrary:
    """Implements `desk.library.AssistantLibrary` for one assistant called `shop`."""

    policy: ServicePolicy | None = None
    seeds: Sequence[StoredArticle] = (REFUNDS, OPENING)
    served: dict[str, Capabilities] = field(default_factory=lambda: {"narrow": NARROW})

    def names(self) -> Sequence[str]:
        return ["shop"]

    def assistant(self, name: str) -> Assistant:
        if name != "shop":
            raise NotFound(f"there is no assistant {name!r}")
        return shop() if self.policy is None else replace(shop(), service=self.policy)

    async def seeded_articles(self, name: str) -> Sequence[StoredArticle]:
        self.assistant(name)
        return self.seeds

    def seeded_assistant(self, name: str) -> Assistant:
        return self.assistant(name)

    def index(self, articles: Iterable[StoredArticle]) -> BatchIndex:
        return ArticleIndex(articles)

    def channels(self) -> Sequence[str]:
        return sorted(self.served)

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        if channel not in self.served:
            raise NotFound(f"no account of channel {channel!r}")
        return encode_reply(reply, self.served[channel])

    async def files_hash(self, name: str) -> str:
        self.assistant(name)
        return "files"

    async def why_unreadable(self, packed: bytes) -> str:
        return "is a damaged NLU model" if packed == b"damaged" else ""
