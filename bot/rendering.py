"""Replies become finished text: the wording for a language and channel, filled with values that stay values."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.assistant import Assistant, TemplateCard, Variation
from bot.types import Card, Language, OutMedia, RenderedReply, Reply, ReplyButton

FALLBACK_TEMPLATE = "utter_failure"
MAX_ARGUMENT = 4000  # characters of one inserted value: a customer's text never makes a reply endless

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MARKDOWN_MARK = re.compile(r"([\\`*_\[\]()\-])")


def render(reply: Reply, language: Language, channel: str, assistant: Assistant, seed: int | str = 0) -> RenderedReply:
    """What a customer sees; the same arguments always give the same wording.

    Inserted values are data: braces and markup in them are shown as they are. A placeholder nobody filled becomes
    empty.
    """
    language = reply.language or language
    variations = fitting(assistant.responses.get(reply.template, ()), language, channel)
    buttons = _buttons(reply, variations)
    if reply.literal.strip():
        return RenderedReply(text=reply.literal, buttons=buttons, image_url=reply.args.get("image", ""))
    if not variations:
        variations = fitting(assistant.responses.get(FALLBACK_TEMPLATE, ()), language, channel)
    if not variations:
        return RenderedReply(text="…", buttons=buttons)
    chosen = variations[zlib.crc32(f"{reply.template}:{seed}".encode()) % len(variations)]
    return RenderedReply(
        text=fill(chosen.text, reply.args, is_markdown=chosen.text_format == "markdown"),
        buttons=buttons,
        image_url=fill(chosen.image, reply.args),
        media=tuple(_file(file, reply.args) for file in chosen.media),
        cards=tuple(_card(card, reply) for card in chosen.cards),
        ask=chosen.ask,
        text_format=chosen.text_format,
        status_key=fill(chosen.status_key, reply.args),
    )


def fill(template: str, args: Mapping[str, str], *, is_markdown: bool = False) -> str:
    """The template with each `{name}` replaced once; nothing inside a value is read as a placeholder or as markup."""

    def value(match: re.Match[str]) -> str:
        found = str(args.get(match.group(1), ""))[:MAX_ARGUMENT]
        return escape_markdown(found) if is_markdown else found

    return _PLACEHOLDER.sub(value, template)


def escape_markdown(text: str) -> str:
    """`text` as markdown that shows exactly `text`: a backslash before every mark of channels/markup.py."""
    return _MARKDOWN_MARK.sub(r"\\\1", text)


def _file(file: OutMedia, args: Mapping[str, str]) -> OutMedia:
    return replace(
        file,
        url=fill(file.url, args),
        media_id=fill(file.media_id, args),
        file_name=fill(file.file_name, args),
        caption=fill(file.caption, args),
    )


def _card(card: TemplateCard, reply: Reply) -> Card:
    texts = {name: fill(getattr(card, name), reply.args) for name in ("title", "text", "image_url", "url")}
    buttons = () if reply.is_plain else tuple(ReplyButton(button.label, button.value) for button in card.buttons)
    return Card(**texts, buttons=buttons)


def fitting(variations: Sequence[Variation], language: Language, channel: str) -> tuple[Variation, ...]:
    """The variations for this language and channel; those made for either go before general ones."""
    for wanted in (language, None):
        spoken = [variation for variation in variations if variation.language == wanted]
        for here in (channel, ""):
            found = tuple(variation for variation in spoken if variation.channel == here)
            if found:
                return found
    return tuple(variation for variation in variations if variation.channel in ("", channel)) or tuple(variations)


def shown_buttons(reply: Reply, language: Language, channel: str, assistant: Assistant) -> tuple[ReplyButton, ...]:
    """The reply's buttons, else those its response carries by itself."""
    return _buttons(reply, fitting(assistant.responses.get(reply.template, ()), reply.language or language, channel))


def _buttons(reply: Reply, variations: Sequence[Variation]) -> tuple[ReplyButton, ...]:
    """They do not depend on which wording is chosen."""
    if reply.buttons or reply.is_plain:
        return reply.buttons
    for variation in variations:
        if variation.buttons:
            return tuple(ReplyButton(button.label, button.value) for button in variation.buttons)
    return ()


def numbered_buttons(reply: Reply, language: Language, channel: str, assistant: Assistant) -> tuple[ReplyButton, ...]:
    """The buttons in the order in which a channel without any numbers them: the reply's own, then its cards'."""
    variations = fitting(assistant.responses.get(reply.template, ()), reply.language or language, channel)
    buttons = _buttons(reply, variations)
    if reply.is_plain or reply.literal.strip():
        return buttons
    for variation in variations:
        if variation.cards:
            cards = (button for card in variation.cards for button in card.buttons)
            return (*buttons, *(ReplyButton(button.label, button.value) for button in cards))
    return buttons
