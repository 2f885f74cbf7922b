"""Who gets which waiting chat. Pure: the store applies what is decided, in one transaction.

Fair to customers: by points and waiting time, which weigh against each other, so nobody starves. Fair to operators: the
one with the smallest share of their room taken comes first, among equals the one who was given nothing for longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.service.handoff import HandoffRules

ONLINE = "online"
PRESENCES = (ONLINE, "busy", "away", "off")  # only somebody who is online is given anything


@dataclass(frozen=True, slots=True)
class Waiting:
    """A conversation in the queue. `sticky_operator`: spoken with last, recently enough."""

    id: int
    priority: int
    waiting_since: datetime
    team: str = ""
    language: str = ""
    topic: str = ""
    channel: str = ""
    sticky_operator: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """One of the staff as assignment sees them. Empty languages, topics, channels: all."""

    name: str
    capacity: int
    load: int = 0  # conversations they hold
    presence: str = ONLINE
    seen_at: datetime | None = None  # the last sign of life of their console
    assigned_at: datetime | None = None
    teams: frozenset[str] = frozenset()
    languages: frozenset[str] = field(default=frozenset())
    topics: frozenset[str] = field(default=frozenset())
    channels: frozenset[str] = field(default=frozenset())

    def is_there(self, rules: HandoffRules, now: datetime) -> bool:
        """They said that they are, and their console lives."""
        return self.presence == ONLINE and self.seen_at is not None and now - self.seen_at < rules.lease

    def can_help(self, chat: Waiting) -> bool:
        """Of the chat's team, with its language, topic and channel among what they do."""
        return (
            (not chat.team or chat.team in self.teams)
            and (not self.languages or not chat.language or chat.language in self.languages)
            and (not self.topics or not chat.topic or chat.topic in self.topics)
            and (not self.channels or not chat.channel or chat.channel in self.channels)
        )

    @property
    def has_room(self) -> bool:
        return self.load < self.capacity


@dataclass(frozen=True, slots=True)
class Given:
    """This conversation goes to this operator."""

    conversation_id: int
    operator: str
    is_sticky: bool = False


def in_order(waiting: Sequence[Waiting], rules: HandoffRules) -> list[Waiting]:
    """Whose turn it is: by points and waiting time together, then by age."""
    return sorted(waiting, key=lambda chat: (rules.rank(chat.priority, chat.waiting_since), chat.id))


def assign(
    waiting: Sequence[Waiting], operators: Sequence[Operator], rules: HandoffRules, now: datetime
) -> list[Given]:
    """What is given out now, in order. With `assignment: manual` only to the operator spoken with last.

    Somebody whose chat nobody present can take keeps the place; those behind are served meanwhile.
    """
    room = {person.name: person for person in operators if person.is_there(rules, now) and person.has_room}
    given: list[Given] = []
    for chat in in_order(waiting, rules):
        if not room:
            break
        known = room.get(chat.sticky_operator)
        if known is not None and known.can_help(chat):
            chosen: Operator | None = known
        elif rules.assignment == "automatic":
            chosen = min((person for person in room.values() if person.can_help(chat)), key=_turn, default=None)
        else:
            chosen = None
        if chosen is None:
            continue
        given.append(Given(chat.id, chosen.name, is_sticky=chosen is known))
        after = replace(chosen, load=chosen.load + 1, assigned_at=now)
        if after.has_room:
            room[chosen.name] = after
        else:
            del room[chosen.name]
    return given


def _turn(person: Operator) -> tuple[float, float, str]:
    """The smaller the sooner: share of the room taken, then when they were last given something."""
    last = person.assigned_at.timestamp() if person.assigned_at else 0.0
    return person.load / person.capacity, last, person.name


def overflowing(waiting: Sequence[Waiting], rules: HandoffRules, now: datetime) -> dict[int, str]:
    """Conversation -> the team whose queue it moves to, because its own let it wait too long."""
    if not rules.overflow:
        return {}
    moves = {chat.id: rules.overflows_to(chat.team, now - chat.waiting_since) for chat in waiting}
    return {chat: team for chat, team in moves.items() if team}
