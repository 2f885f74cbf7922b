"""What a crash leaves in the log: where it happened and its class, never the values that an error's text may quote."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from config.logging import configure_logging


@pytest.fixture
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_own_logging")
@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("through", ["structlog", "stdlib"])
def test_a_traceback_names_place_and_class_and_quotes_nothing(
    format_: str, through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(format_, "info")  # type: ignore[arg-type]
    log = structlog.get_logger() if through == "structlog" else logging.getLogger("uvicorn.error")
    try:
        try:
            raise KeyError("+8613800000001")
        except KeyError as cause:
            raise RuntimeError("the customer wrote: my words") from cause
    except RuntimeError:
        log.exception("role_crashed")
    told = capsys.readouterr().err
    assert "role_crashed" in told
    assert "RuntimeError" in told
    assert "KeyError" in told
    assert "test_a_traceback_names_place" in told
    assert "my words" not in told.replace('raise RuntimeError("the customer wrote: my words")', "").replace(
        'raise RuntimeError(\\"the customer wrote: my words\\")', ""
    )
    assert "KeyError: " not in told
