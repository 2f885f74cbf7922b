"""What customers want to be told about, and faults they report: subscriptions, outages, bills and points."""

from __future__ import annotations

from datetime import UTC

from bot.actions.base import ActionContext, ActionResult
from bot.actions.orders import order_buttons
from bot.service.places import Position, position_in
from bot.service.sites import origin_of
from bot.service.topics import ALL, Topic
from bot.service_types import EndConsents, Outage, ReportOutage, SubscribeTopic
from bot.types import CreateTask, CustomerSnapshot, Effect, Need, RecordConsent, Reply, ReplyButton
from bot.values import order_number, plain, say_money

OUTAGES = Need("outages", "")
MAX_BUTTONS = 8
SHOWN = 8
AREA_NAMES = ("area", "district", "region")  # attributes of a record or a meter that name an area


# --- subscribing --------------------------------------------------------------------------------------------------


def begin_subscribe(context: ActionContext) -> ActionResult:
    """`topic_step` is "none" where there is nothing to subscribe to; the topic said with the wish is taken over."""
    topics = context.assistant.service.topics.topics
    if not topics:
        return ActionResult(slots={"topic_step": "none"}, replies=(Reply("utter_topic_none"),))
    words = context.text("topic") or context.words
    found = _topic_named(context, words) or (next(iter(topics)) if len(topics) == 1 else None)
    return ActionResult(slots={"topic_step": None, "topic": found})


def ask_topic(context: ActionContext) -> ActionResult:
    """Asks what they want to be told about, with the topics to choose from."""
    topics = list(context.assistant.service.topics.topics.values())[:MAX_BUTTONS]
    buttons = tuple(ReplyButton(topic.title(context.language)[:30], f"slot:topic={topic.name}") for topic in topics)
    return ActionResult(replies=(Reply("utter_ask_topic", buttons=buttons),))


def settle_topic(context: ActionContext) -> ActionResult:
    """`topic` is the one meant, or empty after a word about it; `topic_step` is "match" where it is to be narrowed."""
    found = _topic_named(context, context.text("topic"))
    if found is None:
        return ActionResult(slots={"topic": None}, replies=(Reply("utter_topic_unknown"),))
    topic = context.assistant.service.topics.topics[found]
    asks = topic.is_matched or len(topic.choices) > 1
    return ActionResult(slots={"topic": found, "topic_step": "match" if asks else None})


def ask_match(context: ActionContext) -> ActionResult:
    """Asks what of the topic, with its choices and all of it where that makes sense."""
    topic = _topic(context)
    buttons = [
        ReplyButton(topic.choice(match, context.language)[:30], f"slot:topic_match={match}"[:60])
        for match in list(topic.choices)[:MAX_BUTTONS]
    ]
    if topic.name == context.assistant.service.topics.own.orders:
        buttons += order_buttons(context, "topic_match")
    if not topic.is_matched:
        buttons.append(ReplyButton(context.word("topic_button", "all"), f"slot:topic_match={ALL}"))
    args = {"topic": topic.title(context.language)}
    return ActionResult(replies=(Reply("utter_ask_topic_match", args, buttons=tuple(buttons)),))


def subscribe(context: ActionContext) -> ActionResult:
    """They are told about it here from now on, and how to stop it."""
    topic = _topic(context)
    match = _match(context, topic)
    if match and topic.choices and match not in topic.choices:
        return ActionResult(slots={"topic_match": None}, replies=(Reply("utter_topic_unknown"),))
    effect = SubscribeTopic(topic.name, wanted=True, source="chat:subscribe_topic", match=match)
    args = {"topic": titled(context, topic.name, match)}
    return ActionResult(replies=(Reply("utter_topic_subscribed", args),), effects=(effect,))


def _match(context: ActionContext, topic: Topic) -> str:
    words = context.text("topic_match")
    if words in ("", ALL) or plain(words) == plain(context.word("topic_button", "all")):
        return ""
    if words in topic.choices:
        return words
    if topic.name == context.assistant.service.topics.own.orders:
        return order_number(words) or words[:60]
    said = plain(words)
    fitting = [key for key, titles in topic.choices.items() if said in map(plain, (key, *titles.values()))]
    return fitting[0] if len(fitting) == 1 else words[:60]


