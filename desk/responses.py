"""What the bot says, changed by staff without a restart: checked words over the files', every version kept.

`seen` is the newest version the caller knows (0: only the file's); somebody else's change in between is a StaleState.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from sqlalchemy import Connection

from bot.assistant import Assistant
from bot.edited_texts import EditedResponse, EditedText, as_texts, placeholders, variables, with_edits, wordings
from bot.errors import InputError, NotFound, StaleState
from bot.ports import Clock
from bot.rendering import render
from bot.types import Language, OutPart, Reply
from crm_sync import response_versions as versions
from crm_sync.database import Database
from crm_sync.response_versions import ResponseVersion
from desk import audit
from desk.actors import Actor
from desk.library import AssistantLibrary

LONGEST: Final = 4000  # characters of one wording
MOST_WORDINGS: Final = 20


@dataclass(frozen=True, slots=True)
class ResponseLine:
    """A response in a list. `texts` as customers read them now; `edited`: languages whose words are not the file's."""

    name: str
    texts: Mapping[Language, tuple[EditedText, ...]]
    edited: tuple[Language, ...]
    flows: tuple[str, ...]  # that say it


@dataclass(frozen=True, slots=True)
class ResponseView:
    """A response with what its words may hold and all versions. `seen`: by language, to be given back with a change."""

    line: ResponseLine
    files: Mapping[Language, tuple[EditedText, ...]]
    variables: tuple[str, ...]
    buttons: Mapping[Language, tuple[str, ...]]
    history: tuple[ResponseVersion, ...]
    seen: Mapping[Language, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: cannot be saved; `warning`: perhaps meant. `place`: which of the wordings, from 0; None: all."""

    level: Literal["error", "warning"]
    code: str  # empty | too_long | too_many | unknown_variable | unused_variable | channel | split
    message: str
    place: int | None = None


class ResponseDesk:
    """What staff do with responses."""

    def __init__(self, database: Database, library: AssistantLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    async def responses(
        self, actor: Actor, assistant: str, *, search: str = "", only_edited: bool = False
    ) -> list[ResponseLine]:
        """By name. `search`: in names and words. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        files = self._library.seeded_assistant(assistant)
        edits = await self._database.run(lambda conn: versions.current(conn, assistant), read=True)
        lines = _lines(files, edits)
        words = search.casefold().split()
        return [
            line
            for line in lines
            if (not only_edited or line.edited) and all(word in _searched(line) for word in words)
        ]

    async def response(self, actor: Actor, assistant: str, name: str) -> ResponseView:
        """Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        files = self._library.seeded_assistant(assistant)
        if name not in files.responses:
            raise NotFound(f"there is no response {name!r}")
        past = await self._database.run(lambda conn: versions.history(conn, assistant, name), read=True)
        (line,) = _lines(files, [each for each in past if each.is_current and each.texts], only=name)
        said = files.responses[name]
        return ResponseView(
            line=line,
            files={language: as_texts(wordings(said, language)) for language in files.languages},
            variables=tuple(sorted(variables(said))),
            buttons={
                language: tuple(
                    dict.fromkeys(button.label for each in wordings(said, language) for button in each.all_buttons)
                )
                for language in files.languages
            },
            history=tuple(past),
            seen={
                language: max((each.version for each in past if each.language == language), default=0)
                for language in files.languages
            },
        )

    def check(
        self, actor: Actor, assistant: str, name: str, language: Language, texts: Sequence[EditedText]
    ) -> list[Finding]:
        """What is wrong with these words, errors first. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        return self._check(assistant, name, language, texts)

    async def save(
        self,
        actor: Actor,
        assistant: str,
        name: str,
        language: Language,
        texts: Sequence[EditedText],
        *,
        seen: int,
        note: str = "",
    ) -> None:
        """Customers read these words from now on. Raises: NotPermitted, NotFound, InputError, StaleState."""
        actor.require("knowledge.publish")
        wrong = [finding for finding in self._check(assistant, name, language, texts) if finding.level == "error"]
        if wrong:
            raise InputError(wrong[0].message)
        await self._put(actor, assistant, name, language, texts, seen=seen, note=note)

    async def revert(
        self, actor: Actor, assistant: str, name: str, language: Language, *, version: int, seen: int
    ) -> None:
        """The words of an earlier version (0: the file's) are in force again. Raises: as `save`."""
        actor.require("knowledge.publish")
        texts: Sequence[EditedText] = ()
        if version:
            past = await self._database.run(lambda conn: versions.history(conn, assistant, name), read=True)
            old = next((each for each in past if (each.language, each.version) == (language, version)), None)
            if old is None:
                raise NotFound(f"response {name!r} has no version {version} in {language}")
            texts = [EditedText(text, channel) for channel, text in old.texts]
            wrong = [each for each in self._check(assistant, name, language, texts) if each.level == "error"]
            if texts and wrong:
                raise InputError(wrong[0].message)
        await self._put(actor, assistant, name, language, texts, seen=seen, note=f"reverted to version {version}")

    def preview(
        self, actor: Actor, assistant: str, name: str, language: Language, text: EditedText, *, channel: str
    ) -> tuple[OutPart, ...]:
        """What a customer on this channel would see; variables stand as their names. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        files = self._known(assistant, name)
        return self._shown(files, name, language, text, channel)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _put(
        self,
        actor: Actor,
        assistant: str,
        name: str,
        language: Language,
        texts: Iterable[EditedText],
        *,
        seen: int,
        note: str,
    ) -> None:
        kept = tuple((each.channel, each.text.strip()) for each in texts)
        now = self._clock.now()
        version = ResponseVersion(name, language, seen + 1, kept, True, actor.name, note, now)

        def unit(conn: Connection) -> bool:
            newest = [each.version for each in versions.history(conn, assistant, name) if each.language == language]
            if max(newest, default=0) != seen or not versions.put(conn, assistant, version):
                return False
            details = {"assistant": assistant, "language": language, "version": version.version}
            audit.record(conn, actor, "response.change", f"response:{name}", details, now=now)
            return True

        if not await self._database.run(unit):
            raise StaleState(f"response {name!r} was changed meanwhile")

    def _known(self, assistant: str, name: str) -> Assistant:
        files = self._library.seeded_assistant(assistant)
        if name not in files.responses:
            raise NotFound(f"there is no response {name!r}")
        return files

    def _check(self, assistant: str, name: str, language: Language, texts: Sequence[EditedText]) -> list[Finding]:
        files = self._known(assistant, name)
        if language not in files.languages:
            raise InputError(f"the assistant does not speak {language!r}")
        said = files.responses[name]
        known, channels = variables(said), {each.channel for each in wordings(said, language)}
        found = []
        if not texts or not any(text.channel == "" or text.channel in channels for text in texts):
            found.append(Finding("error", "empty", "a response says something"))
        if len(texts) > MOST_WORDINGS:
            found.append(Finding("error", "too_many", f"a response has {MOST_WORDINGS} wordings at most"))
        for missing in sorted(channels - {text.channel for text in texts}):
            found.append(Finding("error", "channel", f"the wording for {missing or 'every channel'} is missing"))
        for place, text in enumerate(texts):
            add = partial(Finding, place=place)
            if text.channel not in channels:
                found.append(add("error", "channel", f"the file has no wording for {text.channel or 'every channel'}"))
            if not text.text.strip():
                found.append(add("error", "empty", "a wording says something"))
            if len(text.text) > LONGEST:
                found.append(add("error", "too_long", f"a wording has {LONGEST} characters at most"))
            for name_ in sorted(placeholders(text.text) - known):
                found.append(add("error", "unknown_variable", f"{{{name_}}} is not known here"))
            found += [
                add("warning", "unused_variable", f"{{{name_}}} is no longer said")
                for name_ in sorted(known - placeholders(text.text))
            ]
        if not any(finding.level == "error" for finding in found):
            found += self._splits(files, name, language, texts)
        return sorted(found, key=lambda finding: finding.level != "error")

    def _splits(self, files: Assistant, name: str, language: Language, texts: Sequence[EditedText]) -> list[Finding]:
        """On which channels a wording takes more than one message."""
        found = []
        for place, text in enumerate(texts):
            for channel in [text.channel] if text.channel else self._library.channels():
                parts = self._shown(files, name, language, text, channel)
                if len(parts) > 1:
                    message = f"on {channel} this takes {len(parts)} messages"
                    found.append(Finding("warning", "split", message, place))
        return found

    def _shown(
        self, files: Assistant, name: str, language: Language, text: EditedText, channel: str
    ) -> tuple[OutPart, ...]:
        edited = with_edits(files, [EditedResponse(name, language, (text,))])
        args = {variable: f"{{{variable}}}" for variable in variables(files.responses[name])}
        return self._library.encode(channel, render(Reply(name, args), language, channel, edited))


def _lines(files: Assistant, edits: Sequence[ResponseVersion], *, only: str = "") -> list[ResponseLine]:
    changed = {(each.name, each.language): each for each in edits}
    used: dict[str, list[str]] = {}
    for flow in files.flows.values():
        for step in flow.steps.values():
            said = [step.utter, step.target, *(rejection.utter for rejection in step.rejections)]
            for name in dict.fromkeys(said):
                if flow.id not in used.setdefault(name, []):
                    used[name].append(flow.id)
    found = []
    for name in [only] if only else sorted(files.responses):
        texts: dict[Language, tuple[EditedText, ...]] = {}
        for language in files.languages:
            edit = changed.get((name, language))
            texts[language] = (
                tuple(EditedText(text, channel) for channel, text in edit.texts)
                if edit
                else as_texts(wordings(files.responses[name], language))
            )
        edited = tuple(language for language in files.languages if (name, language) in changed)
        found.append(ResponseLine(name, texts, edited, tuple(used.get(name, ()))))
    return found


def _searched(line: ResponseLine) -> str:
    return "\n".join([line.name, *(text.text for texts in line.texts.values() for text in texts)]).casefold()


def edited_responses(edits: Iterable[ResponseVersion]) -> list[EditedResponse]:
    """What `bot.edited_texts.with_edits` takes, from what the store holds."""
    return [
        EditedResponse(
            each.name,
            "zh" if each.language == "zh" else "en",
            tuple(EditedText(text, channel) for channel, text in each.texts),
        )
        for each in edits
    ]
