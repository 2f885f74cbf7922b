"""Pictures are written anew: upright, moving if they moved, and without a trace of where and by whom."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from bot.errors import FileRefused
from crm_sync.media import images
from crm_sync.media.content import GIF, JPEG, PNG, WEBP, type_of
from tests import media_files


def _opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def test_place_camera_and_comments_are_gone_and_the_photo_stands_upright() -> None:
    sent = media_files.photo(orientation=6, size=(24, 16))
    before = Image.open(io.BytesIO(sent)).getexif()
    assert before.get_ifd(media_files.GPS_IFD)
    assert b"SecretPhone" in sent
    kept = images.written_anew(sent, JPEG)
    picture = _opened(kept)
    assert not picture.getexif()
    assert picture.size == (16, 24)
    for trace in (b"Exif", b"SecretPhone", b"Ann", b"xmpmeta"):
        assert trace not in kept


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_exif_in_other_formats_is_gone_too(format_name: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretPhone"
    sent = media_files.picture(format_name, exif=exif)
    assert b"SecretPhone" in sent
    kept = images.written_anew(sent, type_of(sent))
    assert b"SecretPhone" not in kept
    assert _opened(kept).size == (24, 16)


def test_texts_hidden_in_a_png_are_gone() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ann")
    kept = images.written_anew(media_files.picture("PNG", pnginfo=info), PNG)
    assert b"Ann" not in kept


@pytest.mark.parametrize(("file_type", "format_name"), [(GIF, "GIF"), (WEBP, "WEBP"), (PNG, "PNG")])
def test_what_moved_still_moves_at_the_same_pace(file_type: object, format_name: str) -> None:
    kept = Image.open(io.BytesIO(images.written_anew(media_files.animation(format_name), file_type)))  # type: ignore[arg-type]
    assert kept.n_frames == 4  # type: ignore[attr-defined]
    kept.load()
    assert round(kept.info["duration"]) == 120


def test_an_animation_of_ten_thousand_pictures_becomes_its_first() -> None:
    kept = Image.open(io.BytesIO(images.written_anew(media_files.gif_of_many(10_000), GIF)))
    assert getattr(kept, "n_frames", 1) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_of_any_mode_keeps_its_size(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (5, 7)).save(out, "PNG")
    assert _opened(images.written_anew(out.getvalue(), PNG)).size == (5, 7)


def test_a_transparent_palette_stays_transparent() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    out = io.BytesIO()
    picture.save(out, "GIF", transparency=0)
    assert _opened(images.written_anew(out.getvalue(), GIF)).convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]


def test_print_colours_become_screen_colours() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (4, 4)).save(out, "JPEG")
    assert _opened(images.written_anew(out.getvalue(), JPEG)).mode == "RGB"


@pytest.mark.parametrize("tail", [b"<script>alert(1)</script>", b"PK\x03\x04 an archive behind it"])
def test_what_was_hidden_behind_a_picture_is_gone(tail: bytes) -> None:
    for content in (media_files.picture("JPEG"), media_files.picture("GIF"), media_files.picture("PNG")):
        assert tail not in images.written_anew(content + tail, type_of(content))


def test_a_picture_that_promises_gigabytes_is_refused_unopened() -> None:
    with pytest.raises(FileRefused) as caught:
        images.written_anew(media_files.png_bomb(), PNG)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_half_a_picture_is_refused(part: float) -> None:
    for format_name in ("JPEG", "PNG"):
        content = media_files.picture(format_name, (200, 200))
        with pytest.raises(FileRefused) as caught:
            images.written_anew(content[: int(len(content) * part)], type_of(content))
        assert caught.value.code == "damaged"


def test_a_script_that_begins_like_a_picture_is_refused() -> None:
    for content in (b"GIF89a=1;/*" + b" " * 40 + b"*/alert(1)//", b"\xff\xd8\xff/*" + b"alert(1)" * 20):
        with pytest.raises(FileRefused):
            images.written_anew(content, type_of(content))


def test_only_the_format_found_is_tried() -> None:
    with pytest.raises(FileRefused):
        images.written_anew(media_files.picture("PNG"), JPEG)


@given(st.data())
def test_a_damaged_picture_is_written_anew_or_refused(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(st.sampled_from([media_files.photo(), media_files.animation(), media_files.picture()]))
    )
    file_type = type_of(bytes(content))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(12, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        kept = images.written_anew(bytes(content), file_type)
    except FileRefused:
        return
    assert type_of(kept) is file_type
