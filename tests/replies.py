"""Random replies, and what must be found of one in the parts a channel makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from bot.types import Capabilities, Card, OutMedia, OutPart, RenderedReply, ReplyButton
from channels.markup import to_plain
from channels.text import is_blank, length

_words = st.text(st.sampled_from("ab 中*_[](）-\\`1.\n"), max_size=40) | st.text(max_size=40)
_label = _words.filter(lambda text: not is_blank(text))
_address = st.integers(0, 999).map(lambda number: f"https://x.example/{number}")
_buttons = st.lists(st.builds(ReplyButton, _words, _label), max_size=6).map(tuple)
_card = st.builds(Card, _label, _words, st.just("") | _address, st.just("") | _address, _buttons.map(lambda b: b[:2]))
_media = st.builds(
    OutMedia,
    kind=st.sampled_from(["image", "voice", "audio", "video", "document"]),
    url=_address,
    file_name=st.sampled_from(["", "list.pdf"]),
    caption=st.text("ab 中", max_size=50),
)

replies = st.builds(
    RenderedReply,
    text=st.tuples(_words, st.integers(1, 30)).map(lambda pair: pair[0] * pair[1]),
    buttons=_buttons,
    image_url=st.just("") | _address,
    media=st.lists(_media, max_size=5).map(tuple),
    cards=st.lists(_card, max_size=4).map(tuple),
    ask=st.sampled_from(["", "rating", "date", "location"]),
    text_format=st.sampled_from(["plain", "markdown"]),
    status_key=st.sampled_from(["", "case:C-1"]),
)


@dataclass(frozen=True)
class Contents:
    """What a customer must be able to see, and do."""

    reply: RenderedReply
    can: Capabilities

    def missing_in(self, parts: Sequence[OutPart]) -> list[str]:
        """What of the reply is in no part: words by their visible characters, files, cards and buttons as such."""
        said = visible("".join(_shown(part) for part in parts))
        reply = self.reply
        text = to_plain(reply.text) if reply.text_format == "markdown" else reply.text
        missing = [] if visible(text) in said else ["text"]
        in_cards = {card for part in parts for card in part.cards}
        files = [file for part in parts for file in part.media]
        pictures = {part.image_url for part in parts}
        if reply.image_url and reply.image_url not in pictures and visible(reply.image_url) not in said:
            missing.append("picture")
        for file in reply.media:
            sent = [item for item in files if item.url == file.url]
            if not sent and visible(file.url) not in said:
                missing.append(f"file {file.url}")
            if visible(file.caption) not in said and all(item.caption != file.caption for item in sent):
                missing.append(f"caption {file.caption}")
        for card in reply.cards:
            texts = (card.title, card.text, card.url, card.image_url)
            if card not in in_cards and any(visible(text) not in said for text in texts):
                missing.append(f"card {card.title}")
        pressable = [button for part in parts for button in part.buttons]
        pressable += [button for card in in_cards for button in card.buttons]
        for button in (*reply.buttons, *(button for card in reply.cards for button in card.buttons)):
            if button not in pressable and visible(button.label or button.value) not in said:
                missing.append(f"button {button.label}")
        if reply.ask in self.can.asks and reply.ask not in {part.ask for part in parts}:
            missing.append("ask")
        if reply.status_key and parts and parts[0].status_key != reply.status_key:
            missing.append("status key")
        return missing


def all_of(reply: RenderedReply, can: Capabilities) -> Contents:
    return Contents(reply, can)


def within_limits(parts: Sequence[OutPart], can: Capabilities) -> list[str]:
    """What the channel could not carry, in words."""
    wrong = []
    for part in parts:
        has_file = bool(part.image_url or part.media)
        most = min(can.max_text, can.max_caption) if has_file else can.max_text
        wrong += ["text too long"] if length(part.text, can.length_unit) > most else []
        wrong += ["too many buttons"] if len(part.buttons) > can.buttons else []
        wrong += ["too many files"] if len(part.media) > can.album else []
        wrong += ["a picture"] if part.image_url and "image" not in can.media else []
        wrong += [f"a {file.kind}" for file in part.media if file.kind not in can.media]
        wrong += ["a long caption" for file in part.media if length(file.caption, can.length_unit) > can.max_caption]
        wrong += ["too many cards"] if len(part.cards) > can.cards else []
        wrong += ["an ask"] if part.ask and part.ask not in can.asks else []
        wrong += ["markdown"] if part.text_format == "markdown" and not can.markdown else []
        is_empty = is_blank(part.text) and not has_file and not part.cards
        wrong += ["nothing visible"] if is_empty else []
    return wrong


def _shown(part: OutPart) -> str:
    return to_plain(part.text) if part.text_format == "markdown" else part.text


def visible(text: str) -> str:
    return "".join(char for char in text if not is_blank(char))
