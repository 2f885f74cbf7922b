"""Several requests in one message: "order 2391 hasn't arrived and I want to complain", 我的订单还没到，另外我要投诉.

In: a text and the understanding of it as a whole. Out: the same understanding, with `parts` filled when at least two
clauses carry different requests that are each believed. A message without a place to split costs one search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from bot.ports import NluEngine
from bot.types import ScoredIntent, Understanding

# Intents that ask for nothing: a clause of these is politeness or an answer, never a request of its own.
NOT_REQUESTS = frozenset(
    {
        "greet", "goodbye", "thanks", "affirm", "deny", "cancel", "inform", "help", "bot_challenge", "chitchat",
        "out_of_scope", "nlu_fallback", "",
    }
)  # fmt: skip
# A clause after "also" or 另外 announces itself; a mere comma or full stop needs a surer clause. An announced question
# is a request whatever it is about: the dialogue answers it, or says that it cannot.
_SURE_QUESTION = 0.3
_SURE_ANNOUNCED = 0.5
_SURE = 0.75
_VERY_SURE = 0.85
_MAX_CLAUSES = 6
_MAX_CHARS = 600  # a longer message is a story; its parts are for a person to tell apart

_ZH_LINK = r"另外|还有就是|还有|而且|顺便问下|顺便问一下|顺便|同时|并且|然后|再就是|以及|此外"
_EN_LINK = r"and\s+also|and\s+then|and|also|plus|besides|additionally|in\s+addition|furthermore|by\s+the\s+way|btw|but"
_EN_START = (
    r"(?:i|i'd|i'm|i've|i'll|id|im|ive|we|we'd|my|can|could|would|will|please|pls|where|when|how|what|what's|which|who|why"
    r"|is|are|do|does|did|has|have|there|it|your|you|the|somebody|someone|cancel|send|tell|give|call|change|let|also)\b"
)
_EN_DO = r"(?:get|tell|send|call|cancel|change|return|check|track|book|file|complain|ask|speak|talk|order|pay|use)\b"
_QUESTION = re.compile(
    r"[?？吗呢]$|多少|多久|几点|什么|怎么|怎样|哪[里儿个些家]|能不能|可不可以|是不是|有没有|为什么"
    r"|^(?:what|when|where|which|who|why|how|do|does|did|can|could|is|are|will|would|may|should)\b",
    re.IGNORECASE,
)
_LINK_BEGINS = "".join(sorted({link[0] for link in _ZH_LINK.split("|")}))
_PLACES = re.compile(
    # Nearly everywhere one look says that nothing of all this begins here.
    rf"(?=[。！？；\n!?;.：:，,、\s和又&{_LINK_BEGINS}])(?:"
    # Sentence ends; a full stop only before a blank, so that 3.5, a.com and SO-1.2 stay whole.
    r"(?P<stop>[。！？；\n]+|[!?;]+(?=\s|$|[\u4e00-\u9fff])|(?<!\d)\.+(?=\s+\S)|(?<=\d)\.(?=\s+\D))"
    # What follows a colon is told about the request before it ("I want to complain: …"), unless it is a bare number.
    r"|(?P<colon>：\s*(?!(?:[A-Za-z]{0,4}-?)?\d)|:\s+(?!(?:[A-Za-z]{0,4}-?)?\d)|(?<=[\u4e00-\u9fff]):(?=[\u4e00-\u9fff]))"
    rf"|(?P<zlink>[，,、\s]*(?:{_ZH_LINK})[，,：:\s]*)"
    r"|(?P<zcomma>，|(?<=[\u4e00-\u9fff]),(?=\s*[\u4e00-\u9fff]))"
    rf"|(?P<elink>[\s,]+(?:{_EN_LINK})\s*,?\s+(?={_EN_START}))"
    rf"|(?P<ecomma>,\s+(?={_EN_START}))"
    # Within a clause: 退货和开发票, a blank between two Chinese ones, "track it & call me", "check it then tell me …".
    r"|(?P<within>(?<=[\u4e00-\u9fff])(?:和|、|又要|\s+)(?=[\u4e00-\u9fff])|\s*&\s*(?=[a-z])"
    rf"|\s+(?:(?:and|then|plus)\s){{1,2}}(?={_EN_DO})))",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W_]")
_WORDS = re.compile(r"[\u4e00-\u9fff]|[^\W_]+")
_LEADING_LINK = re.compile(rf"^\s*(?:(?:{_ZH_LINK})[，,：:\s]*|(?:{_EN_LINK})\s*,?\s+)", re.IGNORECASE)


class Joint(Enum):
    """What stands before a clause: a stop or comma (or nothing), a word such as "also", a colon, or what joins words.

    WITHIN is 和, 、, "&": far more often between two things than between two requests, so both sides must be very sure.
    """

    STOP = auto()
    ANNOUNCED = auto()
    TOLD = auto()
    WITHIN = auto()


def split_clauses(text: str) -> tuple[str, ...]:
    """The clauses of `text` in order, without the words that join them; the text alone when there is one.

    Never splits inside a number, an address or a word.
    """
    return tuple(clause for clause, _ in _clauses(text))


def _clauses(text: str) -> list[tuple[str, Joint]]:
    """Each clause with what stands before it. After a colon everything is told, up to an announced clause."""
    pieces: list[tuple[str, Joint]] = []
    start, joint = 0, Joint.STOP
    for match in _PLACES.finditer(text):
        pieces.append((text[start : match.start()], joint))
        start = match.end()
        if match.lastgroup in ("zlink", "elink"):
            joint = Joint.ANNOUNCED
        elif match.lastgroup == "colon" or (joint is Joint.TOLD and match.lastgroup != "stop"):
            joint = Joint.TOLD
        else:
            joint = Joint.WITHIN if match.lastgroup == "within" else Joint.STOP
    pieces.append((text[start:], joint))
    clauses: list[tuple[str, Joint]] = []
    for piece, before in pieces:
        cleaned = _LEADING_LINK.sub("", piece).strip(" ,，、.。")
        if _LETTER.search(cleaned):
            clauses.append((cleaned, Joint.ANNOUNCED if _LEADING_LINK.match(piece) else before))
    return clauses if clauses else [(text, Joint.STOP)]


def clauses_of(text: str) -> list[tuple[str, Joint]]:
    """The clauses of a text that may hold several requests; empty for almost every ordinary message."""
    if not may_be_compound(text):
        return []
    clauses = _clauses(text)
    return clauses if 2 <= len(clauses) <= _MAX_CLAUSES else []


def with_parts(
    whole: Understanding,
    clauses: Sequence[tuple[str, Joint]],
    rankings: Sequence[tuple[ScoredIntent, ...]],
    read: Callable[[str, tuple[ScoredIntent, ...]], Understanding],
) -> Understanding:
    """`whole` with its `parts`, where there are several requests. `clauses` are its own, each with its ranking.

    The clauses are ranked first, and read in full only where there are several requests: most have a comma and no more.
    `read` gets a clause and its ranking.

    Where only one clause is a request and the whole was taken for politeness ("hello, where is my order") or for
    nothing clear, that clause's ranking becomes the ranking of the whole.
    """
    ranked = [
        (Understanding(clause, whole.language, whole.language_is_sure, ranking, (), whole.engine), joint)
        for (clause, joint), ranking in zip(clauses, rankings, strict=True)
    ]
    if len(list(_requests(ranked))) < 2:
        return _combine(whole, ranked)
    read_clauses = [read(clause.text, clause.intents) for clause, _ in ranked]
    return _combine(whole, [(clause, joint) for clause, (_, joint) in zip(read_clauses, clauses, strict=True)])


def may_be_compound(text: str) -> bool:
    """False for almost every ordinary message: nothing in it could separate two requests."""
    return 6 <= len(text) <= _MAX_CHARS and _PLACES.search(text) is not None


def _combine(whole: Understanding, clauses: Sequence[tuple[Understanding, Joint]]) -> Understanding:
    requests = list(_requests(clauses))
    if len(requests) >= 2:
        return replace(whole, parts=tuple(requests))
    if len(requests) == 1 and whole.intent.name != "cancel":
        # "I want to complain, the kettle leaks": the story around a clear request must not blur it.
        is_blurred = whole.intent.confidence < _SURE_ANNOUNCED and requests[0].intent.confidence >= _SURE
        # "hello, where is my order" is no greeting; but a clause hardly believed makes no request of a sure answer.
        is_surer = requests[0].intent.confidence >= min(_SURE, whole.intent.confidence)
        if is_blurred or (is_surer and whole.intent.name in NOT_REQUESTS):
            return replace(whole, intents=requests[0].intents)
    return whole


def _requests(clauses: Sequence[tuple[Understanding, Joint]]) -> Iterator[Understanding]:
    """The believed requests among the clauses, each intent once.

    A clause that asks for nothing ("my number is 13812345678") gives its entities to the request before it.
    """
    kept: list[Understanding] = []
    for clause, joint in clauses:
        wanted = _SURE
        if joint is Joint.ANNOUNCED:
            wanted = _SURE_QUESTION if _QUESTION.search(clause.text) else _SURE_ANNOUNCED
        elif joint is Joint.WITHIN:
            wanted = _VERY_SURE if not kept or kept[-1].intent.confidence >= _VERY_SURE else 1.1
        is_request = (
            joint is not Joint.TOLD
            and clause.intent.name not in NOT_REQUESTS
            and clause.intent.confidence >= wanted
            and len(_WORDS.findall(clause.text)) >= 2
        )
        if not kept:
            if clause.intent.name not in NOT_REQUESTS and clause.intent.confidence >= _SURE_ANNOUNCED:
                kept.append(clause)
        elif is_request and all(clause.intent.name != other.intent.name for other in kept):
            kept.append(clause)
        else:
            kept[-1] = _joined(kept[-1], clause)
    yield from kept


def _joined(request: Understanding, clause: Understanding) -> Understanding:
    """The request with the words and entities of a following clause; offsets count in the joined text."""
    shift = len(request.text) + 2
    moved = tuple(replace(e, start=e.start + shift, end=e.end + shift) for e in clause.entities)
    return replace(request, text=f"{request.text}, {clause.text}", entities=request.entities + moved)


class CompoundEngine:
    """Any engine, with `parts` filled. An engine that fills them itself is left alone."""

    def __init__(self, engine: NluEngine) -> None:
        self._engine = engine
        self.name = engine.name

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        """Raises: ServiceUnavailable when the engine does so for the whole text; a clause's failure leaves it whole."""
        whole = await self._engine.parse(text, now=now, timezone=timezone)
        if whole.parts or getattr(self._engine, "splits", False):
            return whole
        clauses = clauses_of(text)
        if not clauses:
            return whole
        parsed = [(await self._engine.parse(c, now=now, timezone=timezone), joint) for c, joint in clauses]
        return _combine(whole, parsed)

    async def is_ready(self) -> bool:
        return await self._engine.is_ready()
