"""What is kept of a payload."""

from __future__ import annotations

import zlib

import pytest

from crm_sync.arrivals import squeezed


@pytest.mark.parametrize("size", [0, 1, 255, 256, 512, 513, 2048, 2049, 70_000])
def test_a_payload_of_any_size_comes_back_from_zlib_byte_for_byte(size: int) -> None:
    raw = bytes(place * 7 % 251 for place in range(size))
    assert zlib.decompress(squeezed(raw)) == raw
