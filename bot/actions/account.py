"""What we know of the customer: shown, put right, or erased after a time to change one's mind; and what they like."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from bot.actions.base import ActionContext, ActionResult
from bot.business_time import zone
from bot.flows import SlotValue
from bot.service.record import Attribute
from bot.service_types import RecordPreference, RequestErasure, SetAttribute
from bot.types import Effect, Language, Reply, ReplyButton, UpdateCustomer

MAX_BUTTONS = 8
MAX_PREFERENCE = 300
PROFILE = ("name", "phone", "email", "language")
ERASURE_AT = "erasure_at"  # attribute kept while an erasure is planned
_EMAIL = re.compile(r"[^@\s]{1,100}@[^@\s]{1,100}\.[^@\s.]{2,30}")
_PHONE = re.compile(r"\+[0-9]{8,15}")
_LANGUAGES: dict[str, Language] = {"zh": "zh", "中文": "zh", "chinese": "zh", "en": "en", "英文": "en", "english": "en"}
# Words around what is liked or not, which say nothing by themselves.
_LEAD = re.compile(
    r"^(请|麻烦)?(帮我)?(记一下|记住|记录一下|备注一下|备注)[，,：:\s]*"
    r"|^(please\s+)?(note|remember)( down)?( that)?[,:\s]+",
    re.IGNORECASE,
)


# --- shown ----------------------------------------------------------------------------------------------------------


def show(context: ActionContext) -> ActionResult:
    """Tells what the record says, phone and e-mail only in part; and by when it will be gone, where that was asked."""
    lines = [f"{context.word('account_field', name)}：{value}" for name, value in _profile(context)]
    if context.language == "en":
        lines = [line.replace("：", ": ", 1) for line in lines]
    if not lines:
        return ActionResult(replies=(Reply("utter_account_nothing"),))
    replies = [Reply("utter_account", {"lines": "\n".join(lines)})]
    if day := erasure_day(context):
        replies.append(Reply("utter_account_erasure_planned", {"day": day}))
    return ActionResult(replies=tuple(replies))


def _profile(context: ActionContext) -> list[tuple[str, str]]:
    customer = context.customer
    found = [
        ("name", customer.name),
        ("phone", masked_phone(customer.phone)),
        ("email", masked_email(customer.email)),
        ("language", context.word("language_name", customer.language, "") if customer.language else ""),
    ]
    for name, attribute in context.assistant.service.record.attributes.items():
        value = customer.attributes.get(name)
        if value is not None:
            found.append((title(attribute, context.language), spoken(context, value)))
    owned = [
        asset.name or asset.key for asset in customer.assets if asset.until is None or asset.until > context.turn.now
    ]
    found.append(("assets", "、".join(owned) if context.language == "zh" else ", ".join(owned)))
    found.append(("preferences", preferences_in_words(context)))
    found.append(("points", str(customer.points) if customer.points else ""))
    return [(name, value) for name, value in found if value]


def masked_phone(phone: str) -> str:
    """Enough to know it again, not enough to call it."""
    return f"{phone[:-8]}****{phone[-4:]}" if len(phone) > 8 else phone


def masked_email(email: str) -> str:
    """The first letter and the domain."""
    name, sign, domain = email.partition("@")
    return f"{name[:1]}***@{domain}" if sign else ""


def title(attribute: Attribute, language: Language) -> str:
    """The attribute's name as the customer reads it."""
    return attribute.names.get(language) or next(iter(attribute.names.values()), attribute.name)


def spoken(context: ActionContext, value: object) -> str:
    """A value of an attribute in words."""
    if isinstance(value, bool):
        return context.word("yes_no", "yes" if value else "no")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)[:200]


# --- put right ------------------------------------------------------------------------------------------------------


def begin_correct(context: ActionContext) -> ActionResult:
    """What the message already says is not asked: a phone number or an e-mail address is what it is about."""
    words = context.words.strip()
    phone = context.text("account_phone")
    slots: dict[str, SlotValue] = {"account_field": None, "account_value": None, "is_sure": None}
    if phone and _PHONE.fullmatch(phone):
        slots |= {"account_field": "phone", "account_value": phone}
    elif match := _EMAIL.search(words):
        slots |= {"account_field": "email", "account_value": match[0]}
    return ActionResult(slots=slots)


def ask_field(context: ActionContext) -> ActionResult:
    """Asks which of the facts is wrong, with those there are to choose from."""
    names = [(name, context.word("account_field", name)) for name in PROFILE]
    names += [(name, title(item, context.language)) for name, item in _own(context).items()]
    buttons = tuple(ReplyButton(label[:30], f"slot:account_field={name}"[:60]) for name, label in names[:MAX_BUTTONS])
    return ActionResult(replies=(Reply("utter_ask_account_field", buttons=buttons),))


def ask_value(context: ActionContext) -> ActionResult:
    """Asks for the right value of the field."""
    field = context.text("account_field")
    return ActionResult(replies=(Reply("utter_ask_account_value", {"field": _label(context, field)}),))


