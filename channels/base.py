"""What every channel adapter is: capabilities as data, decode and encode pure, send the only network call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal, Protocol, runtime_checkable

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


# --- what only some channels can do; the rest of Frontdesk asks with isinstance ------------------------------------


@dataclass(frozen=True, slots=True)
class FetchedFile:
    content: bytes
    mime: str = ""  # as the vendor says; the media library looks for itself
    file_name: str = ""


@runtime_checkable
class FetchesMedia(Protocol):
    """The vendor keeps customers' files and gives them on request."""

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """The file behind `Media.file_id`.

        Raises: NotFound when the vendor no longer has it, PayloadInvalid when it is longer than `max_bytes`, and what
        `send` raises.
        """
        ...


@runtime_checkable
class ShowsTyping(Protocol):
    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        """The customer sees for a moment that an answer is coming. Best effort, never raises."""
        ...


@runtime_checkable
class NotifiesHeld(Protocol):
    """The vendor lets us tell somebody by other means (a template) that a reply waits until they write."""

    async def notify_held(self, outbound: Outbound) -> None:
        """They were told, if the account's settings say how. Raises: what `send` raises."""
        ...


@runtime_checkable
class OpensWithPayload(Protocol):
    """A chat with us can be opened by a link or code that tells us what it carries (`channels/deep_links.py`)."""

    async def opening_address(self, payload: str, expires_at: datetime) -> str:
        """An https address that leads there; whoever opens it arrives with `payload`. Raises: what `send` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `frontdesk doctor`: what was looked at, what was found, and what repairs it when it is broken."""

    check: str  # e.g. "telegram/main webhook"
    is_broken: bool
    finding: str
    repair: str = ""

    def as_dict(self) -> dict[str, object]:
        return {"check": self.check, "ok": not self.is_broken, "finding": self.finding, "repair": self.repair}


@runtime_checkable
class Examinable(Protocol):
    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """Credentials, signature, clock, webhook, allow-list, token age, quota left: one finding each.

        With `repair` whatever can be mended from here is (and the finding says so). Never raises ServiceError: what
        could not be asked is a finding.
        """
        ...


@dataclass(frozen=True, slots=True)
class Templated:
    """What fills a vendor's own template; `kind`: template | subscribe."""

    kind: str
    template_id: str
    fields: Mapping[str, str]
    url: str = ""


@runtime_checkable
class SendsInBulk(Protocol):
    """The channel has a cheaper call for messages to many, each with words of its own."""

    async def send_bulk(self, outbound: Outbound) -> Receipt:
        """As `send`."""
        ...


@runtime_checkable
class SendsTemplates(Protocol):
    """The vendor has templates, which it takes where a free message is not allowed."""

    async def send_template(self, outbound: Outbound, template: Templated) -> Receipt:
        """As `send`."""
        ...


@dataclass(frozen=True, slots=True)
class SendQuota:
    """How much of one kind of send a vendor allows the account, or with `of` each person, in a day or month.

    `used`: by the vendor's own count; None where it does not say. `utc_hours`: whose midnight ends the period.
    """

    kind: str  # push | mass | template | subscribe
    limit: int
    per: Literal["day", "month"]
    of: Literal["account", "person"] = "account"
    used: int | None = None
    utc_hours: int = 8

    def period(self, now: datetime) -> str:
        """The day or month it is there: 2026-11-26 or 2026-11."""
        there = now.astimezone(timezone(timedelta(hours=self.utc_hours)))
        return f"{there:%Y-%m-%d}" if self.per == "day" else f"{there:%Y-%m}"


@runtime_checkable
class HasQuotas(Protocol):
    """The vendor allows only so much of what broadcasts send."""

    async def quota(self, kind: str) -> SendQuota | None:
        """What it allows of this kind ("": plain messages) now; None: no limit. Raises: what `send` raises."""
        ...


@dataclass(frozen=True, slots=True)
class MassWay:
    """How the vendor is told whom a mass send is for, and how many it may be for."""

    name: str  # list: named with the send | tag: marked beforehand
    least: int
    most: int


@runtime_checkable
class SendsToMany(Protocol):
    """The vendor takes one message for many recipients, and reports later how it went.

    A send begins with `gather` and ends with `send_to_many`, both under its `key`. Whoever was gathered and is not to
    get it after all is left out in between.
    """

    mass_ways: tuple[MassWay, ...]  # that this account may use, the one preferred first
    mass_quota: SendQuota

    async def gather(self, recipients: Sequence[str], key: str, way: str) -> Collection[str]:
        """The vendor knows that these are meant, where that is told beforehand; those whom it takes for nobody.

        Nothing is sent. Gathering somebody again changes nothing. Raises: what `send` raises.
        """
        ...

    async def leave_out(self, recipients: Sequence[str], key: str, way: str) -> None:
        """These are not meant any more. Raises: what `send` raises."""
        ...

    async def send_to_many(self, recipients: Sequence[str], part: OutPart, key: str, way: str) -> str:
        """The vendor's id of the send; the same `key` sends once. Raises: what `send` raises."""
        ...


@runtime_checkable
class NamesKinds(Protocol):
    """Of what broadcasts send, an account may not make everything its channel has."""

    @property
    def broadcast_kinds(self) -> frozenset[str]:
        """Those it may send beside plain messages: template, subscribe, mass:WAY for each way of a mass send."""
        ...
