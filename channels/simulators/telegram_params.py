"""Parameters of a Bot API call, read as strictly as the real server does and refused in its words."""

from __future__ import annotations

import html.parser
from typing import Any, Final

import orjson

from channels.simulators.telegram_world import Fields
from channels.text import is_blank, length

MAX_CALLBACK_BYTES, MAX_BUTTONS = 64, 100
KEY_ASKS: Final = ("request_contact", "request_location", "request_poll", "request_users", "request_chat", "web_app")
HTML_TAGS: Final = frozenset(
    {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "a", "code", "pre", "blockquote"}
    | {"span", "tg-spoiler", "tg-emoji"}
)


class Refused(Exception):
    """An answer with ok = false."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status, self.description, self.parameters = status, description, parameters


def decoded(found: Any) -> Any:
    """Forms and query strings carry objects as JSON text."""
    if not isinstance(found, str):
        return found
    try:
        return orjson.loads(found)
    except orjson.JSONDecodeError:
        return None


def names_in(found: Any) -> tuple[str, ...]:
    names = decoded(found)
    if not isinstance(names, list):
        raise Refused(400, "Bad Request: can't parse allowed updates")
    return tuple(str(name) for name in names)


def str_in(params: Fields, name: str) -> str:
    found = params.get(name, "")
    return found if isinstance(found, str) else str(found)


def int_in(params: Fields, name: str, otherwise: int) -> int:
    found = params.get(name, otherwise)
    try:
        return int(found)
    except (TypeError, ValueError):
        raise Refused(400, f"Bad Request: wrong parameter {name} in request") from None


def bool_in(params: Fields, name: str) -> bool:
    return str_in(params, name).lower() in {"true", "1", "yes"}


def check_preview(params: Fields) -> None:
    options = decoded(params.get("link_preview_options"))
    if "link_preview_options" in params and not isinstance(options, dict):
        raise Refused(400, "Bad Request: can't parse link preview options JSON object")


def chat_id_in(params: Fields) -> int:
    found = params.get("chat_id")
    if found is None or found == "":
        raise Refused(400, "Bad Request: chat_id is empty")
    try:
        return int(found)
    except (TypeError, ValueError):
        raise Refused(400, "Bad Request: chat not found") from None


def shown_text(params: Fields, name: str, limit: int, too_long: str) -> str:
    """The text as shown. Limits count UTF-16 units after the markup is gone."""
    text = params.get(name, "")
    if not isinstance(text, str):
        raise Refused(400, f"Bad Request: can't parse {name}")
    mode = str_in(params, "parse_mode")
    if mode.lower() == "html":
        text = HtmlText.of(text)
    elif mode:
        raise Refused(400, "Bad Request: unsupported parse_mode")
    if length(text.strip(), "utf16") > limit:
        raise Refused(400, f"Bad Request: {too_long}")
    for entity in decoded(params.get("entities")) or ():
        end = entity["offset"] + entity["length"] if isinstance(entity, dict) else -1
        if end < 0 or end > length(text, "utf16"):
            raise Refused(400, "Bad Request: ENTITY_BOUNDS_INVALID")
    return text


class HtmlText(html.parser.HTMLParser):
    """Telegram's HTML subset: known tags, properly nested."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._open: list[str] = []

    @classmethod
    def of(cls, text: str) -> str:
        parser = cls()
        parser.feed(text)
        parser.close()
        if parser._open:
            raise Refused(400, f"Bad Request: can't parse entities: Can't find end tag for \"{parser._open[-1]}\"")
        return "".join(parser.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in HTML_TAGS:
            raise Refused(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        if tag == "span" and ("class", "tg-spoiler") not in attrs:
            raise Refused(400, 'Bad Request: can\'t parse entities: Tag "span" must have class "tg-spoiler"')
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise Refused(400, "Bad Request: can't parse entities: Unexpected end tag")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def markup_in(params: Fields, *, in_private: bool) -> Fields:
    """What hangs below a message, checked; empty when nothing does."""
    markup = decoded(params.get("reply_markup"))
    if markup is None and not params.get("reply_markup"):
        return {}
    if not isinstance(markup, dict):
        raise Refused(400, "Bad Request: can't parse reply keyboard markup JSON object")
    if "inline_keyboard" in markup:
        return {"inline_keyboard": inline_rows(markup["inline_keyboard"])}
    if "keyboard" in markup:
        rows = markup["keyboard"]
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) and row for row in rows):
            raise Refused(400, 'Bad Request: field "keyboard" of the ReplyKeyboardMarkup must be an Array of Arrays')
        for key in (key for row in rows for key in row):
            check_key(key, in_private=in_private)
        return dict(markup)
    if markup.get("remove_keyboard") is True or markup.get("force_reply") is True:
        return dict(markup)
    raise Refused(400, "Bad Request: object expected as reply markup")


def inline_rows(rows: Any) -> list[list[Fields]]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Refused(400, 'Bad Request: field "inline_keyboard" must be an Array of Arrays')
    buttons = [button for row in rows for button in row]
    if len(buttons) > MAX_BUTTONS:
        raise Refused(400, "Bad Request: REPLY_MARKUP_TOO_LONG")
    for button in buttons:
        check_button(button)
    return [row for row in rows if row]


def check_key(key: Any, *, in_private: bool) -> None:
    """A key of a reply keyboard: at most one thing to ask for, and phone numbers and places only in private chats."""
    text = key if isinstance(key, str) else key.get("text") if isinstance(key, dict) else None
    if not isinstance(text, str) or is_blank(text):
        raise Refused(400, "Bad Request: can't parse keyboard button: Can't find field \"text\"")
    asked = [name for name in KEY_ASKS if isinstance(key, dict) and key.get(name)]
    if len(asked) > 1:
        raise Refused(400, "Bad Request: can't parse keyboard button: only one request is allowed")
    if asked and not in_private:
        kind = {"request_contact": "phone number", "request_location": "location"}.get(asked[0], asked[0])
        raise Refused(400, f"Bad Request: {kind} can be requested in private chats only")


def check_button(button: Any) -> None:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str):
        raise Refused(400, "Bad Request: can't parse inline keyboard button: Can't find field \"text\"")
    if is_blank(button["text"]):
        raise Refused(400, "Bad Request: inline keyboard button text must be non-empty")
    actions = {"callback_data", "url", "web_app", "login_url", "switch_inline_query", "copy_text", "pay"} & set(button)
    if len(actions) != 1:
        raise Refused(400, "Bad Request: can't parse inline keyboard button: exactly one action is expected")
    value = button.get("callback_data")
    if value is not None and (not isinstance(value, str) or not 1 <= len(value.encode()) <= MAX_CALLBACK_BYTES):
        raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
