"""`frontdesk replay`: conversation tests written as YAML transcripts, run against an assistant.

    conversations:
    - name: order status, then a complaint        # required; each starts with a customer nobody has met
      language: en                                # optional, only a remark for readers
      steps:
      - user: where is my order?                  # what the customer types
      - bot: order number                         # the answer holds this text
      - user: "2391"
      - bot: {contains: [2391, cannot find]}      # … all of these
      - press: Talk to a person                   # a button of the last answer, by its label
      - bot: {matches: "(?i)colleague", excludes: sorry, buttons: [Yes, No]}

Under `bot`: `contains`, `excludes` (a text or a list; upper and lower case count as the same), `matches` (a regular
expression) and `buttons` (labels that are offered, in this order, perhaps among others). Several `bot` steps after one
`user` step look at the same answer. A `user` or `press` step without `bot` only has to be answered at all.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from bot.errors import BotError
from bot.located import invalid, line_of, only_keys, rows, table, text
from frontdesk.yaml_lines import read_yaml

Say = Callable[[str, str], Awaitable[Mapping[str, Any]]]  # (user, text) -> the shape of `frontdesk say --json`

_CHECKS = ("contains", "excludes", "matches", "buttons")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a transcript: what the customer does (`user`, `press`), or what must be in the answer (`bot`)."""

    kind: str
    words: str = ""
    contains: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    matches: re.Pattern[str] | None = None
    buttons: tuple[str, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    file: str
    name: str
    steps: tuple[Step, ...]


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


def read_transcripts(path: Path) -> tuple[Transcript, ...]:
    """The conversations of one file. Raises: AssistantInvalid with file, line and reason."""
    document = table(read_yaml(path), "a transcript file", None)
    only_keys(document, ("version", "conversations"), "a transcript file")
    items = rows(document.get("conversations"), "conversations", document, "conversations")
    return tuple(_transcript(path.name, table(item, "a conversation", items, at)) for at, item in enumerate(items))


def _transcript(file: str, body: dict[str, Any]) -> Transcript:
    only_keys(body, ("name", "language", "steps"), "a conversation")
    name = text(body.get("name"), "name", body, "name")
    items = rows(body.get("steps"), f"steps of {name!r}", body, "steps")
    steps = tuple(_step(table(item, "a step", items, at)) for at, item in enumerate(items))
    if not steps or steps[0].kind != "user":
        raise invalid(f"conversation {name!r} must begin with user", body, "steps")
    return Transcript(file, name, steps)


def _step(body: dict[str, Any]) -> Step:
    if len(body) != 1 or next(iter(body)) not in ("user", "press", "bot"):
        raise invalid("a step is exactly one of user, press and bot", body)
    kind, value = next(iter(body.items()))
    line = line_of(body)
    if kind == "user":
        return Step(kind, words="" if value is None else str(value), line=line)
    if kind == "press":
        return Step(kind, words=text(value, "press", body, "press"), line=line)
    if not isinstance(value, dict):
        return Step(kind, contains=(str(value),), line=line)
    checks = table(value, "bot", body, "bot")
    only_keys(checks, _CHECKS, "bot")
    try:
        pattern = re.compile(str(checks["matches"])) if "matches" in checks else None
    except re.error as exc:
        raise invalid(f"bad pattern: {exc}", checks, "matches") from exc
    return Step(
        kind,
        contains=_texts(checks, "contains"),
        excludes=_texts(checks, "excludes"),
        matches=pattern,
        buttons=_texts(checks, "buttons"),
        line=line,
    )


def _texts(checks: dict[str, Any], key: str) -> tuple[str, ...]:
    value = checks.get(key, [])
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


async def replay_transcripts(files: Sequence[Path], say: Say) -> Summary:
    """Every conversation of every file, one after the other, each with a user of its own.

    Raises: AssistantInvalid for a file that is no transcript (before anything is said).
    """
    transcripts = [transcript for path in files for transcript in read_transcripts(path)]
    return Summary(
        tuple([await _replayed(transcript, f"replay-{at}", say) for at, transcript in enumerate(transcripts, start=1)])
    )


async def _replayed(transcript: Transcript, user: str, say: Say) -> Outcome:
    started = perf_counter()
    failure, line = "", None
    replies: Sequence[Mapping[str, Any]] = ()
    for step in transcript.steps:
        if step.kind == "bot":
            failure = mismatch(step, replies)
        else:
            words = step.words if step.kind == "user" else _label(step.words, replies)
            if words is None:
                failure = f"there is no button {step.words!r}"
            else:
                replies, failure = await _said(say, user, words)
        if failure:
            line = step.line
            break
    return Outcome(transcript.file, transcript.name, perf_counter() - started, failure, line)


async def _said(say: Say, user: str, words: str) -> tuple[Sequence[Mapping[str, Any]], str]:
    try:
        answer = await say(user, words)
    except BotError as error:
        return (), f"no answer to {words!r}: {error}"
    replies = answer["replies"]
    return replies, "" if replies else f"no answer to {words!r}"


def _label(words: str, replies: Sequence[Mapping[str, Any]]) -> str | None:
    """The label of the button meant. Typing it chooses it, as the bot remembers the buttons it showed last."""
    for reply in replies:
        for button in reply.get("buttons", ()):
            if words.casefold() in str(button["label"]).casefold():
                return str(button["label"])
    return None


def mismatch(step: Step, replies: Sequence[Mapping[str, Any]]) -> str:
    """What the answer lacks of what the step wants; "" when it has all."""
    said = "\n".join(str(reply["text"]) for reply in replies)
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
