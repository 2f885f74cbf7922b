"""Which team a case goes to, and which site is the nearest able one; both say why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.service.calendars import Calendar, Calendars
from bot.service.places import Position, position
from bot.service.policy import read_policy
from bot.service.routing import Matter, RoutingRules
from bot.service.sites import RankedSite, SiteWish, known_sites, origin_of, rank_sites, why_not
from bot.service_types import Asset, Site, Visit
from tests.builders import a_customer

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday, 12:00 in Shanghai
HERE = Position(38.874, 115.464)
OFFICE = Calendar("office", week=dict.fromkeys(range(5), ((time(9), time(18)),)))
CLOSED = Calendar("closed", week={0: ((time(20), time(22)),)})
CALENDARS = Calendars({"default": OFFICE, "closed": CLOSED, "never": Calendar("never", week={})})
RULES = RoutingRules()


def a_site(key: str = "s1", km_north: float = 1.0, **fields: object) -> Site:
    values = {"latitude": HERE.latitude + km_north / 111.195, "longitude": HERE.longitude, **fields}
    return Site(id=1, key=key, names={"zh": f"{key}站"}, **values)  # type: ignore[arg-type]


def ranked(*sites: Site, rules: RoutingRules = RULES, now: datetime = NOON, **wish: object) -> list[RankedSite]:
    return list(rank_sites(sites, SiteWish(**{"origin": HERE, **wish}), rules, CALENDARS, now))  # type: ignore[arg-type]


def keys(found: list[RankedSite]) -> list[str]:
    return [item.site.key for item in found]


# --- sites --------------------------------------------------------------------------------------------------------


def test_the_nearest_site_comes_first_with_the_way_to_it() -> None:
    found = ranked(a_site("far", 12), a_site("near", 2))
    assert keys(found) == ["near", "far"]
    assert found[0].site.distance_m == pytest.approx(2000, abs=5)


def test_a_site_without_the_skill_or_room_or_too_far_away_is_not_offered() -> None:
    sites = [
        a_site("unable", 1, skills=frozenset({"tyres"})),
        a_site("full", 2, skills=frozenset({"brakes", "tyres"}), capacity=3, open_tasks=3),
        a_site("abroad", 500, skills=frozenset({"brakes"})),
        a_site("able", 30, skills=frozenset({"brakes"}), capacity=3, open_tasks=2),
    ]
    wish = SiteWish(origin=HERE, skills=frozenset({"brakes"}))
    assert keys(ranked(*sites, skills=frozenset({"brakes"}))) == ["able"]
    assert [why_not(site, wish, RULES.farthest_m) for site in sites] == ["skills", "full", "far", ""]


def test_an_open_site_a_little_further_goes_before_a_closed_one() -> None:
    found = ranked(a_site("shut", 1, calendar="closed"), a_site("open", 5))
    assert keys(found) == ["open", "shut"]
    assert found[1].opens_at == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert [reason.kind for reason in found[1].reasons] == ["distance", "closed"]


def test_opening_hours_are_those_of_the_sites_own_zone() -> None:
    found = ranked(a_site("tokyo", 1, timezone="Asia/Tokyo"), now=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    assert found[0].opens_at == datetime(2026, 3, 3, 0, 0, tzinfo=UTC)  # 18:30 there: shut until 9:00 tomorrow


def test_a_site_that_is_never_open_is_last_but_not_lost() -> None:
    assert keys(ranked(a_site("never", 1, calendar="never"), a_site("open", 20))) == ["open", "never"]


def test_where_somebody_speaks_the_language_goes_before_a_nearer_one_where_nobody_does() -> None:
    sites = a_site("zh only", 1, languages=frozenset({"zh"})), a_site("both", 10, languages=frozenset({"zh", "en"}))
    assert keys(ranked(*sites, language="en")) == ["both", "zh only"]
    assert keys(ranked(*sites, language="zh")) == ["zh only", "both"]


def test_a_customer_whose_place_is_unknown_gets_the_site_they_know_and_those_near_it() -> None:
    sites = a_site("b", 100), a_site("a", 1), a_site("c", 99)
    found = ranked(*sites, origin=None, known=("c", "a"))
    assert keys(found) == ["c", "b", "a"]
    assert found[0].site.distance_m is None  # the way from where the customer is remains unknown


def test_the_known_site_still_says_where_the_customer_is_when_it_declined() -> None:
    sites = a_site("far", 80), a_site("beside", 2), a_site("declined", 1)
    assert keys(ranked(*sites, origin=None, known=("declined",), excluding=frozenset({"declined"}))) == [
        "beside",
        "far",
    ]


def test_a_site_nobody_gave_a_place_to_comes_after_those_that_have_one() -> None:
    assert keys(ranked(a_site("nowhere", latitude=None, longitude=None), a_site("far", 200))) == ["far", "nowhere"]


def test_a_site_with_impossible_coordinates_is_treated_as_having_none() -> None:
    found = ranked(a_site("wrong", latitude=138.0, longitude=500.0), a_site("right", 50))
    assert keys(found) == ["right", "wrong"]
    assert found[1].site.distance_m is None


SITES = st.lists(
    st.builds(
        a_site,
        key=st.sampled_from("abcdefgh"),
        km_north=st.floats(-200, 200),
        capacity=st.integers(0, 3),
        open_tasks=st.integers(0, 4),
        calendar=st.sampled_from(["", "closed", "never"]),
        skills=st.sampled_from([frozenset(), frozenset({"brakes"}), frozenset({"brakes", "tyres"})]),
        languages=st.sampled_from([frozenset(), frozenset({"zh"}), frozenset({"en"})]),
    ),
    max_size=8,
    unique_by=lambda site: site.key,
)
WISHES = st.builds(
    SiteWish,
    origin=st.sampled_from([None, HERE]),
    skills=st.sampled_from([frozenset(), frozenset({"brakes"})]),
    language=st.sampled_from(["", "zh", "en"]),
    known=st.sampled_from([(), ("a",), ("b", "c")]),
    excluding=st.sampled_from([frozenset(), frozenset({"a"})]),
)


@given(SITES, WISHES, st.randoms(use_true_random=False))
def test_the_order_is_one_whatever_the_order_of_asking_and_its_reasons_add_up(sites, wish, random) -> None:  # type: ignore[no-untyped-def]
    found = rank_sites(sites, wish, RULES, CALENDARS, NOON)
    shuffled = list(sites)
    random.shuffle(shuffled)
    assert rank_sites(shuffled, wish, RULES, CALENDARS, NOON) == found
    assert {item.site.key for item in found} == {
        site.key for site in sites if not why_not(site, wish, RULES.farthest_m)
    }
    scores = [item.score for item in found]
    assert scores == sorted(scores)
    assert all(item.score == sum(reason.metres for reason in item.reasons) for item in found)


@given(SITES, WISHES, st.floats(0.1, 50))
def test_coming_nearer_never_puts_a_site_further_down(sites, wish, km) -> None:  # type: ignore[no-untyped-def]
    wish = replace(wish, origin=HERE)
    before = rank_sites(sites, wish, RULES, CALENDARS, NOON)
    for place, item in enumerate(before):
        old = item.site
        moved = replace(old, distance_m=None, latitude=HERE.latitude + (old.latitude - HERE.latitude) / (1 + km))
        others = [site for site in sites if site.key != old.key]
        after = [found.site.key for found in rank_sites([*others, moved], wish, RULES, CALENDARS, NOON)]
        assert after.index(old.key) <= place


# --- where the customer is ----------------------------------------------------------------------------------------


def test_a_place_told_now_goes_before_the_record_and_the_record_before_what_they_own() -> None:
    meter = Asset(1, "meter", "M-1", attributes={"latitude": 30.0, "longitude": 120.0})
    home = {"latitude": "31.0", "longitude": "121.0"}
    everything = a_customer(attributes=home, assets=(meter,))
    assert origin_of(everything, "家 (38.874000, 115.464000)") == HERE
    assert origin_of(everything, "near the lake") == position(31, 121)
    assert origin_of(a_customer(assets=(meter,))) == position(30, 120)
    assert origin_of(a_customer(attributes={"latitude": 0, "longitude": 0})) is None


def test_the_site_of_purchase_goes_before_visits_and_each_is_named_once() -> None:
    visits = tuple(Visit(NOON - timedelta(days=day), site=key) for day, key in enumerate(("b", "a", "b", "")))
    assert known_sites(a_customer(visits=visits), "c") == ("c", "b", "a")


# --- teams --------------------------------------------------------------------------------------------------------

SECTION = {
    "teams": {
        "safety": {"lead": "wang-fang"},
        "english": {"languages": ["en"], "title": {"zh": "英语组", "en": "English desk"}},
        "workshop": {"members": ["li-qiang"], "languages": ["zh"], "skills": ["tyres"]},
        "care": {},
    },
    "manager": "chen-jie",
    "rules": [
        {"severity_from": 4, "team": "safety"},
        {"category": ["brakes", "tyres"], "team": "workshop", "site": True},
        {"category": "tyres", "quality_type": "noise", "credit_class": ["C", "D"], "team": "safety"},
        {"language": "en", "value_class": "A", "team": "english"},
        {"team": "care"},
    ],
    "skills": {"brakes": ["brakes"], "brakes/noise": "diagnosis"},
    "sites": {"farthest_km": 50, "link_hours": 24, "remind_hours": [12, 1], "reopened_to_site": False},
    "weights": {"known_m": -1, "closed_per_h_m": 10},
}


def routing(section: dict[str, object] = SECTION) -> RoutingRules:
    return read_policy({"routing": section}).routing


@pytest.mark.parametrize(
    ("matter", "team", "at_site"),
    [
        (Matter("brakes", "noise", "zh"), "workshop", True),
        (Matter("brakes", "noise", "zh", severity=4), "safety", False),
        (Matter("brakes", "noise", "en"), "care", False),  # the workshop has nobody who speaks it
        (Matter("brakes", "noise", "en", value_class="A"), "english", False),
        (Matter("staff", "", "zh", value_class="A"), "care", False),
    ],
)
def test_a_case_goes_by_the_first_rule_whose_team_can_take_it(matter: Matter, team: str, at_site: bool) -> None:
    route = routing().route(matter)
    assert (route.team, route.at_site) == (team, at_site)
    assert route.reasons


def test_what_it_takes_is_that_of_the_category_and_of_the_quality_type() -> None:
    rules = routing()
    assert rules.route(Matter("brakes", "noise")).skills == {"brakes", "diagnosis"}
    assert rules.skills_for("brakes") == {"brakes"}
    assert rules.skills_for("staff", "noise") == frozenset()


def test_why_a_team_was_passed_over_is_said() -> None:
    assert routing().route(Matter("brakes", "noise", "en")).reasons == ("team workshop lacks en",)


def test_a_case_no_team_can_take_still_has_somebody_to_look_at_it() -> None:
    rules = routing({"teams": {"en": {"languages": ["en"]}}, "rules": [{"team": "en"}]})
    route = rules.route(Matter("staff", "", "zh"))
    assert route.team == "en"
    assert route.reasons == ("no team has all it takes: zh missing",)


def test_the_ladder_leads_to_the_teams_lead_and_then_to_who_answers_for_all() -> None:
    rules = routing()
    assert [rules.head(to, team) for to, team in (("lead", "safety"), ("lead", "care"), ("lead", "none"))] == [
        "wang-fang",
        "",
        "",
    ]
    assert rules.head("manager", "care") == "chen-jie"


def test_without_rules_a_case_is_everybodys() -> None:
    assert RoutingRules().route(Matter("brakes")).team == ""


def test_numbers_of_the_section_are_read_in_the_units_they_are_named_in() -> None:
    rules = routing()
    assert (rules.farthest_m, rules.offered, rules.link_hours) == (50_000, 3, 24.0)
    assert (rules.remind_hours, RoutingRules().remind_hours) == ((12.0, 1.0), (24.0, 2.0))
    assert (rules.reopened_to_site, RoutingRules().reopened_to_site) == (False, True)
    assert (rules.weights.known_m, rules.weights.closed_per_h_m, rules.weights.language_m) == (-1, 10, 20_000)
    assert rules.teams["english"].titles == {"zh": "英语组", "en": "English desk"}


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"rules": [{"team": "nobody"}]}, "there is no team 'nobody'"),
        ({"teams": {"a": {}}, "rules": [{"team": "a", "severity_from": 5}]}, "severity_from"),
        ({"teams": {"a": {}}, "rules": [{"team": "a", "site": "yes"}]}, "site must be true or false"),
        ({"teams": {"a": {}}, "rules": [{"team": "a", "colour": "red"}]}, "unknown key 'colour'"),
        ({"sites": {"farthest_km": -1}}, "farthest_km must be a number above 0"),
        ({"sites": {"remind_hours": [0]}}, "remind_hours must be a list of hours above 0"),
        ({"sites": {"reopened_to_site": "no"}}, "reopened_to_site must be true or false"),
        ({"weights": {"load_m": "much"}}, "load_m must be a number"),
        ({"map_link": "http://maps.example/{latitude},{longitude}"}, "map_link must begin with https://"),
        ({"map_link": "https://maps.example/"}, "map_link must begin with https://"),
        ({"teams": {"a": {"languages": [1]}}}, "an entry of languages"),
        ({"places": {}}, "unknown key 'places'"),
    ],
)
def test_a_wrong_section_is_refused_with_the_reason(section: dict[str, object], reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason.replace("(", "\\(")):
        routing(section)
