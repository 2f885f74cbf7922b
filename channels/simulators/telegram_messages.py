"""Sending, editing, pinning and files of the stand-in, as strict as the real server where a bot could rely on it.

Wording of refusals: tdlib/telegram-bot-api, Client.cpp, and tdlib/td. Limits: https://core.telegram.org/bots/api.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from channels.simulators.telegram_flood import Flood, Limits
from channels.simulators.telegram_params import (
    Refused,
    bool_in,
    chat_id_in,
    check_preview,
    decoded,
    int_in,
    markup_in,
    shown_text,
    str_in,
)
from channels.simulators.telegram_world import Customer, Fields, Shown, SimulatedBot
from channels.text import is_blank

MAX_TEXT, MAX_CAPTION = 4096, 1024
MAX_FILE, MAX_PHOTO, MAX_DOWNLOAD, MAX_LOCAL = 50_000_000, 10_000_000, 20_000_000, 2_000_000_000
GENERAL_TOPIC: Final = 1
KEPT_S: Final = 48 * 3600  # from then on nobody's copy of a message is taken away any more
# Which kinds may share an album: pictures with films, the others with their own.
FAMILIES: Final = {"photo": "picture", "video": "picture", "document": "document", "audio": "audio"}
CHAT_ACTIONS: Final = frozenset(
    {"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document"}
    | {"choose_sticker", "find_location", "record_video_note", "upload_video_note"}
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came in the body of the call."""

    name: str
    content: bytes


