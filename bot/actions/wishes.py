"""How a customer wants to be written to: how often, when not, about what; and agreeing once more where it is needed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from bot.actions.base import ActionContext, ActionResult
from bot.actions.topics import withdrawals
from bot.reach.plan import is_time_of_day
from bot.service_types import AnswerConsent, SubscribeTopic, WishContact
from bot.types import Need, Reply, ReplyButton
from bot.values import plain

WISHES = Need("wishes", "")
ASKED_TO_CONFIRM = Need("consent_requests", "")
SOURCE = "chat:contact_wishes"
MOST_TOPICS = 6
_OFTEN = {"any": None, "one": 1, "two": 2}
_QUIET = {"usual": ("", ""), "evenings": ("20:00", "10:00"), "afternoons": ("12:00", "10:00")}
_HOURS = re.compile(r"(\d{1,2})[:：](\d{2})\s*(?:-|–|—|~|到|至|to)\s*(\d{1,2})[:：](\d{2})", re.ASCII)

# --- how often, when, about what --------------------------------------------------------------------------------------


def begin(context: ActionContext) -> ActionResult:
    """The first page, with nothing chosen yet."""
    return ActionResult(slots={"wish_page": "menu", "wish_choice": None, "wish_kept": None})


def ask(context: ActionContext) -> ActionResult:
    """Shows how things stand and what can be changed; each page has its own choices."""
    if WISHES not in context.turn.facts:
        return ActionResult(needs=(WISHES,))
    page, wishes = context.text("wish_page") or "menu", _wishes(context)
    buttons = tuple(ReplyButton(label[:30], f"slot:wish_choice={value}") for value, label in _choices(context, page))
    if page != "menu":
        return ActionResult(replies=(Reply(f"utter_wishes_{page}", buttons=buttons),))
    rules = context.assistant.service.broadcasts
    off = [rules.topic(name, context.language) for name in wishes.topics_off]
    args = {
        "often": context.word("wish_often", _named_often(wishes)),
        "quiet": "–".join(wishes.quiet if wishes.quiet[0] else rules.quiet),
        "topics": (", " if context.language == "en" else "、").join(off) or context.word("wish_button", "no_topics"),
    }
    return ActionResult(replies=(Reply("utter_wishes", args, buttons=buttons),))


def settle(context: ActionContext) -> ActionResult:
    """What was chosen is done, and the page that comes next is set; `wish_page` is "end" when that was all."""
    if WISHES not in context.turn.facts:
        return ActionResult(needs=(WISHES,))
    page, wishes = context.text("wish_page") or "menu", _wishes(context)
    choice = _chosen(context, page)
    if page == "menu":
        return _from_menu(context, choice)
    if choice == "back":
        return ActionResult(slots={"wish_choice": None, "wish_page": "menu"})
    changed = _changed(wishes, page, choice, context.text("wish_choice"))
    if changed is None:
        return ActionResult(slots={"wish_choice": None}, replies=(Reply("utter_wish_unknown"),))
    kept = json.dumps([list(changed.topics_off), changed.per_week, list(changed.quiet)])
    slots = {"wish_choice": None, "wish_page": "menu", "wish_kept": kept}
    return ActionResult(slots=slots, replies=(Reply("utter_wish_kept"),), effects=(changed,))


def _from_menu(context: ActionContext, choice: str) -> ActionResult:
    if choice in ("often", "quiet", "topics"):
        return ActionResult(slots={"wish_choice": None, "wish_page": choice})
    if choice == "done":
        return ActionResult(slots={"wish_page": "end"}, replies=(Reply("utter_wish_done"),))
    if choice == "stop":
        ended = SubscribeTopic("*", wanted=False, source=SOURCE)
        effects = (ended, *withdrawals(context.customer, SOURCE))
        return ActionResult(slots={"wish_page": "end"}, replies=(Reply("utter_wish_stopped"),), effects=effects)
    return ActionResult(slots={"wish_choice": None}, replies=(Reply("utter_wish_unknown"),))


def _changed(wishes: WishContact, page: str, choice: str, words: str) -> WishContact | None:
    if page == "often" and choice in _OFTEN:
        return replace(wishes, per_week=_OFTEN[choice])
    if page == "quiet" and choice in _QUIET:
        return replace(wishes, quiet=_QUIET[choice])
    if page == "quiet" and (said := _HOURS.search(words)):
        hours = (f"{said[1]:0>2}:{said[2]}", f"{said[3]:0>2}:{said[4]}")
        return replace(wishes, quiet=hours) if all(map(is_time_of_day, hours)) else None
    if page == "topics" and choice:
        off = [name for name in wishes.topics_off if name != choice]
        return replace(wishes, topics_off=tuple(off) if len(off) < len(wishes.topics_off) else (*off, choice))
    return None


def _wishes(context: ActionContext) -> WishContact:
    """As they stand, with what was changed a moment ago."""
    if kept := context.text("wish_kept"):
        topics_off, per_week, quiet = json.loads(kept)
        return WishContact(tuple(topics_off), per_week, (quiet[0], quiet[1]), SOURCE)
    stored = context.turn.facts[WISHES] or WishContact()
    return replace(stored, source=SOURCE)


def _named_often(wishes: WishContact) -> str:
    return next((name for name, per_week in _OFTEN.items() if per_week == wishes.per_week), "any")


def _choices(context: ActionContext, page: str) -> list[tuple[str, str]]:
    """Value and label of all that can be chosen on a page."""
    rules = context.assistant.service.broadcasts
    back = ("back", context.word("wish_button", "back"))
    if page == "often":
        return [*((name, context.word("wish_often", name)) for name in _OFTEN), back]
    if page == "quiet":
        return [*((name, context.word("wish_quiet", name)) for name in _QUIET), back]
    if page == "topics":
        off = _wishes(context).topics_off
        labels = [
            (name, context.word("wish_topic", "on" if name in off else "off").replace("{}", title))
            for name in list(rules.topics)[:MOST_TOPICS]
            if (title := rules.topic(name, context.language))
        ]
        return [*labels, back]
    names = ("often", "quiet", *(["topics"] if rules.topics else []), "stop", "done")
    return [(name, context.word("wish_button", name)) for name in names]


def _chosen(context: ActionContext, page: str) -> str:
    """The value that was chosen, by a button or in its words; "" when it is none of them."""
    said = plain(context.text("wish_choice"))
    choices = _choices(context, page)
    exact = [value for value, label in choices if said in (value, plain(label))]
    near = [value for value, label in choices if said and (said in plain(label) or plain(label) in said)]
    return exact[0] if exact else near[0] if len(near) == 1 else ""


# --- agreeing once more -----------------------------------------------------------------------------------------------


def begin_confirm(context: ActionContext) -> ActionResult:
    """`consent_about` names what waits to be confirmed; empty where nothing does, which is said."""
    if ASKED_TO_CONFIRM not in context.turn.facts:
        return ActionResult(needs=(ASKED_TO_CONFIRM,))
    rules = context.assistant.service.broadcasts
    titles = [rules.purpose(name).title(context.language) for name in context.turn.facts[ASKED_TO_CONFIRM] or ()]
    if not titles:
        return ActionResult(slots={"consent_about": None}, replies=(Reply("utter_consent_nothing"),))
    about = (" and " if context.language == "en" else "、").join(dict.fromkeys(titles))
    return ActionResult(slots={"consent_about": about, "consent_yes": None})


def confirm(context: ActionContext) -> ActionResult:
    """What was asked for is agreed to from now on, or refused; either way it is kept what shows it."""
    granted = context.slots.get("consent_yes") is True
    reply = Reply(
        "utter_consent_given" if granted else "utter_consent_refused", {"about": context.text("consent_about")}
    )
    return ActionResult(replies=(reply,), effects=(AnswerConsent(granted, "chat:consent_confirm"),))
