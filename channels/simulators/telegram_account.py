"""Telegram's side of the stand-in: bots with their queues of updates, and messages as they are seen in a chat."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from channels.simulators.ledger import Ledger

if TYPE_CHECKING:
    from channels.simulators.telegram_world import Customer

RETENTION_S = 24 * 3600  # Bot API, "Getting updates": not kept longer than 24 hours
# Bot API, getUpdates.allowed_updates: an empty list means all but these.
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
FIRST_UPDATE_ID = 700_000_001
FIRST_CALLBACK_ID = 4_382_000_000_000_000

Fields = dict[str, Any]


class Pulse:
    """Tells everybody who waits that something changed."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def until(self, is_so: Callable[[], bool], timeout_s: float) -> bool:
        """True once `is_so()`, False when `timeout_s` passed before."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.add(future)
                    await future
        except TimeoutError:
            return is_so()
        return True


@dataclass(slots=True)
class Pending:
    """An update nobody has confirmed yet."""

    update_id: int
    update: Fields
    chat_id: int
    created_at: float  # Unix seconds


@dataclass(slots=True)
class Webhook:
    url: str
    secret_token: str = ""
    max_connections: int = 40
    last_error_at: float | None = None
    last_error: str = ""


@dataclass(slots=True)
class Shown:
    """A message as the customer sees it in the chat."""

    message_id: int
    by: str  # bot | customer
    text: str
    keyboard: list[list[Fields]] = field(default_factory=list)
    photo: str = ""
    is_edited: bool = False
    is_text: bool = True
    files: list[str] = field(default_factory=list)  # "photo https://…" or "document report.pdf (12 bytes)"
    html: str = ""  # the text as the bot wrote it, with tags
    topic: int | None = None
    is_editable: bool = True  # False: carries a reply keyboard, or took one away
    is_silent: bool = False
    at: float = 0.0  # when it came

    @property
    def buttons(self) -> list[str]:
        return [button["text"] for row in self.keyboard for button in row]

    def as_json(self) -> Fields:
        return {
            "message_id": self.message_id,
            "by": self.by,
            "text": self.text,
            "keyboard": self.keyboard,
            "photo": self.photo,
            "is_edited": self.is_edited,
            "is_text": self.is_text,
            "files": self.files,
        }


class SimulatedBot:
    """One bot account: its token, its queue of updates, its chats."""

    def __init__(self, token: str, username: str, ledger: Ledger, now: Callable[[], float]) -> None:
        self.token, self.username = token, username
        self.id = int(token.partition(":")[0])
        self.ledger, self.now = ledger, now
        self.pulse = Pulse()
        self.pending: list[Pending] = []
        self.allowed: tuple[str, ...] = ()
        self.webhook: Webhook | None = None
        self.poll_number = 0  # the getUpdates call that may wait; an older one is told 409
        self.commands: dict[tuple[str, str], list[Fields]] = {}  # scope, language
        self.files: dict[str, bytes | None] = {}  # file_id -> content; None: temporarily unavailable
        self.local_paths: dict[str, str] = {}  # file_id -> where it lies on the local server's disk
        self.webhook_address: Fields = {}  # further fields of getWebhookInfo
        self.has_privacy = True  # in groups the bot is shown only what is meant for it
        self.customers: dict[int, Customer] = {}
        self.open_queries: dict[str, bool] = {}  # callback query id -> answered
        self.next_update_id = FIRST_UPDATE_ID
        self._message_ids = itertools.count(1)
        self._callback_ids = itertools.count(FIRST_CALLBACK_ID)

    def as_user(self) -> Fields:
        return {"id": self.id, "is_bot": True, "first_name": "Frontdesk", "username": self.username}

    def new_message_id(self) -> int:
        return next(self._message_ids)

    def new_callback_id(self) -> str:
        callback_id = str(next(self._callback_ids))
        self.open_queries[callback_id] = False
        return callback_id

    def drop_expired(self) -> None:
        oldest = self.now() - RETENTION_S
        self.pending = [pending for pending in self.pending if pending.created_at > oldest]

    def push(self, kind: str, body: Any, chat_id: int, **noted: Any) -> int | None:
        """The new update's id; None when the bot did not ask for this kind."""
        wanted = kind in self.allowed if self.allowed else kind not in NOT_BY_DEFAULT
        if not wanted:
            return None
        update_id = self.next_update_id
        self.next_update_id += 1
        self.pending.append(Pending(update_id, {"update_id": update_id, kind: body}, chat_id, self.now()))
        self.ledger.add("update", self.now(), bot=self.id, update_id=update_id, what=kind, chat_id=chat_id, **noted)
        self.pulse.beat()
        return update_id

    def confirm(self, update_id: int) -> None:
        for pending in [pending for pending in self.pending if pending.update_id == update_id]:
            self.pending.remove(pending)
            self.ledger.add("confirmed", self.now(), bot=self.id, update_id=update_id)
        self.pulse.beat()
