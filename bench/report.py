"""The numbers as a table on the terminal, as JSON, and as each section's part of docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.processes import ROOT
from bench.sections import Row, Section

RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: {} -->", "<!-- /measured: {} -->"
LIBRARIES = ("starlette", "uvicorn", "uvloop", "sqlalchemy", "numpy")
MARKS = {True: "yes", False: "**no**", None: ""}


def show(section: Section, console: Console) -> None:
    table = Table(title=section.title, title_justify="left", caption=section.skipped or None)
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_column("wanted", justify="right")
    table.add_column("holds")
    table.add_column("note", style="dim")
    for row in section.rows:
        colour = {True: "green", False: "red", None: ""}[row.holds]
        shown = f"[{colour}]{measured(row)}[/]" if colour else measured(row)
        table.add_row(row.what, shown, wanted(row), MARKS[row.holds].strip("*"), row.note)
    console.print(table)


def write(sections: Sequence[Section]) -> None:
    """results.json holds this run."""
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "sections": [s.as_json() for s in sections],
    }
    RESULTS.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_part(page: Path, section: Section, now: datetime) -> None:
    """The section's part of the page is this run's; the other parts, and what people wrote around them, stay.

    What is compared with each other stands in one part, so that no table mixes runs. Where nothing could be measured,
    the page keeps what was.
    """
    if not section.rows:
        return
    text = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    begin, end = BEGIN.format(section.name), END.format(section.name)
    part = f"{begin}\n{markdown(section, now)}\n{end}"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: part, text)
    page.write_text(text if count else f"{text.rstrip()}\n\n{part}\n", encoding="utf-8")


def markdown(section: Section, now: datetime) -> str:
    lines = [f"## {section.title}", "", section.about, ""]
    if section.skipped:
        lines += [f"Not measured in this run: {section.skipped}", ""]
    lines += ["| | measured | wanted | holds | |", "|---|--:|--:|---|---|"]
    lines += [
        f"| {row.what} | {measured(row)} | {wanted(row)} | {MARKS[row.holds]} | {row.note} |" for row in section.rows
    ]
    return "\n".join([*lines, "", f"Measured on {now:%Y-%m-%d}: {machine()}.", ""])


def measured(row: Row) -> str:
    if row.value is None:
        return "–"
    size = abs(row.value)
    digits = 0 if size >= 100 or float(row.value).is_integer() else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{row.value:,.{digits}f} {row.unit}".strip()


def wanted(row: Row) -> str:
    if row.limit is None:
        return ""
    return f"{'≤' if row.kind == 'at_most' else '≥'} {row.limit:g} {row.unit}".strip()


def machine() -> str:
    """What the numbers depend on; never the machine's name or its folders."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {libraries}"
    )
