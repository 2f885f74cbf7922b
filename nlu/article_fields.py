"""What one article is made of, read from the fields of a line, a row or a front matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, Protocol

from bot.errors import AssistantInvalid
from bot.types import NO_DETAILS, ArticleDetails, ReplyButton

_LIST_SEPARATORS: Final = "|\n；"


@dataclass(frozen=True, slots=True)
class Article:
    """One answer. `questions` are other ways to ask for it."""

    id: str
    language: str
    title: str
    answer: str
    questions: tuple[str, ...] = ()
    details: ArticleDetails = NO_DETAILS

    @property
    def tags(self) -> tuple[str, ...]:
        return self.details.tags


class Indexable(Protocol):
    """What the index reads of an article; rows of a store have it too."""

    @property
    def id(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def questions(self) -> tuple[str, ...]: ...
    @property
    def details(self) -> ArticleDetails: ...


def article_of(fields: dict[str, Any], file: str, line: int) -> Article:
    def required(name: str) -> str:
        value = fields.get(name)
        if value is None or not str(value).strip():
            raise AssistantInvalid(f"`{name}` is missing", file=file, line=line)
        return str(value).strip()

    language = required("language").lower()
    if language[:2] not in ("zh", "en"):
        raise AssistantInvalid(f"`language` must be zh or en, not {language!r}", file=file, line=line)
    return Article(
        id=required("id"),
        language=language[:2],
        title=required("title"),
        answer=required("answer"),
        questions=(*_list(fields.get("question"), "question", file, line), *_questions(fields, file, line)),
        details=_details(fields, file, line),
    )


def _questions(fields: dict[str, Any], file: str, line: int) -> tuple[str, ...]:
    """`variants` is another name for `questions`."""
    return (
        *_list(fields.get("questions"), "questions", file, line),
        *_list(fields.get("variants"), "variants", file, line),
    )


def _details(fields: dict[str, Any], file: str, line: int) -> ArticleDetails:
    audience = str(fields.get("audience") or "").strip().lower()
    if audience in ("everybody", "customers", "all"):
        audience = ""
    if audience not in ("", "staff"):
        raise AssistantInvalid(f"`audience` must be customers or staff, not {audience!r}", file=file, line=line)
    since = _moment(fields.get("valid_from"), "valid_from", file, line)
    until = _moment(fields.get("valid_until"), "valid_until", file, line)
    if since is not None and until is not None and until <= since:
        raise AssistantInvalid("`valid_until` must be after `valid_from`", file=file, line=line)
    return ArticleDetails(
        audience=audience,
        valid_from=since,
        valid_until=until,
        tags=_list(fields.get("tags"), "tags", file, line),
        media=str(fields.get("media") or "").strip(),
        buttons=tuple(_button(each, file, line) for each in _entries(fields.get("buttons"), file, line)),
    )


def _moment(value: Any, name: str, file: str, line: int) -> datetime | None:
    """A date (its first moment, UTC) or a time with its zone; UTC where it has none."""
    if value is None or not str(value).strip():
        return None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif not isinstance(value, datetime) and isinstance(value, date):
            value = datetime.combine(value, time())
        if not isinstance(value, datetime):
            raise TypeError
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as exc:
        raise AssistantInvalid(f"`{name}` must be a date like 2026-11-30", file=file, line=line) from exc


def _entries(value: Any, file: str, line: int) -> Iterable[Any]:
    return value if isinstance(value, list) else _list(value, "buttons", file, line)


def _button(value: Any, file: str, line: int) -> ReplyButton:
    """`label=value` in a table, {label, value} elsewhere; the value is what a button of a response has."""
    label, target = "", ""
    if isinstance(value, dict):
        label, target = str(value.get("label") or "").strip(), str(value.get("value") or "").strip()
    elif isinstance(value, str):
        label, _, target = (part.strip() for part in value.partition("="))
    if not 0 < len(label) <= 60 or len(target) > 60 or not target.startswith(("intent:", "article:", "flow:")):
        reason = "`buttons` must be label=value with intent:, article: or flow: in the value, 60 characters at most"
        raise AssistantInvalid(reason, file=file, line=line)
    return ReplyButton(label, target)


def _list(value: Any, name: str, file: str, line: int) -> tuple[str, ...]:
    """A list, or in a table one cell with `|`, line breaks or `；` between the entries."""
    if value is None:
        return ()
    if isinstance(value, str):
        for separator in _LIST_SEPARATORS:
            value = value.replace(separator, "\n")
        value = value.split("\n")
    if not isinstance(value, list):
        raise AssistantInvalid(f"`{name}` must be a list", file=file, line=line)
    return tuple(str(entry).strip() for entry in value if str(entry).strip())
