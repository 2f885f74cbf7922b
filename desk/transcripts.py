"""What was said as steps of a transcript: the customer's words without personal data, the bot's by what it always says.

A response is recognised by its fixed words, whichever of its wordings was chosen, so that the test holds when another
is chosen next time. What a person of the staff wrote ends the transcript: nobody repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from bot.assistant import Assistant, Variation
from bot.edited_texts import wordings
from bot.types import Language

PAUSE: Final = timedelta(minutes=30)  # a longer silence is part of the story: flows grow old
SAMPLE_PLACE: Final = [31.2304, 121.4737]  # instead of where the customer was
_LEAST: Final = 4  # characters of a fixed piece that say anything
_LONGEST: Final = 60
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_MARKS: Final = re.compile(r"[\\`*_\[\]()]|https?://\S+|\n")


def steps_of(
    rows: Iterable[Any], assistant: Assistant, hide: Callable[[str], str], language: Language
) -> list[dict[str, Any]]:
    """The steps in order; empty when the customer said nothing that can be repeated."""
    steps: list[dict[str, Any]] = []
    before: datetime | None = None
    labels: Sequence[str] = ()
    for row in rows:
        if row.author == "operator":
            break
        if row.direction == "in":
            said = _said(row, hide, labels if steps else ())
            if said is None:
                continue
            if steps and before is not None and row.at - before > PAUSE:
                steps.append({"later": _length(row.at - before)})
            steps.append(said)
        elif steps and row.inbox_id is not None and row.author == "bot":
            check = expected(row, assistant, hide, language)
            if check and {"bot": check} not in steps[-3:]:
                steps.append({"bot": check})
            labels = [str(button.get("label", "")) for button in (row.content or {}).get("buttons", ())] or labels
        before = row.at
    return steps


def _said(row: Any, hide: Callable[[str], str], labels: Sequence[str]) -> dict[str, Any] | None:
    if row.kind == "location":
        return {"location": SAMPLE_PLACE}
    if row.kind == "media":
        return {"photo": hide(row.text)}
    if not row.text.strip() or row.kind not in ("text", "button"):
        return None
    if row.kind == "button" and row.text in labels:
        return {"press": row.text}
    return {"user": hide(row.text)}


def _length(silence: timedelta) -> str:
    minutes = round(silence.total_seconds() / 60)
    if minutes < 24 * 60:
        return f"{minutes}m"
    return f"{round(minutes / 60)}h"


def expected(row: Any, assistant: Assistant, hide: Callable[[str], str], language: Language) -> Any:
    """What a `bot` step looks for; "" when nothing of the answer is sure to come again."""
    spoken: Language = row.language if row.language in ("zh", "en") else language
    said = wordings(assistant.responses.get(row.template, ()), spoken)
    if said and row.template != "utter_article":
        pieces = [piece for piece in (_longest_piece(each) for each in said) if piece]
        if len(pieces) == len(said):
            if len(set(pieces)) == 1:
                return pieces[0]
            return {"matches": "|".join(re.escape(piece) for piece in dict.fromkeys(pieces))}
    return _sure_words(hide(row.text))


def _longest_piece(variation: Variation) -> str:
    """The longest run of fixed words: no variable, no markup, no line break in it."""
    runs = [run.strip() for part in _PLACEHOLDER.split(variation.text) for run in _MARKS.split(part)]
    longest = max(runs, key=len, default="")
    return longest[:_LONGEST].strip() if len(longest) >= _LEAST else ""


def _sure_words(text: str) -> str:
    """The longest run without digits, which may be numbers and times of that day."""
    runs = [run.strip(" ,.;:，。；：-") for run in re.split(r"\d+|\n", text)]
    longest = max(runs, key=len, default="")
    return longest[:_LONGEST].strip() if len(longest) >= _LEAST else ""


def document_of(
    name: str, rows: Sequence[Any], assistant: Assistant, hide: Callable[[str], str], zone: tzinfo
) -> dict[str, Any]:
    """A conversation in the form of a transcript file; without steps when nothing can be repeated."""
    languages = [row.language for row in rows if row.direction == "out" and row.language in assistant.languages]
    language: Language = languages[0] if languages else assistant.language
    steps = steps_of(rows, assistant, hide, language)
    document: dict[str, Any] = {"name": name, "language": language}
    if rows:
        document["now"] = rows[0].at.astimezone(zone).replace(microsecond=0).isoformat()
    return {**document, "steps": steps}
