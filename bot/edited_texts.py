"""What staff changed of the responses' wording, laid over what the assistant's files say.

Only words change: buttons, pictures, cards and controls stay the file's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.assistant import Assistant, Variation
from bot.types import Language

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class EditedText:
    """One wording; `channel` "" for every channel."""

    text: str
    channel: str = ""


@dataclass(frozen=True, slots=True)
class EditedResponse:
    """What a response says in one language instead of its file."""

    name: str
    language: Language
    texts: tuple[EditedText, ...]


def with_edits(assistant: Assistant, edits: Sequence[EditedResponse]) -> Assistant:
    """The assistant saying this. Edits of responses it does not have any more are left out."""
    responses = dict(assistant.responses)
    for edit in edits:
        if edit.name in responses and edit.texts:
            responses[edit.name] = _laid_over(responses[edit.name], edit)
    values = {name: getattr(assistant, name) for name in assistant.__dataclass_fields__}
    return Assistant(**{**values, "responses": responses})


def wordings(variations: Sequence[Variation], language: Language) -> tuple[Variation, ...]:
    """Those spoken in this language: its own, else those made for every language."""
    own = tuple(each for each in variations if each.language == language)
    return own or tuple(each for each in variations if each.language is None)


def variables(variations: Sequence[Variation]) -> frozenset[str]:
    """Every `{name}` that any of the wordings fills in."""
    texts = [
        text
        for each in variations
        for text in (each.text, each.image, each.status_key, *(file.caption for file in each.media))
    ]
    texts += [text for each in variations for card in each.cards for text in (card.title, card.text)]
    return frozenset(name for text in texts for name in _PLACEHOLDER.findall(text))


def placeholders(text: str) -> frozenset[str]:
    return frozenset(_PLACEHOLDER.findall(text))


def _laid_over(variations: Sequence[Variation], edit: EditedResponse) -> tuple[Variation, ...]:
    """The edited wordings, each with what belongs to the file's wording in its place; other languages as before."""
    mine = wordings(variations, edit.language)
    by_channel: dict[str, list[Variation]] = {}
    for each in mine:
        by_channel.setdefault(each.channel, []).append(each)
    used: dict[str, int] = {}
    found = []
    for text in edit.texts:
        here = by_channel.get(text.channel) or by_channel.get("") or list(mine)
        if not here:
            continue
        place = used.get(text.channel, 0)
        used[text.channel] = place + 1
        base = here[min(place, len(here) - 1)]
        found.append(replace(base, text=text.text, channel=text.channel, language=edit.language))
    others = [each for each in variations if each.language != edit.language]
    return (*found, *others) if found else tuple(variations)


def as_texts(variations: Sequence[Variation]) -> tuple[EditedText, ...]:
    return tuple(EditedText(each.text, each.channel) for each in variations)
