"""How angry and how pressed a customer is: one score, for the severity of a complaint and for the place in the queue.

In: words, and the business's own words of anger. Out: a `Mood` from 0 to 1. Swearing alone is neither a complaint nor a
request: somebody lets off steam, or a word slipped out. Pure; no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bot.service.anger import Anger
from bot.stems import stems

MAX_CHARS: Final = 2000
RAISED: Final = 0.5  # one sign of anger or haste
HIGH: Final = 0.9  # three signs and more

_HASTE = stems(
    "紧急 十万火急 急用 急需 急死 着急 很急 太急 马上 立刻 立即 赶紧 等不及 等不了 来不及 火速 刻不容缓",
    "urgent*, emergency, immediately, right away, right now, straight away, asap, as soon as possible, at once, "
    "can't wait, cannot wait, in a hurry, desperate*, time is running out, running out of time",
)
_NO_HASTE = stems(
    "不着急 不急 没那么急 不是很急 别着急 应急 马上就好 马上到",
    "not urgent, no rush, no hurry, not in a hurry, nothing urgent, emergency exit*, emergency light*",
)
_STRONG_ZH = "他妈的 去你妈的 妈的 尼玛 特么 我操 卧槽 傻逼 煞笔 王八蛋 狗屁 放屁 滚蛋 脑残"
_STRONG_EN = "fuck*, motherfuck*, shit*, bullshit, goddamn*, wtf, bastard*, asshole*, arsehole*, bitch*, piss off"
_STRONG = stems(_STRONG_ZH, _STRONG_EN)
# Alone these are swear words too; inside a sentence they are often something else (操作, 草莓, 滚筒, a garbage bin).
_SWEARING = stems(
    f"{_STRONG_ZH} 你妈 我靠 混蛋 去死 神经病 废物 垃圾 操 草 靠 滚",
    f"{_STRONG_EN}, crap, damn*, hell, idiot*, moron*, screw you, bloody, stupid, rubbish, garbage, sb",
)
# What people say with a swear word without saying anything more.
_BESIDE_SWEARING = re.compile(
    r"[你您真啊呀吧了的哦]|\b(?:oh|it|the|what|you|off|of|this|that|so|such|a|you're|is)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Mood:
    """Each from 0 (no sign) towards 1: half for one sign, and half of what is missing for each further one."""

    anger: float = 0.0
    haste: float = 0.0

    @property
    def score(self) -> float:
        """Both together, 0 to 1; above the greater of the two where both are there."""
        return 1 - (1 - self.anger) * (1 - self.haste)


def read_mood(words: str, anger: Anger | None = None) -> Mood:
    """The mood of the words. `anger`: what counts as angry for this business."""
    heard = words[:MAX_CHARS]
    signs = {match.casefold() for match in _HASTE.findall(heard)}
    hurried = max(0, len(signs) - len(_NO_HASTE.findall(heard)))
    angry = (anger or _DEFAULT).strength(heard)
    if not angry and _STRONG.search(heard) and not is_only_swearing(heard):
        angry = 1
    return Mood(_of(angry), _of(hurried))


def is_only_swearing(words: str) -> bool:
    """Whether nothing is left of the words without the swear words in them."""
    heard = words[:MAX_CHARS]
    without, count = _SWEARING.subn(" ", heard)
    return count > 0 and not re.search(r"[^\W_]", _BESIDE_SWEARING.sub(" ", without))


def _of(signs: int) -> float:
    return float(1 - 0.5**signs)


_DEFAULT: Final = Anger()
