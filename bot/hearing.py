"""What the customer said or chose, as requests in order: words with their meaning, or a button's value.

A button's value counts only when it comes as a pressed button, or as a typed number or label of the buttons shown last.
Whatever else is typed, also `/restart` or `/greet{…}`, is only text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import field

from bot.assistant import Assistant
from bot.business_time import zone
from bot.frozen import value
from bot.memory import Memory
from bot.service.mood import is_only_swearing
from bot.typed_numbers import LAST, typed_number
from bot.types import (
    ArticleHit,
    Button,
    Command,
    Entity,
    Language,
    Media,
    ScoredIntent,
    Text,
    Turn,
    Understanding,
)
from bot.values import CASE_NUMBER, has_words, in_words, plain

MAX_PARTS = 4  # requests of one message; what comes after is only stored

_CHOICE = re.compile(r"^(intent|flow|slot|say|helpful):([A-Za-z_][\w-]{0,63})(?:([?=])(.{0,300}))?$", re.DOTALL)
_ENGINE_COMMAND = re.compile(r"^\s*/[A-Za-z_]")
_IDEOGRAPH, _LATIN = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[A-Za-z]{2}")
_WITH_ENTITIES = re.compile(r"^\s*/[A-Za-z_]\w*\s*\{")


@value
class Choice:
    """A resolved button: start an intent or flow, fill a slot, read an article (`value` is its title), or say something
    of the dialogue's own."""

    kind: str  # intent | flow | slot | article | say
    name: str
    value: str = ""
    slots: tuple[tuple[str, str], ...] = ()


@value
class Request:
    """One thing asked. `words` is what was typed; for a choice "" or the title of the article."""

    words: str = ""
    intents: tuple[ScoredIntent, ...] = ()
    entities: tuple[Entity, ...] = ()
    choice: Choice | None = None
    articles: tuple[ArticleHit, ...] | None = field(default=None)  # None: not looked up for these words yet

    @property
    def intent(self) -> ScoredIntent:
        return self.intents[0] if self.intents else ScoredIntent("", 0.0)

    @property
    def lead(self) -> float:
        """How far the likeliest meaning is ahead of the next one; of all there is when there is no other."""
        return self.intent.confidence - (self.intents[1].confidence if len(self.intents) > 1 else 0.0)


def language_of(turn: Turn, assistant: Assistant) -> Language:
    """The language to answer in: the words' own when sure, else the conversation's, the device's, the customer's.

    In the first message of a conversation its script ("hello") says more than the business's default.
    """
    words = turn.understanding
    is_typed = isinstance(turn.message.content, Text | Media)
    hint = turn.message.language_hint.lower()[:2]
    customer = turn.conversation.customer.language.lower()[:2]
    candidates: list[str] = [words.language] if is_typed and words.language_is_sure else []
    if is_typed and not turn.conversation.state:
        candidates += [hint, customer, script_language(words.text)]
    candidates += [turn.conversation.language or "", hint, customer]
    for candidate in candidates:
        for language in assistant.languages:
            if language == candidate:
                return language
    return assistant.language


def script_language(words: str) -> str:
    """zh for any ideograph, en for Latin letters only, "" for neither."""
    if _IDEOGRAPH.search(words[:500]):
        return "zh"
    return "en" if _LATIN.search(words[:500]) else ""


def hear(turn: Turn, memory: Memory, assistant: Assistant) -> list[Request]:
    """The requests of a message, at least one for anything a customer can type or press."""
    content = turn.message.content
    if isinstance(content, Button):
        shown = next((offer.label for offer in memory.offered if offer.value == content.value), content.label)
        choice = choice_of(content.value, shown)
        return [chosen(choice)] if choice else [Request(words=content.label)]
    if isinstance(content, Command):
        is_plain = content.name.lower() in ("cancel", "stop")
        return [Request(words="cancel" if is_plain else f"/{content.name} {content.argument}".strip())]
    words = content.text if isinstance(content, Text) else turn.understanding.text
    if isinstance(content, Text) and (
        choice := typed_choice(words, memory, is_answer=is_answer(turn, memory, assistant))
    ):
        return [chosen(choice)]
    parts = turn.understanding.parts
    if len(parts) > 1:
        return [_request(part, assistant, articles=None) for part in parts[:MAX_PARTS]]
    return [_request(turn.understanding, assistant, articles=turn.articles, words=words)]


