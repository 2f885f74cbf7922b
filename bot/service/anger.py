"""Whether words are angry: by lists of words, which a business may set itself. Pure; no model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bot.located import invalid, only_keys, table, text
from bot.stems import stems

ZH = (
    "气死 太差 过分 恶心 垃圾 忍无可忍 受够 愤怒 生气 离谱 坑人 骗子 骗人 无语 恶劣 再也不 什么破 差劲"
    " 受不了 什么态度 浪费时间 敷衍 推来推去 踢皮球 没完没了"
)
EN = (
    "angry, furious, outrage*, unacceptable, disgust*, terrible, horrible, awful, worst, ridiculous, appalling, "
    "fed up, sick of, never again, rude, liar*, rubbish, garbage, disgrace*, useless, waste of time, had enough, "
    "sick and tired, pathetic, fob*, run around in circles"
)
NOT_ANGRY_ZH = "不生气 没生气 别生气 不过分 不算太差 不离谱 倒垃圾 垃圾桶 垃圾袋 垃圾处理"
NOT_ANGRY_EN = "not angry, not rude, not bad, garbage bin*, garbage bag*, rubbish bin*, garbage disposal, not terrible"
_SHOUTING = re.compile(r"[!！]{2,}|[?？]{3,}")


@dataclass(frozen=True)
class Anger:
    """What counts as angry. `strong_from`: from so many signs on a person is called without asking further."""

    words: re.Pattern[str] = field(default=stems(ZH, EN), compare=False)
    harmless: re.Pattern[str] = field(default=stems(NOT_ANGRY_ZH, NOT_ANGRY_EN), compare=False)
    strong_from: int = 2

    def strength(self, words: str) -> int:
        """How many different signs of anger the words hold; 0: none. Shouting alone is no anger, but adds to it."""
        found = {match.casefold() for match in self.words.findall(words[:2000])}
        if not found:  # as nearly always
            return 0
        signs = len(found) - len(self.harmless.findall(words[:2000]))
        return signs + bool(_SHOUTING.search(words[:2000])) if signs > 0 else 0

    def is_strong(self, words: str) -> bool:
        return self.strength(words) >= self.strong_from


def read_anger(section: dict[str, Any]) -> Anger:
    """`{words: {zh, en}, harmless: {zh, en}, strong_from: 2}`, each with its default. Raises: AssistantInvalid."""
    only_keys(section, ("words", "harmless", "strong_from"), "anger")
    strong = section.get("strong_from", 2)
    if isinstance(strong, bool) or not isinstance(strong, int) or strong < 1:
        raise invalid("strong_from must be a whole number from 1 on", section, "strong_from")
    return Anger(
        words=word_lists(section, "words", ZH, EN),
        harmless=word_lists(section, "harmless", NOT_ANGRY_ZH, NOT_ANGRY_EN),
        strong_from=strong,
    )


def word_lists(place: dict[str, Any], key: str, zh: str = "", en: str = "") -> re.Pattern[str]:
    """One pattern of the Chinese (divided by blanks) and English (by commas) words under `key`."""
    lists = table(place.get(key, {}), key, place, key)
    only_keys(lists, ("zh", "en"), key)
    chinese = text(lists["zh"], "zh", lists, "zh") if "zh" in lists else zh
    english = text(lists["en"], "en", lists, "en") if "en" in lists else en
    return stems(chinese, english)
