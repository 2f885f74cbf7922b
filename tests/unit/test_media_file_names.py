"""A file's name from outside is only ever shown, and cannot mislead."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.media.content import JPEG, PDF, TEXT
from crm_sync.media.file_names import LONGEST, clean_file_name


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("发票 2391.pdf", "发票 2391.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\Users\\ann\\bill.PDF", "bill.PDF"),
        ("bill\x00.exe", "bill.pdf"),
        ("bill\u202efdp.exe", "billfdp.pdf"),
        ("bill.pdf.exe", "bill.pdf.pdf"),
        ("bill.pdf.", "bill.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ("v1.0 final", "v1.0 final.pdf"),
        ("CON.pdf", "_CON.pdf"),
        (".pdf", "pdf.pdf"),
        ("...", ""),
        ("", ""),
        ("\ud800.pdf", "pdf.pdf"),
    ],
)
def test_names_are_made_harmless(given_name: str, shown: str) -> None:
    assert clean_file_name(given_name, PDF) == shown


@given(st.text(), st.sampled_from([JPEG, PDF, TEXT]))
def test_any_name_ends_short_visible_and_with_an_extension_that_fits(name: str, file_type: object) -> None:
    shown = clean_file_name(name, file_type)  # type: ignore[arg-type]
    assert len(shown) <= LONGEST
    assert len(shown.encode()) <= 255
    assert not any(unicodedata.category(mark).startswith("C") for mark in shown)
    assert not set(shown) & set('/\\:*?"<>|')
    assert shown == "" or shown.rsplit(".", 1)[1].lower() in file_type.extensions  # type: ignore[attr-defined]
