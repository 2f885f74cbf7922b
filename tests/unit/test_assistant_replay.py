"""`frontdesk replay`: transcripts are read, run against anything that answers, and reported like a test run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.errors import AssistantInvalid, ServiceUnavailable
from config.settings import SAMPLE_ASSISTANT
from frontdesk.replay import read_transcripts, replay_transcripts

GREETING = {"text": "Hello, what do you need?", "buttons": [{"label": "My order", "value": "intent:order_status"}]}


class Scripted:
    """Answers from a script, and keeps what was said to it."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.said: list[tuple[str, str]] = []

    async def __call__(self, user: str, text: str) -> Mapping[str, Any]:
        self.said.append((user, text))
        if text not in self.answers:
            raise ServiceUnavailable("worker", "nobody answered")
        return {"replies": self.answers[text]}


def a_file(tmp_path: Path, steps: str) -> Path:
    path = tmp_path / "talk.yml"
    path.write_text(f"conversations:\n- name: a talk\n  steps:\n{steps}", "utf-8")
    return path


async def outcome(tmp_path: Path, steps: str, **answers: Any) -> Any:
    summary = await replay_transcripts([a_file(tmp_path, steps)], Scripted(answers))
    return summary.outcomes[0]


async def test_a_conversation_that_goes_as_written_passes(tmp_path: Path) -> None:
    say = Scripted({"hi": [GREETING], "My order": [{"text": "Which one?", "buttons": []}]})
    steps = "  - user: hi\n  - bot: what do you NEED\n  - press: order\n  - bot: {matches: '^Which', excludes: hello}\n"
    summary = await replay_transcripts([a_file(tmp_path, steps)], say)
    assert summary.passed
    assert summary.as_dict()["cases"][0]["name"] == "a talk"
    assert [text for _, text in say.said] == ["hi", "My order"]


@pytest.mark.parametrize(
    ("steps", "line", "failure"),
    [
        ("  - user: hi\n  - bot: goodbye\n", 5, "expected 'goodbye'"),
        ("  - user: hi\n  - bot: {excludes: [need]}\n", 5, "did not expect 'need'"),
        ("  - user: hi\n  - bot: {matches: '^need'}\n", 5, "expected a match"),
        ("  - user: hi\n  - bot: {buttons: [My order, Help]}\n", 5, "expected the button 'Help'"),
        ("  - user: hi\n  - press: Help\n", 5, "there is no button 'Help'"),
        ("  - user: hi\n  - user: ho\n", 5, "no answer to 'ho'"),
        ("  - user: silence\n", 4, "no answer to 'silence'"),
    ],
)
async def test_the_first_difference_fails_it_with_its_line(tmp_path: Path, steps: str, line: int, failure: str) -> None:
    found = await outcome(tmp_path, steps, hi=[GREETING], silence=[])
    assert not found.passed
    assert failure in found.failure
    assert found.line == line


async def test_every_conversation_is_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "two.yml"
    path.write_text("conversations:\n- {name: a, steps: [{user: hi}]}\n- {name: b, steps: [{user: hi}]}\n", "utf-8")
    say = Scripted({"hi": [GREETING]})
    summary = await replay_transcripts([path], say)
    assert len({user for user, _ in say.said}) == 2
    assert summary.lines()[-1].startswith("2 conversations, 0 failed")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("talks: []\n", "unknown key"),
        ("conversations: {}\n", "must be a list"),
        ("conversations: [{steps: [{user: hi}]}]\n", "name"),
        ("conversations: [{name: a, steps: [{bot: hi}]}]\n", "must begin with user"),
        ("conversations: [{name: a, steps: [{user: hi, bot: hi}]}]\n", "exactly one of"),
        ("conversations: [{name: a, steps: [{user: hi}, {bot: {has: x}}]}]\n", "unknown key 'has'"),
        ("conversations: [{name: a, steps: [{user: hi}, {bot: {matches: '['}}]}]\n", "bad pattern"),
    ],
)
def test_a_file_that_is_no_transcript_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content, "utf-8")
    with pytest.raises(AssistantInvalid, match=reason):
        read_transcripts(path)


def test_the_samples_own_transcripts_can_be_read() -> None:
    files = sorted((SAMPLE_ASSISTANT / "tests").glob("*.yml"))
    assert files
    assert all(read_transcripts(path) for path in files)
