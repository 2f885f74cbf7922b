"""What an accepted message tells about its sender and chat beyond its words, written in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, literal_column, select, update

from bot.types import Command, Event
from crm_sync.addressing import Address, Place
from crm_sync.arrivals import Arrival
from crm_sync.chat_moves import move_chat
from crm_sync.handoffs import answered
from crm_sync.tables import conversations, identities, messages, timeline


def follow_moves(conn: Connection, arrivals: Sequence[Arrival]) -> None:
    """Chats that these arrivals say have a new id go on there, with all that arrives together with the news."""
    for news in arrivals:
        match news.content:
            case Event(name="chat_moved", detail={"from": str(old), "to": str(new)}):
                move_chat(conn, news.channel, news.account, old, new)
                for arrival in arrivals:
                    place = arrival.address
                    is_there = place is not None and (place.channel, place.account) == (news.channel, news.account)
                    if place is not None and is_there and place.chat_id == old:
                        arrival.address = replace(place, chat_id=new)


def note_arrival(conn: Connection, arrival: Arrival, place: Place, now: datetime) -> None:
    """The first campaign that led here and feedback on a message of ours are remembered; an operator's words answer."""
    if arrival.author == "operator":  # said at the vendor's
        answered(conn, place.conversation_id, now)
    match arrival.content:
        case Command(link_kind="campaign", link_id=campaign):
            unknown = and_(identities.c.id == place.identity_id, identities.c.source == "")
            conn.execute(update(identities).where(unknown).values(source=f"campaign:{campaign}"))
        case Event(name="reaction", detail=detail):
            _note_reaction(conn, detail, arrival.address, place, now)
        case Event():
            pass
        case _ if place.is_unreachable:  # whoever writes has not blocked us (any more)
            reachable = {"unreachable_at": None, "unreachable_reason": ""}
            conn.execute(update(identities).where(identities.c.id == place.identity_id).values(**reachable))
            place.is_unreachable = False


def _note_reaction(
    conn: Connection, detail: Mapping[str, Any], address: Address | None, place: Place, now: datetime
) -> None:
    """The message of ours shows how it was liked; a new opinion is a line in the customer's timeline.

    A reaction does not say in which topic of the chat it was given: any conversation of this person there may hold it.
    """
    ours = and_(
        conversations.c.identity_id == place.identity_id,
        conversations.c.chat_id == (address.chat_id if address else ""),
        messages.c.vendor_message_id == str(detail.get("message", "")),
        messages.c.vendor_message_id != literal_column("''"),  # written out: the index holds only filled ones
        messages.c.direction == "out",
    )
    found = select(messages.c.id, messages.c.content).join(conversations).where(ours)
    feedback = str(detail.get("feedback", ""))  # up | down | ""
    for row in conn.execute(found).all():
        content = {**(row.content or {}), "feedback": feedback}
        if not feedback:
            del content["feedback"]
        conn.execute(update(messages).where(messages.c.id == row.id).values(content=content or None))
        if feedback:
            line = {"kind": "feedback", "summary": feedback, "reference": str(row.id), "author": "customer", "at": now}
            mine = {"customer_id": place.customer_id, "conversation_id": place.conversation_id}
            conn.execute(insert(timeline).values(**mine, **line))
