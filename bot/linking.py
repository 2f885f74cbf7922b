"""Going on with a conversation from another channel: asked first, done only when the customer says so here.

The link was made by whoever chats on the other channel. Saying yes lets that conversation see this customer's orders
and cases too, which is why the question names where the link comes from, and why silence is a no.
"""

from __future__ import annotations

from bot.memory import MAX_FRAMES, recall
from bot.talk import Talk
from bot.types import Command, Content, Event, LinkIdentity, LinkOffer, Need

_QUESTION = "link:"


def link_token(content: Content) -> str:
    """The token of the "continue here" link that brought the customer (start command, scanned code); "" for none."""
    match content:
        case Command(link_kind="continue", link_id=token):
            return token
        case Event(detail={"link_kind": "continue", "link_id": str(token)}):
            return token
    return ""


def ask_to_link(talk: Talk, token: str) -> None:
    """The customer is asked whether the conversation they come from is theirs."""
    offer = _offer(talk, token)
    if talk.needs:
        return
    if offer is None:
        talk.say("utter_link_over")
        return
    if not talk.turn.conversation.state and offer.language in talk.assistant.languages:
        talk.language = offer.language  # nothing was said here yet
    talk.memory.question = f"{_QUESTION}{token}"
    talk.say("utter_link_ask")


def is_link_question(question: str) -> bool:
    return question.startswith(_QUESTION)


def settle_link(talk: Talk, question: str, *, agrees: bool) -> None:
    """One customer from now on, and the flow that was open over there goes on here; or nothing at all."""
    if not agrees:
        talk.say("utter_link_declined")
        return
    token = question.removeprefix(_QUESTION)
    offer = _offer(talk, token)
    if talk.needs:
        talk.memory.question = question
        return
    if offer is None:
        talk.say("utter_link_over")
        return
    talk.effects.append(LinkIdentity(token, f"{_channel(talk)}:confirmed"))
    talk.say("utter_linked")
    there = recall(offer.state)
    if there.stack:
        talk.memory.stack = [*talk.memory.stack, *there.stack][-MAX_FRAMES:]
        talk.memory.shared = {**talk.memory.shared, **there.shared}
        talk.run()


def _offer(talk: Talk, token: str) -> LinkOffer | None:
    """What the store knows of the link, once it was asked; None for one that does not work here."""
    need = Need("link", token)
    if need not in talk.turn.facts:
        talk.needs.append(need)
        return None
    offer: LinkOffer | None = talk.turn.facts[need]
    return offer if offer is not None and offer.channel == _channel(talk) else None


def _channel(talk: Talk) -> str:
    return talk.turn.conversation.identity.channel
