"""One received item made ready for the inbox, outside the transaction: digests, JSON, compressed raw bytes."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot.types import Content, InboundMessage, Received, ReplyWindow
from crm_sync.addressing import Address, Place
from crm_sync.codec import dump_content, dump_message, kind_of, words_in
from crm_sync.columns import digest_key, dump_json

_USUAL: Final = 512  # bytes of a callback around a few lines of text
_SMALL: Final = 2048  # bytes
LONGEST_ADDRESS: Final = 512  # characters of a user, chat or topic id; every channel's own are far shorter


@dataclass(slots=True, eq=False)
class Arrival:
    """What the transaction needs of a received item. `address` is None when nobody is known to have written it."""

    channel: str
    account: str
    dedupe: str
    digest: str
    raw: bytes
    reason: str
    kind: str
    address: Address | None = None
    content: Content | None = None
    document: dict[str, Any] | None = None
    text: str = ""
    extra: dict[str, Any] | None = None
    vendor_message_id: str = ""
    edits: str = ""
    sender_name: str = ""
    language_hint: str = ""
    sent_at: datetime | None = None
    wants_turn: bool = False
    author: str = "customer"
    opens: ReplyWindow | None = None
    is_new: bool = False
    place: Place | None = None  # whose conversation it belongs to; found, or made, by the transaction


def prepare(received: Received) -> Arrival:
    """Everything about `received` that needs no database.

    Raises: ValueError for a time without a zone.
    """
    message = received.message
    dedupe = digest_key(received.channel, received.account, received.dedupe_key)
    raw = squeezed(received.raw)
    if message is None:
        return _parked(received, dedupe, raw, received.reason or "unreadable")
    sender = message.sender
    if max(len(sender.external_id), len(message.chat_id), len(message.topic)) > LONGEST_ADDRESS:
        return _parked(received, dedupe, raw, "the sender's address is too long")
    if message.sent_at.tzinfo is None:
        raise ValueError("sent_at has no time zone")
    content = dump_content(message.content)
    kind = kind_of(message.content)
    return Arrival(
        channel=received.channel,
        account=received.account,
        dedupe=dedupe,
        digest=_digest(dump_json(content).encode()),
        raw=raw,
        reason=received.reason,
        kind=kind,
        address=Address(sender.channel, sender.account, sender.external_id, message.chat_id, message.topic),
        content=message.content,
        document=dump_message(message, content),
        text=words_in(message.content),
        extra=_beside_the_words(message, content),
        vendor_message_id=message.vendor_message_id,
        edits=message.edits,
        sender_name=message.sender_name,
        language_hint=message.language_hint,
        sent_at=message.sent_at,
        wants_turn=message.wants_turn and message.author == "customer",
        author=message.author,
        opens=message.opens,
    )


def _beside_the_words(message: InboundMessage, content: dict[str, Any]) -> dict[str, Any] | None:
    """What staff see of a message beside its text; None when there is nothing."""
    context = {
        name: value for name in ("reply_to", "quote", "forwarded_from", "album") if (value := getattr(message, name))
    }
    return {**({} if content["kind"] == "text" else content), **context} or None


def _parked(received: Received, dedupe: str, raw: bytes, reason: str) -> Arrival:
    return Arrival(
        channel=received.channel,
        account=received.account,
        dedupe=dedupe,
        digest=_digest(received.raw),
        raw=raw,
        reason=reason,
        kind="unreadable",
    )


def squeezed(raw: bytes) -> bytes:
    """`raw` in zlib format. Squeezing a message of usual size costs as much as finding out what it says and saves some
    hundred bytes of the thousand that it takes in the store: it is kept as it is.
    """
    if len(raw) <= _USUAL:
        return _as_it_is(raw)
    if len(raw) > _SMALL:
        return zlib.compress(raw, 1)
    # Setting up a full window costs ten times more than squeezing; one of 2 KB reaches over all of it.
    compressor = zlib.compressobj(1, wbits=11, memLevel=2)
    return compressor.compress(raw) + compressor.flush()


def _as_it_is(raw: bytes) -> bytes:
    """What zlib writes at level 0: a header, one last block of this length, a checksum (RFC 1950, 1951). By zlib itself
    it takes longer and gives up the interpreter's lock twice, for which the thread of the store waits.
    """
    size = len(raw)
    block = b"\x78\x01\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
    return block + raw + zlib.adler32(raw).to_bytes(4, "big")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
