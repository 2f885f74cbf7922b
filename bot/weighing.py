"""Why a customer gets a person, weighed by the rules: how urgent, which team, and what the queue is like for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.assistant import Assistant
from bot.service.handoff import HandoffMatter, HandoffRules
from bot.service.mood import is_only_swearing, read_mood
from bot.types import Decision, Language, Need, QueueView, RequestHandoff, Turn

HANDOFF = "human_handoff"  # the intent, and the flow it starts


def is_vip(turn: Turn, rules: HandoffRules) -> bool:
    customer = turn.conversation.customer
    return rules.vip.holds(customer.value_class, customer.credit_class, customer.tags)


def weigh(turn: Turn, assistant: Assistant, language: Language, asked: RequestHandoff) -> RequestHandoff:
    """The request with points and team as the rules give them. A reason may name a keyword: `keyword:<name>`."""
    rules = assistant.service.handoff
    reason, _, keyword = asked.reason.partition(":")
    matter = HandoffMatter(
        reason=reason,
        urgency=asked.urgency,
        topic=asked.topic,
        language=language,
        channel=turn.conversation.identity.channel,
        is_vip=is_vip(turn, rules),
        keyword=keyword,
        mood=read_mood(turn.understanding.text, rules.anger).score,
    )
    return replace(asked, team=rules.team(matter), priority=rules.priority(matter))


def weighed(turn: Turn, assistant: Assistant, decision: Decision) -> Decision:
    """The decision; whoever it sends to the queue has a topic, a team and points. Nearly always there is nobody."""
    if not any(isinstance(effect, RequestHandoff) for effect in decision.effects):
        return decision
    topic = topic_of(turn, decision)
    return replace(
        decision,
        effects=tuple(
            weigh(turn, assistant, decision.language, replace(effect, topic=effect.topic or topic))
            if isinstance(effect, RequestHandoff)
            else effect
            for effect in decision.effects
        ),
    )


def topic_of(turn: Turn, decision: Decision) -> str:
    """What it is about: the flow that was interrupted, else what the message means beyond the wish for a person."""
    frozen = decision.state.get("frozen") or ()
    flows = [str(frame.get("flow", "")) for frame in frozen if isinstance(frame, dict)]
    is_about_nothing = is_only_swearing(turn.understanding.text)
    intents = [] if is_about_nothing else [intent.name for intent in turn.understanding.intents[:1]]
    return next((name for name in (*reversed(flows), *intents) if name and name != HANDOFF), "")


def queue_need(turn: Turn, rules: HandoffRules, asked: RequestHandoff | None = None) -> Need:
    """What is to be asked to tell them their place: as they wait, or as they would after `asked`."""
    priority, team = (asked.priority, asked.team) if asked else (0, "")
    return Need("queue", f"{turn.conversation.id}|{priority}|{rules.ageing.total_seconds():g}|{team}")


def queue_view(turn: Turn, need: Need) -> QueueView:
    """The answer to `queue_need`; nobody ahead where the store could not say."""
    found = turn.facts.get(need)
    return found if isinstance(found, QueueView) else QueueView(0)


def say_wait(wait: timedelta, language: Language) -> str:
    """A length of waiting as a person would say it: to the minute below ten, to five below ninety, then in hours."""
    minutes = max(1, -(-wait // timedelta(minutes=1)))
    if minutes > 10:
        minutes = -(-minutes // 5) * 5
    if minutes < 90:
        return f"{minutes} 分钟" if language == "zh" else f"{minutes} minute{'s' if minutes > 1 else ''}"
    hours = -(-minutes // 60)
    return f"{hours} 小时" if language == "zh" else f"{hours} hours"
