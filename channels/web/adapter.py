"""The web channel as the core sees it: what it can carry, and how stored payloads are read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.errors import PayloadInvalid, SendRefused
from bot.types import Capabilities, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.encoding import encode_reply
from channels.web.tokens import Session
from channels.web.wire import CHANNEL, Refused, read_content, read_object

CAPABILITIES = Capabilities(
    channel=CHANNEL,
    max_text=100_000,  # our own widget has no limit; this only bounds one event
    length_unit="codepoint",
    buttons=10,
    can_edit=True,
    can_type=True,
    idempotency_key=True,
    direct=True,
    markdown=True,
    media=frozenset({"image", "voice", "audio", "video", "document"}),
    album=10,
    cards=10,
    asks=frozenset({"rating", "date", "location", "contact"}),
    max_caption=100_000,
)


class WebAdapter:
    """One account of the web channel. Replies are visible on commit, so nothing is ever sent."""

    channel = CHANNEL
    capabilities = CAPABILITIES

    def __init__(self, account: str) -> None:
        self.account = account

    def decode(self, body: bytes) -> Sequence[Received]:
        """A stored payload (`wire.seal`) to what the inbox takes. Raises only PayloadInvalid."""
        try:
            envelope = read_object(body)
            sender, message = envelope["sender"], envelope["message"]
            session = Session(self.account, sender["user"], 0, sender["name"], sender["language"])
            received = read_content(message, body, session, datetime.fromisoformat(sender["at"]))
        except (Refused, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise PayloadInvalid("not a stored web message") from exc
        return [Received(received.channel, received.account, received.dedupe_key, body, received.message)]

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """One part as it is; text beyond the limit goes on in further parts, more than ten buttons become a list."""
        return encode_reply(reply, self.capabilities)

    async def send(self, outbound: Outbound) -> Receipt:
        """Never called: rows of a direct channel are born sent."""
        raise SendRefused(CHANNEL, "web messages are visible on commit and are never sent")

    async def close(self) -> None:
        """Nothing to close."""
