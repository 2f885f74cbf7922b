"""One inbound message -> one turn -> one transaction.

`Engine.handle` thinks (NLU, knowledge, decide, render) and touches no transaction; `Worker` claims conversations,
lets the engine think about all of them, and commits what was decided. Losing a signal costs at most one sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import perf_counter
from typing import Any, Protocol

from bot.dialogue import decide
from bot.errors import BotError, ServiceError
from bot.ports import (
    TOPIC_DESK,
    TOPIC_INBOX,
    TOPIC_OUTBOX,
    TOPIC_TIMERS,
    TOPIC_TYPING,
    TOPIC_WEB,
    Claimed,
    ClaimedMessage,
    Clock,
    Committed,
    Encoder,
    OutMessage,
    Signals,
    Transcriber,
    TurnResult,
    TurnsCommit,
    TurnStore,
)
from bot.reading import (
    AssistantRuntime,
    Read,
    ask_articles,
    hinted_language,
    language_before,
    language_of_words,
    nothing_said,
    read_together,
    words_of,
)
from bot.rendering import render
from bot.service_types import Notice, TryCode
from bot.types import (
    ArticleHit,
    Conversation,
    ConversationId,
    Decision,
    Event,
    Identity,
    InboundMessage,
    Language,
    Media,
    Need,
    OpenCase,
    OutPart,
    Owner,
    RequestHandoff,
    Turn,
    Understanding,
    UpdateCase,
)
from bot.values import without_digits
from bot.wakeup import Wakeup

SWEEP_S = 2.0  # upper bound for what a lost signal costs; design.md promises ≤ 5 s
RENEW_S = 3.0  # leases last 10 s
TYPING_AFTER_S = 0.4  # a customer notices a wait from here on; shorter turns never flicker
ROUNDS = 4  # the first decide and at most three rounds of needs
FAILURE_PAUSE_S = 1.0
VITAL = (OpenCase, UpdateCase, RequestHandoff)  # what a customer is told about these may use the last reply of a window

APOLOGY: Mapping[Language, str] = {
    "zh": "抱歉，我这边出了点问题，没能处理您的这条消息。请您换个说法再试一次，或回复“人工”由同事为您处理。",
    "en": "I am sorry, something went wrong on my side and I could not handle that message. "
    'Please try again in other words, or write "a person" and a colleague will take over.',
}


class DecisionLoop(BotError):
    """A flow kept asking for more without deciding."""


class RuntimeSource(Protocol):
    def runtime_for(self, identity: Identity) -> AssistantRuntime: ...


class TurnObserver(Protocol):
    """Where the engine reports facts; implementations log and count, and never raise."""

    def turn_handled(self, conversation: Conversation, turn: TurnResult) -> None: ...

    def turn_failed(self, conversation: Conversation, message: ClaimedMessage, error: Exception) -> None: ...

    def commit_refused(self, committed: Committed) -> None: ...

    def store_failed(self, error: Exception) -> None: ...


class Engine:
    """Thinks about claimed messages; no state of its own."""

    def __init__(
        self,
        store: TurnStore,
        runtimes: RuntimeSource,
        encoder: Encoder,
        clock: Clock,
        transcriber: Transcriber | None = None,
    ) -> None:
        self._store, self._runtimes, self._encoder, self._clock = store, runtimes, encoder, clock
        self._transcriber = transcriber

    async def read(self, claims: Sequence[Claimed]) -> dict[ConversationId, Read]:
        """What is said in these conversations, as far as their engines can read it together."""
        by_runtime: dict[int, tuple[AssistantRuntime, list[Claimed]]] = {}
        for claimed in claims:
            runtime = self._runtimes.runtime_for(claimed.conversation.identity)
            by_runtime.setdefault(id(runtime), (runtime, []))[1].append(claimed)
        reads: dict[ConversationId, Read] = {}
        for runtime, group in by_runtime.values():
            said = [(claimed.conversation, claimed.messages) for claimed in group]
            read = await read_together(said, runtime, self._clock.now())
            reads.update((claimed.conversation.id, read) for claimed in group)
        return reads

    async def handle(self, claimed: Claimed, observer: TurnObserver, read: Read | None = None) -> TurnsCommit:
        """Everything decided for the claimed messages, ready to commit. `read`: what is known of their words already.

        Turns without effects are decided one after the other; a turn with effects ends the batch, because the next
        one must see the customer's record as those effects leave it. The rest of an album looks at nothing.
        """
        runtime = self._runtimes.runtime_for(claimed.conversation.identity)
        if read is None or read.runtime is not runtime:  # another model may have been loaded meanwhile
            read = Read(runtime)
        conversation = claimed.conversation
        turns: list[TurnResult] = []
        messages = albums_as_one(claimed.messages)
        for claimed_message, following in zip(messages, (*messages[1:], None), strict=True):
            try:
                turn = await self._turn(conversation, claimed_message, runtime, read)
            except ServiceError:
                raise  # the store or a needed service is away: the message waits, it is not to blame
            except Exception as error:  # noqa: BLE001 - one message must never stop its conversation
                observer.turn_failed(conversation, claimed_message, error)
                turn = self._apology(conversation, claimed_message, runtime)
            turns.append(turn)
            if following is None or (turn.effects and not is_same_album(claimed_message, following)):
                break
            conversation = replace(
                conversation,
                state=turn.state,
                language=turn.language,
                version=conversation.version + 1,
                last_message_at=claimed_message.accepted_at,
            )
        direct = self._encoder.is_direct(claimed.conversation.identity.channel)
        return TurnsCommit(claimed=claimed, turns=tuple(turns), direct=direct)

    async def _turn(
        self, conversation: Conversation, claimed_message: ClaimedMessage, runtime: AssistantRuntime, read: Read
    ) -> TurnResult:
        started = perf_counter()
        now = self._clock.now()
        message = claimed_message.message
        timezone = conversation.customer.timezone or runtime.timezone
        fallback_language = language_before(conversation, message, runtime)
        if conversation.language is None:
            conversation = replace(conversation, language=fallback_language)
        if self._transcriber is not None and (voice := unheard_voice(message)) is not None:
            said = await self._transcriber.words_of(message.sender, voice, language=fallback_language)
            message = replace(message, content=replace(voice, transcript=said))
        words = words_of(message)
        if words is None:
            understanding = nothing_said(fallback_language)
            articles: tuple[ArticleHit, ...] = ()
        else:
            known = read.understood.get((words, timezone))
            understanding = known or await runtime.nlu.parse(words, now=now, timezone=timezone)
            if known is not None:
                started -= known.duration_ms / 1000
            asked = (words, language_of_words(understanding, fallback_language))
            found = read.articles.get(asked)
            articles = await ask_articles(runtime.knowledge, *asked) if found is None else found
        turn = Turn(
            message=message,
            understanding=understanding,
            conversation=conversation,
            now=now,
            timezone=timezone,
            articles=articles,
        )
        decision = await self._decide(turn, runtime)
        return TurnResult(
            inbox_id=claimed_message.inbox_id,
            understanding=_kept(understanding, decision) if words is not None else None,
            effects=decision.effects,
            out=self._render(decision, conversation, claimed_message, runtime),
            state=decision.state,
            language=decision.language,
            duration_ms=(perf_counter() - started) * 1000,
        )

    async def _decide(self, turn: Turn, runtime: AssistantRuntime) -> Decision:
        facts: dict[Need, Any] = {}
        for _ in range(ROUNDS):
            decision = decide(turn, runtime.assistant)
            if not decision.needs:
                return decision
            missing = [need for need in decision.needs if need not in facts]
            if not missing:
                break
            for need in (need for need in missing if need.kind == "articles"):
                facts[need] = await ask_articles(runtime.knowledge, need.key, decision.language)
            stored = [need for need in missing if need.kind != "articles"]
            if stored:
                facts.update(await self._store.fetch(stored, turn.conversation.customer.customer_id))
            turn = replace(turn, facts=dict(facts))
        raise DecisionLoop(f"still needs {[need.kind for need in decision.needs]} after {ROUNDS} rounds")

    def _render(
        self,
        decision: Decision,
        conversation: Conversation,
        claimed_message: ClaimedMessage,
        runtime: AssistantRuntime,
    ) -> tuple[OutMessage, ...]:
        channel = conversation.identity.channel
        is_vital = decision.is_vital or any(isinstance(effect, VITAL) for effect in decision.effects)
        out = []
        for index, reply in enumerate(decision.replies):
            language = reply.language or decision.language
            rendered = render(reply, language, channel, runtime.assistant, seed=claimed_message.inbox_id + index)
            parts = self._encoder.encode(channel, rendered)
            out.append(OutMessage(parts, language, decision.lane, reply.template, is_vital))
        return tuple(out)

    def _apology(
        self, conversation: Conversation, claimed_message: ClaimedMessage, runtime: AssistantRuntime
    ) -> TurnResult:
        """The state stays as it was: what broke must not also forget."""
        language = conversation.language or hinted_language(claimed_message.message) or runtime.language
        apology = OutMessage(parts=(OutPart(text=APOLOGY[language]),), language=language, template="apology")
        is_silent = isinstance(claimed_message.message.content, Event | Notice) or conversation.owner is Owner.OPERATOR
        return TurnResult(
            inbox_id=claimed_message.inbox_id,
            understanding=None,
            effects=(),
            out=() if is_silent else (apology,),
            state=conversation.state,
            language=language,
            duration_ms=0.0,
        )


class Worker:
    """Claims, thinks, commits, wakes the next in line; any number may run against one store."""

    def __init__(
        self,
        engine: Engine,
        store: TurnStore,
        signals: Signals,
        observer: TurnObserver,
        clock: Clock,
        *,
        name: str,
        batch: int = 32,
        fault: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._engine, self._store, self._signals, self._observer = engine, store, signals, observer
        self._clock, self._name, self._batch, self._fault = clock, name, batch, fault
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`; survives a store that is away."""
        with Wakeup(self._signals, TOPIC_INBOX) as wakeup:
            while not self._stopping:
                try:
                    handled = await self.run_once()
                except ServiceError as error:
                    self._observer.store_failed(error)
                    handled = 0
                    await asyncio.sleep(FAILURE_PAUSE_S)
                if not handled and not self._stopping:
                    await wakeup.wait(SWEEP_S)

    def stop(self) -> None:
        """Finish what is claimed, then end `run`."""
        self._stopping = True
        self._signals.publish(TOPIC_INBOX)

    async def run_once(self) -> int:
        """Handle one batch of conversations; returns how many were claimed."""
        claims = await self._store.claim(self._name, self._batch)
        if not claims:
            return 0
        typing = asyncio.get_running_loop().call_later(TYPING_AFTER_S, self._show_typing, claims)
        renewal = asyncio.create_task(self._renew(claims))
        try:
            self._fault("turn.thinking")
            reads = await self._read(claims)
            thoughts = (self._think(claimed, reads.get(claimed.conversation.id)) for claimed in claims)
            commits = [await next(thoughts)] if len(claims) == 1 else await asyncio.gather(*thoughts)
            ready = [commit for commit in commits if commit is not None]
            if ready:
                await self._commit(ready)
        finally:
            typing.cancel()
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
        return len(claims)

    async def _read(self, claims: Sequence[Claimed]) -> dict[ConversationId, Read]:
        try:
            return await self._engine.read(claims)
        except Exception:  # noqa: BLE001 - whichever message it was, its own turn meets it again and reports it
            return {}

    async def _think(self, claimed: Claimed, read: Read | None) -> TurnsCommit | None:
        try:
            return await self._engine.handle(claimed, self._observer, read)
        except ServiceError as error:
            self._observer.store_failed(error)
            retry_at = self._clock.now() + timedelta(seconds=FAILURE_PAUSE_S)
            await self._store.release(claimed, retry_at=retry_at)
            return None

    async def _commit(self, commits: Sequence[TurnsCommit]) -> None:
        committed = await self._store.commit(commits)
        # Consoles also show what the bot does: one hint for all of it.
        if ids := [outcome.conversation_id for outcome in committed if outcome.ok and not outcome.desk]:
            self._signals.publish(TOPIC_DESK, {"conversation_ids": ids, "kind": "turn"})
        for commit, outcome in zip(commits, committed, strict=True):
            if not outcome.ok:
                self._observer.commit_refused(outcome)
                continue
            if outcome.visible:
                self._signals.publish(
                    TOPIC_WEB, {"conversation_id": outcome.conversation_id, "events": outcome.visible}
                )
            if outcome.out:
                self._signals.publish(TOPIC_OUTBOX)
            if outcome.desk:
                self._signals.publish(TOPIC_DESK, {"conversation_id": outcome.conversation_id, "kind": outcome.desk})
                if outcome.desk == "queued":
                    self._signals.publish(TOPIC_TIMERS)  # somebody may have room
            for turn in commit.turns:
                self._observer.turn_handled(commit.claimed.conversation, turn)

    async def _renew(self, claims: Sequence[Claimed]) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._store.renew(claims)
            except ServiceError as error:
                self._observer.store_failed(error)  # a lost lease shows at commit, which then writes nothing

    def _show_typing(self, claims: Sequence[Claimed]) -> None:
        for claimed in claims:
            conversation = claimed.conversation
            self._signals.publish(TOPIC_WEB, {"conversation_id": conversation.id, "type": "typing"})
            whose = conversation.identity
            where = {"chat_id": conversation.chat_id, "topic": conversation.topic}
            self._signals.publish(TOPIC_TYPING, {"channel": whose.channel, "account": whose.account, **where})


