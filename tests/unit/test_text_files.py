"""What spreadsheets and editors write is read as what it says, and what could only be guessed at is refused."""

from __future__ import annotations

import codecs
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.text_files import NotText, decoded

SIMPLIFIED = "key,name\nc-1,王芳\nc-2,欧阳 娜娜（金卡）\n"
TRADITIONAL = "key,name,note\nc-1,陳建國,開戶時間記錄在這裡，請與門市聯絡並確認訂單號碼\nc-2,劉麗華,請寄發票到辦公室\n"


@pytest.mark.parametrize("words", [SIMPLIFIED, TRADITIONAL])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("gbk", "GB18030"), ("gb18030", "GB18030")],
)
def test_every_encoding_of_a_spreadsheet_is_read_and_named(words: str, encoding: str, name: str) -> None:
    found = decoded(words.encode(encoding))
    assert (found.text, found.encoding) == (words, name)


def test_utf_16_of_the_other_byte_order_is_read_by_its_mark() -> None:
    assert decoded(codecs.BOM_UTF16_BE + SIMPLIFIED.encode("utf-16-be")).text == SIMPLIFIED


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("key,name\nc-1,Müller-Lüdenscheidt Gärtner\n".encode("latin-1"), 2),
        ("clé,prénom\nc-1,Zoé Lefèvre\n".encode("cp1252"), 1),
        (b"key,name\nc-1,Ann\nc-2,\xff\xfe\n", 3),
        (SIMPLIFIED.encode("utf-16-le"), 1),
        (TRADITIONAL.encode("big5"), 2),
        ("key,name\nc-1,山田太郎のかばん\nc-2,ﾃｽﾄ\n".encode("shift-jis"), 2),
        (codecs.BOM_UTF8 + SIMPLIFIED.encode("gbk"), 2),
        (b"key,name\nc-1,A\0nn\n", 2),
        (SIMPLIFIED.encode("gb18030") + b"c-3,\xd0", 2),
    ],
    ids=["latin-1", "cp1252", "no text", "utf-16 unmarked", "big5", "shift-jis", "wrong mark", "NUL", "cut off"],
)
def test_what_could_only_be_guessed_at_is_refused_with_its_line(body: bytes, line: int) -> None:
    with pytest.raises(NotText) as refused:
        decoded(body)
    assert refused.value.line == line


def test_half_a_character_of_utf_16_is_refused() -> None:
    with pytest.raises(NotText, match="starts like UTF-16"):
        decoded(codecs.BOM_UTF16_LE + b"a\0b")


def test_what_is_written_by_hand_for_this_program_is_utf_8() -> None:
    with pytest.raises(NotText, match=r"is not UTF-8 .byte 0xcd."):
        decoded(SIMPLIFIED.encode("gbk"), is_table=False)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(body: bytes) -> None:
    with contextlib.suppress(NotText):
        assert decoded(body).encoding in ("UTF-8", "UTF-16", "GB18030")