def _request(
    understanding: Understanding,
    assistant: Assistant,
    *,
    articles: tuple[ArticleHit, ...] | None,
    words: str | None = None,
) -> Request:
    words = understanding.text if words is None else words
    if not has_words(words):  # whatever an engine makes of emoji and blanks is a guess
        return Request(words=words, articles=())
    known = tuple(intent for intent in understanding.intents if intent.name in assistant.intents)
    best = understanding.intent
    is_command = _WITH_ENTITIES.match(words) or (understanding.engine == "rasa" and _ENGINE_COMMAND.match(words))
    if best.name not in assistant.intents or is_command:
        # nlu_fallback and the like: the engine itself does not believe it. Rasa also obeys "/intent": we do not, and
        # `/intent{"entity": …}` is nothing a customer means by its words.
        known = tuple(ScoredIntent(intent.name, 0.0) for intent in known)
    if is_only_swearing(words):  # somebody lets off steam: nothing they want is to be read into it
        known = tuple(ScoredIntent(intent.name, 0.0) for intent in known)
    cases = [match.span() for match in CASE_NUMBER.finditer(words)]
    entities = tuple(
        entity
        for entity in understanding.entities
        if not any(start < entity.end and entity.start < end for start, end in cases)
    )
    return Request(words=words, intents=known, entities=entities, articles=articles)


def typed_choice(words: str, memory: Memory, *, is_answer: bool = False) -> Choice | None:
    """The button a typed number or label means, when buttons were shown last.

    `is_answer`: the running question takes such words as its own answer (an amount, a date, an order number), so that
    a number by itself chooses nothing.
    """
    said = plain(words)
    if not memory.offered or not said or len(said) > 200:
        return None
    for offer in memory.offered:
        if plain(offer.label) == said:
            return choice_of(offer.value, offer.label)
    number = typed_number(words)
    if number is None or (number.is_bare and is_answer) or number.place > len(memory.offered):
        return None
    offer = memory.offered[-1 if number.place == LAST else number.place - 1]
    return choice_of(offer.value, offer.label)


def is_answer(turn: Turn, memory: Memory, assistant: Assistant) -> bool:
    """Whether the question a flow has open is of a kind that these words answer by their shape."""
    slot = assistant.slots.get(memory.top.asked) if memory.top else None
    if slot is None:
        return False
    words = turn.understanding
    today = turn.now.astimezone(zone(turn.timezone)).date()
    return (
        slot.type == "float"
        or any(in_words(kind, words.text, today) for kind in slot.entities)
        or any(entity.name in slot.entities for entity in words.entities)
    )


def chosen(choice: Choice) -> Request:
    """A choice as a request; an article is asked for by its title."""
    return Request(words=choice.value, choice=choice) if choice.kind == "article" else Request(choice=choice)


def choice_of(value: str, label: str = "") -> Choice | None:
    """A button's value, taken apart; None for a value that is none of ours. `label`: what the customer saw on it."""
    if (article := value.removeprefix("article:")) != value:
        return Choice("article", article, value=label) if has_words(label) else None
    match = _CHOICE.match(unicodedata.normalize("NFC", value))
    if not match:
        return None
    kind, name, mark, rest = match[1], match[2], match[3] or "", match[4] or ""
    if kind == "slot":
        return Choice(kind, name, value=rest) if mark == "=" and rest else None
    if mark == "=":
        return None
    pairs = tuple(
        (key, given) for key, sign, given in (part.partition("=") for part in rest.split("&")) if sign and key
    )
    return Choice(kind, name, slots=pairs)
