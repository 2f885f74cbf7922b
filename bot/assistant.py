"""A loaded assistant: everything `decide` and `render` know about the business, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from bot.service.calendars import Calendar
from bot.service.policy import ServicePolicy
from bot.types import Ask, Case, Language, OutMedia, TextFormat
from bot.values import ONE_TIME_CODE

if TYPE_CHECKING:
    from bot.flows import Flow

SlotType = Literal["text", "bool", "categorical", "float", "any", "list"]
IntentKind = Literal["question", "request", "answer", "social"]


@dataclass(frozen=True, slots=True)
class TemplateButton:
    """A button as the assistant's files define it; `value` is already in our form (`intent:…`, `slot:…`, `flow:…`)."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class TemplateCard:
    """A card as the assistant's files define it; its texts and addresses may hold placeholders."""

    title: str
    text: str = ""
    image_url: str = ""
    url: str = ""
    buttons: tuple[TemplateButton, ...] = ()


@dataclass(frozen=True, slots=True)
class Variation:
    """One wording. `language` None: for every language without wording of its own; `channel` "": for every channel."""

    text: str
    language: Language | None = None
    channel: str = ""
    buttons: tuple[TemplateButton, ...] = ()
    image: str = ""
    media: tuple[OutMedia, ...] = ()
    cards: tuple[TemplateCard, ...] = ()
    ask: Ask = ""
    text_format: TextFormat = "plain"
    status_key: str = ""

    @property
    def all_buttons(self) -> tuple[TemplateButton, ...]:
        """Its own, then those of its cards: the order in which a channel without either numbers them."""
        return (*self.buttons, *(button for card in self.cards for button in card.buttons))


@dataclass(frozen=True, slots=True)
class Slot:
    """`entities` fill it; `values` are those of a categorical slot. A shared slot outlives the flow that filled it."""

    name: str
    type: SlotType
    entities: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    is_shared: bool = False

    @property
    def is_secret(self) -> bool:
        """Whether what is typed into it is nothing else, whatever it looks like, and is remembered nowhere."""
        return self.name == ONE_TIME_CODE


@dataclass(frozen=True, slots=True)
class Intent:
    """`title` is what a button offering this meaning says; without one it is never offered."""

    name: str
    title: Mapping[Language, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Numbers of the dialogue, from `assistant.yml`; scores run 0 to 1."""

    accept: float = 0.45  # from here on the best intent is believed
    sure: float = 0.7  # from here on it may interrupt a question that is being asked
    ambiguity_margin: float = 0.25  # two intents this close, the best below `sure`: ask which one
    article_over_intent: float = 0.75  # an article this good goes before the fixed answer of an intent
    stale_after_s: float = 1800.0  # a running flow is forgotten after this much silence
    confirm_cancel_from: int = 3  # this many answers given: cancelling asks first
    tries: int = 3  # times a question is put before a person is offered
    remind_queue_every: int = 4  # messages in the queue between two reminders that it is one


@dataclass(frozen=True, slots=True)
class StaffedHours:
    """When people answer, every day, in the business's zone."""

    opens: time = time(9)
    closes: time = time(21)
    timezone: str = "Asia/Shanghai"
    first_answer_h: float = 4.0  # staffed hours until a complaint is first answered, as promised to customers


@dataclass(frozen=True)
class Assistant:
    """One assistant, checked. `versions` holds flows by content hash, also older ones that may still be running."""

    name: str
    languages: tuple[Language, ...]
    intents: Mapping[str, Intent]
    entities: frozenset[str]
    slots: Mapping[str, Slot]
    responses: Mapping[str, tuple[Variation, ...]]
    flows: Mapping[str, Flow]
    versions: Mapping[str, Flow]
    words: Mapping[str, Mapping[str, Mapping[Language, str]]] = field(default_factory=dict)  # group -> key -> text
    general_answers: frozenset[str] = frozenset()  # intents whose fixed answer covers much and says little exactly
    queue_flows: frozenset[str] = frozenset()  # status flows that may run while the customer waits for a person
    tuning: Tuning = field(default_factory=Tuning)
    is_sure_given: bool = False  # `tuning.sure` is the assistant's own; else it follows the model that answers
    hours: StaffedHours = field(default_factory=StaffedHours)
    service: ServicePolicy = field(default_factory=ServicePolicy)
    desk: ServicePolicy | None = None  # the rules of all assistants of the desk; None: this is the only one

    def rules_of(self, case: Case) -> ServicePolicy:
        """The rules that hold for a case: those of the assistant that answers where it came from."""
        return self.service if self.desk is None else self.desk.of(case.account)

    def sure_from(self, measured: float) -> Assistant:
        """The same one, sure from the score that its model was measured to be right from, unless its files say."""
        return self if self.is_sure_given else replace(self, tuning=replace(self.tuning, sure=measured))

    @property
    def calendar(self) -> Calendar:
        """When people work, where no site or rule says otherwise."""
        return self.service.calendars.get(self.service.promises.calendar)

    @property
    def language(self) -> Language:
        """The assistant's first language."""
        return self.languages[0]

    def word(self, group: str, key: str, language: Language, default: str | None = None) -> str:
        """A word of the business in a language, e.g. an order status; `default` or the key itself when unknown."""
        wording = self.words.get(group, {}).get(key)
        if wording is None:
            return key if default is None else default
        return wording.get(language) or next(iter(wording.values()), key)

    def thing(self, name: str, language: Language) -> str:
        """A product or store by its name in a language; the name itself when it is none we know."""
        key = " ".join(name.casefold().split())
        group = next((group for group in ("product", "store") if key in self.words.get(group, {})), "")
        return self.word(group, key, language) if group else name

    def remembering(self, earlier: Assistant) -> Assistant:
        """The same assistant, which also knows the flows of an earlier one, so that running flows can end."""
        return Assistant(
            **{
                **{name: getattr(self, name) for name in self.__dataclass_fields__},
                "versions": MappingProxyType({**earlier.versions, **self.versions}),
            }
        )
