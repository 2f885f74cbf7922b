"""What reading an account's updates depends on besides the bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from channels.deep_links import DeepLink, verified_link

CHANNEL = "telegram"


@dataclass(frozen=True, slots=True)
class Reading:
    account: str
    groups: bool  # messages in groups that are meant for us want a turn
    now: Callable[[], datetime]  # for updates Telegram puts no time on, e.g. a button press
    bot_id: int = 0  # the public number in the token; 0: unknown, so nothing is a reply to us
    username: str = ""  # ours, once getMe told it: `/start@other_bot` is then for somebody else
    link_keys: tuple[bytes, ...] = ()  # what signed links are verified with; none: no link counts

    def link_in(self, payload: str) -> DeepLink | None:
        """The signed link somebody came through; None for any other payload."""
        account = f"{CHANNEL}/{self.account}"
        return verified_link(payload, self.link_keys, account=account, now=self.now()) if payload else None
