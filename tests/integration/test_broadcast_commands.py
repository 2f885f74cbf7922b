"""`frontdesk broadcast …`, `frontdesk coupons …`: YAML in, JSON out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
import yaml
from sqlalchemy import update
from typer.testing import CliRunner

from bot.errors import AssistantInvalid, InputError, NotPermitted, RuleError
from config.settings import SAMPLE_ASSISTANT
from crm_sync.staff import add_user
from crm_sync.store import SqlStore
from crm_sync.tables import consents, conversations, identities
from frontdesk.cli import app
from tests.broadcast_steps import DOCUMENT, agreed


@pytest.fixture
def command_line(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    """A store with two people who agreed, on the web, and two marketers."""
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("FRONTDESK_ASSISTANT", str(SAMPLE_ASSISTANT))
    monkeypatch.chdir(tmp_path)
    # Of this process, where the runner's stderr is closed afterwards and loggers would go on writing to it.
    monkeypatch.setattr("frontdesk.commands.records.configure_logging", _silence)

    async def fill() -> None:
        store = await SqlStore.open(sqlite_url)
        await agreed(store, 2)

        def move(conn: Any) -> None:
            for table in (conversations, identities):
                conn.execute(update(table).values(channel="web", account="default"))
            conn.execute(update(consents).values(channel="web"))

        await store.database.run(move)
        await add_user(store.database, "mia", "marketer")
        await add_user(store.database, "li", "operator")
        await store.close()

    uvloop.run(fill())
    yield CliRunner()
    structlog.reset_defaults()


def _silence(_format: str, _level: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _file(path: Path, **changes: Any) -> str:
    body = {**DOCUMENT, "channels": ["web"], **changes}
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return str(path)


def _done(runner: CliRunner, *words: str) -> Any:
    outcome = runner.invoke(app, [*words])
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    return json.loads(outcome.stdout)


def test_a_broadcast_goes_its_way_from_the_command_line(command_line: CliRunner, tmp_path: Path) -> None:
    made = _done(command_line, "broadcast", "create", _file(tmp_path / "w.yml"), "--as", "mia")
    assert (made["name"], made["state"], made["document"]["channels"]) == ("winter", "draft", ["web"])
    looked = _done(command_line, "broadcast", "preflight", "winter")
    assert (looked["may_start"], looked["audience"], looked["reached_by_account"]) == (True, 2, {"web/default": 2})
    started = _done(command_line, "broadcast", "start", "winter", "--as", "mia")
    assert (started["state"], started["recipients"]) == ("scheduled", 0)
    assert _done(command_line, "broadcast", "pause", "winter")["reason"] == "paused by admin"
    assert _done(command_line, "broadcast", "resume", "winter")["state"] == "scheduled"
    assert _done(command_line, "broadcast", "cancel", "winter")["state"] == "cancelled"
    assert _done(command_line, "broadcast", "status", "winter")["ended_at"]
    (row,) = _done(command_line, "broadcast", "list", "--json")["broadcasts"]
    assert (row["name"], row["created_by"]) == ("winter", "mia")


def test_whom_what_and_what_came_of_it_are_there_without_a_screen(command_line: CliRunner, tmp_path: Path) -> None:
    condition = tmp_path / "s.yml"
    condition.write_text("all:\n- {field: channel, has: web}\n", encoding="utf-8")
    looked = _done(command_line, "segment", "count", str(condition))
    assert (looked["count"], len(looked["sample"])) == (2, 2)
    assert _done(command_line, "segment", "save", "web", str(condition), "--as", "mia")["name"] == "web"
    assert _done(command_line, "segment", "save", "web", str(condition), "--title", "On the web", "--replace")[
        "version"
    ]
    assert [each["title"] for each in _done(command_line, "segment", "list")["segments"]] == ["On the web"]
    assert _done(command_line, "audience", "snapshot", "today", "web")["members"] == 2
    (tmp_path / "l.csv").write_text("customer_id\n1\n1\n999\n", encoding="utf-8")
    left_out = _done(command_line, "audience", "upload", "left-out", str(tmp_path / "l.csv"), "--exclusion")
    assert (left_out["kind"], left_out["members"], len(left_out["errors"])) == ("exclusion", 1, 2)
    assert _done(command_line, "audience", "put", "left-out", "1", "--remove")["members"] == 0
    assert len(_done(command_line, "audience", "list")["lists"]) == 3
    _done(command_line, "audience", "archive", "left-out")
    _done(command_line, "segment", "archive", "web")
    assert _done(command_line, "consent", "summary")["consents"][0]["yes"] == 2
    _done(command_line, "consent", "enter", "1", "promotion", "web", "--no", "--told", "on the telephone")
    assert [each["granted"] for each in _done(command_line, "consent", "list", "--customer", "1")["consents"]] == [
        False,
        True,
    ]

    _done(command_line, "broadcast", "create", _file(tmp_path / "w.yml", audience={"list": "today"}))
    shown = _done(command_line, "broadcast", "preview", "winter", "--customer", "2")["previews"]
    assert (shown[0]["channel"], shown[0]["variant"]) == ("web", "a")
    assert _done(command_line, "broadcast", "ask-approval", "winter")["state"] == "waiting"
    assert _done(command_line, "broadcast", "show", "winter")["document"]["audience"] == {"list": "today"}
    refused = command_line.invoke(app, ["broadcast", "test", "winter", "a", "--customer", "2"])
    assert isinstance(refused.exception, RuleError)
    brought = _done(command_line, "broadcast", "results", "winter")
    assert (brought["whole"]["differs"], brought["returned"]) == (False, None)
    assert [each["name"] for each in _done(command_line, "broadcast", "compare", "winter")["broadcasts"]] == ["winter"]
    assert _done(command_line, "broadcast", "uncertain", "winter")["uncertain"] == []
    assert _done(command_line, "broadcast", "send-again", "winter") == {"recipients": 0}
    assert _done(command_line, "broadcast", "mark-failed", "winter") == {"recipients": 0}
    for expected in (None, InputError):
        outcome = command_line.invoke(app, ["broadcast", "export", "winter", str(tmp_path / "r.csv")])
        assert (type(outcome.exception) if outcome.exception else None) is expected
    assert (tmp_path / "r.csv").read_text(encoding="utf-8").startswith("customer_id,")


def test_a_draft_is_changed_by_giving_it_again(command_line: CliRunner, tmp_path: Path) -> None:
    _done(command_line, "broadcast", "create", _file(tmp_path / "w.yml"))
    again = command_line.invoke(app, ["broadcast", "create", _file(tmp_path / "w.yml", title="Two")])
    assert isinstance(again.exception, InputError)
    changed = _done(command_line, "broadcast", "create", _file(tmp_path / "w.yml", title="Two"), "--replace")
    assert (changed["version"], changed["document"]["title"]) == (1, "Two")


def test_a_preflight_that_finds_something_says_so_to_scripts(command_line: CliRunner, tmp_path: Path) -> None:
    _done(command_line, "broadcast", "create", _file(tmp_path / "w.yml", purpose="news"))
    outcome = command_line.invoke(app, ["broadcast", "preflight", "winter"])
    assert outcome.exit_code == 1
    looked = json.loads(outcome.stdout)
    assert looked["skipped"] == {"no_consent": 2}
    assert [each["code"] for each in looked["problems"] if each["is_blocking"]] == ["nobody_reached"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["broadcast", "create", "missing.yml"], AssistantInvalid),
        (["broadcast", "create", "FILE", "--as", "li"], NotPermitted),
        (["coupons", "add", "spring", "missing.csv"], InputError),
        (["coupons", "create", "Spring!"], InputError),
        (["coupons", "create", "spring", "--until", "tomorrow"], InputError),
        (["coupons", "create", "spring", "--until", "2026-12-31T00:00"], InputError),
    ],
)
def test_what_is_wrong_is_said(
    command_line: CliRunner, tmp_path: Path, words: list[str], error: type[Exception]
) -> None:
    given = [_file(tmp_path / "w.yml") if word == "FILE" else word for word in words]
    assert isinstance(command_line.invoke(app, given).exception, error)


def test_a_condition_on_an_unknown_field_is_refused_when_it_is_written(command_line: CliRunner, tmp_path: Path) -> None:
    wrong = {"where": {"all": [{"field": "shoe_size", "is": 43}]}}
    outcome = command_line.invoke(app, ["broadcast", "create", _file(tmp_path / "w.yml", audience=wrong)])
    assert isinstance(outcome.exception, AssistantInvalid)
    assert "shoe_size" in str(outcome.exception)


def test_codes_come_from_a_file_and_are_used_once(command_line: CliRunner, tmp_path: Path) -> None:
    _done(command_line, "coupons", "create", "spring", "--zh", "满一百减十元")
    (tmp_path / "c.csv").write_text("code\nA1\nA2\nA1\n", encoding="utf-8-sig")
    added = _done(command_line, "coupons", "add", "spring", str(tmp_path / "c.csv"))
    assert (added["new"], added["known"], added["left"]) == (2, 1, 2)
    assert [pool["terms"] for pool in _done(command_line, "coupons", "list")["pools"]] == [{"zh": "满一百减十元"}]
    refused = command_line.invoke(app, ["coupons", "redeem", "A1"])
    assert "never given" in str(refused.exception)
