"""Talking about a broadcast: whoever asks about the message or the code they had is told what was sent to them.

Only words that can be about it make us look, so that other messages cost nothing; what starts a flow goes its own way.
"""

from __future__ import annotations

import re
from typing import Final

from bot.business_time import say_day, zone
from bot.hearing import Request
from bot.talk import Talk
from bot.types import BroadcastSent, Need

_ABOUT: Final = re.compile(
    r"优惠|券|折扣|促销|活动|群发|(?:刚才|刚刚|上次|昨天|你们)(?:的|发的|那条|这条|给我发)|(?:这|那)条(?:消息|信息|短信)"
    r"|\b(?:coupon|voucher|promo(?:tion)?|discount|offer|deal|code)s?\b"
    r"|\b(?:your|this|that|the) (?:message|text|news)\b|\byou (?:just )?sent\b",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"券|码|coupon|voucher|code", re.IGNORECASE)
LOOKED_AT: Final = 200  # characters


def heed_broadcast(talk: Talk, request: Request) -> bool:
    """Says what was sent to them when they ask about it; False when they do not, or had nothing lately."""
    words = request.words[:LOOKED_AT]
    if not _ABOUT.search(words) or talk.trigger_of(request.intent.name, request.intent.confidence):
        return False
    need = Need("broadcast", str(talk.turn.conversation.id))
    if need not in talk.turn.facts:
        talk.needs.append(need)
        return True
    sent = talk.turn.facts[need]
    if not isinstance(sent, BroadcastSent):
        return False
    args = {"title": sent.title or sent.text[:60], "day": _day(talk, sent)}
    if sent.coupon and _CODE.search(words):
        _say_code(talk, sent, args)
    else:
        talk.say("utter_broadcast_said", {**args, "text": sent.text})
    return True


def _say_code(talk: Talk, sent: BroadcastSent, args: dict[str, str]) -> None:
    args |= {"code": sent.coupon, "terms": sent.terms.get(talk.language, "")}
    is_over = sent.valid_until is not None and sent.valid_until <= talk.turn.now
    if sent.is_used:
        talk.say("utter_broadcast_code_used", args)
    elif is_over:
        talk.say("utter_broadcast_code_over", args)
    elif sent.valid_until is not None:
        local, today = (at.astimezone(zone(talk.turn.timezone)).date() for at in (sent.valid_until, talk.turn.now))
        talk.say("utter_broadcast_code_until", {**args, "until": say_day(local, today, talk.language)})
    else:
        talk.say("utter_broadcast_code", args)


def _day(talk: Talk, sent: BroadcastSent) -> str:
    then, today = (at.astimezone(zone(talk.turn.timezone)).date() for at in (sent.sent_at, talk.turn.now))
    return say_day(then, today, talk.language)
