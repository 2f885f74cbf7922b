"""The words in a file, whichever spreadsheet or editor wrote it: one rule for everything that is brought in.

In: bytes. Out: text and the encoding it was read in. What can only be guessed at is refused with the line where that
begins.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

UTF_8: Final = "UTF-8"
UTF_16: Final = "UTF-16"
GB18030: Final = "GB18030"

_SAMPLE: Final = 200_000  # characters looked at to tell Chinese from what only decodes as such
_MOSTLY, _NEARLY_ALL, _ENOUGH = 0.8, 0.95, 20
_LEVEL_1: Final = range(0xA4, 0xC7)  # first bytes of the common characters of Big5


@dataclass(frozen=True, slots=True)
class FileText:
    """`encoding` is UTF_8, UTF_16 or GB18030."""

    text: str
    encoding: str


class NotText(ValueError):
    """The bytes are no text that can be read without guessing. `line` counts from 1; None: the whole file."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason, self.line = reason, line


def decoded(body: bytes, *, is_table: bool = True) -> FileText:
    """UTF-8 with or without a mark, UTF-16 with one; a table also as GB 18030, where that makes sense.

    Excel in Chinese saves CSV as GBK, of which GB 18030 is a superset; but nearly any bytes decode as that.
    Raises: NotText.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return FileText(body.decode("utf-16"), UTF_16)
        except UnicodeDecodeError as error:
            raise NotText("starts like UTF-16 but is not; save it as UTF-8") from error
    if (at := body.find(b"\0")) >= 0:
        raise NotText("holds a NUL byte, as no text does; save it as UTF-8", _line(body, at))
    try:
        return FileText(body.decode("utf-8-sig"), UTF_8)
    except UnicodeDecodeError as error:
        # The decoder counts behind the mark.
        start = error.start + (len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0)
        if is_table and not body.startswith(codecs.BOM_UTF8) and (text := _chinese(body)) is not None:
            return FileText(text, GB18030)
        neither = f"is neither UTF-8 nor {GB18030}" if is_table else f"is not {UTF_8}"
        raise NotText(f"{neither} (byte 0x{body[start]:02x}); save it as UTF-8", _line(body, start)) from error


def _line(body: bytes, at: int) -> int:
    return body.count(b"\n", 0, at) + 1


def _chinese(body: bytes) -> str | None:
    """As GB 18030, when most of what is not ASCII is common Chinese: western letters read so give rare characters.

    Traditional ones count too, but only where there are many: a few western letters may happen to look like them.
    """
    try:
        text = body.decode("gb18030")
    except UnicodeDecodeError:
        return None
    odd = [char for char in text[:_SAMPLE] if ord(char) > 127]
    simplified = sum(1 for char in odd if char.encode("gb2312", "ignore"))
    if simplified >= _MOSTLY * len(odd):
        return text
    traditional = sum(1 for char in odd if not char.encode("gb2312", "ignore") and _is_common_traditional(char))
    is_traditional = len(odd) >= _ENOUGH and simplified + traditional >= _NEARLY_ALL * len(odd)
    return text if is_traditional else None


def _is_common_traditional(char: str) -> bool:
    written = char.encode("big5", "ignore")
    return len(written) == 2 and written[0] in _LEVEL_1
