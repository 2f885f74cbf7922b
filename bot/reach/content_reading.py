"""Reading the part of a broadcast's document that says what is sent. All raise AssistantInvalid, naming the place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot.located import invalid, only_keys, rows, table, text
from bot.reach.reading import name_of
from bot.reach.states import HOLDOUT
from bot.reach.types import NOTHING, BroadcastButton, Content, Piece, Variant, Words

LANGUAGES: Final = ("en", "zh")
VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
MAX_TEXT: Final = 4000  # characters of one text; what a channel carries is checked for each channel
MAX_VARIANTS: Final = 6
MAX_BUTTONS: Final = 10
MAX_LINKS: Final = 20
_VARIABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_ADDRESS: Final = re.compile(r"https://[^\s/?#@]+\.[^\s/?#@]+(?:[/?#]\S*)?|https://localhost(?::\d+)?(?:/\S*)?")
_KINDS: Final = ("", "mass", "template", "subscribe")
_WAYS: Final = ("", "list", "tag")  # of a mass send
_PIECE: Final = ("text", "image", "media", "cards", "buttons", "kind", "by", "template", "fields")


def variables_of(content: Content) -> frozenset[str]:
    """Names in braces anywhere in the content: {coupon} and {link_…} among them."""
    return frozenset(name for words in _all_words(content) for name in VARIABLE.findall(words))


def variables_in(piece: Piece) -> frozenset[str]:
    """Names in braces anywhere in the piece."""
    return frozenset(name for _, words in _spoken(piece) for name in VARIABLE.findall(words))


def languages_of(content: Content) -> tuple[str, ...]:
    """Languages in which every piece has words, as written first."""
    pieces = [piece for variant in content.variants for piece in (variant.piece, *variant.channels.values())]
    spoken = [list(piece.text) for piece in pieces if piece.text]
    return tuple(name for name in (spoken[0] if spoken else ()) if all(name in other for other in spoken))


def read_content(root: dict[str, Any]) -> Content:
    """The content of a broadcast, its variables checked."""
    body = table(root.get("content"), "content", root, "content")
    only_keys(body, ("variants", "fallbacks", "links", "coupons", "split"), "content")
    listed = rows(body.get("variants"), "variants", body, "variants")
    if not 1 <= len(listed) <= MAX_VARIANTS:
        raise invalid(f"a broadcast has 1 to {MAX_VARIANTS} variants", body, "variants")
    links = _links(body)
    variants = tuple(_variant(table(item, "a variant", listed, index), links) for index, item in enumerate(listed))
    names = [variant.name for variant in variants]
    if len(set(names)) != len(names) or HOLDOUT in names:
        raise invalid(f"variants need names of their own, and none is called {HOLDOUT!r}", body, "variants")
    split = body.get("split", "equal")
    if split not in ("equal", "bandit"):
        raise invalid("split must be equal or bandit", body, "split")
    content = Content(
        variants,
        fallbacks={
            name: _words(fallback, body, "fallbacks")
            for name, fallback in table(body.get("fallbacks", {}), "fallbacks", body, "fallbacks").items()
        },
        links=links,
        coupons=name_of(body, "coupons", "a pool") if body.get("coupons") else "",
        split=split,
    )
    _check_variables(content, body)
    if content.split == "bandit" and (len(variants) < 2 or not links):
        raise invalid("a bandit needs two variants or more, and a link whose clicks it learns from", body, "split")
    return content


def _check_variables(content: Content, body: dict[str, Any]) -> None:
    """Each variable is well written, known as a link or a coupon, or has words for those of whom it is not known."""
    for variant in content.variants:
        for piece in (variant.piece, *variant.channels.values()):
            for language, words in _spoken(piece):
                for name in VARIABLE.findall(words):
                    _check_variable(name, language, content, body)
    used = variables_of(content)
    if content.coupons and "coupon" not in used:
        raise invalid("the pool of coupons is named, but no text says {coupon}", body, "coupons")


def _check_variable(name: str, language: str, content: Content, body: dict[str, Any]) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        raise invalid(f"{{{name}}} is no name of a variable: a-z, 0-9 and _, beginning with a letter", body, "variants")
    if name == "coupon":
        if not content.coupons:
            raise invalid("a text says {coupon}, but no pool of coupons is named", body, "variants")
    elif name.startswith("link_"):
        if name.removeprefix("link_") not in content.links:
            raise invalid(f"a text says {{{name}}}, but there is no link {name.removeprefix('link_')!r}", body, "links")
    elif not content.fallbacks.get(name, {}).get(language, "").strip():
        raise invalid(f"{{{name}}} needs words in {language} for those of whom it is not known", body, "fallbacks")


def _links(body: dict[str, Any]) -> Mapping[str, str]:
    links = table(body.get("links", {}), "links", body, "links")
    if len(links) > MAX_LINKS:
        raise invalid(f"a broadcast has at most {MAX_LINKS} links", body, "links")
    for name, address in links.items():
        if not _VARIABLE_NAME.fullmatch(name):
            raise invalid(f"{name!r} is no name of a link", links, name)
        if not isinstance(address, str) or len(address) > 2000 or not _ADDRESS.fullmatch(address):
            raise invalid(f"the link {name!r} must be an address that begins with https://", links, name)
    return dict(links)


def _variant(body: dict[str, Any], links: Mapping[str, str]) -> Variant:
    only_keys(body, ("name", "channels", *_PIECE), "a variant")
    channels = table(body.get("channels", {}), "channels", body, "channels")
    piece = _piece({key: body[key] for key in _PIECE if key in body}, body, links)
    others: dict[str, Piece] = {}
    for name, own in channels.items():
        part = table(own, f"the variant's {name}", channels, name)
        only_keys(part, _PIECE, f"the variant's {name}")
        others[name] = _piece({**{key: body[key] for key in _PIECE if key in body}, **part}, part, links)
    if not piece.text and not others:
        raise invalid("a variant needs words", body)
    return Variant(name_of(body, "name", "a variant"), piece, others)


def _piece(body: dict[str, Any], place: Any, links: Mapping[str, str]) -> Piece:
    kind = body.get("kind", "")
    if kind not in _KINDS:
        raise invalid(f"kind must be one of: {', '.join(filter(None, _KINDS))}", place, "kind")
    if body.get("by", "") not in _WAYS or (body.get("by") and kind != "mass"):
        raise invalid("by is list or tag, of a mass send only", place, "by")
    template = body.get("template", "")
    fields = table(body.get("fields", {}), "fields", place, "fields")
    if (kind in ("template", "subscribe")) != bool(template):
        raise invalid("a template is named where kind is template or subscribe, and only there", place, "template")
    buttons = rows(body.get("buttons", []), "buttons", place, "buttons")
    if len(buttons) > MAX_BUTTONS:
        raise invalid(f"a message has at most {MAX_BUTTONS} buttons", place, "buttons")
    return Piece(
        text=_words(body["text"], place, "text") if "text" in body else NOTHING,
        image_url=_address(body, "image", place),
        media=tuple(_file(item, place) for item in rows(body.get("media", []), "media", place, "media")),
        cards=tuple(_card(item, place, links) for item in rows(body.get("cards", []), "cards", place, "cards")),
        buttons=tuple(_button(item, place, links) for item in buttons),
        kind=kind,
        by=body.get("by", ""),
        template_id=template if isinstance(template, str) else "",
        template_fields={name: _words(words, place, "fields") for name, words in fields.items()},
    )


def _words(value: Any, place: Any, key: str) -> Words:
    body = table(value, key, place, key)
    if not body or set(body) - set(LANGUAGES):
        raise invalid(f"{key} has words by language: {', '.join(LANGUAGES)}", place, key)
    for language, words in body.items():
        text(words, f"{key} in {language}", place, key)
        if len(words) > MAX_TEXT:
            raise invalid(f"{key} in {language} has more than {MAX_TEXT} characters", place, key)
        if words.count("{") != words.count("}") or len(VARIABLE.findall(words)) != words.count("{"):
            raise invalid(f"{key} in {language}: a brace is not closed; variables are written {{name}}", place, key)
    return dict(body)


def _address(body: dict[str, Any], key: str, place: Any) -> str:
    value = body.get(key, "")
    if value and (not isinstance(value, str) or not _ADDRESS.fullmatch(value)):
        raise invalid(f"{key} must be an address that begins with https://", place, key)
    return str(value)


def _file(item: Any, place: Any) -> Mapping[str, str]:
    body = table(item, "a file", place, "media")
    only_keys(body, ("kind", "url", "media_id", "caption", "file_name"), "a file")
    if body.get("kind") not in ("image", "voice", "audio", "video", "document"):
        raise invalid("a file's kind is image, voice, audio, video or document", body, "kind")
    if bool(body.get("url")) == bool(body.get("media_id")):
        raise invalid("a file has either an address (url) or a media_id", body)
    _address(body, "url", body)
    return {key: text(value, key, body, key) for key, value in body.items()}


def _card(item: Any, place: Any, links: Mapping[str, str]) -> Mapping[str, Any]:
    body = table(item, "a card", place, "cards")
    only_keys(body, ("title", "text", "image", "link"), "a card")
    _link_name(body, links)
    _address(body, "image", body)
    return {
        "title": _words(body.get("title"), body, "title"),
        "text": _words(body["text"], body, "text") if "text" in body else {},
        "image": body.get("image", ""),
        "link": body.get("link", ""),
    }


def _button(item: Any, place: Any, links: Mapping[str, str]) -> BroadcastButton:
    body = table(item, "a button", place, "buttons")
    only_keys(body, ("label", "link", "payload"), "a button")
    if bool(body.get("link")) == bool(body.get("payload")):
        raise invalid("a button either opens a link or answers with a payload", body)
    _link_name(body, links)
    payload = body.get("payload", "")
    if not isinstance(payload, str) or len(payload.encode()) > 64:
        raise invalid("a payload has at most 64 bytes", body, "payload")
    return BroadcastButton(_words(body.get("label"), body, "label"), body.get("link", ""), payload)


def _link_name(body: dict[str, Any], links: Mapping[str, str]) -> None:
    if body.get("link") and body["link"] not in links:
        raise invalid(f"there is no link {body['link']!r}; there are: {', '.join(links) or 'none'}", body, "link")


def _spoken(piece: Piece) -> Sequence[tuple[str, str]]:
    """Language and words of everything in the piece that may hold variables."""
    found = [*piece.text.items()]
    for button in piece.buttons:
        found.extend(button.label.items())
    for card in piece.cards:
        found.extend([*card["title"].items(), *card["text"].items()])
    for words in piece.template_fields.values():
        found.extend(words.items())
    return found


def _all_words(content: Content) -> list[str]:
    pieces = [piece for variant in content.variants for piece in (variant.piece, *variant.channels.values())]
    return [words for piece in pieces for _, words in _spoken(piece)]
