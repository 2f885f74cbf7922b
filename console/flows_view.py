"""What the bot says, as the page shows it: the fields of each language, its versions, what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.edited_texts import EditedText
from console.words import Language
from desk.responses import ResponseView
from desk.wording import Piece, text_diff


@dataclass(frozen=True, slots=True)
class TextVersion:
    """An earlier wording and what the one in force changed of it. Version 0: the file's."""

    version: int
    at: datetime | None
    by: str
    note: str
    is_current: bool
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class TextSide:
    """A response in one language. `theirs`: what somebody else saved, where the fields hold other words."""

    language: str
    texts: tuple[EditedText, ...]
    buttons: tuple[str, ...]
    seen: int
    is_edited: bool
    versions: tuple[TextVersion, ...]
    theirs: tuple[Piece, ...] = ()


def text_sides(view: ResponseView, stale: Language | None = None, mine: Sequence[EditedText] = ()) -> list[TextSide]:
    found = []
    for language, texts in view.line.texts.items():
        now = _joined(texts)
        versions = [
            TextVersion(
                each.version,
                each.at,
                each.by,
                each.note,
                each.is_current and bool(each.texts),
                text_diff("\n\n".join(text for _, text in each.texts) or _joined(view.files[language]), now),
            )
            for each in view.history
            if each.language == language
        ]
        is_edited = language in view.line.edited
        file = TextVersion(0, None, "", "", not is_edited, text_diff(_joined(view.files[language]), now))
        is_stale = language == stale
        found.append(
            TextSide(
                language=language,
                texts=tuple(mine) if is_stale else texts,
                buttons=view.buttons.get(language, ()),
                seen=view.seen.get(language, 0),
                is_edited=is_edited,
                versions=(*versions, file),
                theirs=text_diff(now, _joined(mine)) if is_stale else (),
            )
        )
    return found


def _joined(texts: Sequence[EditedText]) -> str:
    return "\n\n".join(text.text for text in texts)
