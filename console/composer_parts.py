"""Files, cards and vendors' templates of a message as fields of the composer, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from bot.reach.content_reading import LANGUAGES
from console.form_fields import Fields

MOST_FILES: Final = 2  # in the form, as of cards and fields; a document may have more
MOST_CARDS: Final = 3
MOST_TEMPLATE_FIELDS: Final = 5
FILE_KINDS: Final = ("image", "video", "voice", "audio", "document")
KINDS: Final = ("", "mass", "mass:list", "mass:tag", "template", "subscribe")  # a mass send, or one told a way
_FILE: Final = ("kind", "url", "media_id", "caption", "file_name")


def part_fields(stem: str, piece: Mapping[str, Any]) -> dict[str, Any]:
    """Files and cards of a piece as fields."""
    found: dict[str, Any] = {}
    for place, file in enumerate(piece.get("media", ())):
        found.update({f"{stem}.m{place}.{key}": file.get(key, "") for key in _FILE})
    for place, card in enumerate(piece.get("cards", ())):
        found.update({f"{stem}.k{place}.{key}": card.get(key, "") for key in ("image", "link")})
        for key in ("title", "text"):
            found.update({f"{stem}.k{place}.{key}.{each}": text for each, text in card.get(key, {}).items()})
    return found


def parts_of(fields: Fields, stem: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """Files and cards as they stand in the form; those it has no room for stay as they were."""
    files = [
        {key: text for key in _FILE if (text := fields.text(f"{stem}.m{place}.{key}"))} for place in range(MOST_FILES)
    ]
    files = [each for each in files if each.get("url") or each.get("media_id")]
    cards = [each for place in range(MOST_CARDS) if (each := _card(fields, f"{stem}.k{place}"))]
    files += deepcopy(list(before.get("media", ())[MOST_FILES:]))
    cards += deepcopy(list(before.get("cards", ())[MOST_CARDS:]))
    return {key: value for key, value in (("media", files), ("cards", cards)) if value}


def _card(fields: Fields, stem: str) -> dict[str, Any]:
    card: dict[str, Any] = {key: words_of(fields, f"{stem}.{key}") for key in ("title", "text")}
    card.update({key: fields.text(f"{stem}.{key}") for key in ("image", "link")})
    return {key: value for key, value in card.items() if value}


def kind_fields(stem: str, piece: Mapping[str, Any]) -> dict[str, Any]:
    """The vendor's kind of a piece, and what fills its template, as fields."""
    kind = f"{piece['kind']}:{piece['by']}" if piece.get("by") else piece.get("kind", "")
    found: dict[str, Any] = {f"{stem}.kind": kind, f"{stem}.template": piece.get("template", "")}
    for place, (name, words) in enumerate(piece.get("fields", {}).items()):
        found[f"{stem}.t{place}.name"] = name
        found.update({f"{stem}.t{place}.text.{each}": text for each, text in words.items()})
    return found


def kind_of(fields: Fields, stem: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """As it stands in the form."""
    kind, _, by = fields.text(f"{stem}.kind").partition(":")
    told = {"kind": kind, "by": by, "template": fields.text(f"{stem}.template")}
    found: dict[str, Any] = {key: text for key, text in told.items() if text}
    rows = [
        (fields.text(f"{stem}.t{n}.name"), words_of(fields, f"{stem}.t{n}.text")) for n in range(MOST_TEMPLATE_FIELDS)
    ]
    filled = {name: words for name, words in rows if name or words}
    filled.update(deepcopy(dict(list(before.get("fields", {}).items())[MOST_TEMPLATE_FIELDS:])))
    return {**found, **({"fields": filled} if filled else {})}


def words_of(fields: Fields, stem: str) -> dict[str, str]:
    """Words by language; none where nothing was written."""
    return {language: text for language in LANGUAGES if (text := fields.text(f"{stem}.{language}"))}


def shown(fields: Fields, stem: str, keys: Sequence[str]) -> bool:
    """Whether anything is written in one of these parts, so that the form shows them open."""
    return any(fields.text(name) for key in keys for name in fields.under(f"{stem}.{key}"))
