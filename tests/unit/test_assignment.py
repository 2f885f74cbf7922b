"""Who gets which waiting chat: skills, room, turns, and that nobody starves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.service.assignment import Given, Operator, Waiting, assign, in_order, overflowing
from bot.service.handoff import HandoffRules, Overflow

NOW = datetime(2026, 11, 26, 4, tzinfo=UTC)
AUTOMATIC = HandoffRules(assignment="automatic")


def waits(number: int = 1, minutes: float = 5, **more: object) -> Waiting:
    values = {"priority": 10, "waiting_since": NOW - timedelta(minutes=minutes), **more}
    return Waiting(number, **values)  # type: ignore[arg-type]  # fields by name


def works(name: str = "li", **more: object) -> Operator:
    values = {"capacity": 3, "seen_at": NOW, **more}
    return Operator(name, **values)  # type: ignore[arg-type]  # fields by name


def test_only_who_is_online_with_a_living_console_and_room_is_given_anything() -> None:
    people = [
        works("busy", presence="busy"),
        works("away", presence="away"),
        works("asleep", seen_at=NOW - timedelta(minutes=5)),
        works("never", seen_at=None),
        works("full", load=3),
    ]
    assert assign([waits()], people, AUTOMATIC, NOW) == []
    assert assign([waits()], [*people, works()], AUTOMATIC, NOW) == [Given(1, "li")]


def test_team_language_topic_and_channel_have_to_fit() -> None:
    chat = waits(team="care", language="en", topic="order_status", channel="web")
    for lacking in (
        {"teams": frozenset({"quality"})},
        {"languages": frozenset({"zh"})},
        {"topics": frozenset({"complaint"})},
        {"channels": frozenset({"telegram"})},
    ):
        person = replace(works(teams=frozenset({"care"})), **lacking)
        assert assign([chat], [person], AUTOMATIC, NOW) == []
    assert assign([chat], [works(teams=frozenset({"care"}))], AUTOMATIC, NOW) == [Given(1, "li")]


def test_somebody_nobody_can_help_holds_up_nobody() -> None:
    people = [works(languages=frozenset({"zh"}))]
    chats = [waits(1, 60, language="en"), waits(2, 1, language="zh")]
    assert assign(chats, people, AUTOMATIC, NOW) == [Given(2, "li")]


def test_the_share_of_room_taken_decides_then_who_was_given_nothing_for_longest() -> None:
    fresh, tired = works("a", assigned_at=NOW - timedelta(hours=1)), works("b", assigned_at=NOW - timedelta(hours=2))
    big = works("c", capacity=10, load=1, assigned_at=NOW)
    given_out = assign([waits(number, 10 - number) for number in range(1, 6)], [fresh, tired, big], AUTOMATIC, NOW)
    assert [item.operator for item in given_out] == ["b", "a", "c", "c", "c"]


def test_by_hand_only_the_operator_spoken_with_last_is_given_a_chat_and_only_if_they_can() -> None:
    manual = HandoffRules()
    chats = [waits(1, sticky_operator="li"), waits(2), waits(3, sticky_operator="ghost")]
    assert assign(chats, [works(), works("wang")], manual, NOW) == [Given(1, "li", is_sticky=True)]
    assert assign(chats, [works(load=3), works("wang")], manual, NOW) == []


def test_in_automatic_assignment_the_known_operator_comes_before_an_idle_one() -> None:
    people = [works(load=2), works("wang")]
    assert assign([waits(sticky_operator="li")], people, AUTOMATIC, NOW) == [Given(1, "li", is_sticky=True)]


def test_overflow_names_the_team_for_each_who_waits_too_long() -> None:
    rules = HandoffRules(overflow=(Overflow(timedelta(minutes=10), "stations", frozenset({"care"})),))
    chats = [waits(1, 11, team="care"), waits(2, 9, team="care"), waits(3, 50, team="stations")]
    assert overflowing(chats, rules, NOW) == {1: "stations"}


_CHATS = st.lists(
    st.builds(
        waits,
        minutes=st.floats(0, 600),
        priority=st.integers(0, 100),
        team=st.sampled_from(["", "care", "quality"]),
        language=st.sampled_from(["zh", "en"]),
        sticky_operator=st.sampled_from(["", "a", "b"]),
    ),
    max_size=60,
).map(lambda chats: [replace(chat, id=place) for place, chat in enumerate(chats)])
_PEOPLE = st.lists(
    st.builds(
        works,
        name=st.sampled_from("abcdef"),
        capacity=st.integers(1, 6),
        load=st.integers(0, 6),
        presence=st.sampled_from(["online", "busy"]),
        teams=st.frozensets(st.sampled_from(["care", "quality"])),
        languages=st.frozensets(st.sampled_from(["zh", "en"])),
    ),
    max_size=6,
    unique_by=lambda person: person.name,
)


@given(_CHATS, _PEOPLE, st.sampled_from(["manual", "automatic"]))
def test_nobody_gets_what_they_cannot_do_or_more_than_fits_and_nobody_able_idles(
    chats: list[Waiting], people: list[Operator], way: str
) -> None:
    rules = HandoffRules(assignment=way)  # type: ignore[arg-type]  # one of the two
    given_out = assign(chats, people, rules, NOW)
    by_name, by_id = {person.name: person for person in people}, {chat.id: chat for chat in chats}
    assert len({item.conversation_id for item in given_out}) == len(given_out)
    for person in people:
        mine = [item for item in given_out if item.operator == person.name]
        assert not mine or (person.is_there(rules, NOW) and person.load + len(mine) <= person.capacity)
    for item in given_out:
        assert by_name[item.operator].can_help(by_id[item.conversation_id])
    if way == "automatic":
        left = [chat for chat in chats if chat.id not in {item.conversation_id for item in given_out}]
        for person in people:
            load = person.load + sum(item.operator == person.name for item in given_out)
            if person.is_there(rules, NOW) and load < person.capacity:
                assert not any(person.can_help(chat) for chat in left)


@given(_CHATS, _PEOPLE)
def test_among_those_who_need_the_same_whoever_is_first_in_order_is_served_first(
    chats: list[Waiting], people: list[Operator]
) -> None:
    alike = [replace(chat, team="", language="", sticky_operator="") for chat in chats]
    served = [item.conversation_id for item in assign(alike, people, AUTOMATIC, NOW)]
    assert served == [chat.id for chat in in_order(alike, AUTOMATIC)][: len(served)]


@given(st.integers(0, 200))
def test_however_many_points_those_have_who_come_later_an_old_chat_s_turn_comes(points: int) -> None:
    old = waits(1, points + 1, priority=0)
    newcomers = [waits(number, 0, priority=points) for number in range(2, 50)]
    assert in_order([*newcomers, old], AUTOMATIC)[0].id == 1
