"""Replies as the parts each channel sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.types import Capabilities, OutMedia, OutPart, RenderedReply
from channels.base import ChannelAdapter


class Encoders:
    """Implements `bot.ports.Encoder` over one adapter of each channel; encoding does not depend on the account."""

    def __init__(self, adapters: Sequence[ChannelAdapter], link: Callable[[str], str] | None = None) -> None:
        """`link` gives a file of the media store an address, for channels that can send it as a link only."""
        self._adapters = {adapter.channel: adapter for adapter in adapters}
        self._link = link

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        adapter = self._adapters[channel]
        if self._link is not None and reply.media:
            media = [self._reachable(file, adapter.capabilities) for file in reply.media]
            reply = replace(reply, media=tuple(media))
        return adapter.encode(reply)

    def _reachable(self, file: OutMedia, can: Capabilities) -> OutMedia:
        if self._link is None or file.url or file.kind in can.media:
            return file
        return replace(file, url=self._link(file.media_id))

    def is_direct(self, channel: str) -> bool:
        return self._adapters[channel].capabilities.direct
