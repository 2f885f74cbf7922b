"""The tag that stands for one mass send: exactly those who are to get it carry it, and nobody else ever does.

An account that may not name followers with a mass send names a tag of theirs. Ours are made for one send each, known by
its key, and taken away when the vendor does not know the key any more: it has a hundred tags at most.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.errors import NotFound, RecipientUnreachable, SendRefused, ServiceError
from channels.wechat.api import MAX_TAGGED, SERVICE, Tag, WechatApi

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=2)  # longer than the vendor knows a key, and than it takes to send
_OURS: Final = re.compile(r"frontdesk-(\d{1,7})-([0-9a-f]{12})")  # day since 1970, of the key; at most 30 bytes


class MassTags:
    """Tags of one account's mass sends. Each method raises what `WechatApi` does."""

    def __init__(self, api: WechatApi, now: Callable[[], datetime]) -> None:
        self._api, self._now = api, now
        self._known: dict[str, int] = {}  # key -> the vendor's number of its tag

    async def put_on(self, openids: Sequence[str], key: str) -> list[str]:
        """All of them carry the key's tag, but for those returned, whom the vendor does not take."""
        tag = await self._tag_of(key)
        refused: list[str] = []
        for start in range(0, len(openids), MAX_TAGGED):
            refused += await self._put(tag, openids[start : start + MAX_TAGGED])
        return refused

    async def take_off(self, openids: Sequence[str], key: str) -> None:
        """None of them carries it."""
        await self._api.untag_followers(await self._tag_of(key), openids)

    async def number_of(self, key: str) -> int:
        """The tag's number. Raises: also NotFound when nobody was ever given it."""
        found = self._known.get(key) or (await self._ours()).get(_digest(key))
        if found is None:
            raise NotFound(f"{SERVICE}: no tag stands for this mass send")
        return found

    async def _put(self, tag: int, openids: Sequence[str]) -> list[str]:
        """One that the vendor does not know keeps all that are named with it from being tagged: it is searched for."""
        try:
            await self._api.tag_followers(tag, openids)
        except (RecipientUnreachable, SendRefused):
            if len(openids) == 1:
                return list(openids)
            half = len(openids) // 2
            return [*await self._put(tag, openids[:half]), *await self._put(tag, openids[half:])]
        return []

    async def _tag_of(self, key: str) -> int:
        """There from now on. A sender that died may have made it."""
        if key not in self._known:
            there = await self._ours()
            made = there.get(_digest(key))
            self._known[key] = made if made is not None else (await self._api.create_tag(self._name(key))).id
        return self._known[key]

    async def _ours(self) -> dict[str, int]:
        """Digest of the key -> number, of the tags that are still needed; the others are gone."""
        today, found = self._day(), dict[str, int]()
        for tag in await self._api.tags():
            if match := _OURS.fullmatch(tag.name):
                if today - int(match[1]) > KEPT_FOR.days:
                    await self._forget(tag)
                else:
                    found[match[2]] = tag.id
        return found

    async def _forget(self, tag: Tag) -> None:
        self._known = {key: number for key, number in self._known.items() if number != tag.id}
        try:
            await self._api.delete_tag(tag.id)
        except ServiceError as error:  # it is in nobody's way; the next send tries again
            log.warning("mass_tag_kept", tag=tag.id, error=type(error).__name__)

    def _name(self, key: str) -> str:
        return f"frontdesk-{self._day()}-{_digest(key)}"

    def _day(self) -> int:
        return int(self._now().timestamp() // 86_400)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