class Messages:
    """Carries out for one bot what changes or shows a chat."""

    def __init__(self, bot: SimulatedBot, limits: Limits, flood: Flood, *, is_local: bool = False) -> None:
        self._bot, self._limits, self._flood = bot, limits, flood
        self.is_local = is_local
        self.methods: dict[str, Callable[[Fields], Awaitable[Any]]] = {
            "sendmessage": self._send_message,
            **{f"send{kind}": self._sender_of(kind) for kind in (*FAMILIES, "voice")},
            "sendmediagroup": self._send_media_group,
            "editmessagetext": self._edit_message_text,
            "deletemessage": self._delete_message,
            "pinchatmessage": self._pin,
            "unpinchatmessage": self._unpin,
            "sendchataction": self._send_chat_action,
            "getfile": self._get_file,
        }

    # --- sending ----------------------------------------------------------------------------------------------------

    async def _send_message(self, params: Fields) -> Fields:
        chat_id = chat_id_in(params)
        check_preview(params)
        text = shown_text(params, "text", MAX_TEXT, "message is too long")
        if is_blank(text):
            raise Refused(400, "Bad Request: message text is empty")
        html = str_in(params, "text") if params.get("parse_mode") else ""
        (shown,) = self._deliver(chat_id, params, [Shown(0, "bot", text.strip(), html=html)])
        return self._as_message(self._bot.customers[chat_id], shown)

    def _sender_of(self, kind: str) -> Callable[[Fields], Awaitable[Fields]]:
        async def send(params: Fields) -> Fields:
            chat_id = chat_id_in(params)
            file = self._file(kind, params.get(kind), params)
            caption = shown_text(params, "caption", MAX_CAPTION, "message caption is too long").strip()
            (shown,) = self._deliver(chat_id, params, [self._shown(kind, file, caption)])
            return self._as_message(self._bot.customers[chat_id], shown)

        return send

    async def _send_media_group(self, params: Fields) -> list[Fields]:
        chat_id = chat_id_in(params)
        media = decoded(params.get("media"))
        if not isinstance(media, list) or not all(isinstance(item, dict) for item in media):
            raise Refused(400, "Bad Request: can't parse media JSON object")
        if not 2 <= len(media) <= 10:
            raise Refused(400, "Bad Request: there must be from 2 to 10 messages to send in an album")
        if params.get("reply_markup"):
            raise Refused(400, "Bad Request: reply markup is not supported for albums")
        kinds = [str_in(item, "type") for item in media]
        if not set(kinds) <= set(FAMILIES) or len({FAMILIES[kind] for kind in kinds}) != 1:
            raise Refused(400, "Bad Request: documents and audio can be grouped only with files of the same type")
        items = []
        for item, kind in zip(media, kinds, strict=True):
            file = self._file(kind, item.get("media"), params)
            caption = shown_text(item, "caption", MAX_CAPTION, "message caption is too long").strip()
            items.append(self._shown(kind, file, caption))
        album = str(self._bot.new_message_id() * 1_000_003)
        shown = self._deliver(chat_id, params, items)
        customer = self._bot.customers[chat_id]
        return [{**self._as_message(customer, one), "media_group_id": album} for one in shown]

    def _file(self, kind: str, found: Any, params: Fields) -> str:
        """What the file is, for the chat. An address, a known file id, or an upload within the limits."""
        if isinstance(found, str) and found.startswith("attach://"):
            found = params.get(found.removeprefix("attach://"))
        if isinstance(found, Upload):
            limit = MAX_LOCAL if self.is_local else MAX_PHOTO if kind == "photo" else MAX_FILE
            if not found.content:
                raise Refused(400, "Bad Request: file must be non-empty")
            if len(found.content) > limit:
                raise Refused(413, "Request Entity Too Large")
            return f"{kind} {found.name} ({len(found.content)} bytes)"
        if not isinstance(found, str) or not found:
            raise Refused(400, f"Bad Request: there is no {kind} in the request")
        if "/" in found and urllib.parse.urlsplit(found).scheme not in {"http", "https"}:
            raise Refused(400, "Bad Request: wrong file identifier/HTTP URL specified")
        if found.startswith("http") and urllib.parse.urlsplit(found).path.endswith(".broken"):
            raise Refused(400, "Bad Request: failed to get HTTP URL content")
        return f"{kind} {found}"

    @staticmethod
    def _shown(kind: str, file: str, caption: str) -> Shown:
        photo = file.removeprefix("photo ") if kind == "photo" else ""
        return Shown(0, "bot", caption, photo=photo, is_text=False, files=[file])

    def _deliver(self, chat_id: int, params: Fields, messages: list[Shown]) -> list[Shown]:
        markup = markup_in(params, in_private=chat_id > 0)
        customer = self._reachable(chat_id)
        topic = self._topic(customer, params)
        self._pass_flood(chat_id, is_paid=bool_in(params, "allow_paid_broadcast"))
        if "keyboard" in markup:
            customer.keys, customer.keys_are_for_once = markup["keyboard"], bool(markup.get("one_time_keyboard"))
        elif markup.get("remove_keyboard"):
            customer.keys = []
        shown = []
        for message in messages:
            new = replace(
                message,
                message_id=self._bot.new_message_id(),
                keyboard=markup.get("inline_keyboard", []),
                topic=topic,
                is_editable=not markup or "inline_keyboard" in markup,
                is_silent=bool_in(params, "disable_notification"),
                at=self._bot.now(),
            )
            customer.show(new)
            shown.append(new)
        return shown

    def _topic(self, customer: Customer, params: Fields) -> int | None:
        if "message_thread_id" not in params:
            return None
        topic = int_in(params, "message_thread_id", 0)
        if topic not in customer.topics:  # the general one is addressed by naming none
            raise Refused(400, "Bad Request: message thread not found")
        return topic

    def _as_message(self, customer: Customer, shown: Shown) -> Fields:
        sent: Fields = {
            "message_id": shown.message_id,
            "from": self._bot.as_user(),
            "chat": customer.as_chat(),
            "date": int(self._bot.now()),
        }
        if shown.photo:
            sent["photo"] = [{"file_id": shown.photo, "file_unique_id": shown.photo, "width": 1, "height": 1}]
        elif shown.files:
            kind = shown.files[0].partition(" ")[0]
            sent[kind] = {"file_id": "sent", "file_unique_id": "sent", "duration": 1, "width": 1, "height": 1}
        if shown.text:
            sent["text" if shown.is_text else "caption"] = shown.text
        if shown.keyboard:
            sent["reply_markup"] = {"inline_keyboard": shown.keyboard}
        return sent

    # --- changing what was sent -------------------------------------------------------------------------------------

    async def _edit_message_text(self, params: Fields) -> Fields:
        check_preview(params)
        text = shown_text(params, "text", MAX_TEXT, "message is too long").strip()
        if is_blank(text):
            raise Refused(400, "Bad Request: message text is empty")
        chat_id = chat_id_in(params)
        markup = markup_in(params, in_private=chat_id > 0)
        if markup and "inline_keyboard" not in markup:
            raise Refused(400, "Bad Request: inline keyboard expected")
        keyboard = markup.get("inline_keyboard", [])
        customer = self._reachable(chat_id)
        shown = self._mine(customer, params, "edit")
        if not shown.is_editable:
            raise Refused(400, "Bad Request: message can't be edited")
        if not shown.is_text:
            raise Refused(400, "Bad Request: there is no text in the message to edit")
        if (shown.text, shown.keyboard) == (text, keyboard):
            raise Refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the "
                "same as a current content and reply markup of the message",
            )
        self._pass_flood(customer.user_id)
        shown.text, shown.keyboard, shown.is_edited = text, keyboard, True
        self._bot.pulse.beat()
        return self._as_message(customer, shown)

    async def _delete_message(self, params: Fields) -> bool:
        customer = self._reachable(chat_id_in(params))
        shown = self._mine(customer, params, "delete")
        if self._bot.now() - shown.at >= KEPT_S:
            raise Refused(400, "Bad Request: message can't be deleted for everyone")
        customer.take_away(shown)
        self._bot.pulse.beat()
        return True

    async def _pin(self, params: Fields) -> bool:
        customer = self._reachable(chat_id_in(params))
        shown = self._mine(customer, params, "pin")
        if shown.message_id not in customer.pinned:
            customer.pinned.append(shown.message_id)
            notice = {"message_id": self._bot.new_message_id(), "from": self._bot.as_user(), "date": 1}
            pinned = {"pinned_message": self._as_message(customer, shown), "chat": customer.as_chat()}
            self._bot.push("message", {**notice, **pinned}, customer.user_id)
        return True

    async def _unpin(self, params: Fields) -> bool:
        customer = self._reachable(chat_id_in(params))
        message_id = int_in(params, "message_id", customer.pinned[-1] if customer.pinned else 0)
        if message_id not in customer.pinned:
            raise Refused(400, "Bad Request: message to unpin not found")
        customer.pinned.remove(message_id)
        self._bot.pulse.beat()
        return True

    @staticmethod
    def _mine(customer: Customer, params: Fields, verb: str) -> Shown:
        try:
            return customer.message(int_in(params, "message_id", 0), by="bot")
        except LookupError:
            raise Refused(400, f"Bad Request: message to {verb} not found") from None

    # --- the rest ---------------------------------------------------------------------------------------------------

    async def _send_chat_action(self, params: Fields) -> bool:
        action = str_in(params, "action")
        if action not in CHAT_ACTIONS:
            raise Refused(400, "Bad Request: wrong parameter action in request")
        customer = self._reachable(chat_id_in(params))
        self._topic(customer, params)
        customer.actions.append(action)
        self._bot.pulse.beat()
        return True

    async def _get_file(self, params: Fields) -> Fields:
        file_id = str_in(params, "file_id")
        if file_id not in self._bot.files:
            raise Refused(400, "Bad Request: invalid file_id")
        content = self._bot.files[file_id]
        if content is None:
            raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(content) > MAX_DOWNLOAD and not self.is_local:
            raise Refused(400, "Bad Request: file is too big")
        path = self._bot.local_paths.get(file_id, f"documents/{file_id}")
        return {"file_id": file_id, "file_unique_id": file_id, "file_size": len(content), "file_path": path}

    def _reachable(self, chat_id: int) -> Customer:
        customer = self._bot.customers.get(chat_id)
        if customer is None:
            raise Refused(400, "Bad Request: chat not found")
        if customer.moved_to is not None:
            raise Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=customer.moved_to,
            )
        if customer.is_deactivated:
            raise Refused(403, "Forbidden: user is deactivated")
        if customer.has_blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        if not customer.has_started:
            raise Refused(403, "Forbidden: bot can't initiate conversation with a user")
        return customer

    def _pass_flood(self, chat_id: int, *, is_paid: bool = False) -> None:
        limits = self._limits
        paid, free = (limits.paid_per_s, int(limits.paid_per_s)), (limits.bot_per_s, limits.bot_burst)
        wanted = {f"chat {chat_id}": (limits.chat_per_s, limits.chat_burst)}
        wanted |= {"paid": paid} if is_paid else {"bot": free}
        if chat_id < 0:
            wanted[f"group {chat_id}"] = (limits.group_per_min / 60, int(limits.group_per_min))
        self._flood.take(wanted)
