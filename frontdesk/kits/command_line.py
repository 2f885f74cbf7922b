"""The channel behind `frontdesk say`: direct like the web, with no wire at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, get_args, get_type_hints

from starlette.routing import BaseRoute

from bot.errors import MessageUnsupported, SendRefused
from bot.types import Ask, Capabilities, Outbound, OutMedia, OutPart, Receipt, Received, RenderedReply
from channels.encoding import encode_reply

if TYPE_CHECKING:
    from frontdesk.app import App
    from frontdesk.kits import Work

CLI_CAPABILITIES = Capabilities(
    channel="cli",
    max_text=1_000_000,
    length_unit="codepoint",
    buttons=20,
    can_edit=False,
    can_type=False,
    idempotency_key=True,
    direct=True,
    media=frozenset(get_args(get_type_hints(OutMedia)["kind"])),
    album=100,
    cards=100,
    asks=frozenset(get_args(Ask)) - {""},
    max_caption=1_000_000,
)


class CommandLineAdapter:
    """Implements `channels.base.ChannelAdapter`; `frontdesk say` builds its messages itself."""

    channel = "cli"
    account = "default"
    capabilities = CLI_CAPABILITIES

    def decode(self, body: bytes) -> Sequence[Received]:
        raise MessageUnsupported("the command line has no webhook")

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        return encode_reply(reply, self.capabilities)

    async def send(self, outbound: Outbound) -> Receipt:
        raise SendRefused("cli", "replies are read from the store")

    async def close(self) -> None:
        """Nothing is open."""


class CommandLineKit:
    """Implements `frontdesk.kits.Kit`."""

    channel = "cli"

    def __init__(self) -> None:
        self.adapters = {"default": CommandLineAdapter()}

    def routes(self, app: App) -> Sequence[BaseRoute]:
        return ()

    def work(self, app: App) -> Mapping[str, Work]:
        return {}
