"""What every channel adapter is: capabilities as data, decode and encode pure, send the only network call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.types import Capabilities, Outbound, OutPart, Receipt, Received, RenderedReply


class ChannelAdapter(Protocol):
    """One configured account of one channel."""

    channel: str
    account: str
    capabilities: Capabilities

    def decode(self, body: bytes) -> Sequence[Received]:
        """Verified bytes to what the inbox takes; unreadable but genuine payloads become `message=None`.

        Raises only InputError. Pure.
        """
        ...

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Cut to the channel's limits; buttons it cannot show become a numbered list. Loses nothing. Pure."""
        ...

    async def send(self, outbound: Outbound) -> Receipt:
        """One vendor call.

        Raises: RateLimited, ServiceUnavailable, RecipientUnreachable, SendRefused, Misconfigured; their classes
        say whether the message may have left.
        """
        ...

    async def close(self) -> None: ...