def _topic(context: ActionContext) -> Topic:
    name = context.text("topic")
    return context.assistant.service.topics.topics.get(name) or Topic(name)


def _topic_named(context: ActionContext, words: str) -> str | None:
    topics = context.assistant.service.topics.topics
    if words in topics:
        return words
    said = plain(words)
    fitting = [
        name
        for name, topic in topics.items()
        if any(title and (title in said or said == title) for title in map(plain, topic.titles.values()))
    ]
    return fitting[0] if said and len(fitting) == 1 else None


def titled(context: ActionContext, topic: str, match: str) -> str:
    """A subscription as the customer reads it."""
    known = context.assistant.service.topics.topics.get(topic) or Topic(topic)
    title = known.title(context.language)
    return f"{title} · {known.choice(match, context.language)}" if match else title


# --- stopping -----------------------------------------------------------------------------------------------------


def begin_unsubscribe(context: ActionContext) -> ActionResult:
    """`topic` is what is to stop: the topic said, all of it for a stop word, the only one there is."""
    mine = list(dict.fromkeys(topic for topic, _ in context.customer.subscriptions))
    if context.text("topic") == ALL:
        return ActionResult(slots={"topic_step": None})
    if not mine:
        return ActionResult(slots={"topic_step": "none"}, replies=(Reply("utter_topic_no_subscription"),))
    named = _topic_named(context, context.words)
    found = named if named in mine else mine[0] if len(mine) == 1 else None
    return ActionResult(slots={"topic_step": None, "topic": found})


def ask_topic_to_stop(context: ActionContext) -> ActionResult:
    """Asks which one is to stop."""
    mine = dict.fromkeys(topic for topic, _ in context.customer.subscriptions)
    buttons = [ReplyButton(titled(context, topic, "")[:30], f"slot:topic_to_stop={topic}") for topic in mine]
    buttons.append(ReplyButton(context.word("topic_button", "stop_all"), f"slot:topic_to_stop={ALL}"))
    return ActionResult(replies=(Reply("utter_ask_topic_to_stop", buttons=tuple(buttons)),))


def unsubscribe(context: ActionContext) -> ActionResult:
    """It stops at once. For all of it, news and offers stop with it."""
    wanted = context.text("topic_to_stop") or context.text("topic")
    topic = ALL if wanted == ALL else _topic_named(context, wanted) or ""
    if not topic:
        return ActionResult(slots={"topic_to_stop": None}, replies=(Reply("utter_topic_unknown"),))
    effects: tuple[Effect, ...] = (SubscribeTopic(topic, wanted=False, source="chat:unsubscribe_topic"),)
    if topic == ALL:
        effects += withdrawals(context.customer, "chat:unsubscribe_topic")
        return ActionResult(replies=(Reply("utter_topic_stopped_all"),), effects=effects)
    args = {"topic": titled(context, topic, "")}
    return ActionResult(replies=(Reply("utter_topic_stopped", args),), effects=effects)


def withdrawals(customer: CustomerSnapshot, source: str) -> tuple[Effect, ...]:
    """Whatever else they had agreed to be sent is agreed to no longer."""
    granted = [name for name, given in customer.consents.items() if given and not name.startswith("topic:")]
    purposes = dict.fromkeys(("news", *granted))
    return (*(RecordConsent(name, granted=False, source=source) for name in purposes), EndConsents(source))


def show_subscriptions(context: ActionContext) -> ActionResult:
    """Names everything they are told about."""
    mine = context.customer.subscriptions
    if not mine:
        return ActionResult(replies=(Reply("utter_topic_no_subscription"),))
    lines = "\n".join(f"· {titled(context, topic, match)}" for topic, match in mine)
    return ActionResult(replies=(Reply("utter_topic_list", {"topics": lines}),))


# --- outages ------------------------------------------------------------------------------------------------------


