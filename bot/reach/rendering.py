"""What one person is sent: the variant's words for their channel and language, filled, with links of their own.

Inserted values are data: braces in them are shown as they are. A piece that names something nobody knows of this person
has fallbacks by then (content_reading.py), so a message never has a hole in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.reach.content_reading import VARIABLE, languages_of, variables_of
from bot.reach.types import NOTHING, Broadcast, Piece, Variant, Words
from bot.types import Card, OutMedia, RenderedReply, ReplyButton

MAX_VALUE = 200  # characters of one inserted value


@dataclass(frozen=True, slots=True)
class Person:
    """Whom it goes to, and what the record knows of them by variable; empty values are unknown."""

    customer_id: int
    language: str = ""
    zone: str = ""
    values: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Message:
    """Finished for the channel's encoder, with what a vendor's template needs beside it."""

    reply: RenderedReply
    language: str
    kind: str = ""  # mass | template | subscribe; "": a plain message
    by: str = ""  # of a mass send: list | tag
    template_id: str = ""
    template_fields: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    template_url: str = ""  # where a template leads: the first link of its buttons


def variant_of(broadcast: Broadcast, name: str) -> Variant:
    """Raises: KeyError for a name that is none of its variants."""
    for variant in broadcast.content.variants:
        if variant.name == name:
            return variant
    raise KeyError(name)


def piece_for(variant: Variant, channel: str) -> Piece:
    """What this channel shows of the variant."""
    return variant.channels.get(channel, variant.piece)


def language_for(broadcast: Broadcast, person: Person) -> str:
    """The person's own where there are words in it, else the first in which everything is said."""
    spoken = languages_of(broadcast.content)
    own = "zh" if person.language.lower().startswith("zh") else person.language.lower()[:2]
    return own if own in spoken else (spoken[0] if spoken else "en")


def render(
    broadcast: Broadcast,
    variant: Variant,
    channel: str,
    person: Person,
    *,
    coupon: str = "",
    link: Callable[[str], str],
    opens_links: bool = False,
) -> Message:
    """The message as this person sees it. `link` gives the address to use for a link's name.

    `opens_links`: the channel has buttons that open an address; elsewhere such a button is a line below the words.
    """
    piece, language = piece_for(variant, channel), language_for(broadcast, person)
    fill = _Filler(broadcast, person, language, coupon, link)
    text, buttons = fill(piece.text), []
    for button in piece.buttons:
        label = fill(button.label)
        if button.payload:
            buttons.append(ReplyButton(label, button.payload))
        elif opens_links:
            buttons.append(ReplyButton(label, link(button.link)))
        else:
            colon = "：" if language == "zh" else ": "
            text = f"{text}\n\n{label}{colon}{link(button.link)}"
    cards = tuple(
        Card(
            fill(card["title"]),
            fill(card["text"]),
            str(card["image"]),
            link(card["link"]) if card["link"] else "",
        )
        for card in piece.cards
    )
    reply = RenderedReply(text, tuple(buttons), piece.image_url, tuple(_file(file) for file in piece.media), cards)
    opened = next((button.link for button in piece.buttons if button.link), "")
    return Message(
        reply,
        language,
        piece.kind,
        piece.by,
        piece.template_id,
        {name: fill(words) for name, words in piece.template_fields.items()},
        link(opened) if piece.template_id and opened else "",
    )


def recorded(broadcast: Broadcast) -> frozenset[str]:
    """Variables that need the record: all in the words, but for coupons and links."""
    names = variables_of(broadcast.content)
    return frozenset(name for name in names if name != "coupon" and not name.startswith("link_"))


class _Filler:
    def __init__(
        self, broadcast: Broadcast, person: Person, language: str, coupon: str, link: Callable[[str], str]
    ) -> None:
        self._broadcast, self._person, self._language = broadcast, person, language
        self._coupon, self._link = coupon, link

    def __call__(self, words: Words) -> str:
        template = words.get(self._language) or next(iter(words.values()), "")
        return VARIABLE.sub(lambda match: self._value(match[1]), template)

    def _value(self, name: str) -> str:
        if name == "coupon":
            return self._coupon
        if name.startswith("link_"):
            return self._link(name.removeprefix("link_"))
        known = " ".join(self._person.values.get(name, "").split())[:MAX_VALUE]
        return known or self._broadcast.content.fallbacks.get(name, {}).get(self._language, "")


def _file(file: Mapping[str, str]) -> OutMedia:
    return OutMedia(
        file["kind"],  # type: ignore[arg-type]  # checked when the document was read
        url=file.get("url", ""),
        media_id=file.get("media_id", ""),
        file_name=file.get("file_name", ""),
        caption=file.get("caption", ""),
    )
