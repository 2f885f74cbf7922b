"""Finds values in the words: known phrases, patterns of the assistant, and built-in recognisers.

In: a text, the `Lexicon` of the trained model, and the customer's local time for relative dates. Out: `Entity`
values in text order, none overlapping another: the longest wins, then the more specific kind. Nothing here
raises for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.errors import AssistantInvalid
from bot.types import Entity, Language
from nlu.embedded.dates import ZH_DIGITS, find_dates, zh_number
from nlu.language import fold
from nlu.training_data import TrainingData

# Entities beyond this are not looked for: a message that long is a pasted document.
MAX_CHARS = 4000
PHONE_REGIONS = ("CN", "GB", "US", "HK", "TW", "SG", "AU", "CA")
_LOOKUP, _REGEX, _RECOGNISER = "lookup", "regex", "recogniser"

# Among spans of equal length the first of these wins; whatever is not named comes in between.
_RANK = {"case_number": 0, "email": 1, "phone": 2, "amount": 3, "date": 4, "order_number": 9}
_RECOGNISED = frozenset(_RANK)
# Rasa assistants guess the language from frequent words with an entity of this name; Understanding.language says it.
_IGNORED = frozenset({"language"})


# --- what a model brings along -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Known phrases and patterns. `phrases`: folded phrase -> (entity, value); `synonyms`: folded text -> value.

    `lengths`: first two characters (or the only one) -> lengths of the phrases that begin so, longest first. `starts`
    finds the places where a phrase may begin.
    """

    phrases: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)
    patterns: tuple[tuple[str, re.Pattern[str]], ...] = ()
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    starts: re.Pattern[str] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "phrases": {phrase: list(map(list, known)) for phrase, known in sorted(self.phrases.items())},
            "synonyms": dict(sorted(self.synonyms.items())),
            "patterns": [[entity, pattern.pattern] for entity, pattern in self.patterns],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Lexicon:
        """Raises: KeyError, TypeError or ValueError for anything `to_json` did not write."""
        phrases = {p: tuple((str(e), str(v)) for e, v in known) for p, known in stored["phrases"].items()}
        return cls.of(phrases, dict(stored["synonyms"]), [(str(e), str(p)) for e, p in stored["patterns"]])

    @classmethod
    def of(
        cls,
        phrases: Mapping[str, tuple[tuple[str, str], ...]],
        synonyms: Mapping[str, str],
        patterns: Iterable[tuple[str, str]],
    ) -> Lexicon:
        """Raises: AssistantInvalid for a pattern that is not a regular expression."""
        compiled = []
        for entity, pattern in patterns:
            try:
                compiled.append((entity, re.compile(pattern, re.IGNORECASE)))
            except re.error as exc:
                raise AssistantInvalid(f"regex of entity `{entity}` cannot be read: {exc}") from exc
        lengths: dict[str, set[int]] = {}
        for phrase in phrases:
            lengths.setdefault(phrase[:2], set()).add(len(phrase))
        by_first = {first: tuple(sorted(sizes, reverse=True)) for first, sizes in lengths.items()}
        return cls(phrases, synonyms, tuple(compiled), by_first, _starts(by_first))


def _starts(prefixes: Iterable[str]) -> re.Pattern[str] | None:
    """Finds where one of the prefixes stands, within a word only those that are not Latin; None for no prefixes."""
    following: dict[str, set[str]] = {}
    for prefix in prefixes:
        following.setdefault(prefix[0], set()).add(prefix[1:])
    ways: dict[bool, list[str]] = {True: [], False: []}
    for first, seconds in sorted(following.items()):
        after = "" if "" in seconds else f"[{''.join(map(re.escape, sorted(seconds)))}]"
        ways[first.isascii() and first.isalnum()].append(re.escape(first) + after)
    latin, other = ("|".join(ways[is_latin]) for is_latin in (True, False))
    places = [rf"(?<![a-z0-9])(?:{latin})"] * bool(latin) + [other] * bool(other)
    return re.compile(f"(?={'|'.join(places)})") if places else None


