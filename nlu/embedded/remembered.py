"""Vectors of texts that were met lately, so that an encoder reads each once. Safe to share between threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Remembered:
    """`read` gives the vectors of texts that are not known, each of them once; `most` are kept."""

    def __init__(self, read: Callable[[Sequence[str]], Mapping[str, Floats]], most: int) -> None:
        self._read, self._most = read, most
        self._known: dict[str, Floats] = {}  # those met last are last
        self._lock = threading.Lock()

    def vectors(self, texts: Sequence[str]) -> dict[str, Floats]:
        """By text; those that are not known are read together."""
        wanted = dict.fromkeys(texts)
        with self._lock:
            found = {text: self._known[text] for text in wanted if text in self._known}
        unknown = [text for text in wanted if text not in found]
        if unknown:
            found |= self._read(unknown)
        with self._lock:
            for text in texts[-self._most :]:
                self._known.pop(text, None)
                self._known[text] = found[text]
            for text in list(itertools.islice(self._known, max(len(self._known) - self._most, 0))):
                del self._known[text]
        return found
