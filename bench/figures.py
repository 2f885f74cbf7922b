"""Numbers out of samples and traces. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import ceil

# A traced call that came back with 0; strace cuts a call in two when another thread gets in between.
_SYNCED = re.compile(r"\b(?:fsync|fdatasync)(?:\(\d+\)| resumed>\)?)\s*=\s*0\b")


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` (0 to 1) of all samples do not exceed (nearest rank).

    Raises: ValueError for no samples or a share outside of 0 to 1.
    """
    if not samples:
        raise ValueError("no samples")
    if not 0 <= share <= 1:
        raise ValueError("a share lies between 0 and 1")
    ordered = sorted(samples)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two in the middle. Raises: ValueError for no samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def count_syncs(trace: Iterable[str]) -> int:
    """How many fsync and fdatasync calls of an strace log reached the disk (returned 0)."""
    return sum(1 for line in trace if _SYNCED.search(line))


def busiest_window(moments: Iterable[float], length_s: float) -> int:
    """The largest number of moments (seconds) in any half-open window of `length_s`."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= length_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def equal_share(left: Sequence[str], right: Sequence[str]) -> float:
    """The share of places at which both hold the same text, white space aside. Raises: ValueError for other lengths."""
    pairs = list(zip(left, right, strict=True))
    if not pairs:
        raise ValueError("nothing to compare")
    return sum(" ".join(a.split()) == " ".join(b.split()) for a, b in pairs) / len(pairs)
