"""Pictures written anew: what is seen stays, whatever else the file carried (place, camera, hidden files) is gone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any, Final

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from bot.errors import FileRefused
from crm_sync.media.content import GIF, JPEG, PNG, WEBP, FileType

MAX_PIXELS: Final = 50_000_000  # of one picture; a telephone of today takes 12 to 50 million. 200 MB in memory
MAX_FRAMES: Final = 500
MAX_ANIMATED_PIXELS: Final = 60_000_000  # of all frames together; a longer animation becomes its first picture
_FORMATS: Final = {JPEG: "JPEG", PNG: "PNG", GIF: "GIF", WEBP: "WEBP"}
_SAVING: Final[dict[str, dict[str, Any]]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "GIF": {},
    "WEBP": {"quality": 90, "method": 2},
}
_MODES: Final = {"WEBP": ("RGB", "RGBA"), "GIF": ("L", "P")}  # that the format holds as they are; PNG: all Pillow reads
# Everything Pillow's decoders raise for files that are not what they seem.
_DAMAGED: Final = (OSError, UnidentifiedImageError, ValueError, TypeError, SyntaxError, EOFError, IndexError, KeyError)


def written_anew(content: bytes, file_type: FileType) -> bytes:
    """The same picture, upright, in the same format, with no metadata at all. Slow: run it in a thread.

    Raises: FileRefused when it is damaged, or larger than we care to unpack.
    """
    name = _FORMATS[file_type]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size warnings: we look at the size ourselves, before any pixel is read
            with Image.open(io.BytesIO(content), formats=[name]) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise FileRefused(
                        "too_large", f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels"
                    )
                return _saved(picture, name)
    except Image.DecompressionBombError as exc:
        raise FileRefused("too_large", "the picture would be too large when opened") from exc
    except _DAMAGED as exc:
        raise FileRefused("damaged", "the picture is damaged") from exc
    except (MemoryError, OverflowError) as exc:
        raise FileRefused("too_large", "the picture would be too large when opened") from exc


def _saved(picture: Image.Image, name: str) -> bytes:
    out = io.BytesIO()
    if name != "JPEG" and getattr(picture, "is_animated", False):
        frames, durations = _frames(picture)
        if len(frames) > 1:
            loop = picture.info.get("loop")
            looping = {"loop": loop} if isinstance(loop, int) and 0 <= loop < 65536 else {}
            frames[0].save(
                out, name, save_all=True, append_images=frames[1:], duration=durations, **looping, **_SAVING[name]
            )
            return out.getvalue()
        picture.seek(0)
    still = _bare(ImageOps.exif_transpose(picture), name)
    still.save(out, name, **_SAVING[name])
    return out.getvalue()


def _frames(picture: Image.Image) -> tuple[list[Image.Image], list[int]]:
    """The animation's pictures and how long each is shown, in ms; one or none when there are too many."""
    most = min(MAX_FRAMES, MAX_ANIMATED_PIXELS // (picture.size[0] * picture.size[1]))
    frames: list[Image.Image] = []
    durations: list[int] = []
    for frame in _one_by_one(picture):
        if len(frames) >= most:
            return [], []
        still = frame.convert("RGBA")
        still.info = {}
        frames.append(still)
        duration = frame.info.get("duration", 100)
        durations.append(min(max(int(duration), 20), 60_000) if isinstance(duration, int | float) else 100)
    return frames, durations


def _one_by_one(picture: Image.Image) -> Iterator[Image.Image]:
    yield from ImageSequence.Iterator(picture)


def _bare(picture: Image.Image, name: str) -> Image.Image:
    """The pixels alone, in a mode the format can hold."""
    picture.load()
    if name == "JPEG" and picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    elif picture.mode not in _MODES.get(name, (picture.mode,)):
        picture = picture.convert("RGBA")
    bare = picture.copy()
    transparency = picture.info.get("transparency")
    bare.info = {} if transparency is None else {"transparency": transparency}
    return bare
