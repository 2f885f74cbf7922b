"""What the services around a conversation need beside the store: channels, files, who is woken, whose time it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from bot.ports import Clock, Encoder, MediaLibrary, Signals
from bot.types import Capabilities


@dataclass(frozen=True, slots=True)
class Outside:
    """Given once by whoever composes the services."""

    clock: Clock
    signals: Signals
    encoder: Encoder
    library: MediaLibrary | None = None  # None: no files
    channels: Mapping[str, Capabilities] = field(default_factory=lambda: MappingProxyType({}))
    zone: Callable[[str, str], str] = lambda channel, account: "Asia/Shanghai"  # IANA name, of an account's place
    keep_files: timedelta = timedelta(days=180)

    def can(self, channel: str) -> Capabilities | None:
        """What the channel can do; None for one that is no longer set up."""
        return self.channels.get(channel)
