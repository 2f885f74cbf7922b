"""Replies become finished text: the wording for a language and channel, filled with values that stay values."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from bot.assistant import Assistant, Variation
from bot.types import Language, RenderedReply, Reply, ReplyButton

FALLBACK_TEMPLATE = "utter_failure"
MAX_ARGUMENT = 4000  # characters of one inserted value: a customer's text never makes a reply endless

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def render(reply: Reply, language: Language, channel: str, assistant: Assistant, seed: int | str = 0) -> RenderedReply:
    """The text and buttons a customer sees; the same arguments always give the same wording.

    Inserted values are data: braces in them are shown as they are. A placeholder nobody filled becomes empty.
    """
    language = reply.language or language
    variations = fitting(assistant.responses.get(reply.template, ()), language, channel)
    buttons = shown_buttons(reply, language, channel, assistant)
    if reply.literal.strip():
        return RenderedReply(text=reply.literal, buttons=buttons)
    if not variations:
        variations = fitting(assistant.responses.get(FALLBACK_TEMPLATE, ()), language, channel)
    if not variations:
        return RenderedReply(text="…", buttons=buttons)
    chosen = variations[zlib.crc32(f"{reply.template}:{seed}".encode()) % len(variations)]
    return RenderedReply(text=fill(chosen.text, reply.args), buttons=buttons, image_url=fill(chosen.image, reply.args))


def fill(template: str, args: Mapping[str, str]) -> str:
    """The template with each `{name}` replaced once; nothing inside a value is read as a placeholder."""
    return _PLACEHOLDER.sub(lambda match: str(args.get(match.group(1), ""))[:MAX_ARGUMENT], template)


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
    """The reply's buttons, else those its response carries by itself. They do not depend on which wording is chosen."""
    if reply.buttons or reply.is_plain:
        return reply.buttons
    for variation in fitting(assistant.responses.get(reply.template, ()), reply.language or language, channel):
        if variation.buttons:
            return tuple(ReplyButton(button.label, button.value) for button in variation.buttons)
    return ()