def check(context: ActionContext) -> ActionResult:
    """`account_field` is a field and `account_value` a value of its kind; empty again, with a word, where it is not.

    `account_summary` says what will be changed.
    """
    field = _field_named(context, context.text("account_field"))
    if not field:
        return ActionResult(slots={"account_field": None}, replies=(Reply("utter_account_unknown_field"),))
    if not context.text("account_value"):
        return ActionResult(slots={"account_field": field})
    value = _value(context, field, context.text("account_value"))
    if value is None:
        reply = Reply("utter_account_bad_value", {"field": _label(context, field)})
        return ActionResult(slots={"account_field": field, "account_value": None}, replies=(reply,))
    shown = spoken(context, value)
    said = context.word("language_name", shown) if field == "language" else shown
    return ActionResult(
        slots={
            "account_field": field,
            "account_value": shown,
            "account_label": _label(context, field),
            "account_said": said,
        }
    )


def correct(context: ActionContext) -> ActionResult:
    """The record says what the customer confirmed; the audit keeps that they changed it."""
    if context.slots.get("is_sure") is not True:
        return ActionResult(replies=(Reply("utter_account_unchanged"),))
    field = context.text("account_field")
    value = _value(context, field, context.text("account_value"))
    if value is None:
        return ActionResult(replies=(Reply("utter_account_unchanged"),))
    effect = _change(field, value)
    if field == "phone" and context.customer.phone_is_verified and str(value) != context.customer.phone:
        # A proven number gives way only to another proven one: a colleague checks.
        return ActionResult(replies=(Reply("utter_account_phone_proven"),))
    reply = Reply("utter_account_corrected", {"field": _label(context, field)})
    return ActionResult(replies=(reply,), effects=(effect,))


def _change(field: str, value: str | int | float | bool) -> Effect:
    said = str(value)
    match field:
        case "name":
            return UpdateCustomer(name=said)
        case "phone":
            return UpdateCustomer(phone=said)
        case "email":
            return UpdateCustomer(email=said)
        case "language":
            return UpdateCustomer(language=said)
    return SetAttribute(field, value, "chat:account_correct")


def _own(context: ActionContext) -> dict[str, Attribute]:
    return {name: item for name, item in context.assistant.service.record.attributes.items() if item.is_own}


def _label(context: ActionContext, field: str) -> str:
    attribute = _own(context).get(field)
    return title(attribute, context.language) if attribute else context.word("account_field", field)


def _field_named(context: ActionContext, words: str) -> str:
    folded = words.casefold().strip()
    for name in (*PROFILE, *_own(context)):
        labels = {
            name,
            context.assistant.word("account_field", name, "zh"),
            context.assistant.word("account_field", name, "en"),
        }
        if attribute := _own(context).get(name):
            labels |= set(attribute.names.values())
        if any(label and (folded == label.casefold() or label.casefold() in folded) for label in labels):
            return name
    return ""


def _value(context: ActionContext, field: str, words: str) -> str | int | float | bool | None:
    said = words.strip()
    match field:
        case "name":
            return said if 0 < len(said) <= 60 and not said.isdigit() else None
        case "phone":
            return said if _PHONE.fullmatch(said) else None
        case "email":
            match_ = _EMAIL.search(said)
            return match_[0] if match_ else None
        case "language":
            return next((code for name, code in _LANGUAGES.items() if name in said.casefold()), None)
    return context.assistant.service.record.read(field, said) if field in _own(context) else None


# --- erased ---------------------------------------------------------------------------------------------------------


def erasure_day(context: ActionContext) -> str:
    """The day on which the record is erased, in words; "" when nothing of the kind is planned."""
    planned = context.customer.attributes.get(ERASURE_AT)
    if not isinstance(planned, str):
        return ""
    try:
        moment = datetime.fromisoformat(planned)
    except ValueError:
        return ""
    return context.day(moment.astimezone(zone(context.assistant.hours.timezone)).date())


def begin_delete(context: ActionContext) -> ActionResult:
    """Finds out whether an erasure is planned already (`account_step`), and until when one could be taken back."""
    planned = erasure_day(context)
    days = context.assistant.service.record.erase_after_days
    later = context.turn.now + timedelta(days=days)
    day = planned or context.day(later.astimezone(zone(context.assistant.hours.timezone)).date())
    open_cases = ", ".join(case.number for case in context.customer.cases if case.is_open)
    slots: dict[str, SlotValue] = {
        "account_step": "planned" if planned else "new",
        "erasure_day": day,
        "is_sure": None,
    }
    replies = (Reply("utter_account_delete_cases", {"numbers": open_cases}),) if open_cases and not planned else ()
    return ActionResult(slots=slots, replies=replies)


