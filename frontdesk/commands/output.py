"""Rich for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console(highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout, UTF-8, indented. Lone surrogates, which JSON cannot carry, become U+FFFD."""
    try:
        encoded = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        encoded = orjson.dumps(_without_surrogates(value), default=_plain, option=orjson.OPT_INDENT_2)
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(_without_surrogates(str(cell)))) for cell in row))
    console.print(table)


def say(text: str) -> None:
    # Never wrapped: a setting or an address that is copied from here must be whole.
    console.print(escape(_without_surrogates(text)), soft_wrap=True)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_without_surrogates(str(key)): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
