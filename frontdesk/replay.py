"""Transcripts run against an assistant, and how that went, like a test run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from bot.errors import BotError
from bot.types import Content, Location, Media, Text
from frontdesk.transcripts import Step, Transcript, read_transcripts

Replies = Sequence[Mapping[str, Any]]  # each with `text` and `buttons`, as in `frontdesk say --json`
ASKED = frozenset({"user", "press", "code", "photo", "location"})  # what has to be answered


class ReplayDesk(Protocol):
    """What transcripts are run against. Each step returns what the bot said since the one before."""

    async def begin(self, user: str, transcript: Transcript) -> None:
        """The clock, the seed and who writes are as the transcript says."""
        ...

    async def say(self, user: str, content: Content) -> Replies: ...

    async def last_code(self) -> str:
        """The one-time code that was sent last; "000000" when none was."""
        ...

    async def later(self, user: str, length: timedelta) -> Replies:
        """So much time has passed, and what fell due is done."""
        ...

    async def staff(self, user: str, action: Mapping[str, str]) -> Replies: ...

    async def site(self, user: str, action: Mapping[str, str]) -> Replies: ...

    async def feed(self, user: str, action: Mapping[str, str]) -> Replies:
        """News have come for those who subscribed to their topic."""
        ...

    async def outage(self, user: str, action: Mapping[str, str]) -> Replies:
        """An outage is known, known better, or over."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one conversation went; `failure` is empty when it went as written."""

    file: str
    name: str
    seconds: float
    failure: str = ""
    line: int | None = None

    @property
    def passed(self) -> bool:
        return not self.failure


@dataclass(frozen=True, slots=True)
class Summary:
    """All outcomes, as a junit report counts them."""

    outcomes: tuple[Outcome, ...] = field(default_factory=tuple)

    @property
    def tests(self) -> int:
        return len(self.outcomes)

    @property
    def failures(self) -> int:
        return sum(not outcome.passed for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        return {
            "tests": self.tests,
            "failures": self.failures,
            "seconds": round(self.seconds, 3),
            "cases": [
                {
                    "file": outcome.file,
                    "name": outcome.name,
                    "passed": outcome.passed,
                    "seconds": round(outcome.seconds, 3),
                    "failure": outcome.failure,
                    "line": outcome.line,
                }
                for outcome in self.outcomes
            ],
        }

    def lines(self) -> list[str]:
        """One line per conversation and a last one with the counts."""
        found = []
        for outcome in self.outcomes:
            where = f"{outcome.file}:{outcome.line}" if outcome.line else outcome.file
            state = "ok  " if outcome.passed else "FAIL"
            found.append(f"{state} {outcome.name} ({outcome.seconds:.2f} s)")
            if not outcome.passed:
                found.append(f"     {where}: {outcome.failure}")
        found.append(f"{self.tests} conversations, {self.failures} failed, {self.seconds:.1f} s")
        return found


async def replay_transcripts(files: Sequence[Path], desk: ReplayDesk) -> Summary:
    """Every conversation of every file, one after the other, each with a user of its own.

    Raises: AssistantInvalid for a file that is no transcript (before anything is said).
    """
    return await replay_all([transcript for path in files for transcript in read_transcripts(path)], desk)


async def replay_all(transcripts: Sequence[Transcript], desk: ReplayDesk) -> Summary:
    """As `replay_transcripts`, of conversations that are read already."""
    return Summary(
        tuple([await _replayed(transcript, f"replay-{at}", desk) for at, transcript in enumerate(transcripts, start=1)])
    )


async def _replayed(transcript: Transcript, user: str, desk: ReplayDesk) -> Outcome:
    started = perf_counter()
    failure, line = "", None
    replies: Replies = ()
    try:
        await desk.begin(user, transcript)
    except BotError as error:
        return Outcome(transcript.file, transcript.name, perf_counter() - started, f"cannot begin: {error}")
    for step in transcript.steps:
        if step.kind == "bot":
            failure = mismatch(step, replies)
        else:
            replies, failure = await _done(desk, user, step, replies)
        if failure:
            line = step.line
            break
    return Outcome(transcript.file, transcript.name, perf_counter() - started, failure, line)


async def _done(desk: ReplayDesk, user: str, step: Step, before: Replies) -> tuple[Replies, str]:
    """What the bot said to this step, and what went wrong."""
    what = step.words or step.kind
    try:
        match step.kind:
            case "later":
                return await desk.later(user, step.length), ""
            case "staff":
                return await desk.staff(user, step.action), ""
            case "site":
                return await desk.site(user, step.action), ""
            case "feed":
                return await desk.feed(user, step.action), ""
            case "outage":
                return await desk.outage(user, step.action), ""
            case "code":
                code = await desk.last_code()
                typed = code if step.words == "right" else f"{(int(code) + 1) % 1_000_000:06d}"
                replies = await desk.say(user, Text(typed))
                return replies, "" if replies else f"no answer to {what!r}"
        content = _content(step, before)
        if content is None:
            return (), f"there is no button {step.words!r}"
        replies = await desk.say(user, content)
    except BotError as error:
        return (), f"no answer to {what!r}: {error}" if step.kind in ASKED else f"{step.kind}: {error}"
    return replies, "" if replies else f"no answer to {what!r}"


def _content(step: Step, before: Replies) -> Content | None:
    match step.kind:
        case "photo":
            return Media("image", "replayed-photo", caption=step.words, mime="image/jpeg")
        case "location":
            return Location(*step.place)
        case "press":
            label = _label(step.words, before)
            return None if label is None else Text(label)
    return Text(step.words)


def _label(words: str, replies: Replies) -> str | None:
    """The label of the button meant. Typing it chooses it, as the bot remembers the buttons it showed last."""
    for reply in replies:
        for button in reply.get("buttons", ()):
            if words.casefold() in str(button["label"]).casefold():
                return str(button["label"])
    return None


def mismatch(step: Step, replies: Replies) -> str:
    """What the answer lacks of what the step wants; "" when it has all."""
    said = "\n".join(str(reply["text"]) for reply in replies)
    if step.is_silence:
        return f"expected nothing, but: {said}" if said else ""
    folded = said.casefold()
    for wanted in step.contains:
        if wanted.casefold() not in folded:
            return f"expected {wanted!r} in: {said}"
    for unwanted in step.excludes:
        if unwanted.casefold() in folded:
            return f"did not expect {unwanted!r} in: {said}"
    if step.matches and not step.matches.search(said):
        return f"expected a match of {step.matches.pattern!r} in: {said}"
    labels = [str(button["label"]) for reply in replies for button in reply.get("buttons", ())]
    remaining = iter(labels)
    for button in step.buttons:
        if button not in remaining:
            return f"expected the button {button!r} among: {', '.join(labels) or 'none'}"
    return ""
