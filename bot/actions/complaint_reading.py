"""Reading a complaint: how severe it is, what it is about, and whether the words describe anything at all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from bot.types import Case

_WORD = r"(?<![a-z])(?:{})(?![a-z])"
_SAFETY = re.compile(
    r"着火|起火|失火|烧起来|冒烟|冒火|火花|漏电|触电|电到|电击|电了一下|爆炸|炸了|炸裂|烫伤|烧伤|受伤|流血|划伤|割伤|骨折|住院|送医|急诊"
    r"|中毒|过敏|窒息|煤气|煤烟|烧焦|"
    + _WORD.format(
        r"fire|flames?|smok(?:e|ing|ed)|burn(?:s|ed|t|ing)?|sparks?|sparking|electric(?:al)? shocks?|electrocuted|explo(?:ded?|sion|ding)"
        r"|injur(?:y|ed|ies)|hurt (?:my|his|her|our)|bleeding|hospital|emergency room|poison(?:ed|ing)|allergic|choking|shocked me|cut (?:my|his|her)"
    ),
    re.IGNORECASE,
)  # fmt: skip
_NOT_SAFETY = re.compile(
    r"没有?(?:着火|冒烟|受伤|漏电)|火车|火锅|火大|恼火|发火|冒火(?=了?[，。]?$)|fire sale|fire (?:him|her|them)|no (?:fire|smoke|injury)"
    r"|(?:nobody|no one|not) (?:was |got )?(?:hurt|injured)",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(
    r"律师|起诉|法院|法律|维权|12315|12345|消协|消费者协会|市场监管|工商局|监管部门|举报|媒体|记者|曝光|微博|小红书|抖音|欺诈|诈骗|假货|报警|"
    + _WORD.format(
        r"lawyers?|attorney|solicitor|sue|suing|lawsuit|court|legal action|consumer (?:protection|association|council)"
        r"|regulator|ombudsman|trading standards|press|journalist|newspaper|the media|social media|go public|fraud|scam|counterfeit|police"
    ),
    re.IGNORECASE,
)
_ANGER = re.compile(
    r"气死|太差|太过分|过分|恶心|垃圾|忍无可忍|受够|愤怒|生气|离谱|坑人|骗子|骗人|无语|态度极差|恶劣|再也不|什么破|差劲|"
    + _WORD.format(
        r"angry|furious|outrage(?:d|ous)?|unacceptable|disgust(?:ed|ing)|terrible|horrible|awful|worst|ridiculous|appalling"
        r"|fed up|sick of|never again|rude|liars?|rubbish|garbage|disgrace(?:ful)?"
    ),
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"又|再次|第[二三四五六七八九十\d]+次|[两三四五六七八九十几\d]+次|一直没|还是没|还没解决|没人管|没人理|屡次|多次|反复|"
    + _WORD.format(
        r"again|second time|third time|(?:two|three|four|five|several|many) times|still (?:not|no|waiting|hasn't|haven't)|repeatedly"
        r"|keeps?|nobody (?:answers|replies|cares)|no one (?:answers|replies|cares)"
    ),
    re.IGNORECASE,
)
_CATEGORIES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("safety", _SAFETY),
    ("delivery", re.compile(r"快递|物流|送货|配送|发货|没到|没收到|未收到|迟|延误|丢件|包裹|到货|deliver|shipp|courier|parcel|package|late|arriv|lost", re.IGNORECASE)),
    ("staff", re.compile(r"态度|店员|员工|客服|服务员|营业员|师傅|导购|服务|没人理|rude|staff|employee|assistant|cashier|service|manager", re.IGNORECASE)),
    ("refund", re.compile(r"退款|退钱|没退|多扣|扣款|refund|money back|charged", re.IGNORECASE)),
    ("product", re.compile(r"坏|破|裂|碎|质量|故障|失灵|漏|异响|不能用|用不了|掉色|少件|缺|瑕疵|发错|broke|broken|crack|defect|fault|quality|leak|noise|not work|n't work|stopped working|damaged|missing|wrong item|scratched", re.IGNORECASE)),
    ("price", re.compile(r"价格|涨价|降价|价保|优惠|price|discount|overcharg", re.IGNORECASE)),
    ("account", re.compile(r"账号|账户|积分|会员|登录|account|points|login|member", re.IGNORECASE)),
)  # fmt: skip
_EMPTY_WORDS = re.compile(
    r"我要|我想|想要|想|要|投诉|举报|一下|你们|你|您|请|帮我|可以吗|可以|吗|的|了|我|对|一个|这个|那个|订单|产品|商品|东西|服务|有问题|问题|提|要求|店|家|公司|不满|意见|反映|情况|"
    r"\b(?:i|would|like|want|to|wanna|make|file|a|an|the|complain|complaint|complaining|about|have|need|please|hi|hello|my|your|you|is|it|this|that|and"
    r"|register|raise|lodge|submit|formal|order|product|service|something|with|problem|number|no|am|i'm|i'd|not|happy|unhappy)\b",
    re.IGNORECASE,
)
REPEATED_DAYS = 90  # complaints younger than this count as history


def severity(words: str, cases: Iterable[Case] = (), now: datetime | None = None) -> int:
    """1 low to 4 critical, from the words and the customer's earlier complaints.

    4: danger to people. 3: lawyers, regulators or the press; or anger on top of a repeated problem. 2: anger, a
    repetition or an open or recent complaint. 1: everything else.
    """
    dangers = len(_SAFETY.findall(words)) - len(_NOT_SAFETY.findall(words))
    if dangers > 0:
        return 4
    if _AUTHORITY.search(words):
        return 3
    is_angry, is_repeated = bool(_ANGER.search(words)), bool(_AGAIN.search(words))
    has_history = sum(_is_recent_complaint(case, now) for case in cases)
    if (is_angry and (is_repeated or has_history)) or has_history >= 3:
        return 3
    return 2 if is_angry or is_repeated or has_history else 1


def _is_recent_complaint(case: Case, now: datetime | None) -> bool:
    if case.kind != "complaint":
        return False
    return case.is_open or (now is not None and now - case.opened_at < timedelta(days=REPEATED_DAYS))


def category_of(words: str) -> str:
    """What a complaint is about: safety, delivery, staff, refund, product, price, account or other."""
    if len(_SAFETY.findall(words)) <= len(_NOT_SAFETY.findall(words)):
        candidates = _CATEGORIES[1:]
    else:
        candidates = _CATEGORIES
    return next((name for name, pattern in candidates if pattern.search(words)), "other")


def is_description(words: str) -> bool:
    """Whether the words say what happened, beyond the mere wish to complain."""
    rest = _EMPTY_WORDS.sub(" ", words.lower())
    rest = re.sub(r"[\d\W_]+", " ", rest).strip()
    ideographs = len(re.findall(r"[\u3400-\u9fff]", rest))
    letters = len(re.findall(r"[a-z]{2,}", rest))
    return ideographs >= 3 or letters >= 2
