"""A reply becomes the messages a channel can carry, whatever it can: what it has no form for becomes text. Pure.

Nothing is lost on the way: buttons become a numbered list, cards their words and addresses, files links, markup plain
text with the addresses in brackets. Only a control asked for (stars, a calendar) may go: the text asks by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.types import Capabilities, Card, OutMedia, OutPart, RenderedReply, ReplyButton, TextFormat
from channels.markup import escape, to_plain
from channels.markup_split import split_markup
from channels.text import is_blank, length, numbered_list, split_text

NOTHING_TO_SAY = "…"  # carries buttons that come without words
_FAMILIES = {"image": "picture", "video": "picture", "document": "document", "audio": "audio"}  # one album each


@dataclass(frozen=True, slots=True)
class _Words:
    """The text of a reply while things are added below it."""

    text: str
    format: TextFormat

    def below(self, block: str) -> _Words:
        if is_blank(block):
            return self
        block = escape(block) if self.format == "markdown" else block
        return replace(self, text=f"{self.text}\n\n{block}" if self.text else block)


def encode_reply(reply: RenderedReply, can: Capabilities) -> tuple[OutPart, ...]:
    """The parts of `reply` in the order they are sent: files, then the words, then cards; buttons with the last words.

    A short text is one message with its only file where the channel allows. A reply with nothing visible in it has no
    parts. `status_key` is carried by the first part.
    """
    words = _words(reply, can)
    files, words = _files(reply, words, can)
    buttons = reply.buttons
    cards = reply.cards if _can_show(reply.cards, can) else ()
    for card in () if cards else reply.cards:
        words = words.below(_card_words(card))
        buttons += card.buttons
    if not _can_press(buttons, can):
        words = words.below(numbered_list("", buttons))
        buttons = ()
    ask = reply.ask if reply.ask in can.asks else ""
    ending = OutPart("", buttons, ask=ask)
    parts = _in_one(words, files, ending, can) or [*files, *_texts(words, ending, can)]
    if cards:
        parts.append(OutPart("", cards=cards))
    if parts and reply.status_key:
        parts[0] = replace(parts[0], status_key=reply.status_key)
    return tuple(parts)


def _words(reply: RenderedReply, can: Capabilities) -> _Words:
    if reply.text_format == "markdown" and not can.markdown:
        return _Words(to_plain(reply.text), "plain")
    return _Words(reply.text, reply.text_format)


# --- files --------------------------------------------------------------------------------------------------------


def _files(reply: RenderedReply, words: _Words, can: Capabilities) -> tuple[list[OutPart], _Words]:
    """One part a file or album, and the text with what could not be sent as a file below it."""
    parts: list[OutPart] = []
    if reply.image_url and "image" in can.media:
        parts.append(OutPart("", image_url=reply.image_url))
    elif reply.image_url:
        words = words.below(reply.image_url)
    album: list[OutMedia] = []
    for given in reply.media:
        file = replace(given, caption="") if is_blank(given.caption) else given
        if file.kind not in can.media:
            words = words.below(_link(file))
            continue
        if album and not _joins(album, file, can):
            parts.append(OutPart("", media=tuple(album)))
            album = []
        is_short = length(file.caption, can.length_unit) <= can.max_caption
        album.append(file if is_short else replace(file, caption=""))
        words = words if is_short else words.below(file.caption)
    if album:
        parts.append(OutPart("", media=tuple(album)))
    return parts, words


def _joins(album: Sequence[OutMedia], file: OutMedia, can: Capabilities) -> bool:
    family = _FAMILIES.get(file.kind)
    return len(album) < can.album and family is not None and family == _FAMILIES.get(album[0].kind)


def _link(file: OutMedia) -> str:
    """A file as text: what it is, and where."""
    name = file.file_name or ("" if file.url else file.media_id)
    return "\n".join(line for line in (file.caption, name, file.url) if line)


# --- cards and buttons ----------------------------------------------------------------------------------------------


def _can_show(cards: Sequence[Card], can: Capabilities) -> bool:
    return len(cards) <= can.cards and all(_can_press(card.buttons, can) for card in cards)


def _card_words(card: Card) -> str:
    return "\n".join(line for line in (card.title, card.text, card.url, card.image_url) if line)


def _can_press(buttons: Sequence[ReplyButton], can: Capabilities) -> bool:
    return len(buttons) <= can.buttons and all(_is_pressable(button, can) for button in buttons)


def _is_pressable(button: ReplyButton, can: Capabilities) -> bool:
    if can.link_buttons and button.value.startswith("https://"):
        return not is_blank(button.label)
    if can.max_button_value is not None:
        try:
            if not 1 <= len(button.value.encode("utf-8")) <= can.max_button_value:
                return False
        except UnicodeEncodeError:
            return False
    if can.max_button_label is not None and length(button.label, can.length_unit) > can.max_button_label:
        return False
    return not is_blank(button.label)


# --- words ----------------------------------------------------------------------------------------------------------


def _in_one(words: _Words, files: Sequence[OutPart], ending: OutPart, can: Capabilities) -> list[OutPart]:
    """Text and file as one message; empty when the channel cannot, or the file's own caption is in the way."""
    if len(files) != 1 or can.max_caption == 0 or length(words.text, can.length_unit) > can.max_caption:
        return []
    file = files[0]
    is_album = len(file.media) > 1  # which carries no buttons anywhere
    if any(item.caption for item in file.media) or (is_album and (ending.buttons or ending.ask)):
        return []
    text = "" if is_blank(words.text) else words.text
    return [replace(ending, text=text, text_format=words.format, image_url=file.image_url, media=file.media)]


def _texts(words: _Words, ending: OutPart, can: Capabilities) -> list[OutPart]:
    """The text in parts of at most `max_text`; buttons and the ask sit below the last."""
    pieces = split_text(words.text, can.max_text, can.length_unit)
    if words.format == "markdown" and len(pieces) > 1 and _shown(pieces) != _shown([words.text]):
        # A cut inside a mark would show its halves.
        pieces = split_markup(words.text, can.max_text, can.length_unit)
        if _shown(pieces) != _shown([words.text]):  # the words matter more than how they look
            words = _Words(to_plain(words.text), "plain")
            pieces = split_text(words.text, can.max_text, can.length_unit)
    texts = [piece for piece in pieces if not is_blank(piece)]  # messengers refuse a message without anything visible
    if not texts and (ending.buttons or ending.ask):
        texts = [NOTHING_TO_SAY]
    if not texts:
        return []
    above = [OutPart(text, text_format=words.format) for text in texts[:-1]]
    return [*above, OutPart(texts[-1], ending.buttons, ask=ending.ask, text_format=words.format)]


def merge_parts(parts: Sequence[OutPart], can: Capabilities) -> tuple[OutPart, int]:
    """One part with the words of the first so many of `parts` (1 or more), a blank line between them.

    Only texts are merged, up to `max_text`; buttons become numbered lists. The first part as it is and 1 when the
    second does not fit.
    """
    words, count = "", 0
    for part in parts:
        if part != OutPart(part.text, part.buttons, text_format=part.text_format):
            break
        text = to_plain(part.text) if part.text_format == "markdown" else part.text
        text = numbered_list(text, part.buttons)
        together = f"{words}\n\n{text}" if words else text
        if length(together, can.length_unit) > can.max_text:
            break
        words, count = together, count + 1
    return (OutPart(words), count) if count > 1 else (parts[0], 1)


def _shown(pieces: Sequence[str]) -> str:
    """Every visible character, in order."""
    return "".join("".join(map(to_plain, pieces)).split())
