"""Customers and groups of the stand-in, who can be played: whatever they do becomes an update."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from channels.simulators.telegram_account import Fields, Pending, Pulse, Shown, SimulatedBot, Webhook
from channels.text import length

__all__ = ["Customer", "Fields", "Group", "Pending", "Pulse", "Shown", "SimulatedBot", "Webhook"]

# What a customer's files hold, so that a desk may fetch them.
PICTURE = base64.b64decode(  # 2 by 2 pixels, PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGM8IafBwMDAxMDAwMDAAAANcgESOXKF8gAAAABJRU5ErkJggg=="
)
DOCUMENT = b"%PDF-1.4\n%%EOF\n"
SOUND = b"OggS\x00\x02" + bytes(22)


class Customer:
    """A person with a private chat with one bot. Whatever they do becomes an update."""

    def __init__(self, bot: SimulatedBot, user_id: int, name: str, language: str) -> None:
        self.bot, self.user_id, self.name, self.language = bot, user_id, name, language
        self.has_started = False
        self.has_blocked = False
        self.is_deactivated = False
        self.chat: list[Shown] = []
        self.actions: list[str] = []  # "typing" …, as the bot showed them
        self.pinned: list[int] = []  # message ids, the latest last
        self.keys: list[list[Any]] = []  # the reply keyboard shown now
        self.keys_are_for_once = False
        self.topics: set[int] = set()  # of a forum, beside the general one
        self.moved_to: int | None = None

    def as_user(self) -> Fields:
        return {"id": self.user_id, "is_bot": False, "first_name": self.name, "language_code": self.language}

    def as_chat(self) -> Fields:
        return {"id": self.user_id, "first_name": self.name, "type": "private"}

    # --- what the customer does: each returns the update's id (None: the bot does not want such updates) ------------

    def start(self, payload: str = "") -> int | None:
        """Press Start, or follow a deep link with this payload."""
        if self.has_blocked:
            self.unblock()
        text = f"/start {payload}" if payload else "/start"
        return self.send_text(text, entities=[{"type": "bot_command", "offset": 0, "length": 6}])

    def send_text(self, text: str, entities: Sequence[Fields] | None = None, **extra: Any) -> int | None:
        """Entities are found as Telegram's apps do (a command at the start) unless given."""
        fields: Fields = {"text": text, **extra}
        found = list(entities) if entities is not None else _commands_in(text)
        if found:
            fields["entities"] = found
        return self._say(text, fields)

    def send_contact(self, phone: str, *, own: bool = True, name: str = "") -> int | None:
        contact: Fields = {"phone_number": phone, "first_name": name or self.name}
        if own:
            contact["user_id"] = self.user_id
        return self._say("", {"contact": contact})

    def send_location(self, latitude: float, longitude: float) -> int | None:
        return self._say("", {"location": {"latitude": latitude, "longitude": longitude}})

    def send_photo(self, caption: str = "") -> int | None:
        sizes: list[Fields] = [
            {"file_id": f"photo-{side}", "file_unique_id": f"u{side}", "width": side, "height": side, "file_size": side}
            for side in (90, 320, 800)
        ]
        self.bot.files |= {size["file_id"]: PICTURE for size in sizes}
        return self._say(caption, {"photo": sizes, **({"caption": caption} if caption else {})})

    def send_voice(self, duration_s: int = 3) -> int | None:
        voice = {"file_id": "voice-1", "file_unique_id": "v1", "duration": duration_s, "mime_type": "audio/ogg"}
        self.bot.files["voice-1"] = SOUND
        return self._say("", {"voice": voice})

    def send_document(self, file_name: str = "receipt.pdf") -> int | None:
        document = {"file_id": "document-1", "file_unique_id": "d1", "file_name": file_name}
        self.bot.files["document-1"] = DOCUMENT
        return self._say("", {"document": document})

    def send_album(self, captions: Sequence[str]) -> list[int | None]:
        """One photo for each caption, sent as one."""
        album = str(self.bot.new_message_id() * 1_000_003)
        updates = []
        for number, caption in enumerate(captions):
            photo: list[Fields] = [
                {"file_id": f"album-{album}-{number}", "file_unique_id": "a", "width": 800, "height": 600}
            ]
            self.bot.files[photo[0]["file_id"]] = PICTURE
            words = {"caption": caption} if caption else {}
            updates.append(self._say(caption, {"photo": photo, "media_group_id": album, **words}))
        return updates

    def send_sticker(self, emoji: str = "👍") -> int | None:
        sticker = {"file_id": "sticker-1", "file_unique_id": "s1", "type": "regular", "width": 512, "height": 512}
        return self._say("", {"sticker": {**sticker, "is_animated": False, "is_video": False, "emoji": emoji}})

    def send_dice(self, value: int = 4) -> int | None:
        return self._say("", {"dice": {"emoji": "🎲", "value": value}})

    def send_venue(self, title: str, address: str, latitude: float, longitude: float) -> int | None:
        place = {"latitude": latitude, "longitude": longitude}
        venue = {"location": place, "title": title, "address": address}
        return self._say("", {"venue": venue, "location": place})

    def forward(self, text: str, origin: str) -> int | None:
        """Pass on what somebody (whose account does not show) wrote."""
        said = {"type": "hidden_user", "sender_user_name": origin, "date": int(self.bot.now()) - 60}
        return self.send_text(text, forward_origin=said)

    def reply(self, message_id: int, text: str, quote: str = "") -> int | None:
        """Answer one of the bot's messages. Raises: LookupError."""
        shown = self.message(message_id, by="bot")
        original = {"message_id": message_id, "from": self.bot.as_user(), "chat": self.as_chat(), "date": 1}
        extra: Fields = {"quote": {"text": quote, "position": 0, "is_manual": True}} if quote else {}
        return self.send_text(text, None, reply_to_message={**original, "text": shown.text}, **extra)

    def react(self, message_id: int, emoji: str = "") -> int | None:
        """React to a message, or take the reaction back."""
        now = [{"type": "emoji", "emoji": emoji}] if emoji else []
        person = {"chat": self.as_chat(), "message_id": message_id, "user": self.as_user(), "date": int(self.bot.now())}
        return self.bot.push(
            "message_reaction", {**person, "old_reaction": [], "new_reaction": now}, self.user_id, text=emoji
        )

    def touch(self, label: str, *, phone: str = "+8613800138000", place: tuple[float, float] = (38.87, 115.46)) -> Any:
        """Touch a key of the reply keyboard. Raises: LookupError when none with this label is shown."""
        for key in (key for row in self.keys for key in row):
            text = key if isinstance(key, str) else key["text"]
            if text != label:
                continue
            if self.keys_are_for_once:
                self.keys = []
            if isinstance(key, dict) and key.get("request_contact"):
                return self.send_contact(phone)
            if isinstance(key, dict) and key.get("request_location"):
                return self.send_location(*place)
            return self.send_text(text, [])
        raise LookupError(f"no key {label!r} is shown")

    def send_raw(self, kind: str, body: Any) -> int | None:
        """An update of any kind and shape, for what the stand-in does not know."""
        return self.bot.push(kind, body, self.user_id)

    def edit(self, message_id: int, text: str) -> int | None:
        """Change one of the customer's own messages. Raises: LookupError when there is none with this id."""
        shown = self.message(message_id, by="customer")
        shown.text, shown.is_edited = text, True
        body = {**self._envelope(message_id), "edit_date": int(self.bot.now()), "text": text}
        return self.bot.push("edited_message", body, self.user_id, text=text, message_id=message_id)

    def press(self, label_or_value: str) -> int | None:
        """Press the newest button with this label or callback data. Raises: LookupError when there is none."""
        for shown in reversed(self.chat):
            for button in (button for row in shown.keyboard for button in row):
                if label_or_value in {button["text"], button.get("callback_data")}:
                    return self._pressed(shown, button["callback_data"])
        raise LookupError(f"no button {label_or_value!r} is shown")

    def press_stale(self, value: str) -> int | None:
        """Press a button of a message Telegram no longer shows to the bot."""
        return self._query(value, {"chat": self.as_chat(), "message_id": 1, "date": 0})

    def block(self) -> int | None:
        self.has_blocked = True
        return self._membership("member", "kicked")

    def unblock(self) -> int | None:
        self.has_blocked = False
        return self._membership("kicked", "member")

    # --- what the customer sees -------------------------------------------------------------------------------------

    @property
    def received(self) -> list[Shown]:
        """What the bot sent, in order."""
        return [shown for shown in self.chat if shown.by == "bot"]

    def message(self, message_id: int, by: str) -> Shown:
        """Raises: LookupError."""
        for shown in self.chat:
            if shown.message_id == message_id and shown.by == by:
                return shown
        raise LookupError(f"no message {message_id} by the {by}")

    async def wait_for_replies(self, count: int, timeout_s: float = 10.0) -> list[Shown]:
        """What the bot sent, once there are `count` messages. Raises: TimeoutError."""
        if not await self.bot.pulse.until(lambda: len(self.received) >= count, timeout_s):
            raise TimeoutError(f"{len(self.received)} of {count} messages came within {timeout_s} s")
        return self.received

    def show(self, shown: Shown) -> None:
        self.chat.append(shown)
        self.bot.pulse.beat()

    def take_away(self, shown: Shown) -> None:
        self.chat.remove(shown)
        self.pinned = [message_id for message_id in self.pinned if message_id != shown.message_id]

    # --- inside -----------------------------------------------------------------------------------------------------

    def _envelope(self, message_id: int) -> Fields:
        return {
            "message_id": message_id,
            "from": self.as_user(),
            "chat": self.as_chat(),
            "date": int(self.bot.now()),
        }

    def _say(self, text: str, fields: Fields) -> int | None:
        self.has_started = True
        message_id = self.bot.new_message_id()
        shown = text if "text" in fields else f"[{next(iter(fields))}] {text}".strip()
        self.show(Shown(message_id, "customer", shown, is_text="text" in fields))
        body = {**self._envelope(message_id), **fields}
        return self.bot.push("message", body, self.user_id, text=text, message_id=message_id)

    def _pressed(self, shown: Shown, value: str) -> int | None:
        message = {
            "message_id": shown.message_id,
            "from": self.bot.as_user(),
            "chat": self.as_chat(),
            "date": int(self.bot.now()),
            "text": shown.text,
            "reply_markup": {"inline_keyboard": shown.keyboard},
        }
        return self._query(value, message)

    def _query(self, value: str, message: Fields) -> int | None:
        body = {
            "id": self.bot.new_callback_id(),
            "from": self.as_user(),
            "message": message,
            "chat_instance": str(self.user_id * 7919),
            "data": value,
        }
        return self.bot.push("callback_query", body, self.user_id, text=value)

    def _membership(self, old: str, new: str) -> int | None:
        body = {
            "chat": self.as_chat(),
            "from": self.as_user(),
            "date": int(self.bot.now()),
            "old_chat_member": {"user": self.bot.as_user(), "status": old, "until_date": 0},
            "new_chat_member": {"user": self.bot.as_user(), "status": new, "until_date": 0},
        }
        return self.bot.push("my_chat_member", body, self.user_id, text=new)