def _kept(understanding: Understanding, decision: Decision) -> Understanding:
    """What is remembered of the words: of a one-time code only that one was typed."""
    if not any(isinstance(effect, TryCode) for effect in decision.effects):
        return understanding
    return replace(understanding, text=without_digits(understanding.text), entities=(), parts=())


def albums_as_one(messages: Sequence[ClaimedMessage]) -> list[ClaimedMessage]:
    """The messages, the first of each album with all its captions: what was sent as one is answered as one."""
    captions: dict[str, list[str]] = {}
    for item in messages:
        if item.message.album and isinstance(item.message.content, Media):
            captions.setdefault(item.message.album, []).append(item.message.content.caption)
    told = {album: "\n".join(filter(None, words)) for album, words in captions.items() if len(words) > 1}
    heard: list[ClaimedMessage] = []
    for item in messages:
        content = item.message.content
        if item.message.album in captions and len(captions[item.message.album]) > 1 and isinstance(content, Media):
            content = replace(content, caption=told.pop(item.message.album, ""))
            item = replace(item, message=replace(item.message, content=content))  # noqa: PLW2901 - as it is heard
        heard.append(item)
    return heard


def is_same_album(one: ClaimedMessage, other: ClaimedMessage) -> bool:
    return bool(one.message.album) and one.message.album == other.message.album


def unheard_voice(message: InboundMessage) -> Media | None:
    """The voice message whose words nobody knows yet; None for anything else."""
    match message.content:
        case Media(kind="voice" | "audio") as voice if message.wants_turn and words_of(message) is None:
            return voice
        case _:
            return None
