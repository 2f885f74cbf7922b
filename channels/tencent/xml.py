"""XML of callbacks, read without any of XML's dangers, and of passive replies, written so that nothing breaks it.

xmltodict turns blank text into None and nests what is needed flat, so expat is read directly: no DTD, no entities of
one's own, nothing from outside, bounded depth and count.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers import expat

from bot.errors import PayloadInvalid

MAX_DEPTH = 12
MAX_ELEMENTS = 2000  # the longest real callback (a mass send's result) has about 60

_DECLARED = re.compile(rb"""^\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'][^>]{0,200}\?>""")
_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]{0,400}\?>")
# Nothing else was ever seen; GB18030 holds all of GBK and GB2312.
_ENCODINGS = {"utf-8": "utf-8", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "ascii": "utf-8"}
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

# What nearly every callback is made of. Atomic, because CDATA ends at the first "]]>" whatever follows.
_FIELD = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>(?:<!\[CDATA\[(?>(.*?)\]\]>)|([0-9]*))</\1>", re.DOTALL)
# XML forbids these, or makes another of them: \r. None of them is printable.
_NOT_AS_IT_STANDS = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_MAX_FLAT = 4096  # characters: what is damaged costs the expression the square of its length
_BLANK = " \t\n"

Fields = Mapping[str, str]
Written = Mapping[str, Any]


class _Reader:
    """Collects one document: the path of each element without children -> its text, exactly as it stands there."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._paths: list[str] = []  # of the elements that are open, the root's is empty
        self._counts: dict[str, int] = {}  # how often an element of this path began
        self._text: list[str] = []  # since the last element began
        self._is_leaf = False  # no other element began in the one that is open
        self._elements = 0

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        self._elements += 1
        depth = len(self._paths)
        if depth >= MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise PayloadInvalid("the XML is nested too deeply or has too many elements")
        path = ""
        if depth:
            path = f"{self._paths[-1]}.{name}" if depth > 1 else name
            count = self._counts[path] = self._counts.get(path, 0) + 1
            if count > 1:
                if depth == 1:
                    # Which of two senders is meant? Whoever reads the other one is fooled.
                    raise PayloadInvalid(f"{name[:40]} is there twice")
                path = f"{path}#{count}"
        self._paths.append(path)
        self._text.clear()
        self._is_leaf = True

    def end(self, _name: str) -> None:
        path = self._paths.pop()
        if self._is_leaf and path:
            self.fields[path] = "".join(self._text)
        self._is_leaf = False

    def characters(self, text: str) -> None:
        self._text.append(text)


def _refuse(*_: Any) -> None:
    raise PayloadInvalid("the XML declares a document type or entities")


def read_xml(body: bytes) -> Fields:
    """Text of each element by its path below the root, e.g. `FromUserName`, `ScanCodeInfo.ScanResult`; the second of
    several equal ones inside another is `List#2`. Text is kept as it is: blanks are not nothing.

    Raises: PayloadInvalid for what is no such XML, is in an unknown encoding, or names the same field twice.
    """
    text = _text_of(body)
    flat = _flat(text)
    return _parsed(text) if flat is None else flat


def _flat(text: str) -> Fields | None:
    """The fields of `<xml>` with nothing but numbers and CDATA in it, found with one expression at half a parser's
    cost; None for everything else, damaged or not, which is the parser's to judge.
    """
    text = text.strip(_BLANK)
    if len(text) > _MAX_FLAT or not (text.startswith("<xml>") and text.endswith("</xml>")):
        return None
    if not text.isprintable() and _NOT_AS_IT_STANDS.search(text):
        return None
    parts = _FIELD.split(text[5:-6])  # what is between, name, words, number, what is between, …
    names = parts[1::4]
    if "".join(parts[::4]).strip(_BLANK):
        return None
    values = [words or number or "" for words, number in zip(parts[2::4], parts[3::4], strict=True)]
    fields = dict(zip(names, values, strict=True))
    return fields if len(fields) == len(names) else None


def _parsed(text: str) -> Fields:
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as exc:
        raise PayloadInvalid(f"not XML (line {exc.lineno})") from None
    return reader.fields


def _text_of(body: bytes) -> str:
    """The document without its declaration, whatever encoding it named."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.lstrip().startswith(b"<?"):  # as real callbacks are
        return _decoded(body, "utf-8")  # of other encodings, expat would guess some
    declared = _DECLARED.match(body)
    name = declared[1].decode().lower() if declared else "utf-8"
    try:
        encoding = _ENCODINGS.get(codecs.lookup(name).name)
    except LookupError:
        encoding = None
    if encoding is None:
        raise PayloadInvalid("the XML is in an encoding we do not read")
    return _DECLARATION.sub("", _decoded(body, encoding), count=1)


def _decoded(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        raise PayloadInvalid("the XML is not in the encoding it says") from None


def write_xml(fields: Written) -> bytes:
    """`<xml>` with these fields: numbers as they are, strings in CDATA, mappings nested, sequences repeated.

    Characters XML cannot carry become U+FFFD.
    """
    return f"<xml>{_inner(fields)}</xml>".encode()


def _inner(fields: Written) -> str:
    return "".join(_element(name, value) for name, value in fields.items())


def _element(name: str, value: Any) -> str:
    if isinstance(value, str):
        # A CDATA section ends at its first "]]>", so one inside is spread over two sections.
        words = _UNWRITABLE.sub("\ufffd", value).replace("]]>", "]]]]><![CDATA[>")
        return f"<{name}><![CDATA[{words}]]></{name}>"
    if isinstance(value, Mapping):
        return f"<{name}>{_inner(value)}</{name}>"
    if isinstance(value, Sequence):
        return "".join(_element(name, each) for each in value)
    return f"<{name}>{value}</{name}>"
