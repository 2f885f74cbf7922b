"""What an action of a flow gets and gives. Actions are pure: they decide, the engine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

from bot.assistant import Assistant
from bot.business_time import say_day, say_time, zone
from bot.flows import SlotValue
from bot.types import CustomerSnapshot, Effect, Entity, Language, Need, Reply, Turn


@dataclass(frozen=True)
class ActionContext:
    """The turn as an action sees it. `words` are those that moved the flow, "" for a button."""

    turn: Turn
    assistant: Assistant
    language: Language
    flow: str
    slots: Mapping[str, SlotValue]
    words: str = ""
    message_words: str = ""  # the whole message when it held several requests
    entities: tuple[Entity, ...] = ()
    media: tuple[Mapping[str, str], ...] = ()
    own: frozenset[str] = frozenset()  # slots this flow was given or set; the others are only remembered

    @property
    def customer(self) -> CustomerSnapshot:
        return self.turn.conversation.customer

    @property
    def zone(self) -> tzinfo:
        """The customer's zone where known, else the business's."""
        return zone(self.turn.timezone)

    @property
    def today(self) -> date:
        return self.turn.now.astimezone(self.zone).date()

    def text(self, slot: str) -> str:
        """A slot as text; "" when it is empty."""
        value = self.slots.get(slot)
        return "" if value is None else str(value)

    def word(self, group: str, key: str, default: str | None = None) -> str:
        return self.assistant.word(group, key, self.language, default)

    def thing(self, slot: str) -> str:
        """The product or store in a slot, in the customer's language."""
        return self.assistant.thing(self.text(slot), self.language)[:60]

    def day(self, day: date) -> str:
        return say_day(day, self.today, self.language)

    def time(self, moment: datetime) -> str:
        """A moment in the business's zone, as a person would say it."""
        return say_time(moment, self.turn.now, self.assistant.hours.timezone, self.language)


@dataclass(frozen=True)
class ActionResult:
    """`needs` non-empty: nothing else counts. Slots set to None are cleared."""

    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    replies: tuple[Reply, ...] = ()
    effects: tuple[Effect, ...] = ()
    needs: tuple[Need, ...] = ()


Action = Callable[[ActionContext], ActionResult]
Actions = Mapping[str, Action]
