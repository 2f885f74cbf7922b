"""Which assistant answers where: folders loaded once, models taken from the store and followed when they change."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal

import structlog

from bot.assistant import Assistant
from bot.edited_texts import with_edits
from bot.errors import AssistantInvalid, ServiceError
from bot.ports import KnowledgeIndex, NluEngine
from bot.reading import AssistantRuntime
from bot.service.policy import ServicePolicy, desk_policy
from bot.types import Identity
from config.settings import Settings
from crm_sync import response_versions
from crm_sync.models import StoredArticle, StoredModel
from crm_sync.store import SqlStore
from desk.responses import edited_responses
from frontdesk.assistant import load_assistant
from frontdesk.observing import MODEL_LOADED
from frontdesk.policies import accounts_of, model_name, policy_in_force
from frontdesk.renewing import IndexRenewal
from frontdesk.sentence_encoder import article_reranker, sentence_encoder
from nlu.article_fields import Article
from nlu.articles import SUFFIXES, load_articles
from nlu.cascade import Cascade, build_engine
from nlu.embedded.encoder import SentenceEncoder
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import FORMAT_VERSION, encoder_of, unpack
from nlu.embedded.nearest import Near
from nlu.knowledge import ArticleIndex

log = structlog.get_logger()

LOOK_BACK = timedelta(seconds=5)  # further than the clocks of two processes lie apart
_ASSISTANT_FILES: Final = (".yml", ".yaml", ".json")
Files = tuple[tuple[str, int, int], ...]  # name, time and size of each
_MANY_NEWS = 300  # articles; fewer are read again rather than told apart by their times
WATCH_S = 0.25  # how often the epoch row is read; design.md promises a new model within 1 s


@dataclass(frozen=True, slots=True)
class Shelf:
    """The articles that answer, with what tells which of them have changed since. `index` finds them for customers."""

    seeds: tuple[Article, ...]  # of the files
    files: Files  # as long as they stay, nothing is read again
    stored: Mapping[tuple[str, str], StoredArticle]
    read_at: datetime  # when those were read, by the store's clock
    times: Mapping[tuple[str, str], datetime]  # when those were written that were new at that look
    articles: Mapping[tuple[str, str], Article]
    index: ArticleIndex


@dataclass(frozen=True, slots=True)
class LoadedAssistant:
    folder: Path
    assistant: Assistant
    nlu: NluEngine
    embedded: EmbeddedEngine  # the one on our own model, whichever is asked first
    knowledge: KnowledgeIndex
    model_version: str
    sure_from: float  # as measured for that model
    seeded: Assistant  # as the files have it
    files: Files  # those it was read from
    shelf: Shelf


class Runtimes:
    """Implements `bot.engine.RuntimeSource`."""

    def __init__(self, settings: Settings, store: SqlStore) -> None:
        self._settings, self._store = settings, store
        self._loaded: dict[Path, LoadedAssistant] = {}
        self._by_account: dict[tuple[str, str], AssistantRuntime] = {}
        self._default: AssistantRuntime | None = None
        self._policy = ServicePolicy()
        self._epoch = -1

    async def load(self) -> None:
        """Every assistant an account names is loaded and its model active.

        Trains (in a process of its own) where the store has no model for the folder's present content.
        Raises: AssistantInvalid with file, line and reason; ServiceError when training fails.
        """
        self._epoch = await self._store.model_epoch()
        for folder in {self._settings.assistant, *(section[2] for section in self._sections())}:
            await self._load_one(folder)
        self._bind()

    def is_ready(self) -> bool:
        return self._default is not None

    def runtime_for(self, identity: Identity) -> AssistantRuntime:
        runtime = self._by_account.get((identity.channel, identity.account), self._default)
        if runtime is None:
            raise ServiceError("nlu", "no assistant is loaded")
        return runtime

    def nearest(self, identity: Identity, text: str) -> Sequence[Near]:
        """The examples our own model of the assistant that answers there was taught, most like the text first."""
        engine = self.runtime_for(identity).nlu
        return next((each.embedded.nearest(text) for each in self._loaded.values() if each.nlu is engine), ())

    def default_assistant(self) -> Assistant:
        """The one that answers where no account says otherwise."""
        if self._default is None:
            raise ServiceError("nlu", "no assistant is loaded")
        return self._default.assistant

    def policy(self) -> ServicePolicy:
        """The rules of the desk: the default assistant's; `of` an account, those of the one that answers there."""
        if self._default is None:
            raise ServiceError("nlu", "no assistant is loaded")
        return self._policy

    def assistant_of(self, account: tuple[str, str]) -> Assistant:
        """The one that answers on this account (channel and its name)."""
        return self.runtime_for(Identity(*account, "")).assistant

    def default_knowledge(self) -> KnowledgeIndex:
        """The articles of the assistant that answers where no account says otherwise. Raises: ServiceError."""
        if self._default is None:
            raise ServiceError("nlu", "no assistant is loaded")
        return self._default.knowledge

    def loaded(self) -> Iterable[LoadedAssistant]:
        return self._loaded.values()

    async def watch(self) -> None:
        """Follow model and article changes made by any process; the old ones serve until the new are loaded."""
        renewal = IndexRenewal()
        try:
            while True:
                await asyncio.sleep(WATCH_S)
                try:
                    await self.follow()
                    await self.renew(renewal)
                except AssistantInvalid as invalid:  # a damaged model, or one of another version: staff can mend it
                    log.warning("model_not_followed", error=type(invalid).__name__, reason=str(invalid))
                except ServiceError as error:
                    log.warning("model_not_followed", error=type(error).__name__)
        finally:
            renewal.stop()

    async def renew(self, renewal: IndexRenewal) -> None:
        """An index with many edits beside it is being built anew, and takes the old one's place once it is done."""
        for folder, loaded in list(self._loaded.items()):
            index = await renewal.step(folder, loaded.shelf.articles, loaded.shelf.index)
            if index is not None:
                self._loaded[folder] = replace(loaded, knowledge=index, shelf=replace(loaded.shelf, index=index))
                self._bind()
                log.info("articles_indexed_anew", assistant=model_name(folder), articles=len(loaded.shelf.articles))

    async def follow(self) -> bool:
        """What was changed in the store since the last look answers from now on; False when nothing was.

        Raises: ServiceError, AssistantInvalid; what was loaded before goes on answering then.
        """
        epoch = await self._store.model_epoch()
        if epoch == self._epoch:
            return False
        were_light = [await self._load_one(folder, train=False) for folder in list(self._loaded)]
        self._epoch = epoch
        self._bind()
        if not all(were_light):  # looking through everything takes long, and an edited article leaves hardly anything
            spare_what_stays()
        return True

    async def _load_one(self, folder: Path, *, train: bool = True) -> bool:
        """The assistant answers as files and store have it now; whether hardly anything had to be read for it."""
        before = self._loaded.get(folder)
        # Reading, unpacking and indexing take about a second: in a thread, so that turns and streams go on meanwhile,
        # and only where something was touched, so that an edited article answers soon.
        files = await asyncio.to_thread(_touched, folder, _ASSISTANT_FILES)
        is_same = before is not None and before.files == files
        seeded = before.seeded if before and is_same else await asyncio.to_thread(load_assistant, folder)
        edits = await self._store.database.run(
            partial(response_versions.current, assistant=model_name(folder)), read=True
        )
        assistant = with_edits(seeded, edited_responses(edits))
        policy = await policy_in_force(self._store.database, folder, seeded=assistant.service, hours=assistant.hours)
        assistant = replace(assistant, service=policy)
        if before is not None:
            assistant = assistant.remembering(before.assistant)  # flows that run go on in the version they began with
        name = model_name(folder)
        if before is not None and not train and before.model_version == await self._store.active_version(name):
            shelf = await self._shelf(folder, before.shelf)
            self._loaded[folder] = replace(
                before,
                assistant=assistant.sure_from(before.sure_from),
                knowledge=shelf.index,
                seeded=seeded,
                files=files,
                shelf=shelf,
            )
            log.info("assistant_followed", assistant=name, articles=len(shelf.articles))
            return is_same and shelf.seeds is before.shelf.seeds
        active = await self._store.active_model(name)
        place = self._settings.nlu.encoder
        encoder = await asyncio.to_thread(sentence_encoder, place)
        if train and (active is None or active.training_hash != training_hash(folder) or is_of_other(active, encoder)):
            learnt = learnt_of(active)  # what staff have taught stays when files change
            version, packed = await asyncio.to_thread(trained, folder, self._settings.nlu.model_dir, learnt, place)
            await self._store.put_model(
                name, version, packed, training_hash=training_hash(folder), manifest={"learnt": learnt}, activate=True
            )
            self._epoch = await self._store.model_epoch()  # our own change is no news to us
            active = await self._store.active_model(name)
        if active is None:
            raise ServiceError("nlu", f"no model for {name}")
        shelf = await self._shelf(folder, before.shelf if before else None)
        model = await asyncio.to_thread(unpack, active.packed, encoder)
        embedded = EmbeddedEngine(model, rejected_share=self._settings.nlu.rejected_share)
        nlu = build_engine(self._settings.nlu, embedded, frozenset(assistant.intents))
        MODEL_LOADED.set(1)
        sure = model.manifest.sure_from
        self._loaded[folder] = LoadedAssistant(
            folder, assistant.sure_from(sure), nlu, embedded, shelf.index, active.version, sure, seeded, files, shelf
        )
        if before is not None:
            await close_engine(before.nlu)  # a turn still waiting for it is answered by the next engine in line
        log.info("assistant_loaded", assistant=name, model=active.version, articles=len(shelf.articles))
        return False

    async def _shelf(self, folder: Path, before: Shelf | None) -> Shelf:
        """The articles as they are now; of those that were there before, only what has changed is read and indexed."""
        read_at = self._store.now()  # not the newest article's time: thousands may have come with that one
        news, times = await self._news(model_name(folder), before)
        place = self._settings.nlu.encoder
        work = partial(renewed, folder, before, news, read_at, times=times, encoder=place)
        return await asyncio.to_thread(work)

    async def _news(
        self, name: str, before: Shelf | None
    ) -> tuple[Iterable[StoredArticle], dict[tuple[str, str], datetime]]:
        """What was written of late, and when. Right behind an import of thousands only what is newer is read again."""
        if before is None:
            return (await self._store.article_news(name, None))[0], {}
        since = before.read_at - LOOK_BACK
        times = await self._store.article_times(name, since)
        if len(times) > _MANY_NEWS:
            fresh = {key for key, written_at in times.items() if before.times.get(key) != written_at}
            if len(fresh) <= _MANY_NEWS:
                return await self._store.articles_of(name, fresh), times
        return (await self._store.article_news(name, since))[0], times

    async def close(self) -> None:
        """Connections to remote engines are closed."""
        for loaded in self._loaded.values():
            await close_engine(loaded.nlu)

    def _sections(self) -> Iterable[tuple[str, str, Path, str | None, Literal["zh", "en"] | None]]:
        for channel, account, section in accounts_of(self._settings):
            folder = section.assistant or self._settings.assistant
            yield channel, account, folder, section.timezone, section.language

    def _bind(self) -> None:
        others = {
            (channel, account): self._loaded[folder].assistant.service
            for channel, account, folder, *_ in self._sections()
            if folder != self._settings.assistant
        }
        self._policy = desk_policy(self._loaded[self._settings.assistant].assistant.service, others)

        def runtime(folder: Path) -> AssistantRuntime:
            loaded = self._loaded[folder]
            return AssistantRuntime(
                assistant=replace(loaded.assistant, desk=self._policy if others else None),
                nlu=loaded.nlu,
                knowledge=loaded.knowledge,
                timezone=self._settings.timezone,
                language=self._settings.language,
            )

        self._default = runtime(self._settings.assistant)
        self._by_account = {
            (channel, account): replace(
                runtime(folder),
                timezone=timezone or self._settings.timezone,
                language=language or self._settings.language,
            )
            for channel, account, folder, timezone, language in self._sections()
        }


