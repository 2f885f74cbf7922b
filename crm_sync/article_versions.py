"""Every wording an article had or may get: drafts, what waits for review, what is published and what was before.

`articles` holds what answers customers now; this is its history, and what is not yet known to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select, update

from bot.types import NO_DETAILS, ArticleDetails
from crm_sync.console_tables import article_versions
from crm_sync.models import StoredArticle, dump_details, load_details
from crm_sync.rows import insert_if_absent

DRAFT, REVIEW, PUBLISHED, SUPERSEDED, WITHDRAWN = "draft", "review", "published", "superseded", "withdrawn"
OPEN: Final = (DRAFT, REVIEW)


@dataclass(frozen=True, slots=True)
class ArticleVersion:
    """One wording in one language. Versions count from 1; 0 stands for the file's, which has no row."""

    article_id: str
    language: str
    version: int
    state: str  # draft | review | published | superseded | withdrawn
    title: str
    answer: str
    questions: tuple[str, ...]
    by: str
    reviewed_by: str
    note: str
    at: datetime
    published_at: datetime | None
    details: ArticleDetails = NO_DETAILS

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def as_article(self, *, is_withdrawn: bool = False) -> StoredArticle:
        return StoredArticle(
            self.article_id, self.language, self.title, self.answer, self.questions, is_withdrawn, self.details
        )


def of_article(conn: Connection, assistant: str, article_id: str) -> list[ArticleVersion]:
    """All versions in all languages, the newest first."""
    return _read(conn, article_versions.c.assistant == assistant, article_versions.c.article_id == article_id)


def newest_of_each(conn: Connection, assistant: str) -> list[ArticleVersion]:
    """The newest version of every article and language."""
    table = article_versions
    newest = (
        select(table.c.article_id, table.c.language, func.max(table.c.version).label("version"))
        .where(table.c.assistant == assistant)
        .group_by(table.c.article_id, table.c.language)
        .subquery()
    )
    same = and_(
        table.c.article_id == newest.c.article_id,
        table.c.language == newest.c.language,
        table.c.version == newest.c.version,
    )
    rows = conn.execute(select(table).join(newest, same).where(table.c.assistant == assistant))
    return [_version(row) for row in rows]


def newest(conn: Connection, assistant: str, article_id: str, language: str) -> ArticleVersion | None:
    """The newest version in this language; None while there is only the file, or nothing."""
    found = [each for each in of_article(conn, assistant, article_id) if each.language == language]
    return found[0] if found else None


def add(
    conn: Connection,
    assistant: str,
    article: StoredArticle,
    *,
    version: int,
    state: str,
    by: str,
    note: str,
    at: datetime,
) -> bool:
    """The version is there; False when somebody else has just taken this number."""
    row = {
        "assistant": assistant,
        "article_id": article.id,
        "language": article.language,
        "version": version,
        "state": state,
        "title": article.title,
        "answer": article.answer,
        "questions": list(article.questions),
        "by": by,
        "note": note,
        "at": at,
        "published_at": at if state == PUBLISHED else None,
        "details": dump_details(article.details),
    }
    key = ("assistant", "article_id", "language", "version")
    same = and_(*(article_versions.c[name] == row[name] for name in key))
    if conn.execute(select(article_versions.c.id).where(same)).first() is not None:
        return False
    insert_if_absent(conn, article_versions, row, key=key)
    written = conn.execute(select(article_versions.c.by, article_versions.c.at).where(same)).one()
    return bool(written.by == by and written.at == at)


def move(
    conn: Connection, assistant: str, which: ArticleVersion, state: str, *, seen: str, **more: Any
) -> bool:  # fmt: skip
    """The version is in this state, unless it is no longer in the state `seen`: then False, and nothing changes."""
    table = article_versions
    still = and_(
        table.c.assistant == assistant,
        table.c.article_id == which.article_id,
        table.c.language == which.language,
        table.c.version == which.version,
        table.c.state == seen,
    )
    return conn.execute(update(table).where(still).values(state=state, **more)).rowcount > 0


def supersede(conn: Connection, assistant: str, article_id: str, language: str, states: Sequence[str]) -> None:
    """What was in one of these states is history."""
    table = article_versions
    which = and_(
        table.c.assistant == assistant,
        table.c.article_id == article_id,
        table.c.language == language,
        table.c.state.in_(states),
    )
    conn.execute(update(table).where(which).values(state=SUPERSEDED))


def record_published(
    conn: Connection, assistant: str, articles: Sequence[StoredArticle], *, by: str, note: str, at: datetime
) -> None:
    """What was put into `articles` from outside (an import) is in the history, as published."""
    for article in articles:
        last = newest(conn, assistant, article.id, article.language)
        supersede(conn, assistant, article.id, article.language, (PUBLISHED, *OPEN))
        version = last.version + 1 if last else 1
        add(conn, assistant, article, version=version, state=PUBLISHED, by=by, note=note, at=at)


def _read(conn: Connection, *where: Any) -> list[ArticleVersion]:
    rows = conn.execute(select(article_versions).where(*where).order_by(article_versions.c.version.desc()))
    return [_version(row) for row in rows]


def _version(row: Any) -> ArticleVersion:
    return ArticleVersion(
        row.article_id, row.language, row.version, row.state, row.title, row.answer, tuple(row.questions), row.by,
        row.reviewed_by, row.note, row.at, row.published_at, load_details(row.details),
    )  # fmt: skip
