"""One line per fact: JSON for machines, colours for a terminal; the standard library's loggers go the same way."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson
import structlog


def without_values(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Frames and classes of an error and its causes. Not its text: a database quotes in it what a customer wrote."""
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        told = [*traceback.format_tb(error.__traceback__), f"{type(error).__qualname__}\n", *told]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "".join(told)


def _write_without_values(
    stream: TextIO, exc_info: tuple[type[BaseException], BaseException, TracebackType | None]
) -> None:
    stream.write("\n" + without_values(exc_info))


def _as_json(line: Any, default: Callable[[Any], Any]) -> str:
    """A turn writes a line: the fast way, and where it refuses (half an emoji, a huge number) the other."""
    try:
        return orjson.dumps(line, default=default).decode()
    except TypeError:
        return json.dumps(line, default=default, ensure_ascii=True)


def configure_logging(format_: Literal["auto", "json", "console"], level: str) -> None:
    """Send structlog and stdlib logging to stderr. `auto`: console on a terminal, JSON otherwise."""
    to_console = format_ == "console" or (format_ == "auto" and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if to_console:
        shared.append(structlog.dev.set_exc_info)
        renderer: structlog.types.Processor = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=_write_without_values,
        )
    else:
        shared.append(structlog.processors.ExceptionRenderer(without_values))
        renderer = structlog.processors.JSONRenderer(_as_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak from warning on: their info lines hold URLs and payloads.
    root.setLevel(max(number, logging.WARNING))
