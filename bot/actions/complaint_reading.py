"""Reading a complaint: how severe it is, what it is about, and whether the words describe anything at all. Pure.

What a complaint is about (category, quality type) is a rule of the business: bot/service/cases.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from bot.service.anger import Anger
from bot.service.mood import HIGH, RAISED, read_mood
from bot.stems import stems
from bot.types import Case

REPEATED_DAYS = 90  # complaints younger than this count as history


_SAFETY = stems(
    "着火 起火 失火 烧起来 冒烟 冒火 火花 漏电 触电 被电 电到 电击 电了一下 "
    "爆炸 炸了 炸裂 烫伤 烧伤 受伤 流血 划伤 割伤 骨折 住院 送医 急诊 "
    "中毒 过敏 窒息 煤气 烧焦",
    "fire, flame, flames, smoke, smoking, smoked, burn, burns, burned, burnt, burning, spark*, electric shock*, "
    "electrical shock*, electrocut*, shocked me, exploded, explodes, exploding, explosion, injur*, hurt my, hurt his, "
    "hurt her, hurt our, got hurt, was hurt, bleeding, hospital, emergency room, poison*, allergic reaction, choking, "
    "cut my, cut his, cut her",
)
_HARMLESS = stems(
    "没有着火 没着火 没有冒烟 没冒烟 没有受伤 没受伤 没有漏电 没漏电 火气冒烟",
    "fire sale, fire him, fire her, fire them, no fire, no smoke, no injury, no injuries, nobody was hurt, "
    "nobody got hurt, no one was hurt, no one got hurt, nobody was injured, no one was injured, not injured, "
    "smoke alarm, smoke detector, fire alarm",
)
_AUTHORITY = stems(
    "律师 起诉 法院 法律 维权 12315 12345 消协 消费者协会 市场监管 工商局 "
    "监管部门 举报 媒体 记者 曝光 微博 小红书 抖音 欺诈 诈骗 假货 报警",
    "lawyer*, attorney*, solicitor*, sue, suing, lawsuit, court, legal action, consumer protection, "
    "consumer association, consumer council, regulator*, ombudsman, trading standards, the press, journalist*, "
    "newspaper*, the media, social media, go public, fraud*, scam*, counterfeit*, police",
)
_AGAIN = stems(
    "又 再次 第二次 第三次 第四次 两次 三次 几次 好多次 多次 屡次 反复 一直没 还是没 还没解决 没人管 没人理",
    "again, second time, third time, two times, three times, several times, many times, still not, still no, "
    "still waiting, still hasn't, still haven't, repeatedly, keeps, nobody answers, nobody replies, nobody cares, "
    "no one answers, no one replies, no one cares",
)
_EMPTY_WORDS = re.compile(
    r"我要|我想|想要|想|要|投诉|举报|一下|你们|你|您|请|帮我|可以吗|可以|吗|的|了|我|对|一个|这个|那个|订单|产品|商品|东西|服务|有问题"
    r"|问题|提|要求|店|家|公司|不满|意见|反映|情况"
    r"|\b(?:i|would|like|want|to|wanna|make|file|a|an|the|complain|complaint|complaining|about|have|need|please|hi|hello"
    r"|my|your|you|is|it|this|that|and|register|raise|lodge|submit|formal|order|product|service|something|with|problem"
    r"|number|no|am|i'm|i'd|not|happy|unhappy)\b",
    re.IGNORECASE,
)


def is_dangerous(words: str) -> bool:
    """Whether the words tell of danger to people (fire, shock, injury), and not of its absence."""
    return len(_SAFETY.findall(words)) > len(_HARMLESS.findall(words))


def severity(words: str, cases: Iterable[Case] = (), now: datetime | None = None, *, anger: Anger | None = None) -> int:
    """1 low to 4 critical, from the words and the customer's earlier complaints.

    4: danger to people. 3: lawyers, regulators or the press; anger on top of a repeated problem; a mood of many signs.
    2: anger or haste, a repetition or an open or recent complaint. 1: everything else. `anger`: the business's words.
    """
    if is_dangerous(words):
        return 4
    if _AUTHORITY.search(words):
        return 3
    mood, is_repeated = read_mood(words, anger), bool(_AGAIN.search(words))
    earlier = sum(_is_recent_complaint(case, now) for case in cases)
    if (mood.anger >= RAISED and (is_repeated or earlier)) or mood.score >= HIGH or earlier >= 3:
        return 3
    return 2 if mood.score >= RAISED or is_repeated or earlier else 1


def _is_recent_complaint(case: Case, now: datetime | None) -> bool:
    if case.kind != "complaint":
        return False
    return case.is_open or (now is not None and now - case.opened_at < timedelta(days=REPEATED_DAYS))


def is_description(words: str) -> bool:
    """Whether the words say what happened, beyond the mere wish to complain."""
    rest = re.sub(r"[\d\W_]+", " ", _EMPTY_WORDS.sub(" ", words.lower()))
    ideographs = len(re.findall(r"[\u3400-\u9fff]", rest))
    return ideographs >= 3 or len(re.findall(r"[a-z]{2,}", rest)) >= 2
