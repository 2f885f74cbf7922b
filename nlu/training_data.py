"""Reads what an assistant is trained on: Rasa 3.1 YAML (a file or a folder of them) or a `text,intent` table.

In: a path. Out: one frozen `TrainingData`. What can go wrong is `AssistantInvalid` with file, line and reason;
oddities that do no harm (an example given twice) are `warnings` of the result.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bot.errors import AssistantInvalid
from config.text_files import UTF_8, FileText, NotText, decoded
from nlu.entity_rules import KEY as RULES_KEY
from nlu.entity_rules import EntityRule, read_entity_rules

OUT_OF_SCOPE = "out_of_scope"
_TEXT_COLUMNS = ("text", "sentence", "utterance", "query", "message")
_INTENT_COLUMNS = ("intent", "label", "category", "class")
_YAML_KEYS = {"intent", "examples", "synonym", "lookup", "regex", "metadata"}
# [text](entity), [text](entity:value), [text]{"entity": "...", "value": "..."}; text may hold no bracket itself.
_ANNOTATION = re.compile(r"\[(?P<text>[^\[\]]+)\](?:\((?P<entity>[^:)]+)(?::(?P<value>[^)]+))?\)|(?P<json>\{[^{}]*\}))")
_OPENED = re.compile(r"\[[^\[\]]*(?:$|\](?:\((?![^)]*\))|\{(?![^{}]*\})))")


@dataclass(frozen=True, slots=True)
class AnnotatedEntity:
    """An entity marked in an example; offsets are code points of the plain text."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """One training sentence without its markup, and where it stands (`line` is 1-based)."""

    text: str
    intent: str
    entities: tuple[AnnotatedEntity, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Lookup:
    """The known phrases of one entity."""

    entity: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegexPattern:
    """A pattern whose matches are entities of that name."""

    entity: str
    pattern: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything read, in file order. `synonyms` maps a phrase as written to the value it stands for."""

    examples: tuple[Example, ...]
    synonyms: dict[str, str] = field(default_factory=dict)
    lookups: tuple[Lookup, ...] = ()
    regexes: tuple[RegexPattern, ...] = ()
    warnings: tuple[str, ...] = ()
    entity_rules: dict[str, EntityRule] = field(default_factory=dict)

    @property
    def intents(self) -> tuple[str, ...]:
        return tuple(sorted({example.intent for example in self.examples}))

    def content_hash(self) -> str:
        """SHA-256 over what training sees, independent of file names, order of files and markup."""
        digest = hashlib.sha256()
        for example in sorted((e.intent, e.text) for e in self.examples):
            digest.update(json.dumps(example).encode())
        lookups = sorted((lookup.entity, phrase) for lookup in self.lookups for phrase in lookup.phrases)
        regexes = sorted((regex.entity, regex.pattern) for regex in self.regexes)
        marks = sorted((e.text[m.start : m.end], m.name, m.value) for e in self.examples for m in e.entities)
        digest.update(json.dumps([sorted(self.synonyms.items()), lookups, regexes, marks]).encode())
        for entity, rule in sorted(self.entity_rules.items()):
            digest.update(json.dumps([entity, rule.check_digit, rule.is_personal]).encode())
        return digest.hexdigest()


