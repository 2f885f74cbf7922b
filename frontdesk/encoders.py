"""Replies as the parts each channel sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bot.types import Capabilities, OutMedia, OutPart, RenderedReply
from channels.base import ChannelAdapter
from channels.encoding import encode_reply

# Words that every channel takes, for one that was taken out of the settings while something of it waits: its replies
# wait for the channel to come back, and nobody else's messages wait for them.
_ANYWHERE: Final = Capabilities(
    "", 2048, "utf8", 0, can_edit=False, can_type=False, idempotency_key=False, direct=False
)


class Encoders:
    """Implements `bot.ports.Encoder` over one adapter of each channel; encoding does not depend on the account."""

    def __init__(self, adapters: Sequence[ChannelAdapter], link: Callable[[str], str] | None = None) -> None:
        """`link` gives a file of the media store an address, for channels that can send it as a link only."""
        self._adapters = {adapter.channel: adapter for adapter in adapters}
        self._link = link

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        adapter = self._adapters.get(channel)
        can = replace(_ANYWHERE, channel=channel) if adapter is None else adapter.capabilities
        if self._link is not None and reply.media:
            reply = replace(reply, media=tuple([self._reachable(file, can) for file in reply.media]))
        return encode_reply(reply, can) if adapter is None else adapter.encode(reply)

    def _reachable(self, file: OutMedia, can: Capabilities) -> OutMedia:
        if self._link is None or file.url or file.kind in can.media:
            return file
        return replace(file, url=self._link(file.media_id))

    def is_direct(self, channel: str) -> bool:
        adapter = self._adapters.get(channel)
        return adapter is not None and adapter.capabilities.direct