def build_lexicon(data: TrainingData) -> Lexicon:
    """Phrases from lookups and annotations, values from synonyms, patterns from regexes.

    Annotated numbers, dates and the like teach nothing as phrases: they are left to the recognisers.
    """
    synonyms = {fold(text).strip(): value for text, value in data.synonyms.items()}
    known: dict[str, dict[str, str]] = {}

    def learn(entity: str, phrase: str, value: str) -> None:
        folded = fold(phrase).strip()
        if folded and entity not in _IGNORED:
            known.setdefault(folded, {}).setdefault(entity, synonyms.get(folded, value))

    for lookup in data.lookups:
        for phrase in lookup.phrases:
            learn(lookup.entity, phrase, phrase)
    looked_up = {lookup.entity for lookup in data.lookups}
    for example in data.examples:
        for marked in example.entities:
            phrase = example.text[marked.start : marked.end]
            if marked.name in _RECOGNISED - looked_up or any(char.isdigit() for char in phrase):
                continue
            learn(marked.name, phrase, marked.value)
    # A synonym's own value, and its other spellings, are phrases of whichever entity has one of them.
    by_value: dict[str, set[str]] = {}
    for entities in known.values():
        for entity, value in entities.items():
            by_value.setdefault(value, set()).add(entity)
    for text, value in data.synonyms.items():
        for entity in sorted(by_value.get(value, ())):
            learn(entity, text, value)
            learn(entity, value, value)
    phrases = {phrase: tuple(sorted(entities.items())) for phrase, entities in sorted(known.items())}
    return Lexicon.of(phrases, synonyms, [(r.entity, r.pattern) for r in data.regexes if r.entity not in _IGNORED])


# --- finding -------------------------------------------------------------------------------------------------------


def find_entities(text: str, lexicon: Lexicon, *, now: datetime, language: Language) -> tuple[Entity, ...]:
    """The entities of `text` in text order, without overlaps, from its first 4,000 characters.

    `now` is the customer's local time: relative dates count from its date.
    """
    text = text[:MAX_CHARS]
    folded = fold(text)
    found = list(_lookup(text, folded, lexicon))
    found += _match_patterns(text, lexicon)
    if _WORTH_RECOGNISING.search(folded):
        recognised = list(recognise(text, folded, now=now, language=language))
        # Where both find the same kind of thing, the recogniser's value is the normalised one.
        spans = {(entity.name, entity.start, entity.end) for entity in recognised}
        found = [entity for entity in found if (entity.name, entity.start, entity.end) not in spans] + recognised
    return _without_overlaps(found)


_WORTH_RECOGNISING = re.compile(
    r"[\d@天日周期月年前后元块钱]|礼拜|day|week|month|last|next|this|ago"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|yuan|dollar|bucks|kuai"
)


def recognise(text: str, folded: str, *, now: datetime, language: Language) -> Iterator[Entity]:
    """What the built-in recognisers find, overlaps included. `folded` is `fold(text)`."""
    has_digit = any(char.isdigit() for char in folded)
    if has_digit:
        yield from _case_numbers(text, folded)
        yield from _phones(text, folded)
        yield from _order_numbers(text, folded)
    if "@" in folded:
        yield from _emails(text, folded)
    yield from _amounts(text, folded)
    for start, end, day in find_dates(folded, now.date(), language):
        yield _entity("date", day.isoformat(), text, (start, end))


def _without_overlaps(found: list[Entity]) -> tuple[Entity, ...]:
    if len(found) < 2:
        return tuple(found)
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda e: (e.start - e.end, _RANK.get(e.name, 5), e.extractor != _REGEX, e.start)):
        # One phrase may name two kinds of thing ("Riverside" a store and a town): same span, both stay.
        if all(
            entity.end <= other.start
            or entity.start >= other.end
            or (
                entity.extractor == other.extractor == _LOOKUP
                and (entity.start, entity.end) == (other.start, other.end)
                and entity.name != other.name
            )
            for other in kept
        ):
            kept.append(entity)
    return tuple(sorted(kept, key=lambda e: (e.start, e.end, e.name)))


def _entity(name: str, value: str, text: str, span: tuple[int, int], extractor: str = _RECOGNISER) -> Entity:
    start, end = span
    return Entity(name, value, text[start:end], start, end, 1.0, extractor)


def _lookup(text: str, folded: str, lexicon: Lexicon) -> Iterator[Entity]:
    """Known phrases, longest first, not inside each other; Latin ones only as whole words."""
    if lexicon.starts is None:
        return
    lengths, phrases, free = lexicon.lengths, lexicon.phrases, 0
    for start in lexicon.starts.finditer(folded):
        position = start.start()
        if position < free:
            continue
        for length in (*lengths.get(folded[position : position + 2], ()), *lengths.get(folded[position], ())):
            end = position + length
            phrase = folded[position:end]
            if phrase not in phrases or end > len(folded):
                continue
            # "kettles" is a kettle: a plural of a known Latin phrase
            if not _is_whole(folded, position, end):
                end += 1
                if folded[end - 1 : end] != "s" or not _is_whole(folded, position, end):
                    continue
            for entity, value in phrases[phrase]:
                yield _entity(entity, value, text, (position, end), _LOOKUP)
            free = end
            break


