"""Values for tests that show only what matters. Nothing here does any work of the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from bot.assistant import Assistant
from bot.dialogue import decide
from bot.rendering import render
from bot.types import (
    ArticleHit,
    Button,
    Case,
    Content,
    Conversation,
    ConversationId,
    CustomerId,
    CustomerSnapshot,
    Decision,
    Entity,
    Identity,
    InboundMessage,
    Language,
    Need,
    Order,
    Owner,
    RenderedReply,
    ScoredIntent,
    Text,
    Turn,
    Understanding,
)
from config.settings import SAMPLE_ASSISTANT
from frontdesk.assistant import load_assistant

NOON = datetime(2024, 11, 20, 4, 0, tzinfo=UTC)  # a Wednesday, 12:00 in Shanghai: people answer
NIGHT = datetime(2024, 11, 20, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai: nobody does


@cache
def shop() -> Assistant:
    """The sample assistant, loaded once per process."""
    return load_assistant(SAMPLE_ASSISTANT)


def an_entity(name: str, value: str, text: str = "", start: int = 0) -> Entity:
    words = text or value
    return Entity(name=name, value=value, text=words, start=start, end=start + len(words))


def an_understanding(
    text: str = "",
    intent: str = "",
    confidence: float = 0.95,
    *,
    others: Mapping[str, float] | None = None,
    entities: Mapping[str, str] | Iterable[Entity] = (),
    language: Language = "zh",
    is_sure: bool = True,
    parts: Sequence[Understanding] = (),
    engine: str = "embedded",
) -> Understanding:
    """What NLU would have said. `entities` as a mapping finds each value in the text (or puts it at 0)."""
    if isinstance(entities, Mapping):
        entities = [an_entity(name, value, start=max(0, text.find(value))) for name, value in entities.items()]
    ranked = [ScoredIntent(intent, confidence)] if intent else []
    ranked += [ScoredIntent(name, score) for name, score in (others or {}).items()]
    return Understanding(
        text=text,
        language=language,
        language_is_sure=is_sure,
        intents=tuple(ranked),
        entities=tuple(entities),
        engine=engine,
        parts=tuple(parts),
    )


def an_order(number: str = "2391", status: str = "shipped", **fields: Any) -> Order:
    values: dict[str, Any] = {
        "placed_at": NOON - timedelta(days=3),
        "expected_at": NOON + timedelta(days=1),
        "items": "电水壶 ×1",
        "amount_minor": 12900,
        "currency": "CNY",
        "carrier": "SF Express",
        "tracking_number": "SF1029384756",
        **fields,
    }
    return Order(number=number, status=status, **values)


def a_case(number: str = "C-1024-7", **fields: Any) -> Case:
    values: dict[str, Any] = {
        "kind": "complaint",
        "category": "delivery",
        "subject": "2391",
        "severity": 1,
        "status": "received",
        "summary": "订单 2391 没有送到",
        "opened_at": NOON - timedelta(hours=1),
        "updated_at": NOON - timedelta(hours=1),
        "is_open": True,
        **fields,
    }
    return Case(number=number, **values)


def a_customer(**fields: Any) -> CustomerSnapshot:
    return CustomerSnapshot(customer_id=CustomerId(7), **fields)


def an_article(answer: str = "免运费门槛是 99 元。", score: float = 0.9, **fields: Any) -> ArticleHit:
    values: dict[str, Any] = {
        "article_id": "delivery",
        "title": "配送费用",
        "language": "zh",
        "is_sure": True,
        **fields,
    }
    return ArticleHit(answer=answer, score=score, **values)


def a_message(content: Content | str = "", *, channel: str = "web", **fields: Any) -> InboundMessage:
    values: dict[str, Any] = {"chat_id": "visitor-1", "dedupe_key": "1", "sent_at": NOON, **fields}
    return InboundMessage(
        sender=Identity(channel, "default", "visitor-1"),
        content=Text(content) if isinstance(content, str) else content,
        **values,
    )


def a_turn(
    text: str = "",
    intent: str = "",
    confidence: float = 0.95,
    *,
    entities: Mapping[str, str] | Iterable[Entity] = (),
    others: Mapping[str, float] | None = None,
    language: Language = "zh",
    content: Content | None = None,
    understanding: Understanding | None = None,
    state: Mapping[str, Any] | None = None,
    owner: Owner = Owner.BOT,
    customer: CustomerSnapshot | None = None,
    conversation_language: Language | None = None,
    articles: Sequence[ArticleHit] = (),
    facts: Mapping[Need, Any] | None = None,
    now: datetime = NOON,
    timezone: str = "Asia/Shanghai",
    channel: str = "web",
) -> Turn:
    """One inbound message and what may be known about it."""
    message = a_message(text if content is None else content, channel=channel)
    heard = understanding or an_understanding(
        text, intent, confidence, others=others, entities=entities, language=language, is_sure=content is None
    )
    conversation = Conversation(
        id=ConversationId(1),
        identity=message.sender,
        chat_id=message.chat_id,
        topic="",
        language=conversation_language,
        owner=owner,
        fence=0,
        version=1,
        state=state or {},
        last_message_at=None,
        customer=customer or a_customer(),
    )
    return Turn(
        message=message,
        understanding=heard,
        conversation=conversation,
        now=now,
        timezone=timezone,
        articles=tuple(articles),
        facts=facts or {},
    )


class Chat:
    """A conversation purely through `decide`: scripted understanding in, decisions out."""

    def __init__(
        self,
        *,
        orders: Sequence[Order] = (),
        cases: Sequence[Case] = (),
        customer: CustomerSnapshot | None = None,
        language: Language = "zh",
        now: datetime = NOON,
        assistant: Assistant | None = None,
        elsewhere: Mapping[Need, Any] | None = None,
    ) -> None:
        self.customer = replace(customer or a_customer(), orders=tuple(orders), cases=tuple(cases))
        self.assistant = assistant or shop()
        self.language: Language = language
        self.now = now
        self.owner = Owner.BOT
        self.state: Mapping[str, Any] = {}
        self.elsewhere = dict(elsewhere or {})
        self.last = Decision()
        self.effects: list[Any] = []
        self.issued = 0

    def hear(self, text: str, intent: str = "", confidence: float = 0.95, **more: Any) -> str:
        """Take a typed message; returns everything the bot said."""
        more.setdefault("language", self.language)
        is_rasa = more.pop("engine_is_rasa", False)
        turn = a_turn(text, intent, confidence, **more)
        if is_rasa:
            turn = replace(turn, understanding=replace(turn.understanding, engine="rasa"))
        return self.take(turn)

    def take_choice(self, value: str) -> str:
        """Press a button by its value."""
        return self.send(Button(value))

    def press(self, label: str) -> str:
        """Press the button of the last replies whose label holds these words."""
        for button in self.buttons:
            if label in button.label:
                return self.take(a_turn(content=Button(button.value, button.label), language=self.language))
        raise AssertionError(f"no button {label!r} among {[button.label for button in self.buttons]}")

    def send(self, content: Content, **more: Any) -> str:
        """Take a message of another kind than text."""
        more.setdefault("language", self.language)
        return self.take(a_turn(content=content, **more))

    def wait(self, **length: float) -> None:
        self.now += timedelta(**length)

    def take(self, turn: Turn) -> str:
        conversation = replace(
            turn.conversation,
            state=self.state,
            owner=self.owner,
            customer=self.customer,
            language=turn.conversation.language or (self.language if self.state else None),
        )
        turn = replace(turn, conversation=conversation, now=self.now)
        for _ in range(4):
            self.last = decide(turn, self.assistant)
            if not self.last.needs:
                break
            turn = replace(turn, facts={**turn.facts, **{need: self.fetch(need) for need in self.last.needs}})
        assert not self.last.needs, f"still needs {self.last.needs}"
        self.state = self.last.state
        self.language = self.last.language
        self.effects += self.last.effects
        return self.said

    def fetch(self, need: Need) -> Any:
        if need in self.elsewhere:
            return self.elsewhere[need]
        if need.kind == "case_number":
            self.issued += 1
            return f"C-{2000 + self.issued}-3"
        return () if need.kind == "articles" else None

    @property
    def rendered(self) -> list[RenderedReply]:
        return [
            render(reply, reply.language or self.last.language, "web", self.assistant, seed=0)
            for reply in self.last.replies
        ]

    @property
    def said(self) -> str:
        return "\n".join(reply.text for reply in self.rendered)

    @property
    def templates(self) -> list[str]:
        return [reply.template for reply in self.last.replies]

    @property
    def buttons(self) -> list[Any]:
        return [button for reply in self.rendered for button in reply.buttons]

    def effect(self, kind: type) -> Any:
        """The only effect of this kind so far."""
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        assert len(found) == 1, f"{len(found)} effects of {kind.__name__}: {self.effects}"
        return found[0]