async def close_engine(engine: NluEngine) -> None:
    if isinstance(engine, Cascade):
        await engine.close()


def spare_what_stays() -> None:
    """What is loaded now is left alone by the garbage collector, what it replaced is given back.

    Models, articles and modules are a million objects that stay. Walking through all of them again and again stopped
    every request for 100 ms, several times a second under load (docs/benchmarks.md). What a turn makes is given back by
    counting references, so that the collector need not look after every 700 new objects, which is three times a turn.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def renewed(
    folder: Path,
    before: Shelf | None,
    news: Iterable[StoredArticle],
    read_at: datetime,
    *,
    times: Mapping[tuple[str, str], datetime],
    encoder: Path | None,
) -> Shelf:
    """The shelf with what the store has of late; the files are read again where one of them was touched.

    `encoder`: the folder of the sentence encoder, which orders what is found.

    Raises: AssistantInvalid.
    """
    files, news = _touched(folder / "knowledge", SUFFIXES), list(news)
    stored = {**(before.stored if before else {}), **{(row.id, row.language): row for row in news}}
    if before is None or before.files != files:
        seeds = tuple(seeded_articles(folder))
        articles = {(each.id, each.language): each for each in with_stored(seeds, stored.values())}
        index = ArticleIndex(articles.values(), reranker=article_reranker(encoder))
        return Shelf(seeds, files, stored, read_at, times, articles, index)
    changed = {key: None for row in news if stored[key := (row.id, row.language)] != before.stored.get(key)}
    now = {key: found for key in changed for found in with_stored((), (stored[key],))}
    articles = {key: each for key, each in before.articles.items() if key not in changed} | now
    gone = [key for key in changed if key not in now]
    index = before.index.updated(list(now.values()), gone) if changed else before.index
    return Shelf(before.seeds, files, stored, read_at, times, articles, index)


def _touched(folder: Path, suffixes: Collection[str]) -> Files:
    """The files of these kinds, in depth."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes)
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in found for stat in (path.stat(),))


