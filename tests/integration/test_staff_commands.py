"""`frontdesk user`, `token` and `audit`: accounts, tokens and the log from the command line."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from bot.errors import InputError, NotFound
from config.settings import SAMPLE_ASSISTANT
from frontdesk.cli import app


class CommandLine:
    """Commands on one store."""

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    def json(self, *words: str) -> Any:
        outcome = self.run(*words, "--json")
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout)


@pytest.fixture
def command_line(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CommandLine]:
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("FRONTDESK_ASSISTANT", str(SAMPLE_ASSISTANT))
    monkeypatch.chdir(tmp_path)
    # Of this process, where the runner's stderr is closed afterwards and loggers would go on writing to it.
    monkeypatch.setattr("frontdesk.commands.records.configure_logging", _silence)
    yield CommandLine()
    structlog.reset_defaults()


def _silence(_format: str, _level: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def test_an_account_has_a_life_of_its_own(command_line: CommandLine) -> None:
    made = command_line.json("user", "add", "li", "--role", "supervisor", "--display-name", "Li Qiang")
    reset = command_line.json("user", "reset-password", "li")
    assert made["password"] != reset["password"]
    assert command_line.json("user", "change", "li", "--role", "operator")["role"] == "operator"
    assert command_line.json("user", "disable", "li")["disabled_at"]
    assert command_line.json("user", "enable", "li")["disabled_at"] is None
    assert not command_line.json("user", "second-factor-off", "li")["has_second_factor"]
    (user,) = command_line.json("user", "list")
    assert (user["name"], user["role"], user["display_name"]) == ("li", "operator", "Li Qiang")
    assert "password_hash" not in json.dumps(user)
    shown = command_line.run("user", "list").stdout
    assert "Li Qiang" in shown
    assert isinstance(command_line.run("user", "add", "li").exception, InputError)
    assert isinstance(command_line.run("user", "add", "wu", "--role", "king").exception, InputError)
    assert isinstance(command_line.run("user", "disable", "nobody").exception, NotFound)


def test_a_token_is_printed_once(command_line: CommandLine) -> None:
    token = command_line.json("token", "create", "shop-sync", "--role", "viewer", "--days", "30")["token"]
    assert token.startswith("fdk_")
    assert token not in command_line.run("token", "list", "--json").stdout
    assert "shop-sync" in command_line.run("token", "list").stdout
    assert command_line.json("token", "revoke", "shop-sync")["revoked_at"]
    assert isinstance(command_line.run("token", "revoke", "other").exception, NotFound)


def test_the_log_is_shown_and_checked(command_line: CommandLine, sqlite_url: str) -> None:
    command_line.json("user", "add", "li")
    command_line.json("token", "create", "shop-sync", "--role", "viewer")
    lines = command_line.json("audit", "list", "--actor", "cli")["items"]
    assert [(line["action"], line["object"]) for line in lines] == [("token.create", "token:1"), ("user.add", "user:1")]
    page = command_line.json("audit", "list", "--limit", "1")
    (rest,) = command_line.json("audit", "list", "--limit", "1", "--cursor", page["next"])["items"]
    assert rest["action"] == "user.add"
    assert "user.add" in command_line.run("audit", "list", "--object", "user:1").stdout
    verdict = command_line.json("audit", "verify")
    assert (verdict["lines"], verdict["broken_at"]) == (2, None)
    noted = f"{verdict['lines']}:{verdict['hash']}"
    assert noted in command_line.run("audit", "verify", "--noted", noted).stdout
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as store:
        store.execute("UPDATE audit_log SET actor = 'somebody' WHERE id = 2")
        store.commit()
    broken = command_line.run("audit", "verify")
    assert isinstance(broken.exception, InputError)
    assert "line 2: changed" in str(broken.exception)
