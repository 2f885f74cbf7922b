"""The life of a case as its customer hears it: taken up, asked about, added to, contested, confirmed, rated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.service.policy import desk_policy, read_policy
from bot.service.record import CreditRule
from bot.service_types import Asset, CaseNews, Notice, OpenSurvey, RecordScore, Site, Visit
from bot.types import CreateTask, Language, Location, Media, Need, OpenCase, Owner, RequestHandoff, UpdateCase
from tests.builders import NOON, Chat, a_case, a_customer, an_order
from tests.service_assistant import service_assistant

FRIDAY = NOON - timedelta(days=5)
NAMES: Mapping[str, str] = {"zh": "保定路站", "en": "Baoding Rd"}
SITES = {
    Need("sites", ""): (
        Site(1, "far", {"zh": "远处站", "en": "Far"}, latitude=39.9, longitude=116.4, skills=frozenset({"brakes"})),
        Site(2, "bd", NAMES, latitude=38.87, longitude=115.46, skills=frozenset({"brakes"})),
    )
}


def a_chat(language: Language = "zh", **more: Any) -> Chat:
    known = {
        name: more.pop(name)
        for name in ("visits", "assets", "surveys", "attributes", "value_class", "credit_class", "phone")
        if name in more
    }
    return Chat(assistant=service_assistant(), language=language, customer=a_customer(**known), **more)


def a_visit(**more: Any) -> Visit:
    return Visit(**{"at": FRIDAY, "kind": "refuel", "site": "bd", "site_names": NAMES, **more})


# --- taking it up -------------------------------------------------------------------------------------------------


def test_what_the_record_knows_is_offered_and_a_yes_is_enough() -> None:
    chat = a_chat(visits=(a_visit(amount_minor=32000, currency="CNY"),))
    said = chat.hear("我加油以后发动机一直抖", "complaint")
    assert "抱歉" in said
    assert "11月15日在保定路站" in said.replace("（周五）", "").replace("星期五", "") or "保定路站" in said
    chat.hear("是的", "affirm")
    said = chat.press("退款")
    opened = chat.effect(OpenCase)
    assert (opened.category, opened.subject, opened.wish, opened.team) == ("fuel", "bd@2024-11-15", "refund", "care")
    assert (opened.value_minor, opened.currency) == (32000, "CNY")
    for part in (opened.number, "我加油以后发动机一直抖", "油品", "保定路站", "退款", "抱歉", "客服组", "前"):
        assert part in said


def test_the_same_in_english() -> None:
    chat = a_chat("en", visits=(a_visit(),))
    said = chat.hear("my engine stutters since I filled up with fuel", "complaint")
    assert "sorry" in said
    assert "Baoding Rd" in said
    chat.hear("yes", "affirm")
    said = chat.press("An apology")
    for part in (chat.effect(OpenCase).number, "stutters", "sorry", "Customer care", "by "):
        assert part in said


def test_a_bare_wish_to_complain_takes_three_questions_and_no_more() -> None:
    chat = a_chat(visits=(a_visit(),))
    questions = [chat.hear("我要投诉", "complaint")]
    questions.append(chat.hear("加油枪漏了一地，没人管", ""))
    questions.append(chat.press("是的"))
    chat.press("道歉")
    assert sum("？" in question or "请把经过" in question for question in questions) == 3
    assert chat.effect(OpenCase).subject == "bd@2024-11-15"


def test_a_story_that_names_the_visit_is_not_asked_about() -> None:
    chat = a_chat(visits=(a_visit(), a_visit(site="xh", site_names={"zh": "西湖站"}, at=NOON - timedelta(days=1))))
    said = chat.hear("我在保定路站加油被多收了钱", "complaint")
    assert "保定路站" not in said
    assert "您希望" in said


def test_not_that_one_is_something_else_and_is_not_asked_again() -> None:
    chat = a_chat(visits=(a_visit(),))
    chat.hear("你们的油有问题，车抖得厉害", "complaint")
    said = chat.hear("不是", "deny")
    assert "您希望" in said
    chat.press("其他")
    assert chat.effect(OpenCase).subject == "other"


def test_words_of_the_customers_own_are_the_subject() -> None:
    chat = a_chat(visits=(a_visit(),))
    chat.hear("你们的油有问题，车抖得厉害", "complaint")
    chat.hear("去年在别的站办的卡", "")
    chat.press("其他")
    assert chat.effect(OpenCase).subject == "去年在别的站办的卡"


def test_something_they_own_is_recognised_by_its_number() -> None:
    car = Asset(9, "vehicle", "冀F12345", "家用轿车")
    chat = a_chat(assets=(car, Asset(10, "vehicle", "冀F99999", "面包车")), elsewhere=SITES)
    chat.hear("冀F12345的刹车又响了", "complaint")
    said = chat.press("维修")
    opened = chat.effect(OpenCase)
    assert (opened.asset, opened.category, opened.quality_type, opened.team) == (9, "brakes", "noise", "workshop")
    assert "冀F12345" in said


def test_the_nearest_site_that_can_do_it_goes_on_with_it() -> None:
    place = {"latitude": 38.88, "longitude": 115.47}
    chat = a_chat(attributes=place, elsewhere=SITES)
    chat.hear("我的车刹车响得厉害", "complaint")
    chat.hear("我的车", "")
    said = chat.press("维修")
    opened = chat.effect(OpenCase)
    assert opened.site == "bd"
    assert opened.distance_m is not None
    assert opened.distance_m < 5_000
    assert "保定路站" in said


def test_a_place_shared_on_the_way_decides_which_site_is_near() -> None:
    chat = a_chat(elsewhere=SITES)
    chat.hear("我的车刹车响得厉害", "complaint")
    said = chat.send(Location(39.91, 116.41))
    assert "位置已收到" in said
    chat.hear("我的车", "")
    chat.press("维修")
    assert chat.effect(OpenCase).site == "far"


def test_an_order_is_offered_first_where_it_is_about_delivery() -> None:
    chat = a_chat(visits=(a_visit(at=NOON - timedelta(days=1)),), orders=[an_order("2391")])
    said = chat.hear("快递一直没到", "complaint")
    assert "2391" in said.splitlines()[-1]


def test_promises_run_from_the_moment_it_is_opened() -> None:
    chat = a_chat()
    chat.hear("我要投诉，加油站排队两小时没人管", "complaint")
    chat.hear("加油站", "")
    chat.press("其他")
    clocks = {clock.kind: clock for clock in chat.effect(OpenCase).clocks}
    assert set(clocks) == {"first_response", "update", "solution"}
    assert clocks["first_response"].due_at == NOON + timedelta(hours=4)


@pytest.mark.parametrize(("credit", "severity"), [("C", 3), ("B", 2), ("", 2)])
def test_a_complaint_weighs_as_much_more_as_the_rule_of_the_credit_class_says(credit: str, severity: int) -> None:
    chat = a_chat(credit_class=credit)
    service = chat.assistant.service
    record = replace(service.record, credit={**service.record.credit, "C": CreditRule(severity=1)})
    chat.assistant = replace(chat.assistant, service=replace(service, record=record))
    chat.hear("我要投诉，加油站排队两小时没人管", "complaint")
    chat.hear("加油站", "")
    chat.press("其他")
    assert chat.effect(OpenCase).severity == severity


def test_danger_goes_to_a_person_at_once_and_says_what_to_do() -> None:
    chat = a_chat(visits=(a_visit(),))
    chat.hear("加油的时候油枪着火了", "complaint")
    said = chat.press("是的")
    assert chat.effect(OpenCase).severity == 4
    assert chat.effect(RequestHandoff).urgency == 4
    assert "119" in said


def test_a_customer_of_a_raising_class_weighs_one_more() -> None:
    chat = a_chat(value_class="A")
    chat.hear("加油站的油不好", "complaint")
    chat.hear("加油站", "")
    chat.press("其他")
    assert chat.effect(OpenCase).severity == 2


def test_a_photo_sent_on_the_way_is_evidence() -> None:
    chat = a_chat(visits=(a_visit(),))
    chat.hear("油枪漏油弄脏了我的车", "complaint")
    said = chat.send(Media("image", "photo-1"))
    assert "附在" in said
    chat.press("是的")
    chat.press("其他")
    assert "photo-1" in chat.effect(OpenCase).details["evidence"]


def test_the_same_thing_again_is_added_to_the_open_case_with_an_apology() -> None:
    chat = a_chat(visits=(a_visit(),), cases=[a_case(category="fuel", subject="bd@2024-11-15")])
    chat.hear("保定路站的油还是有问题", "complaint")
    assert chat.effect(UpdateCase).number == "C-1024-7"
    assert "C-1024-7" in chat.said
    assert "抱歉" in chat.said


# --- what customers do with it ------------------------------------------------------------------------------------


def test_how_it_stands_says_the_next_promise_and_offers_what_can_be_done() -> None:
    case = a_case(status="in_progress", next_update_at=NOON + timedelta(hours=3))
    chat = a_chat(cases=[case])
    said = chat.hear("我的投诉怎么样了", "complaint_status")
    assert "处理中" in said
    assert "15:00" in said
    assert [button.label for button in chat.buttons] == ["补充情况", "撤回"]


def test_how_it_stands_quotes_what_the_customer_was_told_last() -> None:
    case = a_case(status="in_progress", next_update_at=NOON + timedelta(hours=3))
    told = (CaseNews(NOON - timedelta(hours=2), "配件已经订好"), CaseNews(FRIDAY, "已联系门店"))
    chat = a_chat(cases=[case], elsewhere={Need("case_events", case.number): told})
    said = chat.hear("我的投诉怎么样了", "complaint_status")
    assert "处理中" in said
    assert "10:00）：配件已经订好" in said
    assert "已联系门店" not in said
    assert [button.label for button in chat.buttons] == ["补充情况", "撤回"]


def test_long_words_to_the_customer_are_quoted_in_part() -> None:
    case = a_case(status="in_progress")
    told = (CaseNews(NOON, "x" * 400),)
    chat = a_chat("en", cases=[case], elsewhere={Need("case_events", case.number): told})
    said = chat.hear("how is my complaint", "complaint_status")
    assert "x" * 299 + "…" in said
    assert "x" * 300 not in said


def test_adding_answers_what_we_had_asked() -> None:
    chat = a_chat(cases=[a_case(status="waiting_customer")])
    chat.hear("补充", "complaint_more")
    chat.hear("车牌是冀F12345，周五下午加的", "")
    effect = chat.effect(UpdateCase)
    assert (effect.status, effect.note) == ("in_progress", "车牌是冀F12345，周五下午加的")


def test_of_several_cases_the_customer_chooses() -> None:
    chat = a_chat(cases=[a_case(), a_case("C-1025-4", subject="x")])
    chat.hear("补充", "complaint_more")
    chat.press("C-1025-4")
    chat.hear("还有一个问题，发票也没给我", "")
    assert chat.effect(UpdateCase).number == "C-1025-4"


def test_a_number_that_is_not_theirs_reveals_nothing() -> None:
    chat = a_chat(cases=[a_case()])
    said = chat.hear("补充 C-4711-2", "complaint_more")
    assert "没有查到" in said
    assert not chat.effects


@pytest.mark.parametrize(("answer", "status"), [("确定撤回", "withdrawn"), ("继续处理", "")])
def test_withdrawing_asks_once(answer: str, status: str) -> None:
    chat = a_chat(cases=[a_case()])
    assert "C-1024-7" in chat.hear("我想撤回投诉", "complaint_withdraw")
    chat.press(answer)
    assert [effect.status for effect in chat.effects] == ([status] if status else [])


def test_a_contested_solution_reopens_and_weighs_more() -> None:
    chat = a_chat(cases=[a_case(status="solved", severity=2)])
    chat.hear("根本没解决", "complaint_disagree")
    said = chat.hear("换了以后还是漏", "")
    effect = chat.effect(UpdateCase)
    assert (effect.status, effect.severity, effect.note) == ("reopened", 3, "换了以后还是漏")
    assert {clock.kind for clock in effect.clocks} == {"first_response", "update", "solution"}
    assert "C-1024-7" in said


def test_nothing_can_be_contested_before_it_is_solved() -> None:
    chat = a_chat(cases=[a_case()])
    chat.hear("我不同意", "complaint_disagree")
    assert chat.templates == ["utter_no_such_case"]


def test_confirming_leads_to_the_question_how_satisfied_they_are() -> None:
    chat = a_chat(cases=[a_case(status="solved", reopened=1)])
    said = chat.hear("已经解决了", "complaint_confirm")
    assert "满意" in said
    chat.customer = a_customer(cases=(a_case(status="confirmed", reopened=1, is_open=False),))
    chat.press("5")
    assert chat.effects == [
        UpdateCase("C-1024-7", status="confirmed"),
        RecordScore("case:C-1024-7:1", 5),
    ]


# --- after it -----------------------------------------------------------------------------------------------------

ASKED = Notice(
    "utter_satisfaction_intro",
    {"number": "C-1024-7"},
    "satisfaction",
    {"survey_reference": "case:C-1024-7:0", "case_number": "C-1024-7"},
)


def test_a_notices_question_waits_while_a_person_is_waited_for() -> None:
    chat = a_chat(cases=[a_case(status="solved")])
    chat.owner = Owner.QUEUE
    chat.send(ASKED)
    assert chat.templates == ["utter_satisfaction_intro"]
    assert not chat.state["stack"]
    chat.owner = Owner.BOT
    assert "满意" in chat.hear("你好", "greet")


def test_the_lowest_score_reopens_the_case() -> None:
    chat = a_chat(cases=[a_case(status="solved")])
    chat.send(ASKED)
    chat.hear("1", "")
    said = chat.hear("没人联系过我", "")
    assert RecordScore("case:C-1024-7:0", 1, "没人联系过我") in chat.effects
    assert chat.effect(UpdateCase).status == "reopened"
    assert "C-1024-7" in said


def test_a_low_score_makes_a_follow_up_with_a_clock() -> None:
    chat = a_chat(cases=[a_case(status="solved", owner="li")])
    chat.send(ASKED)
    chat.press("3")
    chat.press("不用了")
    task = chat.effect(CreateTask)
    assert (task.kind, task.assignee, task.rule, task.case_number) == ("followup", "li", "low_score", "C-1024-7")
    assert [clock.kind for clock in task.clocks] == ["followup"]


def test_flows_that_a_notice_begins_come_with_those_that_need_them() -> None:
    assert {"complaint_answer", "complaint_solved"} <= set(service_assistant().flows)


def test_a_question_put_unasked_may_be_answered_hours_later() -> None:
    chat = a_chat(cases=[a_case(status="waiting_customer")])
    asked = {"number": "C-1024-7", "note": "哪一扇门？"}
    chat.send(Notice("utter_notice_waiting_customer", asked, "complaint_answer", {"case_number": "C-1024-7"}))
    chat.wait(hours=20)
    said = chat.hear("左边后面那扇", "")
    assert chat.effect(UpdateCase).status == "in_progress"
    assert "C-1024-7" in said


@pytest.mark.parametrize(
    ("answer", "intent", "template"),
    [
        ("是", "affirm", "utter_confirmed"),
        ("修好了，谢谢", "thanks", "utter_confirmed"),
        ("不是", "deny", ""),
        ("还是不行", "", ""),
    ],
)
def test_whether_it_is_solved_leads_to_confirming_or_to_what_is_still_wrong(
    answer: str, intent: str, template: str
) -> None:
    chat = a_chat(cases=[a_case(status="solved")])
    told = {"number": "C-1024-7", "note": "已更换", "next_at": "@time:2024-11-27T04:00:00+00:00"}
    said = chat.send(Notice("utter_notice_solved", told, "complaint_solved", {"case_number": "C-1024-7"}))
    assert "问题解决了吗" in said
    chat.wait(hours=3)
    said = chat.hear(answer, intent)
    assert (template in chat.templates) if template else ("哪里还不对" in said)


def test_a_good_score_confirms_what_was_only_solved() -> None:
    chat = a_chat(cases=[a_case(status="solved")])
    chat.send(ASKED)
    chat.hear("非常满意", "")
    assert chat.effect(UpdateCase).status == "confirmed"
    assert chat.effect(RecordScore).score == 5


def test_a_typed_score_means_its_number_not_the_place_of_a_button() -> None:
    chat = a_chat(surveys=(OpenSurvey("nps:1", "nps"),))
    chat.send(Notice("utter_survey_intro", {}, "survey_nps", {"survey_reference": "nps:1"}))
    chat.hear("9", "")
    chat.hear("服务很快", "")
    assert chat.effects == [RecordScore("nps:1", 9, "服务很快")]


def test_a_suggestion_is_a_case_with_an_answer_promised() -> None:
    chat = a_chat()
    said = chat.hear("建议加油站增加自助打印发票的机器", "suggestion")
    opened = chat.effect(OpenCase)
    assert (opened.kind, [clock.kind for clock in opened.clocks]) == ("suggestion", ["solution"])
    assert opened.number in said


# --- what a good front desk would do ------------------------------------------------------------------------------


def test_a_place_and_a_day_named_in_the_story_mean_the_visit_there() -> None:
    visits = (a_visit(), a_visit(at=FRIDAY - timedelta(days=9)))
    chat = a_chat(visits=visits)
    chat.hear("上周五在保定路站加油，车就不行了", "complaint", entities={"store": "保定路站"})
    chat.press("退款")
    assert chat.effect(OpenCase).subject == "bd@2024-11-15"


def test_in_danger_nobody_is_asked_what_they_would_like() -> None:
    chat = a_chat(visits=(a_visit(),))
    said = chat.hear("上周五在保定路站加油，油枪漏油起火了，有人受伤", "complaint")
    assert "怎么做" not in said
    assert chat.effect(OpenCase).severity == 4
    assert "119" in said


def test_a_promise_that_was_not_kept_is_admitted() -> None:
    late = a_case(status="received", next_update_at=NOON - timedelta(hours=3))
    said = a_chat(cases=[late]).hear("我的投诉怎么样了", "complaint_status")
    assert "没有做到" in said
    assert late.number in said
    soon = a_case(status="received", next_update_at=NOON + timedelta(hours=3))
    assert "没有做到" not in a_chat(cases=[soon]).hear("我的投诉怎么样了", "complaint_status")


CONTESTED = {
    "zh": ("三天前修的，我不同意", "三天前"),
    "en": ("fixed three days ago, I do not accept it", "three days ago"),
}


def contesting(language: Language) -> Chat:
    """A solution contested with a day in the first words; the reason is asked."""
    words, day = CONTESTED[language]
    chat = a_chat(language, cases=[a_case("C-1024-7", status="solved")])
    chat.hear(words, "complaint_disagree", entities={"date": day})
    assert chat.templates[-1] == "utter_ask_disagree_reason"
    return chat


@pytest.mark.parametrize(
    ("language", "words", "day"),
    [
        ("zh", "昨天又响了", "昨天"),
        ("zh", "不对，昨天修完还是响", "昨天"),
        ("zh", "问题不是昨天才有的", "昨天"),
        ("en", "it broke again yesterday", "yesterday"),
        ("en", "no, it squeaks since yesterday", "yesterday"),
        ("en", "it was not repaired yesterday", "yesterday"),
    ],
)
def test_a_sentence_with_a_day_in_it_is_the_reason_asked_for(language: Language, words: str, day: str) -> None:
    chat = contesting(language)
    chat.hear(words, "inform", entities={"date": day})
    assert "utter_corrected" not in chat.templates
    assert words in str(chat.effect(UpdateCase))


@pytest.mark.parametrize(
    ("language", "words", "day"),
    [
        ("zh", "不对，是昨天", "昨天"),
        ("zh", "说错了，昨天", "昨天"),
        ("en", "no, it was yesterday", "yesterday"),
        ("en", "no, the date is yesterday", "yesterday"),
    ],
)
def test_a_correction_said_as_one_is_taken_and_the_reason_asked_again(language: Language, words: str, day: str) -> None:
    chat = contesting(language)
    chat.hear(words, "inform", entities={"date": day})
    assert chat.templates == ["utter_corrected", "utter_ask_disagree_reason"]
    assert not [effect for effect in chat.effects if isinstance(effect, UpdateCase)]


# --- cases of another assistant of the desk -----------------------------------------------------------------------

STRICT = read_policy(
    {
        "promises": {"first_response": 0.25, "solution": 2, "calendar": "always"},
        "cases": {
            "categories": {"noise": {"words": {"zh": "吵"}}},
            "satisfaction": {"reopen_to": 3, "follow_up_to": 4},
        },
    }
)


def a_chat_of_two(**case: Any) -> Chat:
    """Somebody whose records were merged, in the chat of another assistant than their case came from."""
    chat = a_chat(cases=[a_case(account=("web", "hotel"), **case)])
    chat.assistant = replace(chat.assistant, desk=desk_policy(chat.assistant.service, {("web", "hotel"): STRICT}))
    return chat


def budgets(effect: UpdateCase) -> dict[str, int]:
    return {clock.kind: clock.budget_s for clock in effect.clocks}


def test_a_case_of_another_assistant_is_reopened_by_the_rules_of_that_one() -> None:
    chat = a_chat_of_two(status="solved")
    chat.hear("根本没解决", "complaint_disagree")
    chat.hear("换了以后还是漏", "")
    reopened = chat.effect(UpdateCase)
    assert (reopened.status, budgets(reopened)["solution"]) == ("reopened", 2 * 3600)
    assert {clock.calendar for clock in reopened.clocks} == {"always"}


def test_a_score_has_the_consequences_of_the_assistant_the_case_came_from() -> None:
    chat = a_chat_of_two(status="solved")
    chat.send(ASKED)
    chat.press("3")
    chat.press("不用了")
    assert chat.effect(UpdateCase).status == "reopened"


def test_a_story_is_added_to_the_open_case_of_another_assistant_by_the_categories_of_that_one() -> None:
    chat = a_chat_of_two(category="noise", subject="other")
    chat.hear("隔壁太吵了，一直很吵，根本睡不着", "complaint")
    chat.take_choice("slot:subject=other")
    added = chat.effect(UpdateCase)
    assert added.number == "C-1024-7"
    assert budgets(added)["solution"] == 2 * 3600
