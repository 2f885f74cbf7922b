"""Finding a site and booking a time there, as the customer sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.service_types import Appointment, BookAppointment, CancelAppointment, Notice, Preference, Site, Visit
from bot.types import Button, CustomerSnapshot, Language, Location, Need
from tests.builders import Chat, a_customer
from tests.serving_shop import serving

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai
POLICY = {
    "calendars": {"default": {"week": {"mon-fri": ["09:00-12:00", "13:30-18:00"]}}},
    "appointments": {
        "services": {
            "inspection": {
                "title": {"zh": "车辆检查", "en": "Inspection"},
                "kinds": ["workshop"],
                "places": 2,
                "lead_hours": 2,
                "days_ahead": 7,
            },
            "wash": {"title": {"zh": "洗车", "en": "Car wash"}, "minutes": 30, "days_ahead": 2, "remind_hours": 0},
        }
    },
}
NEAR = Site(
    1, "s1", {"zh": "保定路站", "en": "Baoding Road"}, "workshop", 38.88, 115.464, "保定路 8 号", "+863125550101"
)
FAR = Site(2, "s2", {"zh": "东湖站", "en": "East Lake"}, "workshop", 38.95, 115.5)
STATION = Site(3, "s3", {"zh": "西门站", "en": "West Gate"}, "station", 38.90, 115.4)
HERE = Location(38.874, 115.464)
SITES = Need("sites", "")
BOOKED = Appointment(
    41, "s1", NEAR.names, "inspection", NOW + timedelta(days=1, hours=1), NOW + timedelta(days=1, hours=2)
)


def slots_of(site: str, service: str = "inspection", days: int = 7) -> Need:
    return Need("slots", f"{site}|{service}|2026-03-02|{days}")


def talking(
    customer: CustomerSnapshot | None = None,
    *,
    sites: tuple[Site, ...] = (NEAR, FAR, STATION),
    taken: dict[Need, tuple[datetime, ...]] | None = None,
    policy: dict[str, Any] = POLICY,
    skills: dict[str, dict[Language, str]] | None = None,
    **more: Any,
) -> Chat:
    assistant = serving("find_site", "appointment", "appointment_change", policy=policy)
    assistant = replace(assistant, words={**assistant.words, "site_skill_words": skills or {}})
    facts = {SITES: sites, **(taken or {})}
    return Chat(customer=customer, assistant=assistant, now=NOW, elsewhere=facts, **more)


# --- finding a site -----------------------------------------------------------------------------------------------


def test_a_stranger_is_asked_where_they_are_and_gets_the_nearest_with_way_hours_and_map() -> None:
    chat = talking()
    assert "位置" in chat.hear("最近的网点在哪", "find_site")
    said = chat.send(HERE)
    assert said.index("保定路站") < said.index("西门站") < said.index("东湖站")
    assert "约 650 米 · 现在营业" in said
    assert "保定路 8 号 · +863125550101" in said
    assert "https://www.openstreetmap.org/?mlat=38.880000&mlon=115.464000" in said


def test_somebody_whose_record_says_where_they_live_is_not_asked() -> None:
    chat = talking(a_customer(attributes={"latitude": 38.95, "longitude": 115.5}))
    said = chat.hear("最近的网点在哪", "find_site")
    assert said.index("东湖站") < said.index("保定路站")


def test_without_a_place_the_site_of_the_last_visit_comes_first_and_no_way_is_claimed() -> None:
    chat = talking(a_customer(visits=(Visit(NOW - timedelta(days=9), site="s2"),)))
    said = chat.hear("最近的网点在哪", "find_site")
    assert said.index("东湖站") < said.index("保定路站")
    assert "公里" not in said


def test_a_place_in_words_finds_the_site_whose_name_or_street_holds_them() -> None:
    chat = talking()
    chat.hear("最近的网点在哪", "find_site")
    said = chat.hear("东湖")
    assert "东湖站" in said
    assert "保定路站" not in said


@pytest.mark.parametrize("place", [Location(0.0, 0.0), Location(float("nan"), 1.0), Location(123.0, 500.0)])
def test_an_impossible_location_is_taken_for_none(place: Location) -> None:
    chat = talking()
    chat.hear("最近的网点在哪", "find_site")
    said = chat.send(place)
    assert "保定路站" in said
    assert "公里" not in said


def test_closed_sites_say_when_they_open_in_the_customers_language() -> None:
    chat = talking(language="en")
    chat.now = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)  # 18:30 in Shanghai
    chat.hear("where is the nearest place", "find_site")
    said = chat.send(HERE)
    assert "Baoding Road · about 650 m · opens tomorrow at 09:00" in said


def test_no_site_at_all_is_said_plainly() -> None:
    chat = talking(sites=())
    chat.hear("最近的网点在哪", "find_site")
    chat.send(HERE)
    assert chat.templates == ["utter_site_none"]


def test_a_site_named_in_the_first_words_is_shown_without_asking_where() -> None:
    for customer in (None, a_customer(attributes={"latitude": 38.874, "longitude": 115.464})):
        said = talking(customer).hear("东湖站在哪里", "find_site")
        assert "东湖站" in said
        assert "保定路站" not in said
    assert "East Lake" in talking(language="en").hear("where is East Lake?", "find_site")


def test_a_site_named_though_it_is_far_away_is_shown() -> None:
    remote = Site(8, "s8", {"zh": "海边站", "en": "Seaside"}, "station", 24.5, 118.1)
    chat = talking(a_customer(attributes={"latitude": 38.874, "longitude": 115.464}), sites=(NEAR, remote))
    said = chat.hear("海边站的电话是多少", "find_site")
    assert "海边站" in said
    assert "保定路站" not in said


@pytest.mark.parametrize("words", ["哪个站有尿素", "哪里可以加车用尿素"])
def test_what_a_site_has_to_have_is_taken_from_the_first_words(words: str) -> None:
    selling = replace(FAR, skills=frozenset({"adblue"}))
    chat = talking(sites=(NEAR, selling, STATION), skills={"adblue": {"zh": "尿素|车用尿素", "en": "adblue"}})
    chat.hear(words, "find_site")
    said = chat.send(HERE)
    assert "东湖站" in said
    assert "保定路站" not in said


# --- booking ------------------------------------------------------------------------------------------------------


def test_what_where_and_when_are_asked_and_the_time_is_booked_with_its_reminder() -> None:
    chat = talking()
    chat.hear("我想预约", "appointment")
    assert [button.label for button in chat.buttons] == ["车辆检查", "洗车"]
    chat.press("车辆检查")
    said = chat.send(HERE)
    assert "1. 保定路站 · 约 650 米 · 最早 3月2日周一 13:30" in said
    assert "西门站" not in said  # no workshop
    chat.press("保定路站")
    assert [button.label for button in chat.buttons][:2] == ["3月2日周一 13:30", "3月2日周一 14:30"]
    said = chat.press("3月3日周二 09:00")
    assert "已为您预约车辆检查：3月3日周二 09:00，保定路站" in said
    assert "openstreetmap" in said
    effect = chat.effect(BookAppointment)
    assert (effect.site, effect.service, effect.places) == ("s1", "inspection", 2)
    assert effect.starts_at == datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
    assert effect.ends_at - effect.starts_at == timedelta(hours=1)
    assert effect.remind_at is None  # less than a day away: no reminder would be in time


def test_a_reminder_is_planned_in_both_languages_a_day_before() -> None:
    chat = talking()
    chat.hear("我想预约", "appointment")
    chat.press("车辆检查")
    chat.send(HERE)
    chat.press("保定路站")
    chat.hear("周五上午十点")
    effect = chat.effect(BookAppointment)
    assert effect.starts_at == datetime(2026, 3, 6, 2, 0, tzinfo=UTC)
    assert effect.remind_at == effect.starts_at - timedelta(hours=24)
    assert isinstance(effect.reminder, Notice)
    assert effect.reminder.args["time"] == "@zh:3月6日周五 10:00|@en:Fri 6 Mar, 10:00"
    assert effect.reminder.args["service"] == "@zh:车辆检查|@en:Inspection"


def test_nothing_known_is_asked_a_service_in_words_a_site_from_the_record() -> None:
    chat = talking(a_customer(visits=(Visit(NOW - timedelta(days=9), site="s3"),)), sites=(STATION,))
    chat.hear("我想预约", "appointment")
    said = chat.hear("洗个车 洗车")
    assert "西门站的洗车，请选择时间" in said


def test_a_named_day_offers_the_times_of_that_day_and_an_hour_then_chooses() -> None:
    chat = talking(sites=(NEAR,))
    chat.hear("I want to book", "appointment", language="en")
    chat.press("Inspection")
    chat.send(HERE)
    said = chat.hear("thursday afternoon")
    assert "These times are free" in said
    assert [button.label for button in chat.buttons] == [
        f"Thu 5 Mar, {hour}" for hour in ("13:30", "14:30", "15:30", "16:30")
    ]
    chat.hear("half the day")
    chat.hear("Thursday at 2:30 pm")
    assert chat.effect(BookAppointment).starts_at == datetime(2026, 3, 5, 6, 30, tzinfo=UTC)


def test_a_day_without_a_free_time_is_said_and_others_are_offered() -> None:
    chat = talking(sites=(NEAR,))
    chat.hear("我想预约", "appointment")
    chat.press("车辆检查")
    chat.send(HERE)
    said = chat.hear("周日")
    assert "没有空位" in said
    assert chat.buttons


def test_a_full_slot_is_not_offered_and_one_taken_meanwhile_is_said() -> None:
    first = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
    chat = talking(sites=(NEAR,), taken={slots_of("s1"): (first, first)})
    chat.hear("我想预约", "appointment")
    chat.press("车辆检查")
    chat.send(HERE)
    labels = [button.label for button in chat.buttons]
    assert labels[0] == "3月2日周一 14:30"
    chat.elsewhere[slots_of("s1")] = (first + timedelta(hours=1),) * 2
    said = chat.press("14:30")
    assert "刚刚被订走" in said
    assert "3月2日周一 14:30" not in [button.label for button in chat.buttons]
    assert not [effect for effect in chat.effects if isinstance(effect, BookAppointment)]


def test_where_nothing_is_free_the_customer_is_told_and_no_question_stays_open() -> None:
    chat = talking(sites=(), policy=POLICY)
    chat.hear("我想预约", "appointment")
    chat.press("车辆检查")
    said = chat.send(HERE)
    assert "未来 7 天内没有空闲时间" in said
    assert chat.state.get("stack", []) == []


def test_a_business_without_services_says_so() -> None:
    chat = talking(policy={})
    assert "没有可以在这里预约的服务" in chat.hear("我想预约", "appointment")


def test_an_unknown_service_is_asked_again() -> None:
    chat = talking()
    chat.hear("我想预约", "appointment")
    said = chat.hear("给汽车喷漆")
    assert "不能在这里预约" in said
    assert [button.label for button in chat.buttons] == ["车辆检查", "洗车"]


@pytest.mark.parametrize(
    ("language", "words", "first"),
    [
        ("zh", "约保定路站做车辆检查，周四上午", "3月5日周四 09:00"),
        ("en", "book an inspection at Baoding Road on Thursday morning", "Thu 5 Mar, 09:00"),
    ],
)
def test_what_where_and_the_day_said_at_first_are_not_asked(language: Language, words: str, first: str) -> None:
    chat = talking(language=language)
    chat.hear(words, "appointment")
    assert chat.templates == ["utter_appointment_times", "utter_ask_appointment_slot"]
    labels = [button.label for button in chat.buttons]
    assert (labels[0], len(labels)) == (first, 3)  # 09:00, 10:00 and 11:00
    chat.press(first)
    assert chat.effect(BookAppointment).starts_at == datetime(2026, 3, 5, 1, 0, tzinfo=UTC)


def test_everything_said_at_first_books_at_once() -> None:
    chat = talking()
    said = chat.hear("约保定路站周四上午十点做车辆检查", "appointment")
    assert "已为您预约车辆检查：3月5日周四 10:00，保定路站" in said


def test_only_what_is_missing_is_asked() -> None:
    chat = talking()
    chat.hear("明天去东湖站", "appointment")
    assert chat.templates == ["utter_ask_appointment_service"]
    chat.press("车辆检查")
    assert "东湖站的车辆检查" in chat.said
    assert all("3月3日周二" in button.label for button in chat.buttons)
    chat = talking()
    chat.hear("上午好，想早一点做车辆检查", "appointment")
    assert chat.templates == ["utter_ask_site_place"]
    chat.send(HERE)
    chat.press("保定路站")
    assert chat.templates == ["utter_ask_appointment_slot"]


# --- what the customer likes ----------------------------------------------------------------------------------------


def liking(*told: str, **facts: Any) -> CustomerSnapshot:
    return a_customer(preferences=tuple(Preference("general", words, NOW) for words in told), **facts)


@pytest.mark.parametrize(
    ("language", "said"),
    [("zh", "我记得您说过：请张师傅做；别打电话"), ("en", "I remember what you told us: 请张师傅做; 别打电话")],
)
def test_what_the_customer_told_before_is_said_again_and_goes_with_the_booking(language: Language, said: str) -> None:
    chat = talking(liking("请张师傅做", "别打电话"), language=language)
    assert said in chat.hear("约保定路站周四上午十点做车辆检查", "appointment", language=language)
    assert chat.effect(BookAppointment).details == {"wishes": said.partition("：" if language == "zh" else ": ")[2]}


def test_a_site_the_customer_likes_is_named_first_though_another_is_nearer() -> None:
    chat = talking(liking("我喜欢去东湖站", attributes={"latitude": 38.874, "longitude": 115.464}))
    said = chat.hear("约车辆检查", "appointment")
    assert said.index("1. 东湖站") < said.index("2. 保定路站")


def test_nothing_is_said_again_when_an_appointment_is_moved_or_nothing_is_known() -> None:
    chat = talking(liking("请张师傅做", appointments=(BOOKED,)))
    chat.hear("改到周五上午十点", "appointment_change")
    assert chat.templates == ["utter_appointment_moved"]
    assert chat.effect(BookAppointment).details == {"wishes": "请张师傅做"}
    chat = talking()
    chat.hear("约车辆检查", "appointment")
    assert "utter_appointment_preferences" not in chat.templates


# --- moving and cancelling ----------------------------------------------------------------------------------------


def test_the_only_appointment_is_moved_at_the_same_site_without_asking_which() -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    said = chat.hear("我想改预约", "appointment_change")
    assert "3月3日周二 11:00 · 车辆检查 · 保定路站" in said
    said = chat.press("改时间")
    assert "保定路站的车辆检查" in said
    said = chat.hear("周五上午十点")
    assert "已为您改到3月6日周五 10:00" in said
    effect = chat.effect(BookAppointment)
    assert (effect.moves, effect.site, effect.service) == (41, "s1", "inspection")


@pytest.mark.parametrize(
    ("language", "words", "starts_at"),
    [
        ("zh", "改到周五下午三点半", datetime(2026, 3, 6, 7, 30, tzinfo=UTC)),
        ("zh", "明天的预约改到周五下午三点半", datetime(2026, 3, 6, 7, 30, tzinfo=UTC)),
        ("zh", "预约改到下午三点半", datetime(2026, 3, 3, 7, 30, tzinfo=UTC)),  # an hour alone: on the same day
        ("zh", "我想改一下预约，周五下午三点半", datetime(2026, 3, 6, 7, 30, tzinfo=UTC)),
        ("en", "move it to Friday 3:30 pm", datetime(2026, 3, 6, 7, 30, tzinfo=UTC)),
        ("en", "I want to move tomorrow's appointment to Friday at 3:30 pm", datetime(2026, 3, 6, 7, 30, tzinfo=UTC)),
    ],
)
def test_the_new_time_said_at_first_is_taken_at_once(language: Language, words: str, starts_at: datetime) -> None:
    chat = talking(a_customer(appointments=(BOOKED,)), language=language)
    chat.hear(words, "appointment_change", language=language)
    assert chat.templates == ["utter_appointment_moved"]
    effect = chat.effect(BookAppointment)
    assert (effect.moves, effect.site, effect.starts_at) == (41, "s1", starts_at)


def test_a_new_day_said_at_first_offers_its_times() -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    chat.hear("预约换到周五下午", "appointment_change")
    assert chat.templates == ["utter_appointment_times", "utter_ask_appointment_slot"]
    assert chat.buttons[0].label == "3月6日周五 13:30"


def test_a_new_time_that_is_not_free_is_said_and_others_are_offered() -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    chat.hear("改到周日下午三点", "appointment_change")
    assert chat.templates == ["utter_appointment_no_such_time", "utter_ask_appointment_slot"]
    assert not [effect for effect in chat.effects if isinstance(effect, BookAppointment)]


@pytest.mark.parametrize(
    "words",
    [
        "明天的预约改一下",
        "明天十一点的预约要改",
        "取消明天的预约",
        "周五的预约不去了",
        "cancel my appointment for Friday",
        "I can't make it to my appointment on Tuesday",
        "I need to change Tuesday's appointment",
    ],
)
def test_the_time_of_the_appointment_itself_is_no_new_time(words: str) -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    chat.hear(words, "appointment_change")
    assert chat.templates == ["utter_ask_appointment_wish"]


def test_of_several_appointments_the_day_or_the_service_said_at_first_tells_which() -> None:
    other = Appointment(42, "s2", FAR.names, "wash", NOW + timedelta(days=2), NOW + timedelta(days=2, minutes=30))
    for words in ("明天的预约改到周五上午十点", "车辆检查改到周五上午十点"):
        chat = talking(a_customer(appointments=(BOOKED, other)))
        chat.hear(words, "appointment_change")
        assert chat.effect(BookAppointment).moves == 41
    chat = talking(a_customer(appointments=(BOOKED, other)))
    chat.hear("预约改到周五上午十点", "appointment_change")
    assert chat.templates == ["utter_ask_appointment_id"]
    chat.press("车辆检查")
    assert chat.effect(BookAppointment).moves == 41


def test_the_buttons_of_the_reminder_go_straight_to_the_wish() -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    said = chat.send(Button("flow:appointment_change?appointment_wish=cancel"))
    assert "已取消" in said
    assert chat.effect(CancelAppointment) == CancelAppointment(41, reason="customer")


def test_of_several_appointments_the_customer_says_which() -> None:
    other = Appointment(42, "s2", FAR.names, "wash", NOW + timedelta(days=2), NOW + timedelta(days=2, minutes=30))
    chat = talking(a_customer(appointments=(BOOKED, other)))
    chat.hear("取消预约", "appointment_change")
    chat.press("洗车")
    chat.hear("不去了")
    assert chat.effect(CancelAppointment).appointment_id == 42


def test_an_appointment_of_somebody_else_cannot_be_named() -> None:
    chat = talking(a_customer(appointments=(BOOKED,)))
    chat.send(Button("flow:appointment_change?appointment_id=999&appointment_wish=cancel"))
    assert chat.effect(CancelAppointment).appointment_id == 41
    nobody = talking()
    assert "没有已预约" in nobody.send(Button("flow:appointment_change?appointment_id=41&appointment_wish=cancel"))


def test_a_site_that_was_not_offered_can_be_named() -> None:
    more = tuple(
        Site(9 + at, f"s{9 + at}", {"zh": f"第{at}站", "en": f"Number {at}"}, "workshop", 38.88, 115.46)
        for at in range(1, 4)
    )
    chat = talking(
        a_customer(attributes={"latitude": 38.88, "longitude": 115.46}),
        sites=(*more, FAR),
        taken={slots_of(site.key): () for site in (*more, FAR)},
    )
    chat.hear("我要预约", "appointment")
    chat.hear("车辆检查")
    assert not any("东湖站" in button.label for button in chat.buttons)
    assert "东湖站的车辆检查" in chat.hear("东湖站")