def load_training_data(path: Path | str, *, broken: list[AssistantInvalid] | None = None) -> TrainingData:
    """The training data at `path`: a .yml/.yaml or .csv/.tsv file, or a folder searched for YAML files in depth.

    In a folder, YAML files without an `nlu:` section (stories, rules, domain) are passed over.
    With `broken`, what is wrong in an example, a pattern or a file of a folder is put there, and the rest is read.
    Raises: AssistantInvalid naming file, line and reason.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, broken)
    if not path.is_file():
        raise AssistantInvalid("no such file or folder", file=str(path))
    if path.suffix.lower() in (".csv", ".tsv"):
        table = read_table(path)
        collected = _Collected(list(_table_examples(table.text, path.name, path.suffix.lower())))
        if table.encoding != UTF_8:
            collected.notes.append(f"{path.name}: was read as {table.encoding}")
        return _finish(collected, path.name)
    if path.suffix.lower() in (".yml", ".yaml"):
        text = read_text(path)
        collected = _Collected([], broken=broken)
        if not _read_yaml(text, path.name, collected):
            raise AssistantInvalid("has no `nlu:` section", file=path.name)
        return _finish(collected, path.name)
    raise AssistantInvalid("training data must be .yml, .yaml, .csv or .tsv", file=path.name)


def read_text(path: Path) -> str:
    """The file as text: UTF-8 with or without BOM, or UTF-16 with BOM.

    Raises: AssistantInvalid with the line of the first byte that is not UTF-8.
    """
    return _read(path, is_table=False).text


def read_table(path: Path) -> FileText:
    """A CSV as text, and how it was read: as `read_text`, or GB 18030 as Excel in Chinese saves it.

    Raises: AssistantInvalid with the line of the first byte that is none of these.
    """
    return _read(path, is_table=True)


def _read(path: Path, *, is_table: bool) -> FileText:
    try:
        return decoded(path.read_bytes(), is_table=is_table)
    except NotText as wrong:
        raise AssistantInvalid(wrong.reason, file=path.name, line=wrong.line) from wrong


def parse_annotated(text: str) -> tuple[str, tuple[AnnotatedEntity, ...]]:
    """The plain sentence and the entities marked in it.

    Raises: ValueError saying which annotation is broken.
    """
    if "[" not in text:
        return text, ()
    plain: list[str] = []
    entities: list[AnnotatedEntity] = []
    length = position = 0
    for match in _ANNOTATION.finditer(text):
        before = text[position : match.start()]
        plain.append(before)
        length += len(before)
        inner = match["text"]
        name, value = _entity_of(match)
        entities.append(AnnotatedEntity(name, value or inner, length, length + len(inner)))
        plain.append(inner)
        length += len(inner)
        position = match.end()
    rest = text[position:]
    if broken := _OPENED.search(rest):
        raise ValueError(f"annotation is not closed: {broken.group()[:40]!r}")
    plain.append(rest)
    return "".join(plain), tuple(entities)


def _entity_of(match: re.Match[str]) -> tuple[str, str]:
    if match["json"] is None:
        return match["entity"].strip(), (match["value"] or "").strip()
    try:
        fields = json.loads(match["json"])
    except ValueError as exc:
        raise ValueError(f"annotation is not JSON: {match['json'][:40]!r}") from exc
    name = fields.get("entity")
    if not isinstance(name, str) or not name:
        raise ValueError(f"annotation names no entity: {match['json'][:40]!r}")
    return name, str(fields.get("value") or "")


# --- folders and YAML ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Collected:
    examples: list[Example]
    synonyms: dict[str, str] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)
    regexes: list[RegexPattern] = field(default_factory=list)
    entity_rules: dict[str, EntityRule] = field(default_factory=dict)
    broken: list[AssistantInvalid] | None = None
    empty: dict[str, str] = field(default_factory=dict)  # intents given without an example, and where
    notes: list[str] = field(default_factory=list)

    def refuse(self, invalid: AssistantInvalid) -> None:
        """Kept with what else is broken, where that is asked for. Raises: AssistantInvalid, where it is not."""
        if self.broken is None:
            raise invalid
        self.broken.append(invalid)


def _load_folder(folder: Path, broken: list[AssistantInvalid] | None) -> TrainingData:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".yml", ".yaml") and p.is_file())
    if not files:
        raise AssistantInvalid("no .yml file in this folder", file=str(folder))
    collected = _Collected([], broken=broken)
    found = False
    for file in files:
        try:
            found |= _read_yaml(read_text(file), file.relative_to(folder).as_posix(), collected)
        except AssistantInvalid as invalid:
            collected.refuse(invalid)
            found = True
    if not found:
        raise AssistantInvalid("no file here has an `nlu:` section", file=str(folder))
    return _finish(collected, str(folder))


def _read_yaml(text: str, file: str, into: _Collected) -> bool:
    """Adds the file's `nlu:` section; False when it has none."""
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        raise AssistantInvalid(f"is not YAML: {exc.problem}", file=file, line=line) from exc
    except yaml.reader.ReaderError as exc:
        line = text.encode("utf-8", "replace").count(b"\n", 0, exc.position) + 1
        raise AssistantInvalid(
            f"is not YAML: character {exc.character!r} is not allowed", file=file, line=line
        ) from exc
    except yaml.YAMLError as exc:
        raise AssistantInvalid(f"is not YAML: {exc}", file=file) from exc
    if not isinstance(root, yaml.MappingNode):
        return False
    rules, section = _child(root, RULES_KEY), _child(root, "nlu")
    if rules is not None:
        into.entity_rules.update(read_entity_rules(rules, file))
    if section is None:
        return False
    if not isinstance(section, yaml.SequenceNode):
        raise AssistantInvalid("`nlu:` must be a list", file=file, line=_line(section))
    for item in section.value:
        _read_item(item, file, into)
    return True