def _is_whole(folded: str, start: int, end: int) -> bool:
    """No Latin letter or digit goes on beyond either end of a phrase that begins or ends with one."""
    before = folded[start - 1] if start else " "
    after = folded[end] if end < len(folded) else " "
    return not (_is_latin(before) and _is_latin(folded[start])) and not (
        _is_latin(after) and _is_latin(folded[end - 1])
    )


def _is_latin(char: str) -> bool:
    return char.isalnum() and not "\u3040" <= char <= "\u9fff"


def _match_patterns(text: str, lexicon: Lexicon) -> Iterator[Entity]:
    for entity, pattern in lexicon.patterns:
        for match in pattern.finditer(text):
            start, end = match.span()
            if start < end:
                value = lexicon.synonyms.get(fold(match.group()), match.group())
                if entity == "order_number" and (normal := _ORDER.fullmatch(fold(value))):
                    value = _order_value(normal)
                yield _entity(entity, value, text, (start, end), _REGEX)


# --- numbers of ours -----------------------------------------------------------------------------------------------

_DASH = r"[-\u2010-\u2015\u2212_]"
_CASE = re.compile(rf"(?<![a-z0-9])c(?:\s?{_DASH}\s?|(?=\d{{4}}))(\d{{3,8}})(?:\s?{_DASH}\s?(\d))?(?![a-z0-9])")
# Not a piece of a longer number, a decimal, a date, a time or an e-mail address.
_ORDER = re.compile(
    rf"(?<![a-z0-9.,/@_-])(?<!\d:)(?P<so>so\s?{_DASH}?\s?)?(?P<digits>\d{{4,8}})(?![a-z0-9_@]|[.,:/-]\d|\s?%)"
)
_NOT_AN_ORDER_AFTER = re.compile(
    r"\s?(?:元|块|圆|年|月|日|号楼|点|分|个|件|克|斤|公斤|千克|毫升|升|瓦|度|米|厘米|天|小时|分钟|秒|积分|万|千|百|"
    r"(?:yuan|rmb|cny|usd|dollars?|euros?|points?|pts|pcs|pieces|items|times|days|hours|min|minutes|"
    r"km|cm|mm|m|kg|g|ml|l|w|watts?|people|stores?)(?![a-z]))"
)
_NOT_AN_ORDER_BEFORE = re.compile(r"(?:[¥$€£]|(?:since|in|year|of|until|by|rmb|cny|usd|pin|code|验证码|邮编)[\s:]*)$")
_YEARS = range(1990, 2100)


def _case_numbers(text: str, folded: str) -> Iterator[Entity]:
    for match in _CASE.finditer(folded):
        value = f"C-{match[1]}" + (f"-{match[2]}" if match[2] else "")
        yield _entity("case_number", value, text, match.span())


def _order_numbers(text: str, folded: str) -> Iterator[Entity]:
    for match in _ORDER.finditer(folded):
        if not match["so"]:
            before = _NOT_AN_ORDER_BEFORE.search(folded, max(0, match.start() - 12), match.start())
            is_year = len(match["digits"]) == 4 and int(match["digits"]) in _YEARS
            if before and (is_year or before.group().strip(" :") not in ("in", "of", "by", "since", "until")):
                continue
            if _NOT_AN_ORDER_AFTER.match(folded, match.end()):
                continue
        yield _entity("order_number", _order_value(match), text, match.span())


def _order_value(match: re.Match[str]) -> str:
    return f"SO-{match['digits']}" if match["so"] else match["digits"]


# --- e-mail and phone ----------------------------------------------------------------------------------------------

_EMAIL = re.compile(r"(?<![a-z0-9._%+-])[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![a-z0-9])")
_PHONE = re.compile(r"(?<![a-z0-9.])(?:\+|00)?\(?\d[\d \-().]{6,20}\d(?![a-z0-9])")
_CN_MOBILE = re.compile(r"(?:(?:\+|00)?86)?(1[3-9]\d{9})")
_DATE_LIKE = re.compile(r"\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}")
# Numbers of a message that are looked up in the tables of phonenumbers: each is tried in several regions.
_MAX_TRIED = 5
_NOT_DIGIT = re.compile(r"\D")


