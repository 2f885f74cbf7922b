"""Articles from files: a folder of Markdown with front matter, or a .csv, .xlsx or .jsonl file.

Out: `Article`s. Broken files are `AssistantInvalid` with file, line and reason.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from bot.errors import AssistantInvalid
from config.text_files import UTF_8
from nlu.article_fields import Article, article_of
from nlu.training_data import read_table, read_text

SUFFIXES: Final = (".md", ".csv", ".xlsx", ".jsonl")
_MOST_ROWS, _MOST_COLUMNS, _MOST_BYTES = 200_000, 64, 500_000_000  # of a sheet: more is a mistake, or somebody's attack


def load_articles(path: Path | str, *, read_as: dict[str, str] | None = None) -> list[Article]:
    """The articles at `path`: a folder (its .md, .csv, .xlsx and .jsonl files in depth) or one such file.

    In a folder, tables without an `answer` column (lists of test questions) are passed over. `read_as` is given the
    encoding of each table that was not UTF-8.
    Raises: AssistantInvalid with file, line and reason; also when two articles share id and language.
    """
    path, read_as = Path(path), {} if read_as is None else read_as
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        found = [(article, file) for file in files for article in _read_file(file, path, read_as)]
    elif path.is_file():
        found = [(article, path) for article in _read_file(path, path, read_as)]
    else:
        raise AssistantInvalid("no such file or folder", file=str(path))
    if not found:
        raise AssistantInvalid("holds no articles", file=str(path))
    seen: dict[tuple[str, str], Path] = {}
    for article, file in found:
        key = (article.id, article.language)
        if key in seen:
            raise AssistantInvalid(
                f"article `{article.id}` ({article.language}) is also in {seen[key]}", file=str(file)
            )
        seen[key] = file
    return [article for article, _ in found]


def _read_file(file: Path, root: Path, read_as: dict[str, str]) -> Iterator[Article]:
    """`root` is the folder that is read, or the file itself."""
    in_folder = file != root
    suffix, name = file.suffix.lower(), file.relative_to(root).as_posix() if in_folder else file.name
    if suffix == ".md":
        yield _markdown(read_text(file), name)
    elif suffix == ".csv":
        table = read_table(file)
        if table.encoding != UTF_8:
            read_as[name] = table.encoding
        yield from _table(table.text, name, in_folder=in_folder)
    elif suffix == ".jsonl":
        yield from _json_lines(read_text(file), name)
    elif suffix == ".xlsx":
        yield from _sheet(file, name, in_folder=in_folder)
    elif suffix in (".xls", ".ods"):
        raise AssistantInvalid("is an old or foreign spreadsheet; save it as .xlsx or as CSV (UTF-8)", file=name)
    else:
        raise AssistantInvalid("articles must be .md, .csv, .xlsx or .jsonl", file=name)


def _markdown(text: str, file: str) -> Article:
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        raise AssistantInvalid("must begin with front matter between two `---` lines", file=file, line=1)
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.strip() == "---"), None)
    if end is None:
        raise AssistantInvalid("front matter is not closed by `---`", file=file, line=1)
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 2 if exc.problem_mark else 1
        raise AssistantInvalid(f"front matter is not YAML: {exc.problem}", file=file, line=line) from exc
    except yaml.YAMLError as exc:
        raise AssistantInvalid(f"front matter is not YAML: {exc}", file=file, line=1) from exc
    if not isinstance(fields, dict):
        raise AssistantInvalid("front matter must be `key: value` lines", file=file, line=2)
    return article_of({**fields, "answer": "\n".join(lines[end + 1 :]).strip()}, file, 1)


def _table(text: str, file: str, *, in_folder: bool) -> Iterator[Article]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    header = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if in_folder and "answer" not in header:
        return
    missing = [name for name in ("id", "language", "title", "answer") if name not in header]
    if missing:
        raise AssistantInvalid(f"the first line must name a column `{missing[0]}`", file=file, line=1)
    try:
        for row in reader:
            if any(row.values()):
                yield article_of({key: value for key, value in row.items() if key}, file, reader.line_num)
    except csv.Error as exc:
        raise AssistantInvalid(f"is not CSV: {exc}", file=file, line=reader.line_num) from exc


def _sheet(file: Path, name: str, *, in_folder: bool) -> Iterator[Article]:
    """The first sheet of a workbook, its first line naming the columns as in a CSV."""
    from openpyxl import load_workbook

    try:
        content = io.BytesIO(file.read_bytes())
        with zipfile.ZipFile(content) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise AssistantInvalid("is too large; save it as CSV", file=name)
        workbook = load_workbook(content, read_only=True, data_only=True)
    except AssistantInvalid:
        raise
    except Exception as exc:  # openpyxl raises whatever its XML and ZIP readers do
        raise AssistantInvalid("is not an .xlsx workbook that can be read", file=name) from exc
    try:
        lines = workbook.worksheets[0].iter_rows(max_row=_MOST_ROWS + 1, max_col=_MOST_COLUMNS, values_only=True)
        header = [str(cell or "").strip().lower() for cell in next(lines, ())]
        if in_folder and "answer" not in header:
            return
        missing = [column for column in ("id", "language", "title", "answer") if column not in header]
        if missing:
            raise AssistantInvalid(f"the first line must name a column `{missing[0]}`", file=name, line=1)
        for number, cells in enumerate(lines, start=2):
            if number > _MOST_ROWS:
                raise AssistantInvalid(f"has more than {_MOST_ROWS} lines", file=name, line=number)
            row = {column: cell for column, cell in zip(header, cells, strict=False) if column and cell is not None}
            if any(str(cell).strip() for cell in row.values()):
                yield article_of({column: _cell(cell) for column, cell in row.items()}, name, number)
    except AssistantInvalid:
        raise
    except Exception as exc:
        raise AssistantInvalid("is a damaged workbook", file=name) from exc
    finally:
        workbook.close()


def _cell(value: Any) -> Any:
    """Numbers as people read them: an id of 7 is "7", not "7.0"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str | datetime | date) else str(value)


def _json_lines(text: str, file: str) -> Iterator[Article]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as exc:
            raise AssistantInvalid(f"is not JSON: {exc}", file=file, line=number) from exc
        if not isinstance(fields, dict):
            raise AssistantInvalid("each line must be a JSON object", file=file, line=number)
        yield article_of(fields, file, number)
