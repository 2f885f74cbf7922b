"""XML from the vendor is read exactly, and nothing dangerous in it has any effect."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import PayloadInvalid
from channels.tencent.xml import read_xml, write_xml

BOMB = """<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><xml><Content>&c;</Content></xml>"""
XXE = '<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><Content>&x;</Content></xml>'
OUTSIDE = '<!DOCTYPE xml SYSTEM "http://127.0.0.1:1/evil.dtd"><xml><Content>a</Content></xml>'


def test_blank_text_stays_blank_text() -> None:
    assert read_xml(b"<xml><A><![CDATA[  ]]></A><B> \n</B><C/></xml>") == {"A": "  ", "B": " \n", "C": ""}


def test_nested_and_repeated_elements_are_found_by_their_path() -> None:
    body = b"<xml><L><I><T>1</T></I><I><T>2</T></I></L><A>x</A></xml>"
    assert read_xml(body) == {"L.I.T": "1", "L.I#2.T": "2", "A": "x"}


@pytest.mark.parametrize("body", [BOMB, XXE, OUTSIDE, "<!DOCTYPE xml><xml><A>1</A></xml>"])
def test_document_types_and_entities_are_refused(body: str) -> None:
    with pytest.raises(PayloadInvalid, match="document type"):
        read_xml(body.encode())


def test_the_same_field_twice_is_refused_rather_than_guessed() -> None:
    with pytest.raises(PayloadInvalid, match="twice"):
        read_xml(b"<xml><FromUserName>a</FromUserName><FromUserName>b</FromUserName></xml>")


@pytest.mark.parametrize("name", ["GBK", "gb2312", "GB18030"])
def test_a_declared_chinese_encoding_is_read(name: str) -> None:
    body = f'<?xml version="1.0" encoding="{name}"?><xml><A>你好</A></xml>'.encode("gb18030")
    assert read_xml(body) == {"A": "你好"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{}",
        b"<xml>",
        b"<xml><A>1</B></xml>",
        b"<xml><A>\xff\xfe</A></xml>",
        "<xml><A>你好</A></xml>".encode("gbk"),
        '<?xml version="1.0" encoding="gbk"?><xml><A>\x81'.encode("latin-1"),
        b'<?xml version="1.0" encoding="utf-7"?><xml><A>+AGE-</A></xml>',
        b'<?xml version="1.0" encoding="hex"?><xml>00</xml>',
        b'<?xml version="1.0" encoding="nonsense"?><xml/>',
        "<xml><A>a</A></xml>".encode("utf-16"),
        b"<xml><A>\x00</A></xml>",
        b"<xml>" + b"<a>" * 50 + b"</a>" * 50 + b"</xml>",
        b"<xml>" + b"".join(b"<a%d/>" % number for number in range(3000)) + b"</xml>",
        b"<xml>&undefined;</xml>",
        b"<xml><A>1</A></xml><xml/>",
    ],
)
def test_what_cannot_be_read_is_said_so(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        read_xml(body)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with contextlib.suppress(PayloadInvalid):
        read_xml(body)


PIECES = [
    "<xml>",
    "</xml>",
    "<A>",
    "</A>",
    "<B>",
    "</B>",
    "<![CDATA[",
    "]]>",
    "]",
    ">",
    "<",
    "&amp;",
    "&",
    "1",
    "a",
    "你",
]
BLANKS = [" ", "\n", "\r\n", "\t", "\x00", "\x0b", "\x85", "\u2028", "\ufeff", "\uffff", "<C/>", "<!-- -->"]
FIELD = st.tuples(st.sampled_from("ABC"), st.lists(st.sampled_from([*PIECES, *BLANKS]), max_size=4)).map(
    lambda field: f"<{field[0]}><![CDATA[{''.join(field[1])}]]></{field[0]}>"
)


def told(body: str) -> object:
    try:
        return read_xml(body.encode())
    except PayloadInvalid:
        return "unreadable"


@given(st.lists(FIELD | st.sampled_from([*PIECES, *BLANKS]), max_size=8).map("".join))
@example("<A><![CDATA[x]]></B><![CDATA[y]]></A>")
@example("<A>1</A><A>2</A>")
def test_the_short_way_through_a_plain_callback_says_what_the_parser_says(inner: str) -> None:
    body = f"<xml>{inner}</xml>"
    assert told(body) == told(f"<!-- with this, the parser reads it -->{body}")


WRITABLE = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"))


@given(WRITABLE | st.just("a]]>b]]]>"))
def test_a_written_text_reads_back_as_it_was(text: str) -> None:
    assert read_xml(write_xml({"Content": text, "N": 5})) == {"Content": text, "N": "5"}


def test_characters_xml_cannot_carry_are_replaced() -> None:
    assert read_xml(write_xml({"A": "a\x00\x1b\ud800\uffffb"})) == {"A": "a\ufffd\ufffd\ufffd\ufffdb"}


def test_nested_and_repeated_fields_are_written() -> None:
    written = write_xml({"Image": {"MediaId": "m"}, "Articles": {"item": [{"T": "1"}, {"T": "2"}]}})
    assert read_xml(written) == {"Image.MediaId": "m", "Articles.item.T": "1", "Articles.item#2.T": "2"}


def test_a_name_with_a_dot_is_not_taken_for_a_nested_field() -> None:
    with pytest.raises(PayloadInvalid, match="twice"):
        read_xml(b"<xml><L><I>1</I></L><L.I>2</L.I></xml>")


def test_text_around_children_belongs_to_nobody() -> None:
    assert read_xml(b"<xml> x <L> y <I>1</I> z </L> w </xml>") == {"L.I": "1"}