def begin_outage(context: ActionContext) -> ActionResult:
    """`outage_step` is "ask" where nobody knows where the customer is."""
    knows = _place(context) is not None or any(_areas(context))
    return ActionResult(slots={"outage_step": None if knows else "ask"})


def report_outage(context: ActionContext) -> ActionResult:
    """The fault is reported: with a known outage, whose expected end is said, else as a new one that is looked at."""
    if OUTAGES not in context.turn.facts:
        return ActionResult(needs=(OUTAGES,))
    found, place = _outage(context), _place(context)
    meter = next((asset.key for asset in context.customer.assets if asset.kind == "meter"), "")
    effect = ReportOutage(
        outage_id=found.id if found else None,
        asset_key=meter,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        address=", ".join(_areas(context))[:300],  # also known from the record: an outage found later is matched by it
        note=context.words[:500],
    )
    if found is not None:
        return ActionResult(replies=(_known(context, found, "reported"),), effects=(effect,))
    check = CreateTask(
        "outage",
        f"no supply reported: {context.text('outage_place')[:100] or meter or 'place in the record'}",
        details={"place": context.text("outage_place")[:300], "meter": meter},
    )
    return ActionResult(replies=(Reply("utter_outage_noted"),), effects=(effect, check))


def outage_status(context: ActionContext) -> ActionResult:
    """Says what is known of an outage where the customer is."""
    if OUTAGES not in context.turn.facts:
        return ActionResult(needs=(OUTAGES,))
    found = _outage(context)
    reply = _known(context, found, "known") if found else Reply("utter_outage_unknown")
    return ActionResult(replies=(reply,))


def _known(context: ActionContext, outage: Outage, how: str) -> Reply:
    args = {"area": outage.area or context.word("outage", "here")}
    now = context.turn.now
    if outage.kind == "planned" and outage.starts_at > now:
        args |= {"start": context.time(outage.starts_at.astimezone(UTC))}
        args |= {"end": context.time(outage.expected_end_at)} if outage.expected_end_at else {}
        return Reply("utter_outage_planned" if outage.expected_end_at else "utter_outage_planned_open", args)
    if outage.expected_end_at is None:
        return Reply(f"utter_outage_{how}_open", args)
    if outage.expected_end_at <= now:  # the time given has passed: not repeated as if it still held
        return Reply("utter_outage_late", args)
    return Reply(f"utter_outage_{how}", args | {"end": context.time(outage.expected_end_at)})


def _outage(context: ActionContext) -> Outage | None:
    rules = context.assistant.service.topics
    return rules.outage_at(context.turn.facts[OUTAGES] or (), _place(context), _areas(context))


def _place(context: ActionContext) -> Position | None:
    told = context.text("outage_place")
    if told and position_in(told) is None:
        return None  # somewhere else than where they live, in words
    return origin_of(context.customer, told)


def _areas(context: ActionContext) -> list[str]:
    """What names the area: the words said, else the record and the meters."""
    if told := context.text("outage_place"):
        return [told]
    facts = (context.customer.attributes, *(asset.attributes for asset in context.customer.assets))
    return [str(fact[name]) for fact in facts for name in AREA_NAMES if fact.get(name)]


# --- bills and points ---------------------------------------------------------------------------------------------


def show_bills(context: ActionContext) -> ActionResult:
    """Names what is unpaid, with the day by which it is due."""
    if not context.customer.dues:
        return ActionResult(replies=(Reply("utter_bill_none"),))
    lines = []
    for due in context.customer.dues[:SHOWN]:
        try:
            day = context.day(type(context.today).fromisoformat(due.due_on))
        except ValueError:
            day = due.due_on
        parts = [
            context.word("due_kind", due.kind),
            due.asset_key,
            say_money(due.amount_minor, due.currency, context.language),
        ]
        lines.append(
            "· " + " · ".join([*(part for part in parts if part), context.word("bill", "due").replace("{}", day)])
        )
    return ActionResult(replies=(Reply("utter_bill_list", {"bills": "\n".join(lines)}),))


def show_points(context: ActionContext) -> ActionResult:
    """Says how many points there are."""
    return ActionResult(replies=(Reply("utter_points", {"points": str(context.customer.points)}),))
