"""An OutPart as the messages of one Messaging API call, built from the official SDK's types."""

from __future__ import annotations

from collections.abc import Callable

from linebot.v3.messaging import models as line

from bot.types import Card, OutPart, ReplyButton
from channels.text import is_blank

ASKS = {
    "date": line.DatetimePickerAction(label="📅", data="date", mode="date"),
    "location": line.LocationAction(label="📍"),
}


def messages_of(part: OutPart, link: Callable[[str], str]) -> list[line.Message]:
    """Pictures, cards, words; quick replies hang on the last. `link` gives the public address of a file of ours."""
    messages: list[line.Message] = [_picture(part.image_url)] if part.image_url else []
    for file in part.media:
        messages.append(_picture(file.url or link(file.media_id)))
        messages += [line.TextMessage(text=file.caption)] if not is_blank(file.caption) else []
    if part.cards:
        titles = [card.title for card in part.cards if not is_blank(card.title)] or ["…"]  # what notifications show
        cards = line.FlexCarousel(contents=[_bubble(card) for card in part.cards])
        messages.append(line.FlexMessage(alt_text=" · ".join(titles)[:400], contents=cards))
    if not is_blank(part.text):
        messages.append(line.TextMessage(text=part.text))
    actions = [*map(_action, part.buttons), *([ASKS[part.ask]] if part.ask in ASKS else [])]
    if messages and actions:
        messages[-1].quick_reply = line.QuickReply(items=[line.QuickReplyItem(action=action) for action in actions])
    return messages


def _picture(url: str) -> line.Message:
    picture = line.ImageMessage(original_content_url=url, preview_image_url=url)
    return picture if url.startswith("https://") else line.TextMessage(text=url)  # LINE loads from nowhere else


def _action(button: ReplyButton) -> line.Action:
    return line.PostbackAction(label=button.label, data=button.value, display_text=button.label)


def _bubble(card: Card) -> line.FlexBubble:
    has_picture = card.image_url.startswith("https://")
    words = (card.title, card.text, "" if has_picture else card.image_url)
    body = [line.FlexText(text=text, wrap=True) for text in words if not is_blank(text)] or [line.FlexText(text="…")]
    links = [line.URIAction(label="↗", uri=card.url)] if card.url else []
    buttons = [line.FlexButton(action=action) for action in [*map(_action, card.buttons), *links]]
    return line.FlexBubble(
        hero=line.FlexImage(url=card.image_url, size="full", aspect_mode="cover") if has_picture else None,
        body=line.FlexBox(layout="vertical", contents=body),
        footer=line.FlexBox(layout="vertical", contents=buttons) if buttons else None,
    )