def _read_item(item: yaml.Node, file: str, into: _Collected) -> None:
    if not isinstance(item, yaml.MappingNode):
        raise AssistantInvalid("each entry under `nlu:` must be a mapping", file=file, line=_line(item))
    keys = {key.value: value for key, value in item.value if isinstance(key, yaml.ScalarNode)}
    if unknown := sorted(set(keys) - _YAML_KEYS):
        raise AssistantInvalid(f"unknown key `{unknown[0]}`", file=file, line=_line(item))
    kind = next((k for k in ("intent", "synonym", "lookup", "regex") if k in keys), None)
    if kind is None:
        raise AssistantInvalid("needs `intent`, `synonym`, `lookup` or `regex`", file=file, line=_line(item))
    name_node = keys[kind]
    name = name_node.value.strip() if isinstance(name_node, yaml.ScalarNode) else ""
    if not name:
        raise AssistantInvalid(f"`{kind}` needs a name", file=file, line=_line(item))
    if "examples" not in keys:
        raise AssistantInvalid(f"`{kind}: {name}` has no `examples`", file=file, line=_line(item))
    lines = list(_example_lines(keys["examples"], file))
    if kind == "intent":
        if not lines:
            into.empty.setdefault(name, f"{file}:{_line(item)}")
        into.examples.extend(_annotated_examples(lines, name, file, into))
    elif kind == "synonym":
        into.synonyms.update({text: name for _, text in lines})
    elif kind == "lookup":
        into.lookups.append(Lookup(name, tuple(text for _, text in lines)))
    else:
        into.regexes.extend(_patterns(lines, name, file, into))


def _annotated_examples(
    lines: Iterable[tuple[int, str]], intent: str, file: str, into: _Collected
) -> Iterator[Example]:
    for line, text in lines:
        try:
            plain, entities = parse_annotated(text)
        except ValueError as exc:
            into.refuse(AssistantInvalid(str(exc), file=file, line=line))
            continue
        if plain.strip():
            yield Example(plain.strip(), intent, _shifted(entities, plain), file, line)


def _shifted(entities: tuple[AnnotatedEntity, ...], plain: str) -> tuple[AnnotatedEntity, ...]:
    """The entities after leading blanks of the sentence were cut off."""
    by = len(plain) - len(plain.lstrip())
    if not by:
        return entities
    return tuple(AnnotatedEntity(e.name, e.value, max(e.start - by, 0), e.end - by) for e in entities)


