"""Trained models and edited articles: bytes in the store, one version active, a small epoch that processes poll."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from bot.errors import NotFound
from crm_sync.rows import upsert
from crm_sync.tables import active_models, articles, counters, models

_EPOCH: Final = "model_epoch"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as it was put. `packed` are its bytes; `training_hash` tells what it was trained from."""

    name: str
    version: str
    packed: bytes
    training_hash: str
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredArticle:
    """An article edited in the store; it wins over the assistant folder's."""

    id: str
    language: str
    title: str
    answer: str
    questions: tuple[str, ...] = ()
    is_withdrawn: bool = False  # answers nobody, also where the folder has it


def put(conn: Connection, model: StoredModel, now: datetime) -> None:
    """The model is kept; putting the same name and version again overwrites nothing."""
    same = (models.c.name == model.name) & (models.c.version == model.version)
    if conn.execute(select(models.c.id).where(same)).first() is not None:
        return
    conn.execute(
        insert(models),
        {
            "name": model.name,
            "version": model.version,
            "payload": model.packed,
            "training_hash": model.training_hash,
            "manifest": dict(model.manifest),
            "created_at": now,
        },
    )


def activate(conn: Connection, name: str, version: str, now: datetime) -> None:
    """This version is the active one and the epoch has moved.

    Raises: NotFound.
    """
    same = (models.c.name == name) & (models.c.version == version)
    if conn.execute(select(models.c.id).where(same)).first() is None:
        raise NotFound(f"no version {version} of model {name}")
    upsert(conn, active_models, {"name": name, "version": version, "activated_at": now}, key=["name"])
    raise_epoch(conn)


def find_active(conn: Connection, name: str) -> StoredModel | None:
    """The active model of this name; None before the first activation."""
    row = conn.execute(
        select(models)
        .join_from(
            active_models,
            models,
            (models.c.name == active_models.c.name) & (models.c.version == active_models.c.version),
        )
        .where(active_models.c.name == name)
    ).first()
    return None if row is None else StoredModel(row.name, row.version, row.payload, row.training_hash, row.manifest)


def raise_epoch(conn: Connection) -> None:
    """Every process notices within its polling interval that models or articles changed."""
    raised = update(counters).where(counters.c.name == _EPOCH).values(value=counters.c.value + 1)
    if conn.execute(raised).rowcount == 0:
        conn.execute(insert(counters), {"name": _EPOCH, "value": 1})


def epoch(conn: Connection) -> int:
    """Counts the changes of models and articles; 0 before the first."""
    return int(conn.execute(select(counters.c.value).where(counters.c.name == _EPOCH)).scalar() or 0)


def put_article(conn: Connection, assistant: str, article: StoredArticle, now: datetime) -> None:
    """The article says this now, and the epoch has moved."""
    row = {
        "assistant": assistant,
        "id": article.id,
        "language": article.language,
        "title": article.title,
        "answer": article.answer,
        "questions": list(article.questions),
        "updated_at": now,
        "is_withdrawn": article.is_withdrawn,
    }
    upsert(conn, articles, row, key=["assistant", "id", "language"])
    raise_epoch(conn)


def put_new_articles(
    conn: Connection,
    assistant: str,
    versions: Sequence[StoredArticle],
    tell: Callable[[Connection], object],
    now: datetime,
) -> None:
    """The languages of one article say this now; those who are to hear of one that was not edited here before do."""
    raise_epoch(conn)  # first: its row is the lock of all who write articles
    mine = (articles.c.assistant == assistant) & (articles.c.id == versions[0].id)
    is_new = conn.execute(select(articles.c.id).where(mine)).first() is None
    for article in versions:
        put_article(conn, assistant, article, now)
    if is_new:
        tell(conn)


def edited_articles(conn: Connection, assistant: str) -> Sequence[StoredArticle]:
    """The assistant's edited articles, by id and language."""
    rows = conn.execute(
        select(articles).where(articles.c.assistant == assistant).order_by(articles.c.id, articles.c.language)
    )
    return [
        StoredArticle(row.id, row.language, row.title, row.answer, tuple(row.questions), row.is_withdrawn)
        for row in rows
    ]
