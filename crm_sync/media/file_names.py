"""A file's name from outside, made harmless: it is shown and offered for saving, never used to find anything."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from crm_sync.media.content import FileType

LONGEST: Final = 100  # characters with the extension; 255 bytes is what file systems take
_UNSAFE: Final = re.compile(r'[<>:"|?*/\\]')
_DEVICES: Final = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)$")  # names that Windows keeps for itself


def clean_file_name(name: str, file_type: FileType) -> str:
    """The last part of `name` without what could mislead, with an extension that fits the content; "" for no name."""
    shown = harmless(name)
    stem, dot, extension = shown.rpartition(".")
    if not dot:
        stem, extension = shown, ""
    if extension.lower() not in file_type.extensions:
        # A foreign ending is dropped: "photo.jpg.exe" must not be offered as a program.
        stem = stem if extension.isalnum() and len(extension) <= 5 else shown
        extension = file_type.extensions[0]
    stem = stem.strip(". ")
    if not stem:
        return ""
    if _DEVICES.match(stem):
        stem = f"_{stem}"
    return f"{_cut(stem, LONGEST - len(extension) - 1)}.{extension}"


def harmless(name: str) -> str:
    """The last part of `name`, of visible characters only, at most 200 of them; its ending may still be anything."""
    last = re.split(r"[/\\]", name)[-1][:200]
    # Cc and Cf hold NUL, line ends and the marks that turn the direction of writing.
    shown = "".join(mark for mark in unicodedata.normalize("NFC", last) if unicodedata.category(mark)[0] != "C")
    return _UNSAFE.sub("_", " ".join(shown.split())).strip(". ")


def _cut(stem: str, characters: int) -> str:
    stem = stem[:characters]
    while len(stem.encode()) > 200:
        stem = stem[:-1]
    return stem.rstrip(". ")