def _patterns(lines: Iterable[tuple[int, str]], entity: str, file: str, into: _Collected) -> Iterator[RegexPattern]:
    for line, pattern in lines:
        try:
            re.compile(pattern)
        except re.error as exc:
            into.refuse(AssistantInvalid(f"regex `{entity}` cannot be read: {exc}", file=file, line=line))
            continue
        yield RegexPattern(entity, pattern)


def _example_lines(node: yaml.Node, file: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each example: a block of `- ` lines, or a list of strings or of mappings with `text`."""
    if isinstance(node, yaml.ScalarNode):
        # The text of a block scalar (`examples: |`) begins on the line after the one that opens it.
        first = _line(node) + (1 if node.style in ("|", ">") else 0)
        for offset, raw in enumerate(node.value.split("\n")):
            stripped = raw.strip()
            if not stripped or stripped.startswith("#"):
                continue
            if not stripped.startswith("-"):
                reason = f"each example must start with `- `: {stripped[:40]!r}"
                raise AssistantInvalid(reason, file=file, line=first + offset)
            if text := stripped[1:].strip():
                yield first + offset, text
        return
    if not isinstance(node, yaml.SequenceNode):
        raise AssistantInvalid("`examples` must be a list", file=file, line=_line(node))
    for item in node.value:
        text_node = _child(item, "text") if isinstance(item, yaml.MappingNode) else item
        if not isinstance(text_node, yaml.ScalarNode):
            raise AssistantInvalid("an example must be a text", file=file, line=_line(item))
        for line in text_node.value.split("\n"):
            if text := line.strip().removeprefix("- ").strip():
                yield _line(item), text


def _child(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            return value  # type: ignore[no-any-return]  # the stubs leave node values untyped
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


# --- tables --------------------------------------------------------------------------------------------------------


def _table_examples(text: str, file: str, suffix: str) -> Iterator[Example]:
    if not text.strip():
        raise AssistantInvalid("is empty", file=file)
    delimiter = "\t" if suffix == ".tsv" else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [cell.strip().lower() for cell in next(reader)]
    text_at = _column(header, _TEXT_COLUMNS, file)
    intent_at = _column(header, _INTENT_COLUMNS, file)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) <= max(text_at, intent_at):
                raise AssistantInvalid(f"has {len(row)} of {len(header)} columns", file=file, line=reader.line_num)
            sentence, intent = row[text_at].strip(), row[intent_at].strip()
            if not intent:
                raise AssistantInvalid("has no intent", file=file, line=reader.line_num)
            if sentence:
                yield Example(sentence, intent, (), file, reader.line_num)
    except csv.Error as exc:
        raise AssistantInvalid(f"is not CSV: {exc}", file=file, line=reader.line_num) from exc


def _delimiter(text: str) -> str:
    """Comma, unless the header uses semicolons or tabs (spreadsheets of some countries)."""
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _column(header: list[str], names: tuple[str, ...], file: str) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise AssistantInvalid(
        f"the first line must name a column `{names[0]}` (found: {', '.join(header)})", file=file, line=1
    )


def _finish(collected: _Collected, file: str) -> TrainingData:
    if not collected.examples:
        raise AssistantInvalid("has no examples", file=file)
    seen: dict[str, Example] = {}
    known = {example.intent for example in collected.examples}
    warnings = collected.notes + [
        f"{where}: `{intent}` has no example and is not learnt"
        for intent, where in collected.empty.items()
        if intent not in known
    ]
    for example in collected.examples:
        earlier = seen.get(example.text)
        if earlier is None:
            seen[example.text] = example
        elif earlier.intent == example.intent:
            warnings.append(f"{example.file}:{example.line}: given twice (first at line {earlier.line})")
        else:
            warnings.append(
                f"{example.file}:{example.line}: also an example of `{earlier.intent}` "
                f"({earlier.file}:{earlier.line}); both are kept"
            )
    return TrainingData(
        tuple(collected.examples),
        collected.synonyms,
        tuple(collected.lookups),
        tuple(collected.regexes),
        tuple(warnings),
        collected.entity_rules,
    )
