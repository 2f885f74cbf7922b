"""`frontdesk task …`: what is to be done, and that it is done, from the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
from typer.testing import CliRunner

from bot.errors import NotFound, StaleState
from bot.types import CreateTask
from crm_sync.store import SqlStore
from frontdesk.cli import app
from tests.store_steps import START, converse


@pytest.fixture
def command_line(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    """A store with a call to make for a team, long late, and an invoice for nobody in particular."""
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("FRONTDESK_TIMEZONE", "Asia/Shanghai")
    monkeypatch.chdir(tmp_path)
    # Of this process, where the runner's stderr is closed afterwards and loggers would go on writing to it.
    monkeypatch.setattr("frontdesk.commands.records.configure_logging", _silence)

    async def fill() -> None:
        store = await SqlStore.open(sqlite_url)
        call = CreateTask("callback", "about [parcel] 2391", START - timedelta(days=300), assignee="care")
        await converse(store, "hi", "ok", effects=(CreateTask("invoice", "for May"), call))
        await store.close()

    uvloop.run(fill())
    yield CliRunner()
    structlog.reset_defaults()


def _silence(_format: str, _level: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _run(runner: CliRunner, *words: str) -> str:
    outcome = runner.invoke(app, ["task", *words])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def _listed(runner: CliRunner, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_run(runner, "list", "--json", *words))
    return found


def test_what_is_to_be_done_is_listed_for_all_for_a_team_and_by_kind(command_line: CliRunner) -> None:
    assert [(task["kind"], task["is_late"]) for task in _listed(command_line)] == [
        ("callback", True),
        ("invoice", False),
    ]
    assert [task["kind"] for task in _listed(command_line, "--assignee", "care")] == ["callback"]
    assert [task["kind"] for task in _listed(command_line, "--kind", "invoice")] == ["invoice"]
    assert _listed(command_line, "--assignee", "nobody") == []


def test_people_read_a_table_in_the_time_of_the_business(command_line: CliRunner) -> None:
    shown = _run(command_line, "list")
    assert "about [parcel]" in shown
    assert "2026-01-26 17:00" in shown
    assert "late" in shown
    assert "Nothing is to be done." in _run(command_line, "list", "--assignee", "nobody")


def test_a_task_is_done_once_with_its_outcome(command_line: CliRunner) -> None:
    call = _listed(command_line)[0]["id"]
    done = ("done", str(call), "--outcome", "reached", "--note", "all well", "--by", "ann")
    assert "done: reached" in _run(command_line, *done)
    assert [task["kind"] for task in _listed(command_line)] == ["invoice"]
    again = command_line.invoke(app, ["task", *done])
    assert isinstance(again.exception, StaleState)
    assert "ann" in str(again.exception)


@pytest.mark.parametrize(
    ("words", "error"),
    [(("done", "99", "--outcome", "reached", "--by", "ann"), NotFound), (("done", "1", "--by", "ann"), SystemExit)],
)
def test_what_is_not_there_or_not_said_is_refused(
    command_line: CliRunner, words: tuple[str, ...], error: type[BaseException]
) -> None:
    assert isinstance(command_line.invoke(app, ["task", *words]).exception, error)
