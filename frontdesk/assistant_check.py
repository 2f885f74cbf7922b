"""`frontdesk assistant check`: what would make an assistant understand or answer worse than it could."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bot.assistant import Assistant
from bot.errors import AssistantInvalid
from bot.located import line_of, text
from bot.types import Language
from frontdesk.assistant import assistant_paths, load_assistant, nlu_items
from frontdesk.assistant_service import read_shared
from nlu.alike import normalised
from nlu.lint import Finding, Level, in_order, near_duplicates
from nlu.training_data import Example

THIN = 20  # examples an intent should have in each language

RASA_DEFAULT = "utter_default"  # what a Rasa server says when its rules have no answer

_ANNOTATION = re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_NAME_IN_CODE = re.compile(r"\butter_(?:\{[a-z_]+\}_)?[a-z_]+")


def assistant_check(folder: Path) -> list[Finding]:
    """Everything worth saying about the folder, errors first; a folder that cannot be loaded gives that one error."""
    try:
        assistant = load_assistant(folder)
        examples = list(training_examples(folder))
    except AssistantInvalid as invalid:
        where = f"{invalid.file}:{invalid.line}" if invalid.line else invalid.file or folder.name
        return [Finding("error", where, invalid.reason)]
    findings = [
        *unknown_intents(assistant, examples),
        *thin_intents(assistant, examples),
        *near_duplicates(examples),
        *wrong_language(examples),
        *missing_wordings(assistant),
        *unused(assistant),
        *never_filled(assistant),
    ]
    return in_order(findings)


def training_examples(folder: Path) -> Iterator[Example]:
    """Every example of every intent in the folder's NLU files, annotations removed. Raises: AssistantInvalid."""
    for path in assistant_paths(folder).nlu:
        name = path.relative_to(folder).as_posix()
        for item in nlu_items(path, folder):
            if "intent" not in item:
                continue
            intent = text(item["intent"], "intent", item, "intent").partition("/")[0]
            first = line_of(item, "examples")
            for offset, line in enumerate(str(item.get("examples") or "").splitlines()):
                words = _ANNOTATION.sub(r"\1", line.strip().removeprefix("-").strip())
                if words:
                    yield Example(words, intent, (), name, first + offset + 1 if first else 0)


def language_of(words: str) -> Language | None:
    """The language an example is written in; None when it could be either (numbers, names, emoji)."""
    ideographs, latin = len(_IDEOGRAPH.findall(words)), len(_LATIN_WORD.findall(words))
    if ideographs:
        return "zh"
    return "en" if latin >= 2 else None


def file_language(file: str) -> Language | None:
    """The language a training file says it is in by its name (nlu_zh.yml, nlu.en.yml)."""
    match = re.search(r"(?:^|[_.-])(zh|en)(?:[_.-]|$)", Path(file).stem)
    if not match:
        return None
    return "zh" if match[1] == "zh" else "en"


def unknown_intents(assistant: Assistant, examples: Iterable[Example]) -> Iterator[Finding]:
    seen: set[str] = set()
    for example in examples:
        if example.intent not in assistant.intents and example.intent not in seen:
            seen.add(example.intent)
            yield Finding("error", example.where, f"intent {example.intent!r} is not in domain.yml")


def thin_intents(assistant: Assistant, examples: Iterable[Example]) -> Iterator[Finding]:
    counts: dict[tuple[str, Language], set[str]] = defaultdict(set)
    for example in examples:
        language = file_language(example.file) or language_of(example.text)
        for spoken in [language] if language else assistant.languages:
            counts[example.intent, spoken].add(normalised(example.text))
    for intent in assistant.intents:
        for language in assistant.languages:
            count = len(counts[intent, language])
            if count < THIN:
                level: Level = "warning" if count else "error"
                yield Finding(level, intent, f"{count} different examples in {language}; {THIN} or more are needed")


def wrong_language(examples: Iterable[Example]) -> Iterator[Finding]:
    for example in examples:
        said, expected = language_of(example.text), file_language(example.file)
        if (
            expected
            and said
            and said != expected
            and not (expected == "zh" and said == "en" and _is_loan(example.text))
        ):
            yield Finding("warning", example.where, f"{example.text[:40]!r} is not {expected}")


def _is_loan(words: str) -> bool:
    """A couple of English words that Chinese customers also type (hi, ok, thank you)."""
    return len(words) <= 12


def missing_wordings(assistant: Assistant) -> Iterator[Finding]:
    for name, variations in assistant.responses.items():
        spoken = {variation.language for variation in variations}
        missing = [language for language in assistant.languages if language not in spoken]
        if missing and None not in spoken:
            yield Finding("error", name, f"has no wording in {', '.join(missing)}")
    for intent in assistant.intents.values():
        if intent.title and any(language not in intent.title for language in assistant.languages):
            yield Finding("warning", intent.name, "has a title in one language only")


def unused(assistant: Assistant) -> Iterator[Finding]:
    """Intents that start nothing and have no answer; responses that no flow, intent or action uses.

    Responses of shared flows are there whether their flow is taken or not.
    """
    triggered = {trigger.intent for flow in assistant.flows.values() for trigger in flow.triggers}
    for intent in assistant.intents:
        if intent not in triggered and f"utter_{intent}" not in assistant.responses:
            yield Finding("warning", intent, "starts no flow and has no response")
    used = {RASA_DEFAULT, *_responses_in_flows(assistant)} | {f"utter_{intent}" for intent in assistant.intents}
    used |= set(read_shared(assistant.entities, assistant.intents).responses)
    named = _names_in_code()
    for name in assistant.responses:
        if name not in used and not named.fullmatch(name):
            yield Finding("note", name, "is used by no flow, intent or action")


def _responses_in_flows(assistant: Assistant) -> Iterator[str]:
    for flow in assistant.flows.values():
        for step in flow.steps.values():
            yield step.utter or step.target
            yield from (rejection.utter for rejection in step.rejections)


def _names_in_code() -> re.Pattern[str]:
    """Matches the responses that dialogue and actions name in their source, also as `utter_{kind}_opened`."""
    package = Path(__file__).parent.parent / "bot"
    found = {name for path in package.rglob("*.py") for name in _NAME_IN_CODE.findall(path.read_text("utf-8"))}
    return re.compile("|".join(re.sub(r"\{[a-z_]+\}", "[a-z_]+", name) for name in sorted(found)))


def never_filled(assistant: Assistant) -> Iterator[Finding]:
    """Slots no entity, flow or action can fill."""
    filled = {name for flow in assistant.flows.values() for name in flow.slots}
    package = Path(__file__).parent.parent / "bot"
    named = {word for path in package.rglob("*.py") for word in re.findall(r'"([a-z_]+)":', path.read_text("utf-8"))}
    for slot in assistant.slots.values():
        if not slot.entities and slot.name not in filled | named:
            yield Finding("note", slot.name, "is never filled")


def counted(findings: Iterable[Finding]) -> Mapping[str, int]:
    """How many findings of each level there are."""
    counts: dict[str, int] = {"error": 0, "warning": 0, "note": 0}
    for finding in findings:
        counts[finding.level] += 1
    return counts
