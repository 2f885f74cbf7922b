"""A number that is not the customer's: what may be shown or offered, alike for one there is and one there is not."""

from __future__ import annotations

from typing import Final

from bot.actions.base import ActionContext
from bot.service_types import LookupKind
from bot.types import Lookup, Need, Owner

FLOW: Final = "lookup_code"


def lookup_need(context: ActionContext, kind: LookupKind, number: str) -> Need:
    """What must be known of a number that is not the customer's; one more fact beside those of the record."""
    return Need("lookup", f"{context.turn.conversation.id}|{kind}|{number}")


def view_of(context: ActionContext, need: Need) -> Lookup:
    found = context.turn.facts.get(need)
    return found if isinstance(found, Lookup) else Lookup()


def offers_code(context: ActionContext, view: Lookup) -> bool:
    """Whether the flow may go on to a code; else the customer is told that the number is not in their record.

    Who waits for a person can ask that person. Of several things said in one message each is answered; a question of
    ours about one would hold up the others.
    """
    is_ours = context.turn.conversation.owner is Owner.BOT
    is_all = context.message_words in ("", context.words)
    return is_ours and is_all and FLOW in context.assistant.flows and view.can_send and view.codes_left > 0


def asked_for(kind: LookupKind, number: str) -> dict[str, str]:
    """Slots by which `lookup_code` knows what it is about."""
    return {"lookup_kind": kind, "lookup_number": number}


NOT_ASKED: Final[dict[str, None]] = {"lookup_kind": None, "lookup_number": None}
