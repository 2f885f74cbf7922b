"""What a file is, is told by its content; what could run, hide or fill a disk is refused."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import FileRefused
from crm_sync.media.content import type_of
from tests import media_files

TAKEN = [
    ("image/jpeg", media_files.picture("JPEG")),
    ("image/png", media_files.picture("PNG")),
    ("image/gif", media_files.picture("GIF")),
    ("image/webp", media_files.picture("WEBP")),
    ("application/pdf", media_files.PDF),
    ("audio/mpeg", media_files.mp3()),
    ("audio/mpeg", b"ID3\x04\x00\x00" + bytes(40)),
    ("audio/aac", (b"\xff\xf1\x50\x80\x01\x1f\xfc" + b"\x00") * 3),
    ("audio/ogg", media_files.ogg()),
    ("audio/amr", b"#!AMR\n" + bytes(32)),
    ("audio/amr-wb", b"#!AMR-WB\n" + bytes(32)),
    ("audio/silk", b"\x02#!SILK_V3" + bytes(32)),
    ("audio/wav", media_files.wav()),
    ("audio/mp4", media_files.iso_media(b"M4A ")),
    ("video/mp4", media_files.iso_media(b"isom")),
    ("video/quicktime", media_files.iso_media(b"qt  ")),
    ("video/3gpp", media_files.iso_media(b"3gp4")),
    ("video/webm", media_files.webm()),
    ("text/plain", "订单 2391 没有收到\r\n".encode()),
    ("text/plain", b"\xef\xbb\xbfwith a mark"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", media_files.office()),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", media_files.office("xl/workbook.xml")),
]
REFUSED = [
    ("kind", b"<!DOCTYPE html><script>alert(1)</script>"),
    ("kind", b"\n\n  <HTML><body>"),
    ("kind", b"hello <script src=//evil.example></script>"),
    ("kind", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
    ("kind", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    ("kind", b"#!/bin/sh\nrm -rf /\n"),
    ("kind", b"MZ\x90\x00" + bytes(64)),
    ("kind", b"\x7fELF" + bytes(64)),
    ("kind", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)),
    ("kind", b"\x1f\x8b\x08" + bytes(32)),
    ("kind", media_files.iso_media(b"heic")),
    ("kind", b"OggS\x00\x02" + bytes(20) + b"\x80theora" + bytes(60)),
    ("kind", "GBK 文本".encode("gb18030")),
    ("kind", "half a text".encode("utf-16")),
    ("kind", b"text with a \x00 in it"),
    ("kind", b"   \n "),
    ("kind", b"\x00" * 5000),
    ("kind", b"  %PDF-1.7 not at its start \xff"),
    ("kind", media_files.office("word/document.xml", "word/vbaProject.bin")),
    ("empty", b""),
    ("damaged", b"PK\x03\x04 only the beginning of an archive"),
    ("damaged", media_files.office()[:-30]),
]


@pytest.mark.parametrize(("mime", "content"), TAKEN, ids=[f"{mime}-{index}" for index, (mime, _) in enumerate(TAKEN)])
def test_files_of_the_list_are_known_by_their_content(mime: str, content: bytes) -> None:
    assert type_of(content, "something.exe").mime == mime


@pytest.mark.parametrize(("code", "content"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_whatever_else_is_refused_whatever_it_is_called(code: str, content: bytes) -> None:
    with pytest.raises(FileRefused) as caught:
        type_of(content, "holiday.jpg")
    assert caught.value.code == code


def test_only_the_name_tells_a_table_from_other_text() -> None:
    assert type_of(b"a,b\n1,2\n", "list.CSV").mime == "text/csv"
    assert type_of(b"a,b\n1,2\n", "list.txt").mime == "text/plain"


@pytest.mark.parametrize("odd", [b"\x00", b"\xff", "字".encode()[:2]])
def test_long_text_is_looked_at_to_its_end(odd: bytes) -> None:
    long = "字".encode() * 700_000  # characters lie across the pieces in which it is read
    assert type_of(b"a" + long, "long.txt").mime == "text/plain"
    with pytest.raises(FileRefused):
        type_of(b"a" + long + odd, "long.txt")


def test_an_archive_is_not_an_office_file() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("anything.txt", "x")
    with pytest.raises(FileRefused):
        type_of(out.getvalue(), "a.docx")


def test_an_office_file_that_would_fill_the_disk_is_refused() -> None:
    bomb = media_files.office("word/document.xml", *(f"word/{n}.xml" for n in range(40)), content=bytes(8_000_000))
    assert len(bomb) < 1_000_000
    with pytest.raises(FileRefused) as caught:
        type_of(bomb)
    assert caught.value.code == "too_large"


def test_one_header_alone_is_no_music() -> None:
    with pytest.raises(FileRefused):
        type_of(media_files.mp3(1)[:200] + b"\x01\x02 something else entirely" * 20)


@given(st.binary(max_size=400), st.sampled_from([content[:40] for _, content in TAKEN] + [b"", b"PK\x03\x04", b"OggS"]))
def test_any_bytes_are_either_known_or_refused(tail: bytes, start: bytes) -> None:
    try:
        kind = type_of(start + tail, "x.csv").kind
    except FileRefused:
        return
    assert kind in ("image", "audio", "video", "document")
