"""What a web chat offers beyond words, and what of an account's settings its pages may know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from bot.ports import MediaLibrary, RateTokens
from bot.types import ConversationId, Identity
from channels.pacing import LocalRateTokens
from config.settings import WebSettings

# Makes the address that carries a token to another channel: (token, when it ends) -> https://…
LinkMaker = Callable[[str, datetime], Awaitable[str]]


class ExtrasStore(Protocol):
    """What uploads and "continue on …" need of the store."""

    async def find_web_upload(self, identity: Identity, client_id: str, sha256: str) -> str | None:
        """The media id of what this visitor uploaded under this id. Raises: DedupeMismatch when it was another file."""
        ...

    async def note_web_upload(
        self, identity: Identity, client_id: str, sha256: str, *, media_id: str, conversation_id: ConversationId
    ) -> str:
        """The visitor's file has this id; the first one's when the same came twice at once. Raises: DedupeMismatch."""
        ...

    async def use_web_upload(self, identity: Identity, media_id: str, message_id: str) -> bool:
        """The visitor's own file is part of this message from now on; False when it is not theirs or used elsewhere."""
        ...

    async def offer_link(self, identity: Identity, channel: str, token: str) -> None:
        """The token lets somebody on `channel` say, once and soon, that they are this identity's customer."""
        ...


class TranscriptMailer(Protocol):
    """Sends a visitor the conversation by e-mail. Without one the chat offers saving and printing."""

    async def send_transcript(self, to: str, subject: str, page: bytes) -> None:
        """Handed over to a mail server. Raises: ServiceError."""
        ...


@dataclass(frozen=True)
class WebExtras:
    """Each may be missing; the widget then does not offer it."""

    store: ExtrasStore | None = None
    library: MediaLibrary | None = None
    max_upload_bytes: int = 20_000_000
    links: Mapping[str, LinkMaker] = field(default_factory=dict)  # by "channel/account"
    mailer: TranscriptMailer | None = None
    tokens: RateTokens = field(default_factory=LocalRateTokens)
    timezone: str = "Asia/Shanghai"

    def takes_files(self, settings: WebSettings) -> bool:
        return settings.attachments and self.library is not None and self.store is not None

    def places(self, settings: WebSettings) -> list[str]:
        """Where a visitor of this account may go on."""
        return [place for place in settings.continue_on if place in self.links]


def public_config(settings: WebSettings, extras: WebExtras) -> dict[str, Any]:
    """What the widget of an account may know: looks, form, welcome rules, and what it may offer. Defaults left out."""
    config: dict[str, Any] = {
        "title": settings.title,
        "accent": settings.accent,
        "position": settings.position if settings.position != "right" else "",
        "theme": settings.theme if settings.theme != "auto" else "",
        "form": [{"field": name.removesuffix("*"), "required": name.endswith("*")} for name in settings.form],
        "privacy_url": settings.privacy_url,
        "welcome": [rule.model_dump() for rule in settings.welcome],
        "max_upload_bytes": extras.max_upload_bytes if extras.takes_files(settings) else 0,
        "continue_on": extras.places(settings),
        "emails": extras.mailer is not None,
    }
    if settings.welcome:
        config["timezone"] = settings.timezone or extras.timezone
    return {name: value for name, value in config.items() if value}
