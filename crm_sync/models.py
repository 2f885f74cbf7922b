"""Trained models and edited articles: bytes in the store, one version active, a small epoch that processes poll."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from bot.errors import NotFound, StaleState
from bot.types import NO_DETAILS, ArticleDetails, ReplyButton
from crm_sync.learning_tables import model_activations
from crm_sync.rows import upsert
from crm_sync.statements import Statement
from crm_sync.tables import active_models, articles, counters, models

_EPOCH: Final = "model_epoch"
_COUNTED: Final = Statement(select(counters.c.value).where(counters.c.name == _EPOCH))


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
    details: ArticleDetails = NO_DETAILS


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


@dataclass(frozen=True, slots=True)
class Activation:
    """Somebody made a version the active one; `previous` served before, "" for none."""

    version: str
    previous: str
    by: str
    at: datetime


def activate(
    conn: Connection, name: str, version: str, now: datetime, *, by: str = "", training_hash: str = "", seen: str = ""
) -> None:
    """This version is the active one, the epoch has moved, and the history says who did it.

    `training_hash`: of the files as they are now, where that is not what the model was trained from. `seen`: the
    version that whoever asks believes to be active; "" for whichever.
    Raises: NotFound, StaleState.
    """
    same = (models.c.name == name) & (models.c.version == version)
    if conn.execute(select(models.c.id).where(same)).first() is None:
        raise NotFound(f"no version {version} of model {name}")
    raise_epoch(conn)  # first: its row is the lock of all who activate
    previous = active_version(conn, name)
    if seen and seen != previous:
        raise StaleState(f"model {name} was changed meanwhile: {previous} is active")
    row = {"name": name, "version": version, "activated_at": now, "training_hash": training_hash}
    upsert(conn, active_models, row, key=["name"])
    if previous != version:
        told = {"name": name, "version": version, "previous": previous, "by": by, "at": now}
        conn.execute(insert(model_activations), told)


def active_version(conn: Connection, name: str) -> str:
    """ "" before the first activation."""
    found: str | None = conn.execute(select(active_models.c.version).where(active_models.c.name == name)).scalar()
    return found or ""


def activations(conn: Connection, name: str, limit: int = 20) -> list[Activation]:
    """The newest first."""
    table = model_activations
    rows = conn.execute(select(table).where(table.c.name == name).order_by(table.c.id.desc()).limit(limit))
    return [Activation(row.version, row.previous, row.by, row.at) for row in rows]


def find_version(conn: Connection, name: str, version: str) -> StoredModel | None:
    """A stored model, active or not."""
    row = conn.execute(select(models).where(models.c.name == name, models.c.version == version)).first()
    return None if row is None else StoredModel(row.name, row.version, row.payload, row.training_hash, row.manifest)


def prune(conn: Connection, name: str, *, keep: Collection[str], activations_back: int = 5) -> int:
    """Bytes nobody can go back to are gone: all but the active version, the last ones before it and those to `keep`."""
    recent = activations(conn, name, activations_back)
    stays = {
        active_version(conn, name),
        *keep,
        *(version for each in recent for version in (each.version, each.previous)),
    }
    gone = models.delete().where(models.c.name == name, models.c.version.not_in(sorted(stays)))
    return conn.execute(gone).rowcount


def find_active(conn: Connection, name: str) -> StoredModel | None:
    """The active model of this name; None before the first activation."""
    row = conn.execute(
        select(models, active_models.c.training_hash.label("files_hash"))
        .join_from(
            active_models,
            models,
            (models.c.name == active_models.c.name) & (models.c.version == active_models.c.version),
        )
        .where(active_models.c.name == name)
    ).first()
    if row is None:
        return None
    return StoredModel(row.name, row.version, row.payload, row.files_hash or row.training_hash, row.manifest)


def raise_epoch(conn: Connection) -> None:
    """Every process notices within its polling interval that models or articles changed."""
    raised = update(counters).where(counters.c.name == _EPOCH).values(value=counters.c.value + 1)
    if conn.execute(raised).rowcount == 0:
        conn.execute(insert(counters), {"name": _EPOCH, "value": 1})


def epoch(conn: Connection) -> int:
    """Counts the changes of models and articles; 0 before the first."""
    found = _COUNTED.rows(conn, {})  # asked four times a second by every process
    return int(found[0].value) if found else 0


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
        "details": dump_details(article.details),
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


def edited_articles(conn: Connection, assistant: str) -> list[StoredArticle]:
    """The assistant's edited articles, by id and language."""
    return list(article_news(conn, assistant, None)[0])


def article_news(
    conn: Connection, assistant: str, since: datetime | None
) -> tuple[Sequence[StoredArticle], datetime | None]:
    """The edited articles, and when the newest was written; `since`: only those written at that moment or later."""
    mine = select(articles).where(articles.c.assistant == assistant).order_by(articles.c.id, articles.c.language)
    return _read_articles(
        conn.execute(mine if since is None else mine.where(articles.c.updated_at >= since)).all(), since
    )


def article_times(conn: Connection, assistant: str, since: datetime) -> dict[tuple[str, str], datetime]:
    """When the articles written at that moment or later were written, by id and language; their words are not read."""
    columns = (articles.c.id, articles.c.language, articles.c.updated_at)
    mine = select(*columns).where(articles.c.assistant == assistant, articles.c.updated_at >= since)
    return {(row.id, row.language): row.updated_at for row in conn.execute(mine)}


def articles_of(conn: Connection, assistant: str, keys: Collection[tuple[str, str]]) -> list[StoredArticle]:
    """These of the edited articles. `keys`: id and language of each, a few hundred at most."""
    of_ids = select(articles).where(articles.c.assistant == assistant, articles.c.id.in_({id_ for id_, _ in keys}))
    found, _ = _read_articles(conn.execute(of_ids.order_by(articles.c.id, articles.c.language)).all(), None)
    return [each for each in found if (each.id, each.language) in keys]


def _read_articles(rows: Sequence[Row[Any]], since: datetime | None) -> tuple[Sequence[StoredArticle], datetime | None]:
    found = [
        StoredArticle(
            row.id, row.language, row.title, row.answer, tuple(row.questions), row.is_withdrawn,
            load_details(row.details),
        )
        for row in rows
    ]  # fmt: skip
    return found, max((row.updated_at for row in rows), default=since)


def dump_details(details: ArticleDetails) -> dict[str, Any]:
    """Only what is filled, JSON-safe."""
    document = {
        "audience": details.audience,
        "valid_from": details.valid_from.isoformat() if details.valid_from else "",
        "valid_until": details.valid_until.isoformat() if details.valid_until else "",
        "tags": list(details.tags),
        "media": details.media,
        "buttons": [{"label": button.label, "value": button.value} for button in details.buttons],
    }
    return {name: value for name, value in document.items() if value}


def load_details(document: Mapping[str, Any]) -> ArticleDetails:
    """The inverse of `dump_details`."""
    since, until = document.get("valid_from"), document.get("valid_until")
    return ArticleDetails(
        audience=document.get("audience", ""),
        valid_from=datetime.fromisoformat(since) if since else None,
        valid_until=datetime.fromisoformat(until) if until else None,
        tags=tuple(document.get("tags", ())),
        media=document.get("media", ""),
        buttons=tuple(ReplyButton(each["label"], each["value"]) for each in document.get("buttons", ())),
    )
