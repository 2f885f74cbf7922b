"""What a file is, told by its content alone; whatever is not on the list is refused.

On the list is what customers send and staff can look at without running anything: pictures, recordings, clips, PDF,
plain text and Office files without macros. Not on it, on purpose: HTML, SVG and other XML (they run scripts in a
browser), programs, old Office files (macros cannot be told apart), and archives (a scanner cannot look into every one).
"""

from __future__ import annotations

import io
import re
import zipfile
from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final

from bot.errors import FileRefused

MAX_ZIP_ENTRIES: Final = 5_000
MAX_ZIP_CONTENT: Final = 300_000_000  # bytes when unpacked; we never unpack, whoever opens the file does
_MARKUP = re.compile(rb"<\s*(?:!doctype|!--|\?xml|html|head|body|script|svg|iframe|meta|img|a\s|style)", re.IGNORECASE)
_CONTROL: Final = bytes([*range(9), *range(0x0E, 0x20), 0x7F])
_CHUNK: Final = 1_000_000  # bytes looked at in one go: other threads get their turn in between


@dataclass(frozen=True, slots=True)
class FileType:
    mime: str
    kind: str  # of OutMedia: image, audio, video, document
    extensions: tuple[str, ...]  # the first is given to files whose own does not fit


JPEG = FileType("image/jpeg", "image", ("jpg", "jpeg"))
PNG = FileType("image/png", "image", ("png",))
GIF = FileType("image/gif", "image", ("gif",))
WEBP = FileType("image/webp", "image", ("webp",))
PDF = FileType("application/pdf", "document", ("pdf",))
MP3 = FileType("audio/mpeg", "audio", ("mp3",))
AAC = FileType("audio/aac", "audio", ("aac",))
OGG = FileType("audio/ogg", "audio", ("ogg", "oga", "opus"))
AMR = FileType("audio/amr", "audio", ("amr",))
AMR_WB = FileType("audio/amr-wb", "audio", ("awb", "amr"))
SILK = FileType("audio/silk", "audio", ("silk", "slk"))  # voice as some WeChat interfaces hand it out
WAV = FileType("audio/wav", "audio", ("wav",))
M4A = FileType("audio/mp4", "audio", ("m4a", "m4b"))
MP4 = FileType("video/mp4", "video", ("mp4", "m4v"))
MOV = FileType("video/quicktime", "video", ("mov",))
THREE_GP = FileType("video/3gpp", "video", ("3gp",))
WEBM = FileType("video/webm", "video", ("webm",))
TEXT = FileType("text/plain", "document", ("txt", "log", "md"))
CSV = FileType("text/csv", "document", ("csv",))
DOCX = FileType("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document", ("docx",))
XLSX = FileType("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document", ("xlsx",))
PPTX = FileType("application/vnd.openxmlformats-officedocument.presentationml.presentation", "document", ("pptx",))

_OFFICE: Final = {"word/document.xml": DOCX, "xl/workbook.xml": XLSX, "ppt/presentation.xml": PPTX}
_STARTS: Final = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"%PDF-", PDF),
    (b"ID3", MP3),
    (b"#!AMR\n", AMR),
    (b"#!AMR-WB\n", AMR_WB),
    (b"#!SILK_V3", SILK),
    (b"\x02#!SILK_V3", SILK),
)
# Major brands of ISO base media files (ISO/IEC 14496-12 and the MP4 registration authority's list).
_BRANDS: Final = {
    b"M4A ": M4A,
    b"M4B ": M4A,
    b"qt  ": MOV,
    **dict.fromkeys((b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"MSNV", b"M4V "), MP4),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3gp7"), THREE_GP),
}
_MP3_BITRATES: Final = {  # kbit/s of layer III by version bits (ISO/IEC 11172-3 and 13818-3)
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def type_of(content: bytes, file_name: str = "") -> FileType:
    """What the content is. The name only tells CSV from other plain text.

    Raises: FileRefused.
    """
    if not content:
        raise FileRefused("empty", "the file is empty")
    for start, found in _STARTS:
        if content.startswith(start):
            return found
    found_inside = (
        _riff(content)
        or _ogg(content)
        or _iso_media(content)
        or _webm(content)
        or _bare_audio(content)
        or _office(content)
        or _plain_text(content, file_name)
    )
    if found_inside is None:
        raise FileRefused("kind", "files of this kind are not taken")
    return found_inside


def _riff(content: bytes) -> FileType | None:
    if content[:4] != b"RIFF":
        return None
    return {b"WAVE": WAV, b"WEBP": WEBP}.get(content[8:12])


def _ogg(content: bytes) -> FileType | None:
    """Sound in an Ogg file: the first page names its codec."""
    if content[:4] != b"OggS":
        return None
    first_page = content[:128]
    return OGG if any(codec in first_page for codec in (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")) else None


def _iso_media(content: bytes) -> FileType | None:
    return _BRANDS.get(content[8:12]) if content[4:8] == b"ftyp" else None


def _webm(content: bytes) -> FileType | None:
    return WEBM if content[:4] == b"\x1aE\xdf\xa3" and b"\x42\x82\x84webm" in content[:64] else None


def _bare_audio(content: bytes) -> FileType | None:
    """MP3 without tags, or AAC: two frames in a row, since one header is a few bits that much may begin with."""
    if len(content) < 8 or content[0] != 0xFF:
        return None
    if content[1] & 0xF6 == 0xF0:  # ADTS
        length = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
        return AAC if length >= 7 and content[length : length + 1] == b"\xff" else None
    length = _mp3_frame(content[:4])
    return MP3 if length and _mp3_frame(content[length : length + 4]) else None


def _mp3_frame(header: bytes) -> int:
    """Length of the frame in bytes, 0 when this is no header of a layer III frame."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or sampling == 3 or not 0 < rate < 15:
        return 0
    samples = 144 if version == 3 else 72
    return samples * _MP3_BITRATES[version][rate] * 1000 // _MP3_RATES[version][sampling] + (header[2] >> 1 & 1)


def _office(content: bytes) -> FileType | None:
    """An Office file of today; None for any other archive.

    Raises: FileRefused for one that is damaged, holds macros, or would fill the disk of whoever opens it.
    """
    if not content.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, UnicodeDecodeError) as exc:
        raise FileRefused("damaged", "the file is damaged") from exc
    names = {entry.filename for entry in entries}
    if "[Content_Types].xml" not in names:
        return None
    if len(entries) > MAX_ZIP_ENTRIES or sum(entry.file_size for entry in entries) > MAX_ZIP_CONTENT:
        raise FileRefused("too_large", "the file would be too large when opened")
    if any(name.lower().endswith(("vbaproject.bin", ".exe", ".dll", ".js", ".vbs")) for name in names):
        raise FileRefused("kind", "files with macros are not taken")
    return next((found for part, found in _OFFICE.items() if part in names), None)


def _plain_text(content: bytes, file_name: str) -> FileType | None:
    """UTF-8 text that no browser would take for a page and no system for a program."""
    body = content.removeprefix(b"\xef\xbb\xbf")
    if body.startswith(b"#!") or _MARKUP.search(body[:4096]):
        return None
    decoder, has_words = getincrementaldecoder("utf-8")(), False
    try:
        for start in range(0, len(body), _CHUNK):
            chunk = body[start : start + _CHUNK]
            if len(chunk.translate(None, _CONTROL)) < len(chunk):
                return None
            has_words = bool(decoder.decode(chunk).strip()) or has_words
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    if not has_words:
        return None
    return CSV if file_name.lower().endswith(".csv") else TEXT
