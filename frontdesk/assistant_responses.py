"""The responses of `domain.yml` in Rasa's format, checked with file and line.

What Rasa has no key for is said under `custom`, which Rasa hands on as it is:

    utter_offer:
    - text: "**Two** for one, until [Sunday](https://shop.example/offer)"
      custom:
        text_format: markdown          # the subset of channels/markup.py; without it text is text
        cards: [{title: Teapot, text: 0.8 l, image: "https://…", url: "https://…", buttons: [{title: …, payload: …}]}]
        media: [{kind: document, url: "https://…", file_name: prices.pdf, caption: Prices}]
        ask: rating                    # rating, date, location or contact: a control where the channel has one
        status_key: "case:{number}"    # one message that is edited as the matter goes on
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_type_hints

from bot.assistant import Slot, TemplateButton, TemplateCard, Variation
from bot.errors import AssistantInvalid
from bot.located import invalid, line_of, only_keys, rows, table, text
from bot.types import Ask, Language, OutMedia, TextFormat

_VARIATION_KEYS = (
    "text", "image", "channel", "condition", "buttons", "button_type", "quick_replies", "custom", "attachment", "id",
    "metadata",
)  # fmt: skip
_CUSTOM_KEYS = ("text_format", "cards", "media", "ask", "status_key")
_CARD_KEYS = ("title", "text", "image", "url", "buttons")
_MEDIA_KINDS = get_args(get_type_hints(OutMedia)["kind"])
_MEDIA_KEYS = ("kind", "url", "media_id", "file_name", "mime", "caption")
_SET_SLOTS = re.compile(r"^/SetSlots\(\s*([A-Za-z_]\w*)\s*=\s*([^()]{1,200})\)$")
_INTENT_PAYLOAD = re.compile(r"^/([A-Za-z_][\w-]*)\s*(\{.*\})?$", re.DOTALL)
_OWN_PAYLOAD = re.compile(
    r"^(?:intent|flow):[A-Za-z_][\w-]*(?:\?[A-Za-z_]\w*=[^&]{1,60}(?:&[A-Za-z_]\w*=[^&]{1,60})*)?$"
    r"|^slot:[A-Za-z_]\w*=.{1,200}$"
)
_ADDRESS = re.compile(r"^(?:https?://|\{)\S+$")  # a whole address may come from a value


def read_responses(document: Any, default: Language) -> dict[str, tuple[Variation, ...]]:
    """Responses by name; wording without a language condition is in `default`. Raises AssistantInvalid."""
    responses = table(document, "responses", document)
    found: dict[str, tuple[Variation, ...]] = {}
    for name in responses:
        if not name.startswith("utter_"):
            raise invalid(f"response {name!r} must start with utter_", responses, name)
        items = rows(responses[name], f"response {name}", responses, name)
        if not items:
            raise invalid(f"response {name} is empty", responses, name)
        found[name] = tuple(_variation(name, items, index, default) for index in range(len(items)))
    return found


def _variation(name: str, items: list[Any], index: int, default: Language) -> Variation:
    body = table(items[index], f"a variation of {name}", items, index)
    only_keys(body, _VARIATION_KEYS, f"a variation of {name}")
    custom = table(body["custom"], "custom", body, "custom") if body.get("custom") is not None else {}
    only_keys(custom, _CUSTOM_KEYS, f"custom of {name}")
    cards, media = _cards(custom), _media(custom)
    if not {"text", "image"} & body.keys() and not cards and not media:
        raise invalid(f"a variation of {name} needs text", items, index)
    return Variation(
        text=_text(body, "text"),
        language=_language_of(body, default),
        channel=_text(body, "channel"),
        buttons=_buttons(body),
        image=_text(body, "image"),
        media=media,
        cards=cards,
        ask=_one_of(custom, "ask", get_args(Ask)),
        text_format=_one_of(custom, "text_format", get_args(TextFormat)) or "plain",
        status_key=_text(custom, "status_key"),
    )


def _text(body: dict[str, Any], key: str) -> str:
    return text(body[key], key, body, key) if key in body else ""


def _one_of(body: dict[str, Any], key: str, allowed: Collection[str]) -> Any:
    found = _text(body, key)
    if found not in ("", *allowed):
        raise invalid(f"{key} is one of {', '.join(filter(None, allowed))}, not {found!r}", body, key)
    return found


def _address(body: dict[str, Any], key: str) -> str:
    found = _text(body, key)
    if found and not _ADDRESS.match(found):
        raise invalid(f"{key} must be an address that begins with https:// or http://", body, key)
    return found


def _cards(custom: dict[str, Any]) -> tuple[TemplateCard, ...]:
    items = rows(custom.get("cards", []), "cards", custom, "cards")
    found = []
    for index, value in enumerate(items):
        card = table(value, "a card", items, index)
        only_keys(card, _CARD_KEYS, "a card")
        found.append(
            TemplateCard(
                title=text(card.get("title"), "title of a card", card, "title"),
                text=_text(card, "text"),
                image_url=_address(card, "image"),
                url=_address(card, "url"),
                buttons=_buttons(card),
            )
        )
    return tuple(found)


def _media(custom: dict[str, Any]) -> tuple[OutMedia, ...]:
    items = rows(custom.get("media", []), "media", custom, "media")
    found = []
    for index, value in enumerate(items):
        file = table(value, "a file", items, index)
        only_keys(file, _MEDIA_KEYS, "a file")
        if ("url" in file) == ("media_id" in file):
            raise invalid("a file needs either url or media_id", items, index)
        kind = _one_of(file, "kind", _MEDIA_KINDS)
        if not kind:
            raise invalid(f"a file needs a kind: {', '.join(_MEDIA_KINDS)}", items, index)
        texts = {key: _text(file, key) for key in ("media_id", "file_name", "mime", "caption")}
        found.append(OutMedia(kind=kind, url=_address(file, "url"), **texts))
    return tuple(found)


def _language_of(body: dict[str, Any], default: Language) -> Language:
    for item in rows(body.get("condition", []), "condition", body, "condition"):
        condition = table(item, "a condition", body, "condition")
        if condition.get("type") != "slot" or condition.get("name") != "language":
            raise invalid("a response may only depend on the slot language", body, "condition")
        value = condition.get("value")
        if value == "zh":
            return "zh"
        if value == "en":
            return "en"
        raise invalid(f"language {value!r} is neither zh nor en", condition)
    return default


def _buttons(body: dict[str, Any]) -> tuple[TemplateButton, ...]:
    items = rows(body.get("buttons", []), "buttons", body, "buttons")
    found = []
    for index, value in enumerate(items):
        item = table(value, "a button", items, index)
        only_keys(item, ("title", "payload", "type"), "a button")
        label = text(item.get("title"), "title", item, "title")
        payload = text(item.get("payload"), "payload", item, "payload")
        found.append(TemplateButton(label, _value_of(payload, item)))
    return tuple(found)


def _value_of(payload: str, place: Any) -> str:
    """A Rasa payload (`/intent`, `/intent{"slot": "value"}`, `/SetSlots(slot=value)`) in our form."""
    if _OWN_PAYLOAD.match(payload):
        return payload
    if match := _SET_SLOTS.match(payload):
        return f"slot:{match.group(1)}={match.group(2).strip()}"
    if match := _INTENT_PAYLOAD.match(payload):
        if not match.group(2):
            return f"intent:{match.group(1)}"
        try:
            values = table(json.loads(match.group(2)), "the values of a payload", place, "payload")
        except ValueError as exc:
            raise invalid(f"payload {payload!r} holds no valid JSON", place, "payload") from exc
        return f"intent:{match.group(1)}?" + "&".join(f"{key}={value}" for key, value in values.items())
    raise invalid(f"payload {payload!r} is neither /intent, /SetSlots(slot=value) nor ours", place, "payload")


def check_buttons(
    responses: Mapping[str, tuple[Variation, ...]],
    *,
    intents: Collection[str],
    flows: Collection[str],
    slots: Mapping[str, Slot],
    document: Any,
) -> None:
    """Every button of the folder's own responses leads somewhere. Raises AssistantInvalid."""
    for name in document:
        for button in (button for variation in responses[name] for button in variation.all_buttons):
            kind, _, target = button.value.partition(":")
            known: Collection[str] = {"intent": intents, "flow": flows, "slot": slots}[kind]
            wanted = target.partition("=")[0] if kind == "slot" else target.partition("?")[0]
            if wanted not in known:
                reason = f"a button of {name} leads to unknown {kind} {wanted!r}"
                raise AssistantInvalid(reason, file="domain.yml", line=line_of(document, name))
