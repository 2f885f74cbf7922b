"""Where a web visitor may go on: every account of another channel whose adapter can be opened with a payload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from channels.base import ChannelAdapter, OpensWithPayload
from channels.deep_links import DeepLink, sign_link
from channels.web.extras import LinkMaker


def continue_links(adapters: Mapping[tuple[str, str], ChannelAdapter], keys: Sequence[bytes]) -> dict[str, LinkMaker]:
    """By "channel/account", what makes the address that carries a token there."""
    return {
        f"{channel}/{account}": _maker(adapter, keys, f"{channel}/{account}")
        for (channel, account), adapter in adapters.items()
        if isinstance(adapter, OpensWithPayload)
    }


def _maker(adapter: OpensWithPayload, keys: Sequence[bytes], account: str) -> LinkMaker:
    async def address(token: str, expires_at: datetime) -> str:
        payload = sign_link(DeepLink("continue", token, expires_at), keys, account=account)
        return await adapter.opening_address(payload, expires_at)

    return address