def delete(context: ActionContext) -> ActionResult:
    """Erasure is planned when the customer is sure."""
    if context.slots.get("is_sure") is not True:
        return ActionResult(replies=(Reply("utter_account_unchanged"),))
    at = context.turn.now + timedelta(days=context.assistant.service.record.erase_after_days)
    effect = RequestErasure(at, "chat:account_delete")
    return ActionResult(
        replies=(Reply("utter_account_delete_planned", {"day": context.text("erasure_day")}),), effects=(effect,)
    )


def keep(context: ActionContext) -> ActionResult:
    """A planned erasure is taken back when the customer wants that."""
    if context.slots.get("is_sure") is not True:
        return ActionResult(replies=(Reply("utter_account_erasure_planned", {"day": context.text("erasure_day")}),))
    effect = RequestErasure(None, "chat:account_keep")
    return ActionResult(replies=(Reply("utter_account_kept"),), effects=(effect,))


# --- liked ----------------------------------------------------------------------------------------------------------


def begin_preference(context: ActionContext) -> ActionResult:
    """What was told already is not asked for again."""
    words = _LEAD.sub("", context.words.strip()).strip()
    topic = topic_of(context, words)
    enough = topic != "general" or len(words) >= 8
    return ActionResult(slots={"preference_text": words[:MAX_PREFERENCE] if words and enough else None})


def record_preference(context: ActionContext) -> ActionResult:
    """The preference is kept in the customer's words and will be offered next time."""
    words = _LEAD.sub("", context.text("preference_text").strip()).strip()[:MAX_PREFERENCE]
    if not words:
        return ActionResult(replies=(Reply("utter_account_unchanged"),))
    effect = RecordPreference(topic_of(context, words), words, "chat")
    return ActionResult(replies=(Reply("utter_preference_noted", {"preference": words}),), effects=(effect,))


def topic_of(context: ActionContext, words: str) -> str:
    """The topic of the policy whose words are in it; "general" for none."""
    folded = words.casefold()
    for topic, told_by in context.assistant.service.record.preferences.items():
        if any(word.casefold() in folded for word in told_by):
            return topic
    return "general"


def preferences_in_words(context: ActionContext) -> str:
    """What the customer likes, for a sentence; "" when we know of nothing."""
    values = [item.value for item in context.customer.preferences]
    return ("；" if context.language == "zh" else "; ").join(values)


def recall_preferences(context: ActionContext) -> ActionResult:
    """What the customer told us before is offered again, so that nobody has to say it twice."""
    known = preferences_in_words(context)
    return ActionResult(replies=(Reply("utter_preferences_recalled", {"preferences": known}),) if known else ())


def show_preferences(context: ActionContext) -> ActionResult:
    """Tells the preferences there are, each with a way to end it."""
    kept = context.customer.preferences
    if not kept:
        return ActionResult(replies=(Reply("utter_no_preferences"),), slots={"has_preferences": False})
    lines = "\n".join(f"{place}. {item.value}" for place, item in enumerate(kept, 1))
    return ActionResult(
        replies=(Reply("utter_preferences", {"lines": lines}),),
        slots={"has_preferences": True, "preference_end": None},
    )


def end_preference(context: ActionContext) -> ActionResult:
    """The one with this number (or these words) is no longer kept; anything else changes nothing."""
    words = context.text("preference_end").strip()
    kept = context.customer.preferences
    number = re.search(r"\d{1,2}", words)
    chosen = kept[int(number[0]) - 1] if number and 0 < int(number[0]) <= len(kept) else None
    chosen = chosen or next((item for item in kept if words and item.value in words), None)
    if chosen is None:
        return ActionResult(replies=(Reply("utter_preferences_stay"),))
    effect = RecordPreference(chosen.topic, chosen.value, "chat", ended=True)
    return ActionResult(replies=(Reply("utter_preference_ended", {"preference": chosen.value}),), effects=(effect,))


# --- getting acquainted ---------------------------------------------------------------------------------------------


def begin_acquaintance(context: ActionContext) -> ActionResult:
    """`account_step` is "ask" on a second visit of somebody whose name is unknown and who was never asked."""
    before = context.turn.conversation.last_message_at
    returns = before is not None and context.turn.now - before >= timedelta(hours=6)
    asked = "asked_name" in context.customer.attributes
    if context.customer.name or asked or not returns:
        args = {"name": context.customer.name}
        template = "utter_greet_known" if context.customer.name else "utter_greet"
        return ActionResult(slots={"account_step": "known"}, replies=(Reply(template, args),))
    asking = SetAttribute("asked_name", context.today.isoformat(), "chat")
    return ActionResult(slots={"account_step": "ask"}, replies=(Reply("utter_greet"),), effects=(asking,))


def note_name(context: ActionContext) -> ActionResult:
    """The name is in the record; a word that is none is let pass."""
    said = context.text("customer_name").strip()
    if not 0 < len(said) <= 30 or not re.search(r"[^\W\d]", said):
        return ActionResult(replies=(Reply("utter_name_skipped"),))
    return ActionResult(replies=(Reply("utter_name_noted", {"name": said}),), effects=(UpdateCustomer(name=said),))
