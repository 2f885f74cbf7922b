"""One line per fact: JSON for machines, colours for a terminal; the standard library's loggers go the same way."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


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
            # Never the pretty one: it prints local variables, and those hold what customers wrote.
            exception_formatter=structlog.dev.plain_traceback,
        )
    else:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
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
