"""`frontdesk replay`: transcripts are read, run against anything that answers, and reported like a test run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.errors import AssistantInvalid, RuleError, ServiceUnavailable
from bot.types import Content, Location, Media, Text
from config.settings import SAMPLE_ASSISTANT
from frontdesk.replay import Replies, replay_transcripts
from frontdesk.transcripts import Transcript, read_transcripts

GREETING = {"text": "Hello, what do you need?", "buttons": [{"label": "My order", "value": "intent:order_status"}]}


class Scripted:
    """Answers from a script, and keeps what was said to it and done."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.said: list[tuple[str, str]] = []
        self.done: list[Any] = []

    async def begin(self, user: str, transcript: Transcript) -> None:
        self.done.append((transcript.now, transcript.seed, transcript.customer))

    async def say(self, user: str, content: Content) -> Replies:
        words = content.text if isinstance(content, Text) else content.caption if isinstance(content, Media) else "here"
        self.done += [content] if isinstance(content, Location) else []
        self.said.append((user, words))
        if words not in self.answers:
            raise ServiceUnavailable("worker", "nobody answered")
        replies: Replies = self.answers[words]
        return replies

    async def last_code(self) -> str:
        return "999999"

    async def later(self, user: str, length: timedelta) -> Replies:
        self.done.append(length)
        return [{"text": "time passed", "buttons": []}] if length > timedelta(hours=1) else []

    async def staff(self, user: str, action: Mapping[str, str]) -> Replies:
        self.done.append(action)
        if "fly" in action:
            raise RuleError("nobody can fly")
        return [{"text": "it is solved", "buttons": []}]

    async def site(self, user: str, action: Mapping[str, str]) -> Replies:
        self.done.append(action)
        return []

    async def feed(self, user: str, action: Mapping[str, str]) -> Replies:
        self.done.append(action)
        return [{"text": f"news: {action['en']}", "buttons": []}]

    async def outage(self, user: str, action: Mapping[str, str]) -> Replies:
        self.done.append(action)
        return []


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


async def test_news_and_outages_come_in_between_and_what_they_make_the_bot_say_is_looked_at(tmp_path: Path) -> None:
    steps = (
        "  - outage: {key: o-1, area: Old Town, ends: 3h}\n  - user: hi\n"
        "  - feed: {topic: price, en: Petrol rises.}\n  - bot: 'news: Petrol rises.'\n"
        "  - outage: {key: o-1, over: }\n  - bot: {says: nothing}\n"
    )
    desk = Scripted({"hi": [GREETING]})
    summary = await replay_transcripts([a_file(tmp_path, steps)], desk)
    assert summary.passed
    assert desk.done[1:] == [  # after what it began with
        {"key": "o-1", "area": "Old Town", "ends": "3h"},
        {"topic": "price", "en": "Petrol rises."},
        {"key": "o-1", "over": ""},
    ]


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
        ("conversations: [{name: a, steps: [{user: hi}, {bot: {says: something}}]}]\n", "says is `nothing`"),
        ("conversations: [{name: a, steps: [{user: hi}, {later: soon}]}]\n", "no length such as"),
        ("conversations: [{name: a, steps: [{user: hi}, {location: [1]}]}]\n", "latitude, longitude"),
        ("conversations: [{name: a, steps: [{user: hi}, {staff: {}}]}]\n", "something to do"),
        ("conversations: [{name: a, now: soon, steps: [{user: hi}]}]\n", "no time such as"),
        ("conversations: [{name: a, now: 2026-03-02T10:00:00, steps: [{user: hi}]}]\n", "needs a time zone"),
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


async def test_time_places_pictures_staff_and_sites_are_steps_too(tmp_path: Path) -> None:
    desk = Scripted({"hi": [GREETING], "here": [GREETING], "broken": [GREETING]})
    path = tmp_path / "talk.yml"
    path.write_text(
        """conversations:
- name: a long story
  now: 2026-03-02T10:00:00+08:00
  seed: [customers, visits]
  as: c-7
  steps:
  - user: hi
  - location: [31.2, 121.5]
  - photo: broken
  - later: 30m
  - bot: {says: nothing}
  - later: 2d
  - bot: time passed
  - staff: {solve: replaced, cause: wear}
  - bot: solved
  - site: {accept: Zhang}
  - bot: {says: nothing}
""",
        "utf-8",
    )
    summary = await replay_transcripts([path], desk)
    assert summary.passed, summary.lines()
    assert desk.done == [
        (datetime.fromisoformat("2026-03-02T10:00:00+08:00"), ("customers", "visits"), "c-7"),
        Location(31.2, 121.5),
        timedelta(minutes=30),
        timedelta(days=2),
        {"solve": "replaced", "cause": "wear"},
        {"accept": "Zhang"},
    ]


async def test_what_staff_may_not_do_fails_the_conversation_with_the_reason(tmp_path: Path) -> None:
    found = await outcome(tmp_path, "  - user: hi\n  - staff: {fly: away}\n", hi=[GREETING])
    assert found.failure == "staff: nobody can fly"


async def test_words_where_silence_was_expected_fail_it(tmp_path: Path) -> None:
    found = await outcome(tmp_path, "  - user: hi\n  - bot: {says: nothing}\n", hi=[GREETING])
    assert "expected nothing" in found.failure
