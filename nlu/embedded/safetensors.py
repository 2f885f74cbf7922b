"""Arrays from a safetensors file: a header in JSON and plain numbers behind it, so that reading runs no code.

In: a file. Out: float32 arrays by name. Only what its header describes wholly and within the file is believed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from bot.errors import AssistantInvalid

Floats = npt.NDArray[np.float32]

_LENGTH: Final = 8  # bytes of the header's own length
_MOST_HEADER: Final = 100_000_000
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


def read_tensors(path: Path) -> dict[str, Floats]:
    """The arrays of floating-point numbers in the file; others (positions, counters) are passed over.

    Raises: AssistantInvalid when it is cut short or no such file.
    """
    content = path.read_bytes()
    try:
        size = int.from_bytes(content[:_LENGTH], "little")
        if not 0 < size <= min(_MOST_HEADER, len(content) - _LENGTH):
            raise ValueError("its header does not fit into it")
        header: dict[str, Any] = orjson.loads(content[_LENGTH : _LENGTH + size])
        numbers = content[_LENGTH + size :]
        return {
            name: _array(numbers, entry)
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] in _TYPES
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise AssistantInvalid(f"is a damaged safetensors file: {exc}", file=str(path)) from exc


def _array(numbers: bytes, entry: dict[str, Any]) -> Floats:
    kind, shape = _TYPES[entry["dtype"]], tuple(map(int, entry["shape"]))
    start, end = map(int, entry["data_offsets"])
    is_within = min(shape, default=1) >= 0 and 0 <= start <= end <= len(numbers)
    if not is_within or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError("an array does not fit into it")
    raw: npt.NDArray[Any] = np.frombuffer(numbers[start:end], dtype=kind).reshape(shape)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        raw = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return raw.astype(np.float32)
