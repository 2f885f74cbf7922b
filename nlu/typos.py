"""Known phrases in the wrong spelling: ketle, kettel and ktetle for kettle, 电饭堡 for 电饭煲.

In: the phrases an assistant knows, then folded texts. Out: spans with the phrase that was meant. One slip is forgiven
in a Latin phrase of six letters or more, and none in its first letter, where people rarely err: a letter left out,
doubled, swapped with its neighbour, or replaced by one beside it on the keyboard or like it in sound. In a Chinese
phrase of three characters or more those that sound alike may stand for each other, up to half of them. Pure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from nlu.sounds import sounds_of

MIN_LATIN, MIN_CHINESE = 6, 3
MAX_CHARS = 600  # of a message; a longer one is a story, in which exact phrases are enough
MAX_PHRASES = 5000  # an assistant with more knows so many that slips would meet by chance
_REMEMBERED = 20_000  # words and pairs of words, of which customers use the same ones again and again
_WORD = re.compile(r"[a-z][a-z']*")
_LATIN = re.compile(r"[a-z][a-z' ]*[a-z]")
_CHINESE = re.compile(r"[\u4e00-\u9fff]+")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Letters that stand for the same or nearly the same sound.
_ALIKE = ("ae", "ei", "iy", "ao", "sc", "sz", "ck", "gj")


def _neighbours() -> frozenset[str]:
    """Pairs of letters that are easily typed for each other, in both orders."""
    pairs = {row[at : at + 2] for row in _KEYS for at in range(len(row) - 1)} | set(_ALIKE)
    for upper, lower in itertools.pairwise(_KEYS):
        for at, key in enumerate(lower):
            pairs |= {key + above for above in upper[at : at + 2]}
    return frozenset(pairs | {pair[::-1] for pair in pairs})


_NEAR = _neighbours()


@dataclass(frozen=True, slots=True)
class Typos:
    """What is needed to find misspelt phrases. `words`: correct words that look like a slip and are none."""

    gaps: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # a phrase, whole and less each letter -> such phrases
    shapes: frozenset[tuple[str, int]] = frozenset()  # first letter and length a misspelt phrase may have
    max_words: int = 1
    sounds: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)  # sound -> phrases
    openings: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)  # first two sounds -> lengths
    words: frozenset[str] = frozenset()
    remembered: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, phrases: Iterable[str], words: Collection[str] = ()) -> Typos:
        """`phrases` are folded."""
        known = list(phrases)
        if len(known) > MAX_PHRASES:
            return cls()
        gaps: dict[str, list[str]] = {}
        shapes: set[tuple[str, int]] = set()
        sounds: dict[tuple[str, ...], list[str]] = {}
        openings: dict[tuple[str, str], set[int]] = {}
        max_words = 1
        for phrase in known:
            if len(phrase) >= MIN_LATIN and _LATIN.fullmatch(phrase):
                for gap in (phrase, *_gaps(phrase)):
                    gaps.setdefault(gap, []).append(phrase)
                shapes |= {(phrase[0], len(phrase) + by) for by in (-1, 0, 1)}
                max_words = max(max_words, phrase.count(" ") + 1)
            elif len(phrase) >= MIN_CHINESE and _CHINESE.fullmatch(phrase):
                heard = tuple(sounds_of(phrase))
                sounds.setdefault(heard, []).append(phrase)
                openings.setdefault((heard[0], heard[1]), set()).add(len(phrase))
        return cls(
            {gap: tuple(dict.fromkeys(found)) for gap, found in gaps.items()},
            frozenset(shapes),
            min(max_words, 4),
            {heard: tuple(found) for heard, found in sounds.items()},
            {opening: tuple(sorted(sizes, reverse=True)) for opening, sizes in openings.items()},
            frozenset(words),
        )

    def find(self, folded: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """(start, end, phrases that may be meant) of each misspelt phrase in a folded text; they may overlap."""
        folded = folded[:MAX_CHARS]
        if self.gaps:
            yield from self._latin(folded)
        if self.sounds and not folded.isascii():
            yield from self._chinese(folded)

    def _latin(self, folded: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        spans = [word.span() for word in _WORD.finditer(folded)]
        for at, (start, _) in enumerate(spans):
            for _, end in spans[at : at + self.max_words]:
                if (folded[start], end - start) not in self.shapes:
                    continue
                written = folded[start:end]
                meant = self.remembered.get(written)
                if meant is None:
                    meant = () if written in self.words else self.meant_by(written)
                    if len(self.remembered) < _REMEMBERED:
                        self.remembered[written] = meant
                if meant:
                    yield start, end, meant

    def meant_by(self, written: str) -> tuple[str, ...]:
        """The phrases a Latin word or group of words may be a slip of; none for one that is spelt as it should be."""
        candidates = set(self.gaps.get(written, ()))
        for gap in _gaps(written):
            candidates.update(self.gaps.get(gap, ()))
        if written in candidates:
            return ()
        found = tuple(sorted(phrase for phrase in candidates if is_slip(written, phrase)))
        if not found and written.endswith("s") and len(written) >= MIN_LATIN:
            return self.meant_by(written[:-1])  # the plural of a phrase may be misspelt too
        return found

    def _chinese(self, folded: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        heard = sounds_of(folded)
        for at in range(len(heard) - MIN_CHINESE + 1):
            for length in self.openings.get((heard[at], heard[at + 1]), ()):
                written = folded[at : at + length]
                alike = self.sounds.get(tuple(heard[at : at + length]), ())
                if meant := tuple(phrase for phrase in alike if 0 < _differing(written, phrase) <= length // 2):
                    yield at, at + length, meant


def _differing(written: str, phrase: str) -> int:
    return sum(one != other for one, other in zip(written, phrase, strict=True))


def _gaps(word: str) -> Iterator[str]:
    """The word less one letter, for each letter but the first."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]


def is_slip(written: str, meant: str) -> bool:
    """Whether one plausible slip of the fingers or the ear makes `written` of `meant`; the first letter is right."""
    if written == meant or written[:1] != meant[:1]:
        return False
    at = next((i for i, (one, other) in enumerate(zip(written, meant, strict=False)) if one != other), None)
    if at is None:  # one is the beginning of the other
        return len(written) == len(meant) - 1 or (len(written) == len(meant) + 1 and written[-1] == written[-2])
    if len(written) == len(meant) - 1:
        return written[at:] == meant[at + 1 :]
    if len(written) == len(meant) + 1:
        beside = (written[at - 1], written[at + 1 : at + 2])
        is_likely = written[at] in beside or written[at] == " " or any(written[at] + key in _NEAR for key in beside)
        return written[at + 1 :] == meant[at:] and is_likely
    if len(written) != len(meant):
        return False
    if written[at + 1 :] == meant[at + 1 :]:
        return written[at] + meant[at] in _NEAR
    return written[at : at + 2] == meant[at : at + 2][::-1] and written[at + 2 :] == meant[at + 2 :]
