"""YAML files of an assistant become plain data that knows its lines; anything unclear or hostile is refused.

Scalars follow YAML 1.2 (as Rasa reads them): only true/false are booleans, dates and times stay text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bot.errors import AssistantInvalid
from bot.located import Rows, Table

MAX_BYTES = 8_000_000
MAX_NODES = 300_000  # after aliases are counted as often as they are used
MAX_DEPTH = 40

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C reader is about ten times faster where it is built in
_INTEGER = re.compile(r"^[-+]?[0-9]{1,18}$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_CONSTANTS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def read_yaml(path: Path, *, name: str = "") -> Any:
    """Content of one YAML file as `Table`, `Rows` and scalars; `name` is how errors call the file.

    Raises: AssistantInvalid for a missing or huge file, wrong encoding, bad YAML, duplicate keys, tags, more than one
    document, or more nesting and repetition than an assistant can need.
    """
    name = name or path.name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AssistantInvalid(f"larger than {MAX_BYTES // 1_000_000} MB", file=name)
        raw = path.read_bytes()
    except OSError as exc:
        raise AssistantInvalid(f"cannot be read: {exc.strerror or 'unknown reason'}", file=name) from exc
    return parse_yaml(raw, name=name)


def parse_yaml(raw: bytes, *, name: str) -> Any:
    """Like `read_yaml`, for bytes already read."""
    try:
        source = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise AssistantInvalid("is not UTF-8; save it as UTF-8", file=name, line=line) from exc
    builder = _Builder(name)
    try:
        for event in yaml.parse(source, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = " ".join(part for part in (exc.context, exc.problem) if part) or "is no valid YAML"
        raise AssistantInvalid(reason, file=name, line=mark.line + 1 if mark else None) from exc
    except yaml.YAMLError as exc:
        raise AssistantInvalid("holds characters YAML does not allow", file=name) from exc
    return builder.document


class _Open:
    """A mapping or sequence whose end has not been read yet."""

    def __init__(self, *, is_table: bool, line: int, anchor: str | None, nodes_before: int) -> None:
        self.is_table, self.line, self.anchor, self.nodes_before = is_table, line, anchor, nodes_before
        self.items: list[Any] = []
        self.lines: list[int] = []
        self.keys: dict[str, int] = {}
        self.key: str | None = None


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.document: Any = None
        self.documents = 0
        self.open: list[_Open] = []
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}  # what, and how many nodes it stands for

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.wrong("holds more than one document", line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self.start(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.end()
        elif isinstance(event, yaml.ScalarEvent):
            self.refuse_tag(event.tag, line)
            value = _scalar(event)
            self.count(1, line)
            if event.anchor:
                self.anchors[event.anchor] = (value, 1)
            self.put(value, line)
        elif isinstance(event, yaml.AliasEvent):
            value, nodes = self.anchors.get(event.anchor or "", (None, 0))
            if not nodes:
                raise self.wrong(f"*{event.anchor} refers to nothing that is complete", line)
            self.count(nodes, line)
            self.put(value, line)

    def start(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self.refuse_tag(event.tag, line)
        is_table = isinstance(event, yaml.MappingStartEvent)
        if self.open and self.open[-1].is_table and self.open[-1].key is None:
            raise self.wrong("a key must be a plain word", line)
        if len(self.open) >= MAX_DEPTH:
            raise self.wrong(f"nested deeper than {MAX_DEPTH}", line)
        self.count(1, line)
        self.open.append(_Open(is_table=is_table, line=line, anchor=event.anchor, nodes_before=self.nodes - 1))

    def end(self) -> None:
        done = self.open.pop()
        value: Any
        if done.is_table:
            value = Table(
                dict(zip(done.keys, done.items, strict=True)), file=self.file, line=done.line, lines=done.keys
            )
        else:
            value = Rows(done.items, file=self.file, line=done.line, lines=done.lines)
        if done.anchor:
            self.anchors[done.anchor] = (value, self.nodes - done.nodes_before)
        self.put(value, done.line)

    def put(self, value: Any, line: int) -> None:
        if not self.open:
            self.document = value
            return
        place = self.open[-1]
        if place.is_table and place.key is None:
            self.put_key(place, value, line)
            return
        place.items.append(value)
        place.lines.append(line)
        place.key = None

    def put_key(self, place: _Open, value: Any, line: int) -> None:
        if isinstance(value, dict | list) or value is None:
            raise self.wrong("a key must be a plain word", line)
        key = str(value).lower() if isinstance(value, bool) else str(value)
        if key == "<<":
            raise self.wrong("merge keys (<<) are not supported", line)
        if key in place.keys:
            raise self.wrong(f"key {key!r} appears twice (first on line {place.keys[key]})", line)
        place.keys[key] = line
        place.key = key

    def count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.wrong(f"holds more than {MAX_NODES} values (aliases counted)", line)

    def refuse_tag(self, tag: str | None, line: int) -> None:
        if tag and tag != "!" and not tag.startswith("tag:yaml.org,2002:str"):
            raise self.wrong(f"the tag {tag} is not supported", line)

    def wrong(self, reason: str, line: int) -> AssistantInvalid:
        return AssistantInvalid(reason, file=self.file, line=line)


def _scalar(event: yaml.ScalarEvent) -> Any:
    if event.style or event.tag:  # quoted, block or tagged as text
        return event.value
    word = event.value
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _INTEGER.match(word):
        return int(word)
    if _FLOAT.match(word):
        return float(word)
    return word
