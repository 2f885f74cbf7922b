"""`frontdesk knowledge`: import articles, ask, measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bot.types import Language
from config.settings import Settings
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import with_store

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

app = typer.Typer(help="Articles.", no_args_is_help=True)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="Folder or .md, .csv, .xlsx or .jsonl file.")], json_: JsonFlag = False
) -> None:
    """Put articles into the store; the same id and language is replaced. A running desk follows within a second.

    Subscribers of the policy's topic for articles are told of new ones.
    """
    from frontdesk.own_news import store_articles, topic_rules
    from frontdesk.policies import model_name
    from nlu.articles import load_articles

    read_as: dict[str, str] = {}
    articles, folder = load_articles(path, read_as=read_as), Settings().assistant
    shelf = folder / "knowledge"
    known = frozenset(article.id for article in load_articles(shelf)) if shelf.is_dir() else frozenset()

    async def work(store: SqlStore) -> int:
        rules, now = await topic_rules(store, folder), SystemClock().now()
        return await store_articles(store, model_name(folder), articles, known=known, rules=rules, now=now)

    with_store(work)
    if json_:
        print_json({"articles": len(articles), "read_as": read_as})
    else:
        for name, encoding in read_as.items():
            say(f"{name} was read as {encoding}.")
        say(f"{len(articles)} articles are in the store.")


@app.command("ask")
def ask(
    text: str,
    top: Annotated[int, typer.Option(help="How many answers.")] = 3,
    json_: JsonFlag = False,
) -> None:
    """Ranked answers with scores."""
    from frontdesk.runtimes import merged_articles
    from frontdesk.sentence_encoder import article_reranker
    from nlu.knowledge import ArticleIndex
    from nlu.language import detect

    settings = Settings()

    async def work(store: SqlStore) -> Any:
        return await merged_articles(store, settings.assistant)

    detected = detect(text)
    language: Language = detected.language if detected.is_sure else settings.language
    index = ArticleIndex(with_store(work), reranker=article_reranker(settings.nlu.encoder))
    hits = index.ask(text, language=language, top=top)
    if json_:
        print_json(hits)
    else:
        print_table("Answers", ("score", "id", "title"), ((f"{h.score:.2f}", h.article_id, h.title) for h in hits))
        if hits:
            say(hits[0].answer if hits[0].is_sure else "No answer is sure enough to be given by itself.")


@app.command("test")
def measure(
    articles: Annotated[Path, typer.Option("--articles", help="Articles, as for import.")],
    questions: Annotated[Path, typer.Option("--questions", help="CSV: question,article,language.")],
    json_: JsonFlag = False,
) -> None:
    """recall@1, recall@5 and MRR of a set of questions."""
    from frontdesk.sentence_encoder import article_reranker
    from nlu.knowledge import evaluate_articles

    report = evaluate_articles(articles, questions, article_reranker(Settings().nlu.encoder))
    if json_:
        print_json(report)
    else:
        print_table("Knowledge test", ("measure", "value"), report.items())
