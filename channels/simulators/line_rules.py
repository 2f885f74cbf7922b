"""What LINE refuses, and in which words: the official SDK's models, and the limits of the reference they leave out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from channels.text import is_blank, length

Fields = dict[str, Any]


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.headers, self.body = status, dict(headers or {}), {"message": message, **more}


def check_messages(given: Fields, model: Any) -> list[Fields]:
    """The messages of a request the SDK's `model` and the reference's limits agree with. Raises: Refused."""
    try:
        model.from_dict(given)
        messages: list[Fields] = given["messages"]
        problem = next((said for said in map(_problem, messages) if said), "")
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        problem = type(exc).__name__
    if problem:
        raise Refused(400, "The request body has 1 error(s)", details=[{"message": problem, "property": "messages"}])
    return messages


def _problem(message: Fields) -> str:
    """What the reference forbids and the SDK's models let pass."""
    actions = [item["action"] for item in message.get("quickReply", {}).get("items", ())]
    for action in actions:
        # LINE counts the labels of actions by what a reader sees as one character, which is never more.
        if not 1 <= length(action.get("label") or "", "utf16") <= 20:
            return "quick reply label"
    match message["type"]:
        case "text" if is_blank(message["text"]) or length(message["text"], "utf16") > 5000:
            return "text"
        case "image" if not message["originalContentUrl"].startswith("https://"):
            return "originalContentUrl"
        case "flex":
            return _flex_problem(message)
    return ""


def _flex_problem(message: Mapping[str, Any]) -> str:
    contents = message["contents"]
    bubbles = contents["contents"] if contents["type"] == "carousel" else [contents]
    if is_blank(message["altText"]) or len(message["altText"]) > 1500 or not 1 <= len(bubbles) <= 12:
        return "altText or number of bubbles"
    for bubble in bubbles:
        if any(is_blank(text["text"]) for text in bubble["body"]["contents"]):
            return "empty text"
        if any(not button["action"].get("label") for button in bubble.get("footer", {}).get("contents", ())):
            return "empty label"
    return ""


def is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
