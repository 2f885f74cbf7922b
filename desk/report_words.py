"""Reports in words: what figures are called, values as people write them, and the sentence that says what changed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bot.types import Language
from desk.report_types import Figure, Unit

Names = Mapping[Language, str]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
_SAME: Final = 0.01  # a change below one hundredth of the value is none


def _names(zh: str, en: str) -> Names:
    return MappingProxyType({"zh": zh, "en": en})


REPORT_TITLES: Final[Mapping[str, Names]] = {
    "volume": _names("会话量", "Volume"),
    "first_response": _names("首次响应", "First response"),
    "resolution": _names("解决时长", "Time to solve"),
    "containment": _names("机器人独立解决", "Solved by the bot alone"),
    "handoffs": _names("转人工", "Handoffs"),
    "intents": _names("客户意图", "What customers want"),
    "unanswered": _names("未能回答", "Not answered"),
    "csat": _names("满意度", "Satisfaction"),
    "complaints": _names("投诉", "Complaints"),
    "causes": _names("重复原因", "Causes that come back"),
    "promises": _names("时限承诺", "Promises"),
    "care": _names("客户关怀", "Care"),
    "channels": _names("渠道", "Channels"),
    "operators": _names("客服", "Operators"),
}
LABELS: Final[Mapping[str, Names]] = {
    "conversations": _names("会话", "Conversations"),
    "messages_in": _names("客户消息", "Messages from customers"),
    "messages_out": _names("发出消息", "Messages sent"),
    "bot_out": _names("机器人消息", "Messages of the bot"),
    "staff_out": _names("人工消息", "Messages of people"),
    "bot_s": _names("机器人首次响应", "First response of the bot"),
    "person_s": _names("人工首次响应", "First response of a person"),
    "handoff_s": _names("人工会话时长", "Handoff until done"),
    "case_s": _names("投诉解决时长", "Complaint until solved"),
    "solved": _names("已解决投诉", "Complaints solved"),
    "contained_share": _names("独立解决率", "Share solved by the bot alone"),
    "contained": _names("独立解决", "Solved by the bot alone"),
    "handoffs": _names("转人工次数", "Handoffs"),
    "handoff_share": _names("转人工率", "Share handed over"),
    "wait_s": _names("等待接入", "Wait for a person"),
    "understood": _names("识别的消息", "Messages understood"),
    "count": _names("次数", "Times"),
    "share": _names("占比", "Share"),
    "unclear": _names("未能回答", "Not answered"),
    "unclear_share": _names("未能回答率", "Share not answered"),
    "score": _names("满意度评分", "Satisfaction"),
    "answers": _names("评价数", "Answers"),
    "satisfied": _names("满意率", "Share satisfied"),
    "answer_share": _names("评价率", "Share who answered"),
    "nps": _names("净推荐值", "Net promoter score"),
    "opened": _names("新投诉", "Complaints"),
    "reopened": _names("重开", "Reopened"),
    "kept_share": _names("守时率", "Share of promises kept"),
    "kept": _names("按时", "Kept"),
    "missed": _names("超时", "Missed"),
    "running": _names("进行中", "Running"),
    "taken": _names("接入会话", "Chats taken"),
    "replies": _names("回复消息", "Replies"),
    "handle_s": _names("处理时长", "Time per chat"),
    "repeated": _names("重复原因的投诉", "Complaints with a cause that came back"),
    "causes": _names("重复出现的原因", "Causes that came back"),
    "asked_for": _names("跟进任务", "Follow-ups asked for"),
    "done": _names("已完成", "Done"),
    "helped": _names("见效", "Helped"),
    "helped_share": _names("见效率", "Share that helped"),
}
CLOCK_TITLES: Final[Mapping[str, Names]] = {
    "first_response": _names("首次响应", "First response"),
    "update": _names("进展更新", "Update"),
    "solution": _names("解决", "Solution"),
    "callback": _names("回电", "Call-back"),
    "followup": _names("回访", "Follow-up"),
}
REASON_TITLES: Final[Mapping[str, Names]] = {
    "customer_asked": _names("客户要求人工", "Asked for a person"),
    "unclear_twice": _names("两次未理解", "Not understood twice"),
    "flow_failed": _names("流程失败", "A flow failed"),
    "article_unhelpful": _names("答案没有帮助", "Article did not help"),
    "keyword": _names("关键词", "Keyword"),
    "anger": _names("客户生气", "Upset customer"),
    "complaint": _names("投诉", "Complaint"),
    "vip": _names("重要客户", "Important customer"),
    "taken": _names("客服主动接入", "Taken by a colleague"),
}
NONE: Final = _names("未注明", "Not given")


def named(names: Mapping[str, Names], key: str) -> Names:
    """What a key is called; itself where nobody gave it a name."""
    return names.get(key) or (_names(key, key) if key else NONE)


def said(value: float | None, unit: Unit, language: Language) -> str:
    """The value as people write it; a dash for None."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.0f}%" if language == "zh" else f"{value * 100:.0f} %"
    if unit == "score":
        return f"{value:.1f}"
    if unit == "count":
        return f"{value:,.0f}"
    amount, names = _length(value)
    return f"{amount} {names[language]}" if language == "en" else f"{amount}{names['zh']}"


