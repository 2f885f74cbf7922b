"""Files that customers may send, made here: good ones of every kind, and bad ones of every sort."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
import zlib
from typing import Any

from PIL import Image

JPEG_ORIENTATION, GPS_IFD = 0x0112, 0x8825


def picture(format_name: str = "PNG", size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.new("RGB", size, (200, 30, 30))
    image.putpixel((0, 0), (0, 0, 255))
    image.save(out, format_name, **options)
    return out.getvalue()


def photo(orientation: int = 6, size: tuple[int, int] = (24, 16)) -> bytes:
    """A JPEG as a telephone takes it: lying on its side, with the place in its EXIF block, a comment and XMP."""
    exif = Image.Exif()
    exif[JPEG_ORIENTATION] = orientation
    exif[0x010F] = "SecretPhone"
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (31.0, 13.0, 49.0), 3: "E", 4: (121.0, 28.0, 25.0)})
    return picture("JPEG", size, exif=exif, comment=b"written by Ann", xmp=b"<x:xmpmeta>Ann</x:xmpmeta>")


def animation(format_name: str = "GIF", frames: int = 4, size: tuple[int, int] = (8, 8)) -> bytes:
    shades = [Image.new("RGB", size, ((number * 50) % 256, number % 256, 90)) for number in range(frames)]
    out = io.BytesIO()
    shades[0].save(out, format_name, save_all=True, append_images=shades[1:], duration=120, loop=0)
    return out.getvalue()


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A small PNG whose header promises gigabytes of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif_of_many(frames: int = 10_000) -> bytes:
    """A GIF of one pixel shown `frames` times: 20 bytes a frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = (
        b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    )
    return head + frame * frames + b";"


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\x00\x01" * 800)
    return out.getvalue()


def mp3(frames: int = 4) -> bytes:
    """MPEG 1 layer III at 128 kbit/s and 44.1 kHz: 417 bytes a frame."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * frames


def ogg() -> bytes:
    return b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + bytes(60)


def iso_media(brand: bytes) -> bytes:
    return struct.pack(">I", 20) + b"ftyp" + brand + bytes(4) + b"isom" + struct.pack(">I", 8) + b"mdat"


def webm() -> bytes:
    return b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webmB\x87\x81\x04" + bytes(
        40
    )


def office(part: str = "word/document.xml", *more: str, content: bytes = b"<w/>") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", part, *more):
            archive.writestr(name, content)
    return out.getvalue()


PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
