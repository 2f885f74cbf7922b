"""`frontdesk nlu review|report|promote|rollback`: what is worth labelling, how good the model is, which one serves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from sqlalchemy import Connection

from bot.errors import InputError
from config.settings import Settings
from crm_sync import models, outcomes, trainings
from crm_sync.models import StoredModel
from crm_sync.store import SqlStore
from crm_sync.traffic import Spoken, recent
from crm_sync.trainings import Training
from desk.actors import Actor
from desk.nearness import grouped
from desk.understanding import UNCLEAR_REASONS
from frontdesk.clock import SystemClock
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.records import with_store

if TYPE_CHECKING:
    from nlu.embedded.engine import EmbeddedEngine

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
HERE: Final = Actor("console", "admin")  # whoever may run commands on this machine
LOOKED_AT: Final = 2000
FOLLOWED_EVERY_S: Final = 1.0


def register(app: typer.Typer) -> None:
    app.command("review")(review)
    app.command("report")(report)
    app.command("promote")(promote)
    app.command("rollback")(roll_back)


def review(
    label: Annotated[
        list[str] | None, typer.Option(help="ID=INTENT: the message means this; ID=- nothing to learn.")
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train a candidate now and say how it compares.")] = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Have a running desk train a candidate in the background.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many messages of each list.")] = 20,
    json_: JsonFlag = False,
) -> None:
    """Messages worth labelling: unclear, corrected by the customer, engines that disagree, and new clusters."""
    from frontdesk.policies import model_name

    settings = Settings()
    name, asked = model_name(settings.assistant), [_label(each) for each in label or ()]

    async def work(store: SqlStore) -> Any:
        if asked:
            await _put_labels(store, settings, asked)
        if train or queue:
            waiting = await store.database.run(lambda conn: trainings.ask(conn, name, HERE.name, SystemClock().now()))
            return await _trained_now(store, settings, waiting) if train else waiting
        now = SystemClock().now()
        while await store.database.run(lambda conn: outcomes.step(conn, now), durable=False):
            continue
        await store.database.run(lambda conn: outcomes.note_handovers(conn, UNCLEAR_REASONS, now), durable=False)
        spoken = await store.database.run(lambda conn: recent(conn, LOOKED_AT), read=True)
        return worth_labelling(spoken, await store.active_model(name), settings, limit)

    found = with_store(work)
    if isinstance(found, Training):
        _show_training(found, json_=json_)
    elif json_:
        print_json(found)
    else:
        for title, rows in found.items():
            if not rows:
                continue
            columns = ("id", "words", "taken for", "score", "suggested")
            cells = [(row["id"], row["text"][:80], row["intent"], row["score"], row["suggested"]) for row in rows]
            print_table(title, columns, cells)
        if any(found.values()):
            say("Label with: frontdesk nlu review --label ID=INTENT; then --train or --queue.")
        else:
            say("Nothing is worth labelling: every message was understood, or has a label.")


def _engine(settings: Settings, packed: bytes) -> EmbeddedEngine:
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.embedded.engine import EmbeddedEngine
    from nlu.embedded.model import unpack

    return EmbeddedEngine(unpack(packed, sentence_encoder(settings.nlu.encoder)), splits=False)


def worth_labelling(
    spoken: Sequence[Spoken], active: StoredModel | None, settings: Settings, limit: int
) -> dict[str, list[dict[str, Any]]]:
    """Lists of messages nobody has labelled, each message in the first list it belongs to."""
    from frontdesk.assistant import load_assistant

    tuning = load_assistant(settings.assistant).tuning
    waiting = [each for each in spoken if each.label is None]
    texts = [each.text for each in waiting]
    rankings = _engine(settings, active.packed).rank(texts) if active and texts else []
    suggested = {each.inbox_id: ranking for each, ranking in zip(waiting, rankings, strict=bool(rankings))}
    unsure = [each for each in waiting if (each.confidence or 0.0) < tuning.accept]
    members = [unsure[group[0]] for group in grouped([each.text for each in unsure]) if len(group) >= 3]
    lists: dict[str, Sequence[Spoken]] = {
        "corrected": [each for each in waiting if each.outcome == "corrected"],
        "unhelpful": [each for each in waiting if each.outcome in ("unhelpful", "handed_over")],
        "clusters": members,
        "disagreeing": [
            each
            for each in waiting
            if each.engine not in ("", "none", "embedded") and each.intent and each.inbox_id in suggested
            and suggested[each.inbox_id][0].name != each.intent
        ],
        "unclear": sorted(unsure, key=lambda each: -each.inbox_id),
    }  # fmt: skip
    seen: set[int] = set()
    found: dict[str, list[dict[str, Any]]] = {}
    for title, rows in lists.items():
        kept = [each for each in rows if each.inbox_id not in seen][:limit]
        seen |= {each.inbox_id for each in kept}
        found[title] = [_row(each, suggested.get(each.inbox_id, ())) for each in kept]
    return found


def _row(spoken: Spoken, ranking: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": spoken.inbox_id,
        "text": spoken.text,
        "intent": spoken.intent,
        "score": None if spoken.confidence is None else round(spoken.confidence, 3),
        "engine": spoken.engine,
        "outcome": spoken.outcome,
        "suggested": ", ".join(
            dict.fromkeys([spoken.truth] * bool(spoken.truth) + [scored.name for scored in ranking[:3]])
        ),
    }


def report(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("nlu-report.html"),
    data: Annotated[Path | None, typer.Option(help="Training data; without it, the assistant's own.")] = None,
    test: Annotated[
        Path | None, typer.Option(help="Test on these; without it, each example by a model that did not see it.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Parts, when there is no test file.")] = 4,
) -> None:
    """One HTML page: confusion matrix, calibration and rejection curves. It needs no network."""
    from nlu.report import judged, page_of
    from nlu.training_data import load_training_data

    training = load_training_data(data or Settings().assistant / "data")
    rows = judged(training, load_training_data(test) if test else None, folds=folds)
    out.write_text(page_of(rows, title=str(data or Settings().assistant.name)), encoding="utf-8")
    say(f"{len(rows)} messages: {out}")


def promote(
    version: Annotated[str, typer.Argument(help="A candidate's version; without it, the newest candidate.")] = "",
) -> None:
    """The candidate serves in every process within a second; the one before stays for `rollback`."""

    async def work(store: SqlStore) -> str:
        settings, name = _assistant()
        done = await store.database.run(lambda conn: trainings.newest_done(conn, name), read=True)
        wanted = version or (done.candidate if done else "")
        if not wanted:
            raise InputError("there is no candidate yet; train one with: frontdesk nlu review --train")
        await _activate(store, settings, name, wanted, "model.promote")
        return wanted

    say(f"Version {with_store(work)} serves.")


def roll_back() -> None:
    """The version that served before serves again, in every process within a second."""

    async def work(store: SqlStore) -> str:
        settings, name = _assistant()
        last = await store.database.run(lambda conn: models.activations(conn, name, 1), read=True)
        if not last or not last[0].previous:
            raise InputError("no other model has served before")
        await _activate(store, settings, name, last[0].previous, "model.roll_back")
        return last[0].previous

    say(f"Version {with_store(work)} serves again.")


def _assistant() -> tuple[Settings, str]:
    from frontdesk.policies import model_name

    settings = Settings()
    return settings, model_name(settings.assistant)


async def _activate(store: SqlStore, settings: Settings, name: str, version: str, action: str) -> None:
    """Raises: NotFound, AssistantInvalid for a model that cannot be read here."""
    from desk import audit
    from frontdesk.runtimes import training_hash
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.embedded.model import unpack

    found = await store.database.run(lambda conn: models.find_version(conn, name, version), read=True)
    if found is None:
        raise InputError(f"there is no version {version} of model {name}")
    unpack(found.packed, sentence_encoder(settings.nlu.encoder))
    now, files = SystemClock().now(), training_hash(settings.assistant)

    def unit(conn: Connection) -> None:
        models.activate(conn, name, version, now, by=HERE.name, training_hash=files)
        audit.record(conn, HERE, action, f"model:{name}", {"version": version}, now=now)

    await store.database.run(unit)


async def _put_labels(store: SqlStore, settings: Settings, asked: Sequence[tuple[int, str]]) -> None:
    from crm_sync import unclear
    from frontdesk.assistant import load_assistant

    known, now = load_assistant(settings.assistant).intents, SystemClock().now()
    for _, intent in asked:
        if intent and intent not in known:
            raise InputError(f"the assistant has no intent {intent!r}")

    def unit(conn: Connection) -> None:
        for inbox_id, intent in asked:
            if not unclear.put_label(conn, inbox_id, intent, HERE.name, now):
                raise InputError(f"there is no message {inbox_id}")

    await store.database.run(unit)


async def _trained_now(store: SqlStore, settings: Settings, waiting: Training) -> Training:
    """Trained by this command, or followed where a running desk was faster."""
    from frontdesk.learning import AtHome, LearningLoop
    from frontdesk.policies import model_name

    home = AtHome.of(settings.assistant)
    loop = LearningLoop(store, SystemClock(), settings, lambda: {model_name(settings.assistant): home})
    while True:
        await loop.run_once()
        found = await store.database.run(lambda conn: trainings.find(conn, waiting.id), read=True)
        if found is None or not found.is_open:
            return found or waiting
        await asyncio.sleep(FOLLOWED_EVERY_S)


def _show_training(training: Training, *, json_: bool) -> None:
    if json_:
        print_json(training)
        return
    if training.state != trainings.DONE:
        say(f"Training {training.id}: {training.state}. {training.reason}".strip())
        return
    comparison = training.comparison
    transcripts = comparison.get("transcripts", {})
    say(f"Candidate {training.candidate}, trained in {comparison['train_s']} s, {comparison['learnt']} labels learnt.")
    print_table("Messages", ("verdict", "count"), comparison["counts"].items())
    known, right = comparison["known"], (comparison["right_before"], comparison["right_after"])
    say(f"Known meanings understood: {right[0]} before, {right[1]} after, of {known}.")
    passed = f"{transcripts.get('before')} before, {transcripts.get('after')} after"
    say(f"Transcripts passed: {passed}, of {transcripts.get('tests')}.")
    for each in transcripts.get("worse", ()):
        say(f"worse: {each['name']}: {each['failure']}")
    say("Take it with: frontdesk nlu promote")


def _label(text: str) -> tuple[int, str]:
    number, mark, intent = text.partition("=")
    if not mark or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise InputError(f"--label takes ID=INTENT, not {text!r}")
    return int(number), "" if intent.strip() == "-" else intent.strip()
