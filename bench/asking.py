"""`python -m bench.asking STORE ARTICLES`: fifty thousand articles in a desk's store, asked, and one of them edited.

STORE is a copy of a store whose model is trained. Words are made up with the frequencies of real ones, the same in
every run; half of the articles are Chinese.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time

from pydantic import SecretStr
from sqlalchemy import Connection, insert, update

from bench.figures import percentile
from bench.processes import ROOT
from bot.types import Language
from config.logging import configure_logging
from config.settings import Settings
from crm_sync.models import StoredArticle
from crm_sync.store import SqlStore
from crm_sync.tables import articles
from frontdesk.policies import model_name
from frontdesk.runtimes import WATCH_S, Runtimes

ASKED = 1000
EDITS = 10
REBUILT = 15  # one in so many articles is edited at once; more than a tenth of its language leads to a new index
PATIENCE_S, LOOK_S = 120, 0.02
SHOP = ROOT / "config" / "assistants" / "shop"
_SYLLABLES = [consonant + vowel for consonant in "bcdfghklmnprstvz" for vowel in "aeiou"]


def main() -> None:
    configure_logging("auto", "warning")  # stdout is for the numbers
    json.dump(asyncio.run(measure(Path(sys.argv[1]), int(sys.argv[2]))), sys.stdout)


async def measure(path: Path, count: int) -> dict[str, float]:
    """CPU milliseconds of a question, the slowest of some edits in seconds, seconds and memory of loading."""
    made = list(_articles(random.Random(5), count))
    store = await SqlStore.open(f"sqlite:///{path}")
    try:
        settings = Settings(assistant=SHOP, database_url=SecretStr(f"sqlite:///{path}"))
        runtimes = Runtimes(settings, store)
        began = process_time()
        await runtimes.load()
        started_s = process_time() - began
        await store.database.run(lambda conn: _put(conn, made))
        began = process_time()
        await _edited(store, runtimes, StoredArticle("b0", "en", "Where is the sprocket kept", "In the first drawer."))
        loaded_s = process_time() - began
        watch = asyncio.create_task(runtimes.watch())
        try:
            # Right after an import its articles are as new as the edit: telling one from the other must cost little.
            edit_s = max([await _live(store, runtimes, f"behind the import {number}") for number in range(EDITS)])
            took_ms = _ask(runtimes, made)  # nothing is being built: its time would be counted
            # So many that the index is built anew, beside which edits go on.
            for each in made[: count // REBUILT]:  # one after the other, as an import does it
                await store.put_article(model_name(SHOP), replace(each, answer=f"{each.answer} edited"))
            rebuild_s = max([await _live(store, runtimes, f"beside the building {number}") for number in range(EDITS)])
        finally:
            watch.cancel()
        return {
            "p50_ms": percentile(took_ms, 0.5),
            "p99_ms": percentile(took_ms, 0.99),
            "edit_s": edit_s,
            "rebuild_s": rebuild_s,
            "loaded_s": started_s + loaded_s,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    finally:
        await store.close()


async def _live(store: SqlStore, runtimes: Runtimes, answer: str) -> float:
    """Seconds from the commit of an edit until the article answers, while the desk follows the store."""
    edited = StoredArticle("a0", "en", "Where is the gizmo kept", answer)
    await store.put_article(model_name(SHOP), edited)
    began = perf_counter()
    while perf_counter() - began < PATIENCE_S:
        hits = runtimes.default_knowledge().ask(edited.title, language="en")
        if hits and hits[0].answer == answer:
            return perf_counter() - began
        await asyncio.sleep(LOOK_S)
    raise RuntimeError("an edited article does not answer")


async def _edited(store: SqlStore, runtimes: Runtimes, edited: StoredArticle) -> float:
    """Seconds until the article answers, with a whole interval of polling. Raises: RuntimeError when it does not."""
    began = perf_counter()
    await store.put_article(model_name(SHOP), edited)
    await runtimes.follow()
    hits = runtimes.default_knowledge().ask(edited.title, language="en")
    if not hits or hits[0].answer != edited.answer:
        raise RuntimeError("an edited article does not answer")
    return perf_counter() - began + WATCH_S


def _ask(runtimes: Runtimes, made: list[StoredArticle]) -> list[float]:
    """CPU milliseconds of each question: a title, with words around it that others have too."""
    knowledge, random_ = runtimes.default_knowledge(), random.Random(6)
    took_ms = []
    for _ in range(ASKED):
        one, other = random_.choice(made), random_.choice(made)
        language: Language = "zh" if one.language == "zh" else "en"
        text = f"{one.title} {other.title[:12] if one.language == other.language else ''}"
        began = process_time()
        knowledge.ask(text, language=language)
        took_ms.append((process_time() - began) * 1000)
    return took_ms


def _articles(random_: random.Random, count: int) -> list[StoredArticle]:
    english = ["".join(random_.choices(_SYLLABLES, k=random_.randint(2, 4))) for _ in range(8000)]
    chinese = [chr(0x4E00 + place) for place in range(1500)]

    def words(language: str, many: int) -> str:
        if language == "en":
            return " ".join(english[int(random_.paretovariate(0.9)) % len(english)] for _ in range(many))
        return "".join(chinese[int(random_.paretovariate(0.6)) % len(chinese)] for _ in range(2 * many))

    return [
        StoredArticle(f"a{number}", language, words(language, 6), words(language, 60), (words(language, 7),))
        for number in range(count)
        for language in (("en", "zh")[number % 2],)
    ]


def _put(conn: Connection, made: list[StoredArticle]) -> None:
    row = {"assistant": model_name(SHOP), "updated_at": datetime.now(UTC), "is_withdrawn": False, "details": {}}
    conn.execute(
        insert(articles),
        [
            {
                **row,
                "id": each.id,
                "language": each.language,
                "title": each.title,
                "answer": each.answer,
                "questions": list(each.questions),
            }
            for each in made
        ],
    )
    # As new as when the last of many is imported: following the next edit must not read them all again.
    conn.execute(update(articles).values(updated_at=datetime.now(UTC)))


if __name__ == "__main__":
    main()
