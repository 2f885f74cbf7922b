"""Turns into log lines and Prometheus numbers. Ids and scores only: never words, names or numbers of people."""

from __future__ import annotations

from functools import cache

import structlog
from prometheus_client import Counter, Gauge, Histogram

from bot.ports import ClaimedMessage, Committed, TurnResult
from bot.types import Conversation

log = structlog.get_logger()

TURNS = Counter("frontdesk_turns", "Turns committed", ["channel", "engine"])
TURNS_FAILED = Counter("frontdesk_turns_failed", "Turns answered with an apology because deciding failed", ["channel"])
COMMITS_REFUSED = Counter("frontdesk_commits_refused", "Commits that found a newer version or a lost lease")
STORE_FAILURES = Counter("frontdesk_service_failures", "Times a service was away while working", ["service"])
TURN_SECONDS = Histogram(
    "frontdesk_turn_seconds",
    "Understanding and deciding one message",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
ACCEPTED = Counter("frontdesk_messages_accepted", "Messages committed to the inbox", ["channel"])
ROLE_RESTARTS = Counter("frontdesk_role_restarts", "Roles restarted after a crash", ["role"])
MODEL_LOADED = Gauge("frontdesk_nlu_model_loaded", "1 when the embedded model is loaded")


# Looking a child up costs three times what counting does; there are as many as channels times engines.
_turns_of = cache(TURNS.labels)
accepted_on = cache(ACCEPTED.labels)


class LoggingObserver:
    """Implements `bot.engine.TurnObserver`."""

    def turn_handled(self, conversation: Conversation, turn: TurnResult) -> None:
        channel = conversation.identity.channel
        understanding = turn.understanding
        engine = understanding.engine if understanding else "none"
        _turns_of(channel, engine).inc()
        TURN_SECONDS.observe(turn.duration_ms / 1000)
        log.info(
            "turn_handled",
            conversation_id=conversation.id,
            inbox_id=turn.inbox_id,
            channel=channel,
            intent=understanding.intent.name if understanding else "",
            score=round(understanding.intent.confidence, 3) if understanding else 0.0,
            engine=engine,
            effects=[type(effect).__name__ for effect in turn.effects],
            duration_ms=round(turn.duration_ms, 2),
        )

    def turn_failed(self, conversation: Conversation, message: ClaimedMessage, error: Exception) -> None:
        TURNS_FAILED.labels(conversation.identity.channel).inc()
        # The traceback holds code positions only; the message of the error may quote the customer, so it stays out.
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
            trace = trace.tb_next
        log.error(
            "turn_failed",
            conversation_id=conversation.id,
            inbox_id=message.inbox_id,
            error=type(error).__name__,
            where=frames[-5:],
        )

    def commit_refused(self, committed: Committed) -> None:
        COMMITS_REFUSED.inc()
        log.warning("commit_refused", conversation_id=committed.conversation_id, reason=committed.reason)

    def store_failed(self, error: Exception) -> None:
        service = getattr(error, "service", type(error).__name__)
        STORE_FAILURES.labels(service).inc()
        log.error("service_failed", service=service, error=type(error).__name__)