_LENGTHS: Final = (
    (172_800.0, 86_400.0, _names("天", "days")),
    (7_200.0, 3_600.0, _names("小时", "hours")),
    (120.0, 60.0, _names("分钟", "minutes")),
    (0.0, 1.0, _names("秒", "seconds")),
)


def _length(seconds: float, like: float | None = None) -> tuple[str, Names]:
    """The number and its unit; in the unit of `like` where both stand in one sentence."""
    size = seconds if like is None else like
    for least, unit, names in _LENGTHS:
        if size >= least:
            amount = seconds / unit
            return (f"{amount:.1f}" if amount < 10 and round(amount, 1) % 1 else f"{amount:.0f}"), names
    raise AssertionError("the last unit takes everything")


def headline(figure: Figure) -> Names:
    """What changed, in one sentence: "First response of a person improved from 14 to 9 minutes."."""
    title = named(LABELS, figure.key)
    return _names(_sentence_zh(title["zh"], figure), _sentence_en(title["en"], figure))


def _direction(figure: Figure) -> str:
    """same | better | worse | up | down, from before to now."""
    now, before = figure.now or 0.0, figure.before or 0.0
    if abs(now - before) <= abs(before) * _SAME:
        return "same"
    way = "up" if now > before else "down"
    if not figure.better:
        return way
    return "better" if way == figure.better else "worse"


def _pair(figure: Figure, language: Language) -> tuple[str, str]:
    """Before and now, in one unit: ("14", "9 minutes")."""
    now, before = figure.now or 0.0, figure.before or 0.0
    if figure.unit != "seconds":
        return said(before, figure.unit, language), said(now, figure.unit, language)
    shorter = min(now, before) or max(now, before)
    first, names = _length(before, like=shorter)
    last, _ = _length(now, like=shorter)
    return first, f"{last} {names['en']}" if language == "en" else f"{last}{names['zh']}"


def _sentence_en(title: str, figure: Figure) -> str:
    if figure.now is None:
        return f"{title}: nothing to measure in this time."
    if figure.before is None:
        return f"{title}: {said(figure.now, figure.unit, 'en')}. The time before has nothing to compare with."
    before, now = _pair(figure, "en")
    match _direction(figure):
        case "same":
            return f"{title} stayed at {said(figure.now, figure.unit, 'en')}."
        case "better":
            return f"{title} improved from {before} to {now}."
        case "worse":
            return f"{title} got worse, from {before} to {now}."
        case "up":
            return f"{title} rose from {before} to {now}."
    return f"{title} fell from {before} to {now}."


def _sentence_zh(title: str, figure: Figure) -> str:
    if figure.now is None:
        return f"{title}：这段时间没有数据。"
    if figure.before is None:
        return f"{title}为{said(figure.now, figure.unit, 'zh')}，上一时段没有可比数据。"
    before, now = _pair(figure, "zh")
    match _direction(figure):
        case "same":
            return f"{title}与上一时段持平，为{said(figure.now, figure.unit, 'zh')}。"
        case "better":
            return f"{title}有所改善，从{before}变为{now}。"
        case "worse":
            return f"{title}有所变差，从{before}变为{now}。"
        case "up":
            return f"{title}从{before}上升到{now}。"
    return f"{title}从{before}下降到{now}。"
