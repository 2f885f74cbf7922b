"""Values in a customer's words: order and case numbers, phones, yes and no; brought to one form or left as they are."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from bot.business_time import find_date
from bot.types import Language

ORDER_NUMBER = re.compile(r"(?<![\w-])(?:SO-?)?\d{4,8}(?![\w-])", re.IGNORECASE | re.ASCII)
CASE_NUMBER = re.compile(r"(?<![A-Za-z0-9])C-?(\d{3,8})(?:-(\d))?(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)
PHONE = re.compile(r"\+?\d[\d\s().-]{5,20}\d", re.ASCII)
ONE_TIME_CODE = "one_time_code"  # the slot: what is typed into it is a secret, and no other value
_CODE = re.compile(r"(?<!\d)\d{3}[ -]?\d{3}(?!\d)", re.ASCII)
_ORDER_LABEL = re.compile(r"(?:订单号?|单号|order\s*(?:number|no\.?|#)?)\s*(?:是|为|is|:|#)?\s*$", re.IGNORECASE)
_YES = {
    "是", "是的", "对", "对的", "嗯", "嗯嗯", "好", "好的", "可以", "行", "没错", "要", "需要", "确认", "确定", "当然",
    "yes", "y", "yeah", "yep", "sure", "ok", "okay", "right", "correct", "please", "yes please", "of course",
}  # fmt: skip
_NO = {
    "不", "不是", "不对", "不用", "不要", "不需要", "否", "没有", "不了", "不用了",
    "no", "n", "nope", "nah", "not really", "no thanks", "no thank you",
}  # fmt: skip
_YES_MARKS, _NO_MARKS = "👍👌✅🆗", "👎❌🙅"
_CANCEL_WORDS = {
    "取消", "算了", "退出", "停", "停止", "不办了", "不弄了", "不用弄了", "先不弄了", "cancel", "stop", "quit", "exit",
    "never mind", "nevermind", "forget it",
}  # fmt: skip
_STOP_WORDS = {
    "退订", "td", "取消订阅", "退订消息", "不要再发了", "别再发了", "unsubscribe", "stop", "stopall", "stop all",
    "opt out", "optout",
}  # fmt: skip
_WISH_WORDS = {
    "消息设置", "消息偏好", "接收设置", "免打扰设置", "message settings", "notification settings",
    "message preferences", "preferences",
}  # fmt: skip
# The same within a short request: "I'd like to change my message settings", "怎么修改消息设置".
_WISH_REQUEST = re.compile(
    r"(?:please |can i |could i |how (?:do|can) i |where (?:do|can) i |i want to |i'?d like to |i would like to )*"
    r"(?:open|see|show(?: me)?|change|edit|adjust|update|check|find|set)? ?(?:my |the )?"
    r"(?:message|notification) (?:settings|preferences)(?: please)?"
    r"|(?:请|请问|帮我|我想|我要|想|怎么|如何|在哪里?|可以|能不能|去哪)*(?:打开|修改|更改|改|调整|看|查看|设置|进入)?(?:一?下)?(?:我的)?"
    r"(?:消息设置|消息偏好|接收设置|免打扰设置)(?:在哪里?|怎么改|怎么弄|吗|呢)?"
)
_ASKED_FOR = {**dict.fromkeys(_WISH_WORDS, "wishes"), **dict.fromkeys(_STOP_WORDS, "stop")}
_WITHOUT_CENTS = frozenset({"JPY", "KRW", "VND"})  # ISO 4217: no minor unit


def plain(words: str) -> str:
    """Lower-case words in compatibility form without surrounding blanks, punctuation or invisible characters."""
    words = unicodedata.normalize("NFKC", words)
    if not words.isprintable():  # printable text has no blanks but U+0020 and nothing of category C
        words = "".join(
            " " if character.isspace() else character
            for character in words
            if character.isspace() or unicodedata.category(character)[0] != "C"
        )
    return words.casefold().strip(" .,;:!?…。，、；：！？~～\"'“”‘’()（）")


def has_words(words: str) -> bool:
    """Whether there is any letter or digit, of any script."""
    return words[:1].isalpha() or any(unicodedata.category(character)[0] in "LN" for character in words)


def yes_or_no(words: str) -> bool | None:
    """True for a bare yes (also 👍), False for a bare no, None for anything else."""
    said = plain(words)
    if said in _YES:
        return True
    if said in _NO:
        return False
    if not has_words(words):
        is_yes = any(mark in words for mark in _YES_MARKS)
        is_no = any(mark in words for mark in _NO_MARKS)
        return is_yes if is_yes != is_no else None
    return None


def asked_for(words: str) -> str:
    """What the whole message is a word for: "stop", to be sent nothing more, in the words people and networks use for
    it; "wishes", to say how one wants to be written to; else "".
    """
    said = plain(words)
    return _ASKED_FOR.get(said) or ("wishes" if len(said) <= 60 and _WISH_REQUEST.fullmatch(said) else "")


def is_stop_word(words: str) -> bool:
    """Whether the whole message asks to be sent nothing more."""
    return asked_for(words) == "stop"


def is_cancel_word(words: str) -> bool:
    """Whether the whole message is a word for dropping what is being done."""
    return plain(words) in _CANCEL_WORDS


def order_number(words: str) -> str | None:
    """The last order number in the words in upper case (`2391`, `SO-20391`); None when there is none.

    Case numbers, telephone numbers and years are not order numbers.
    """
    words = CASE_NUMBER.sub(" ", unicodedata.normalize("NFKC", words))
    words = PHONE.sub(lambda match: " " if sum(map(str.isdigit, match.group())) >= 9 else match.group(), words)
    found = [match for match in ORDER_NUMBER.finditer(words) if not _is_amount_or_year(words, match)]
    if not found:
        return None
    labelled = [match for match in found if _ORDER_LABEL.search(words[: match.start()])]
    number = (labelled or found)[-1].group().upper()
    return re.sub(r"^SO-?", "SO-", number)


def _is_amount_or_year(words: str, match: re.Match[str]) -> bool:
    before, after = (
        words[max(0, match.start() - 1) : match.start()],
        words[match.end() : match.end() + 5].strip().lower(),
    )
    return before in ("¥", "￥", "$", "€") or after.startswith(("年", "元", "块", "yuan", "cny", "rmb"))


def same_order(left: str, right: str) -> bool:
    """Whether two spellings (with or without `SO-`) name one order."""
    return _bare(left) == _bare(right) != ""


def _bare(number: str) -> str:
    return re.sub(r"^SO-?", "", number.strip().upper())


def order_spellings(number: str) -> tuple[str, ...]:
    """The spellings under which an order may be stored, the customer's own first."""
    bare = _bare(number)
    return (bare, f"SO-{bare}") if not number.upper().startswith("SO") else (f"SO-{bare}", bare)