async def merged_articles(store: SqlStore, folder: Path) -> list[Article]:
    """The folder's articles; those edited in the store win, and those withdrawn there are gone."""
    return with_stored(await asyncio.to_thread(seeded_articles, folder), await store.articles(model_name(folder)))


def with_stored(shelf: Iterable[Article], stored: Iterable[StoredArticle]) -> list[Article]:
    """What customers are answered with: the files' articles, unless the store has them otherwise or withdrawn."""
    found = {(article.id, article.language): article for article in shelf}
    for row in stored:
        if row.is_withdrawn:
            found.pop((row.id, row.language), None)
        else:
            found[row.id, row.language] = Article(
                id=row.id,
                language=row.language,
                title=row.title,
                answer=row.answer,
                questions=row.questions,
                details=row.details,
            )
    return list(found.values())


def seeded_articles(folder: Path) -> list[Article]:
    """The articles of the folder's own files. Raises: AssistantInvalid."""
    shelf = folder / "knowledge"
    return load_articles(shelf) if shelf.is_dir() else []


def learnt_of(model: StoredModel | None) -> list[tuple[str, str]]:
    """The labelled examples that a stored model was trained on beside the files."""
    if model is None:
        return []
    return [(str(text), str(intent)) for text, intent in model.manifest.get("learnt", ())]


