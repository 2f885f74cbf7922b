"""What a message counts as: a further part of the one before, or somebody else's words passed on."""

from __future__ import annotations

from dataclasses import replace

from bot.memory import Memory, recall
from bot.service_types import EndConsents
from bot.types import Decision, LinkIdentity, Owner, RecordConsent, Reply, Turn, UpdateCustomer
from bot.values import has_words


def goes_with_the_last(turn: Turn, memory: Memory) -> bool:
    """A further picture of an album that was answered already, and without words of its own.

    Turns of a conversation follow one another on its state, so of two pictures in any order only one can be the first.
    """
    album = turn.message.album
    is_known = bool(album) and album == memory.album
    memory.album = album or memory.album
    return is_known and not has_words(turn.understanding.text)


def own_words_only(turn: Turn, decision: Decision) -> Decision:
    """`decision`, unless it came from forwarded words and decides what we may send or who somebody is.

    Then nothing changes and the customer is asked to say it themselves. While an operator answers, what was forwarded
    changes nobody's record either.
    """
    if not turn.message.forwarded_from:
        return decision
    if turn.conversation.owner is Owner.OPERATOR:
        kept = tuple(
            effect
            for effect in decision.effects
            if not isinstance(effect, RecordConsent | EndConsents | UpdateCustomer)
        )
        return replace(decision, replies=(), effects=kept)
    if any(isinstance(effect, RecordConsent | LinkIdentity) for effect in decision.effects):
        before = recall(turn.conversation.state).to_json()
        return Decision((Reply("utter_rephrase"),), state=before, language=decision.language)
    return decision