def case_number(words: str) -> str | None:
    """A case number as we write it, `C-1024` or `C-1024-7`; None when there is none."""
    match = CASE_NUMBER.search(unicodedata.normalize("NFKC", words))
    if not match:
        return None
    return f"C-{match[1]}" + (f"-{match[2]}" if match[2] else "")


def same_case(asked: str, stored: str) -> bool:
    """Whether the asked number, with or without its check digit, is the stored one."""
    return stored.upper() == asked.upper() or stored.upper().rpartition("-")[0] == asked.upper()


_DIGIT = re.compile(r"\d")


def one_time_code(words: str) -> str | None:
    """The six digits in the words, as we send them; None when there are none, or more than one six."""
    found = _CODE.findall(unicodedata.normalize("NFKC", words))
    return re.sub(r"\D", "", found[0]) if len(found) == 1 else None


def without_digits(words: str) -> str:
    """The words with a dot for every digit, also for what only `one_time_code` reads as one (①, ⑩)."""
    return "".join("•" if _DIGIT.search(unicodedata.normalize("NFKC", letter)) else letter for letter in words)


def phone(words: str) -> str | None:
    """The telephone number in the words as E.164, read as a Chinese one without a country code; None when none.

    Mobile 1[3-9] and nine digits, land line with area code 0xx(x) and 7 or 8 digits: the national numbering plan.
    """
    for match in PHONE.finditer(unicodedata.normalize("NFKC", words)):
        digits = re.sub(r"\D", "", match.group())
        if match.group().startswith("+") and 8 <= len(digits) <= 15:
            return f"+{digits}"
        if re.fullmatch(r"(?:0086|86)?1[3-9]\d{9}", digits):
            return f"+86{digits[-11:]}"
        if re.fullmatch(r"0\d{2,3}[2-9]\d{6,7}", digits) and 10 <= len(digits) <= 12:
            return f"+86{digits[1:]}"
        if digits.startswith("00") and 10 <= len(digits) <= 17:
            return f"+{digits[2:]}"
    return None


def normal(entity: str, words: str, today: date) -> str:
    """The value of an entity in its one form; the words themselves when they have none (rejections judge them)."""
    found: str | None = None
    if entity == "order_number":
        found = order_number(words)
    elif entity == "phone":
        found = phone(words)
    elif entity == "date":
        day = find_date(words, today)
        found = day.isoformat() if day else None
    return found or words.strip()


def in_words(entity: str, words: str, today: date) -> str | None:
    """The value of an entity found by its shape alone, without NLU; None for entities that have no shape."""
    if entity == "order_number":
        return order_number(words)
    if entity == "phone":
        return phone(words)
    if entity == "date":
        day = find_date(words, today)
        return day.isoformat() if day else None
    return None


def say_money(minor: int, currency: str, language: Language) -> str:
    """An amount in minor units as a person would say it: "128.50 元", "CNY 128.50"."""
    amount = f"{minor:,}" if currency in _WITHOUT_CENTS else f"{minor / 100:,.2f}"
    if language == "zh" and currency in ("CNY", "RMB"):
        return f"{amount} 元"
    return f"{currency} {amount}".strip()