def is_of_other(active: StoredModel, encoder: SentenceEncoder | None) -> bool:
    """Another sentence encoder than this, or none, was there when the model was trained."""
    used = encoder_of(active.packed)
    return used is not None and used != (encoder.name if encoder else "")


def training_hash(folder: Path) -> str:
    """Changes when anything the model is made from changes: the training files and the model format."""
    digest = hashlib.sha256(str(FORMAT_VERSION).encode())
    for path in sorted((folder / "data").glob("*.yml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def trained(
    folder: Path, cache: Path, learnt: Sequence[tuple[str, str]] = (), encoder: Path | None = None
) -> tuple[str, bytes]:
    """(version, packed model) for the folder's present content: from the cache, or trained now and kept there.

    `learnt`: words and intents that are learnt beside the files. `encoder`: the folder of the sentence encoder.

    Training runs in a process of its own, so that scikit-learn never enters a serving one.
    Raises: AssistantInvalid with what the training said.
    """
    taught = json.dumps(learnt).encode() if learnt else b""
    mark = f"-{hashlib.sha256(taught).hexdigest()[:8]}" if taught else ""
    loaded = sentence_encoder(encoder)
    mark += f"-{loaded.name}" if loaded else ""
    kept = cache / f"{model_name(folder)}-{training_hash(folder)[:16]}{mark}.zip"
    found = kept_model(kept, loaded)
    if found:
        return found
    log.info("model_training_started", assistant=model_name(folder))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="training-") as out:
        command = [sys.executable, "-m", "frontdesk.training", str(folder / "data"), out]
        environment = os.environ | ({"FRONTDESK_NLU__ENCODER": str(encoder)} if encoder else {})
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=taught, capture_output=True, check=False, env=environment
        )
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip() or "no message"
            raise AssistantInvalid(f"training failed: {reason}", file=folder.name)
        (Path(out) / "model.zip").replace(kept)  # in one step: a cache never holds half a model
    packed = kept.read_bytes()
    return unpack(packed, loaded).version, packed


def kept_model(kept: Path, encoder: SentenceEncoder | None) -> tuple[str, bytes] | None:
    """(version, packed model) of a cached one; None without one, and where it cannot be read any more."""
    if not kept.is_file():
        return None
    packed = kept.read_bytes()
    try:
        return unpack(packed, encoder).version, packed
    except AssistantInvalid as damaged:  # a full disk or a power cut: what it was made from is still there
        log.warning("model_cache_unreadable", file=str(kept), reason=damaged.reason, then="trained again")
        return None