def _emails(text: str, folded: str) -> Iterator[Entity]:
    for match in _EMAIL.finditer(folded):
        yield _entity("email", match.group(), text, match.span())


def _phones(text: str, folded: str) -> Iterator[Entity]:
    tried = 0
    for match in _PHONE.finditer(folded):
        digits = _NOT_DIGIT.sub("", match.group())
        if not 9 <= len(digits) <= 15 or _DATE_LIKE.match(match.group()):
            continue
        mobile = _CN_MOBILE.fullmatch(digits)
        tried += mobile is None
        if tried > _MAX_TRIED:
            return
        number = f"+86{mobile[1]}" if mobile else _e164(match.group())
        if number:
            yield _entity("phone", number, text, match.span())


def _e164(written: str) -> str:
    """The number in E.164 for the first region where it is valid; empty when none."""
    import phonenumbers  # late: its tables cost 20 ms, and most numbers never get here

    if written.startswith("00"):
        written = "+" + written[2:]
    for region in (None,) if written.startswith("+") else PHONE_REGIONS:
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return ""


# --- money ---------------------------------------------------------------------------------------------------------

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?"
_ZH_NUMBER = r"[零一二两三四五六七八九十百千万]{1,12}"
_SYMBOLS = {"¥": "CNY", "$": "USD", "us$": "USD", "hk$": "HKD", "€": "EUR", "£": "GBP"}
_UNITS = {
    "CNY": ("元", "块钱", "块", "圆", "人民币", "rmb", "cny", "yuan", "kuai"),
    "USD": ("美元", "美金", "刀", "usd", "dollars", "dollar", "bucks", "$"),
    "EUR": ("欧元", "eur", "euros", "euro", "€"),
    "GBP": ("英镑", "gbp", "pounds", "£"),
    "HKD": ("港币", "港元", "hkd"),
}
_CURRENCY_OF = {unit: currency for currency, units in _UNITS.items() for unit in units} | _SYMBOLS
_UNIT = "|".join(
    sorted((re.escape(unit) for unit in _CURRENCY_OF if unit not in ("us$", "hk$", "¥")), key=len, reverse=True)
)
_BEFORE = r"hk\$|us\$|[¥$€£]|rmb|cny|usd|人民币|eur|gbp|hkd"
_AMOUNT = re.compile(
    rf"(?P<before>{_BEFORE})\s?(?P<a>{_NUMBER})(?P<wan1>\s?万)?(?:\s?(?:元|块钱?))?(?![\d])"
    rf"|(?<![\d.,a-z-])(?P<b>{_NUMBER})(?P<wan2>\s?万)?\s?(?P<after>{_UNIT})(?P<tail>\d(?!\d)|[一二三四五六七八九半])?(?![a-z旦宵素件])"
    rf"|(?<!第)(?P<zh>{_ZH_NUMBER})(?P<zhafter>元|块钱|块|圆|美元|欧元|英镑|港币|人民币)(?P<zhtail>[一二三四五六七八九半])?(?![旦宵素件])"
)
_MAY_BE_MONEY = re.compile(
    r"[¥$€£元块圆刀]|人民币|美金|英镑|港币|rmb|cny|usd|yuan|kuai|dollar|bucks|eur|pounds|gbp|hkd"
)


def _amounts(text: str, folded: str) -> Iterator[Entity]:
    if not _MAY_BE_MONEY.search(folded):
        return
    for match in _AMOUNT.finditer(folded):
        value = _amount_value(match, folded)
        if value is not None:
            yield _entity("amount", value, text, match.span())


def _amount_value(match: re.Match[str], folded: str) -> str | None:
    unit = match["before"] or match["after"] or match["zhafter"]
    if match["zh"]:
        # 一块 is more often "together" or "a piece" than money, unless 钱 follows.
        if match["zhafter"] == "块" and match["zh"] in ("一", "两") and not match["zhtail"]:
            return None
        number = Decimal(zh_number(match["zh"]) or 0)
    else:
        try:
            number = Decimal((match["a"] or match["b"]).replace(",", ""))
        except InvalidOperation:
            return None
        if match["wan1"] or match["wan2"]:
            number *= 10_000
    tail = match["tail"] or match["zhtail"]
    if tail and unit in ("块", "元"):  # 三块五, 9块9: the digit counts tenths
        number += Decimal(5 if tail == "半" else ZH_DIGITS.get(tail, 0) or int(tail)) / 10
    return f"{number:.2f} {_CURRENCY_OF[unit]}" if number else None
