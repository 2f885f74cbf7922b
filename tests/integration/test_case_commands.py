"""`frontdesk case …`: staff work on cases from the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvloop
from typer.testing import CliRunner

from bot.errors import NotFound, NotPermitted, StaleState
from bot.types import OpenCase
from config.settings import SAMPLE_ASSISTANT
from crm_sync.staff import add_user
from crm_sync.store import SqlStore
from frontdesk.cli import app
from tests.store_steps import converse

NUMBER = "C-1024-7"


@pytest.fixture
def command_line(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    """A store with one open case and two colleagues."""
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("FRONTDESK_ASSISTANT", str(SAMPLE_ASSISTANT))
    monkeypatch.chdir(tmp_path)
    # Of this process, where the runner's stderr is closed afterwards and loggers would go on writing to it.
    monkeypatch.setattr("frontdesk.commands.records.configure_logging", _silence)

    async def fill() -> None:
        store = await SqlStore.open(sqlite_url)
        await converse(
            store, "hi", "ok", effects=(OpenCase(NUMBER, "complaint", "delivery", "2391", 2, "parcel late", {}),)
        )
        await add_user(store.database, "li", "operator")
        await add_user(store.database, "lena", "lead")
        await store.close()

    uvloop.run(fill())
    yield CliRunner()
    structlog.reset_defaults()


def _silence(_format: str, _level: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _done(runner: CliRunner, *words: str) -> object:
    outcome = runner.invoke(app, ["case", *words, "--json"])
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def test_a_case_goes_its_way_from_the_command_line(command_line: CliRunner) -> None:
    assert _done(command_line, "take", NUMBER, "--as", "li") == {
        "number": NUMBER,
        "status": "assigned",
        "owner": "li",
        "version": 1,
    }
    _done(command_line, "progress", NUMBER, "asked the carrier", "--as", "li")
    _done(command_line, "note", NUMBER, "second time this month", "--as", "li")
    offered = _done(command_line, "offer", NUMBER, "voucher", "6000", "--as", "li")
    assert isinstance(offered, dict)
    assert offered["state"] == "proposed"
    _done(command_line, "decide", str(offered["id"]), "--approve", "--as", "lena")
    _done(command_line, "solve", NUMBER, "it is there", "--cause", "delay", "--remedy", "delivered", "--as", "li")
    shown = _done(command_line, "show", "1024")
    assert isinstance(shown, dict)
    assert [event["kind"] for event in shown["events"]] == [
        "opened",
        "status",
        "status",
        "note",
        "compensation",
        "compensation",
        "status",
    ]
    listed = _done(command_line, "list", "--owner", "li")
    assert isinstance(listed, list)
    assert [line["status"] for line in listed] == ["solved"]


def test_tables_are_printed_for_people(command_line: CliRunner) -> None:
    assert NUMBER in command_line.invoke(app, ["case", "list"]).stdout
    assert "parcel late" in command_line.invoke(app, ["case", "show", NUMBER]).stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("take", NUMBER, "--as", "ghost"), NotFound),
        (("take", "C-9-1"), NotFound),
        (("decide", "1", "--approve", "--as", "li"), NotPermitted),
        (("take", NUMBER, "--version", "7"), StaleState),
    ],
)
def test_what_cannot_be_done_says_why(command_line: CliRunner, words: tuple[str, ...], error: type[Exception]) -> None:
    outcome = command_line.invoke(app, ["case", *words])
    assert isinstance(outcome.exception, error)
