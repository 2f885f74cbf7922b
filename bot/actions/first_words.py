"""What the words that began a flow already name: a service, a site, a skill, a time. None of it is asked again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bot.actions.base import ActionContext
from bot.service.day_words import day_ahead, part_of_day, time_of_day
from bot.service_types import Site
from bot.values import plain

MAX_WORDS = 200
_FAR_DAYS = 60  # a day further away was hardly meant as one to come
_GREETING = re.compile(r"[早晚]上好|[上中下]午好|\bgood (?:morning|afternoon|evening)\b", re.IGNORECASE)
_A_BIT = re.compile(r"[^上下中]?一点")  # 早一点: a bit earlier, no hour
_MOVED_TO = re.compile(
    r"(?:改|换|挪|移|调|延|推迟|推|提前|延后|顺延)(?:到|成|至|为|(?=(?:今|明|后|周|星期|礼拜)(?!.{0,8}的)))"
    r"|\b(?:move|change|reschedule|rebook|shift|postpone|push|put|bring|delay|switch|swap)\b[^.;!?]*?\b(?:to|until|till)\b",
    re.IGNORECASE,
)
_SITE_SUFFIXES = ("服务站", "加油站", "营业厅", "站", "店")


def first_words(context: ActionContext) -> str:
    """The whole message, also where only a part of it began the flow."""
    whole = context.message_words
    return (whole if context.words in whole else context.words)[:MAX_WORDS]


def service_in(context: ActionContext, words: str) -> str | None:
    """The bookable service whose title these words hold."""
    services = context.assistant.service.appointments.services
    return named_in({name: item.titles.values() for name, item in services.items()}, words)


def site_in(sites: Iterable[Site], words: str) -> Site | None:
    """The site whose name these words hold, with or without what kind of place it is ("北谷" for "北谷站")."""
    known = {site.key: site for site in sites}
    key = named_in({key: _short_and_full(site.names) for key, site in known.items()}, words)
    return known[key] if key else None


def skills_in(context: ActionContext, words: str) -> str | None:
    """What a site has to have or do, with commas: named by `site_skill_words`, else what a named service takes."""
    named = context.assistant.words.get("site_skill_words", {})
    if skill := named_in({skill: "|".join(said.values()).split("|") for skill, said in named.items()}, words):
        return skill
    service = service_in(context, words)
    skills = context.assistant.service.appointments.services[service].skills if service else ()
    return ",".join(sorted(skills)) or None


def time_in(context: ActionContext, words: str) -> str | None:
    """These words, where they name a day to come or an hour; None where they name none."""
    said = _GREETING.sub(" ", words)
    day = day_ahead(said, context.today)
    if day is not None and (day - context.today).days > _FAR_DAYS:
        return None
    names_hour = part_of_day(said) is not None or time_of_day(_A_BIT.sub(" ", said)) is not None
    return said if day is not None or names_hour else None


def new_time_in(context: ActionContext, words: str) -> tuple[str | None, str]:
    """The words after "moved to" that name a time, and those before; None and all of them where none are."""
    for match in reversed(list(_MOVED_TO.finditer(words))):
        if after := time_in(context, words[match.end() :]):
            return after, words[: match.end()]
    return None, words


def named_in(names: Mapping[str, Iterable[str]], words: str) -> str | None:
    """The key of the only one named; of a name within a longer one ("洗车" in "精洗车") the longer counts."""
    said = plain(words)
    found = {(key, name) for key, all_names in names.items() for name in map(plain, all_names) if _holds(said, name)}
    longest = {key for key, name in found if not any(name in other and name != other for _, other in found)}
    return longest.pop() if len(longest) == 1 else None


def _holds(said: str, name: str) -> bool:
    if name.isascii():
        return bool(name) and re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", said) is not None
    return name in said


def _short_and_full(names: Mapping[str, str]) -> Iterable[str]:
    for name in names.values():
        yield name
        for suffix in _SITE_SUFFIXES:
            short = name.removesuffix(suffix)
            if short != name and len(short) > 1:
                yield short