class Group(Customer):
    """A supergroup with the bot in it; what a member says there carries the group as its chat."""

    def __init__(self, bot: SimulatedBot, chat_id: int, title: str) -> None:
        super().__init__(bot, chat_id, title, "")
        self.has_started = True

    def as_chat(self) -> Fields:
        return {"id": self.user_id, "title": self.name, "type": "supergroup"}

    def said_by(self, member: Customer, text: str, *, topic: int | None = None, **extra: Any) -> int | None:
        """`member` writes this in the group; None when the bot is not shown it (privacy mode)."""
        entities = [*_commands_in(text), *_mentions_in(text)]
        original = extra.get("reply_to_message", {}).get("from", {})
        is_for_bot = original.get("id") == self.bot.id or any(
            entity["type"] == "bot_command" or f"@{self.bot.username}" in text for entity in entities
        )
        if self.bot.has_privacy and not is_for_bot:
            return None
        where: Fields = {"message_thread_id": topic, "is_topic_message": True} if topic else {}
        return self.send_text(text, entities, **{"from": member.as_user()}, **where, **extra)

    def migrate(self, new_id: int, by: Customer) -> Group:
        """The group becomes a supergroup: said in the old chat and in the new one, which it returns."""
        new = Group(self.bot, new_id, self.name)
        self.bot.customers[new_id] = new
        self.moved_to = new_id
        self._say("", {"migrate_to_chat_id": new_id, "from": by.as_user()})
        new._say("", {"migrate_from_chat_id": self.user_id, "from": by.as_user()})
        return new


def _mentions_in(text: str) -> list[Fields]:
    return [
        {
            "type": "mention",
            "offset": length(text[: match.start()], "utf16"),
            "length": length(match.group(), "utf16"),
        }
        for match in re.finditer(r"(?<!\w)@[A-Za-z]\w{3,31}", text, re.ASCII)
    ]


def _commands_in(text: str) -> list[Fields]:
    word = text.split(maxsplit=1)[0] if text.startswith("/") and text.split() else ""
    name = word[1:].partition("@")[0]
    if not name or not name.replace("_", "").isalnum() or not name.isascii():
        return []
    return [{"type": "bot_command", "offset": 0, "length": length(word, "utf16")}]
