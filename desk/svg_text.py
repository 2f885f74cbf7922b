"""Words inside SVG: escaped, and without what XML cannot hold."""

from __future__ import annotations

from html import escape


def clean(text: str) -> str:
    """The text between tags, or between the quotes of an attribute."""
    return escape("".join(character for character in text if character in "\t\n" or _is_held(ord(character))))


def _is_held(code: int) -> bool:
    return 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000
