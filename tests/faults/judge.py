"""Judges a run: by the public checker, and by looking for ourselves at the store, the browsers and the chats."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg

from channels.simulators.ledger import Ledger
from tests.faults.customers import Texter, Visitor, numbers_in
from tests.faults.process import run_to_end


async def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a statement both databases understand; committed when it wrote something."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.split("///", 1)[1], timeout=10)
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()
    postgres = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await postgres.fetch(statement)]
    finally:
        await postgres.close()


async def end_leases(url: str) -> None:
    """What the clock does in 30 seconds: leases a dead process left on PostgreSQL are over.

    SQLite needs none of it: the one process that may use the store frees them when it starts.
    """
    if not url.startswith("sqlite"):
        await query(url, "UPDATE conversations SET lease_until = now() WHERE lease_owner IS NOT NULL")
        await query(url, "UPDATE outbox SET lease_until = now() WHERE state = 'sending'")


async def run_checker(
    settings: Mapping[str, str], folder: Path, ledger: Sequence[Mapping[str, Any]], acknowledged: Sequence[Any] | None
) -> tuple[int, list[dict[str, str]]]:
    """Exit code and violations of `frontdesk check-invariants`, run as an operator would."""
    ledger_file, acknowledged_file = folder / "ledger.jsonl", folder / "acknowledged.jsonl"
    ledger_file.write_text("".join(json.dumps(entry) + "\n" for entry in ledger), encoding="utf-8")
    arguments = ["check-invariants", "--json", "--ledger", str(ledger_file)]
    if acknowledged is not None:
        acknowledged_file.write_text("".join(json.dumps(entry) + "\n" for entry in acknowledged), encoding="utf-8")
        arguments += ["--acknowledged", str(acknowledged_file)]
    code, out, err = await run_to_end(arguments, settings, folder)
    assert out, f"the checker said nothing (exit code {code}): {err[-2000:]}"
    violations: list[dict[str, str]] = json.loads(out)["violations"]
    return code, violations


async def look_for_ourselves(url: str, visitors: Sequence[Visitor], texters: Sequence[Texter], deaths: int = 1) -> None:
    """The promises, without believing a line of the checker.

    A reply whose sending was cut off by two deaths is left `uncertain`; after one there is none of those.
    """
    await _each_message_has_one_row_and_one_turn(url, visitors, texters)
    await _replies_answer_in_the_order_of_acceptance(url)
    for visitor in visitors:
        _browser_saw_everything_once(visitor)
    uncertain = await query(
        url,
        "SELECT m.text FROM outbox o JOIN messages m ON m.id = o.message_id "
        "WHERE o.state = 'uncertain' AND o.maybe_repeated AND o.attempts = 2",
    )
    assert deaths > 1 or not uncertain
    for texter in texters:
        await _chat_is_in_order(url, texter, set(numbers_in([text for (text,) in uncertain])))


async def _each_message_has_one_row_and_one_turn(
    url: str, visitors: Sequence[Visitor], texters: Sequence[Texter]
) -> None:
    sent = Counter([text for visitor in visitors for _, text in visitor.sent])
    sent.update([text for texter in texters for text in texter.sent])
    rows = await query(
        url,
        "SELECT m.text, i.state, (SELECT count(*) FROM turns t WHERE t.inbox_id = i.id) AS turns "
        "FROM inbox i JOIN messages m ON m.id = i.message_id WHERE m.direction = 'in' AND i.wants_turn",
    )
    assert Counter(text for text, _, _ in rows) == sent, "a message was lost or stored twice"
    assert {(state, turns) for _, state, turns in rows} <= {("done", 1)}, f"not exactly one turn each: {rows}"
    (orphans,) = await query(
        url, "SELECT count(*) FROM turns t LEFT JOIN inbox i ON i.id = t.inbox_id WHERE i.id IS NULL"
    )
    assert orphans == (0,)


async def _replies_answer_in_the_order_of_acceptance(url: str) -> None:
    rows = await query(
        url,
        "SELECT m.conversation_id, m.direction, m.text FROM messages m ORDER BY m.conversation_id, m.direction, m.id",
    )
    said = {key: numbers_in([text for _, _, text in group]) for key, group in groupby(rows, key=lambda row: row[:2])}
    for (conversation, direction), numbers in said.items():
        if direction == "in":
            assert said.get((conversation, "out"), []) == numbers, f"conversation {conversation}: {said}"


def _browser_saw_everything_once(visitor: Visitor) -> None:
    assert not visitor.gaps, f"the event stream lost or repeated something: {visitor.gaps}"
    assert [event["seq"] for event in visitor.events] == list(range(1, len(visitor.events) + 1))
    assert visitor.own == [text for _, text in visitor.sent]
    assert numbers_in(visitor.replies) == numbers_in(visitor.own)
    assert len(visitor.events) == 2 * len(visitor.sent), "something else was said"


async def _chat_is_in_order(url: str, texter: Texter, uncertain: set[str]) -> None:
    """In order, nothing missing but what is uncertain; a repeat only right behind its original, once, and marked."""
    seen = numbers_in(texter.replies)
    expected = [number for number in numbers_in(texter.sent) if number in seen or number not in uncertain]
    assert [number for number, _ in groupby(seen)] == expected
    for number, count in Counter(seen).items():
        if count == 1:
            continue
        rows = await query(
            url,
            "SELECT o.state, o.maybe_repeated, o.attempts FROM outbox o JOIN messages m ON m.id = o.message_id "
            f"WHERE m.text LIKE '%{number}%'",
        )
        assert count == 2, f"{number} was sent {count} times"
        state = "uncertain" if number in uncertain else "sent"
        assert [(row[0], bool(row[1])) for row in rows] == [(state, True)]


def repeated_numbers(texters: Sequence[Texter]) -> set[str]:
    return {number for texter in texters for number, count in Counter(numbers_in(texter.replies)).items() if count > 1}


def confirmed_updates(ledger: Ledger, account: str) -> list[dict[str, str]]:
    """Telegram's side of what was acknowledged: the updates the desk confirmed."""
    return [
        {"channel": "telegram", "account": account, "dedupe_key": str(entry["update_id"])}
        for entry in ledger.entries("confirmed")
    ]
