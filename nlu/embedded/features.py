"""What the classifier and the article index see of texts: stems and their pairs, character pieces, concepts and theirs.

In: any texts, as many as there are at once; most of the work is done for all of them together. Out: per text and
group the distinct features as keys (see `keys.py`) with how often they occur. Chinese runs are cut into words by rjieba
and into runs of 1 to 3 characters, other words into pieces of 2 to 4. Same text, same features, always, whatever else
is read with it: training and serving share this file, and a change to it needs a new `FORMAT_VERSION` in `model.py`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import rjieba

from nlu.embedded.concepts import Concepts, concept_keys, concepts_inside, concepts_of_pairs, concepts_of_words
from nlu.embedded.keys import (
    FACTORS,
    GROUPS,
    KEY_BITS,
    KEY_MASK,
    PAIRS,
    PIECES,
    STEMS,
    Floats,
    Ints,
    Keys,
    hash_of,
    hashes_of_pairs,
    keys_of,
    packed_keys,
    runs,
)
from nlu.embedded.stemming import stem
from nlu.language import INVISIBLE, fold

# Beyond this many characters a message says nothing more about its intent, and the cost per message stays bounded.
MAX_CHARS = 2000
_MAX_WORD = 40
_AT_ONCE = 4000  # texts; their number has 14 bits

_TOKEN = re.compile(
    r"[a-z]+(?:'[a-z]+)?"
    r"|\d+"
    r"|[\u3400-\u4dbf\u4e00-\u9fff]+"
    r"|[^\W\d_]+"
    r"|[\u2600-\u27bf\U0001f300-\U0001faff]"
)
_HAN_FROM, _HAN_BELOW = "\u3400", "\ua000"  # a token that begins between these is a run of Chinese
_HAN_FROM_CODE, _RUN_ENDS = ord(_HAN_FROM), ord("$")
_CONTRACTED = {"'s": "is", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}
# What people type for contractions without the apostrophe.
_BARE_CONTRACTIONS = {
    "cannot": ("can", "not"),
    "im": ("i", "am"),
    "ive": ("i", "have"),
    "id": ("i", "would"),
    "whats": ("what", "is"),
    "wheres": ("where", "is"),
    "hows": ("how", "is"),
    "thats": ("that", "is"),
} | {
    f"{verb}nt": (verb, "not")
    for verb in "do does did has have had is are was were would could should".split()  # noqa: SIM905  # reads better
}
_NEGATED = {"can't": ("can", "not"), "won't": ("will", "not"), "cant": ("can", "not"), "wont": ("will", "not")}


@dataclass(frozen=True, slots=True)
class Features:
    """One entry for each text, group and distinct feature, in the order of texts and groups.

    `place` is the number of the text times GROUPS plus the group; `count` how often the feature occurs there. Text
    number n has the entries `starts[n]:starts[n + 1]`.
    """

    place: Ints
    key: Keys
    count: Floats
    starts: Ints

    def __len__(self) -> int:
        """How many texts."""
        return len(self.starts) - 1

    @property
    def group(self) -> Ints:
        return self.place % GROUPS

    @property
    def text(self) -> Ints:
        return self.place // GROUPS

    def has_words(self, text: int) -> bool:
        """False for a text without letters or digits."""
        return bool(self.starts[text + 1] > self.starts[text])

    def at(self, chosen: Ints) -> Features:
        """The features of some of the texts, in the order given."""
        sizes = self.starts[chosen + 1] - self.starts[chosen]
        entries = runs(self.starts[chosen], sizes)
        moved = np.repeat((np.arange(len(chosen)) - chosen) * GROUPS, sizes)
        starts = np.concatenate(([0], np.cumsum(sizes)))
        return Features(self.place[entries] + moved, self.key[entries], self.count[entries], starts)

    def __add__(self, other: Features) -> Features:
        """Those of the one's texts, then those of the other's."""
        return Features(
            np.concatenate((self.place, other.place + len(self) * GROUPS)),
            np.concatenate((self.key, other.key)),
            np.concatenate((self.count, other.count)),
            np.concatenate((self.starts, other.starts[1:] + self.starts[-1])),
        )


@functools.lru_cache(maxsize=8)
def features_of(texts: tuple[str, ...]) -> Features:
    """The features of each text, from its first 2,000 characters. None for a text without letters or digits.

    Remembered for a moment, because the classifier and the article index both read the same messages.
    """
    if len(texts) <= _AT_ONCE:
        return _read(texts)
    features = _read(texts[:_AT_ONCE])
    for start in range(_AT_ONCE, len(texts), _AT_ONCE):
        features += _read(texts[start : start + _AT_ONCE])
    return features


class _Seen(NamedTuple):
    """The tokens of all texts, each list with how many of its things belong to each text.

    `keys` are those of single words, their pieces and the concepts; `stems` is what pairs are made of, and `line` the
    Chinese runs, each between ^ and $.
    """

    keys: bytes
    key_counts: list[int]
    stems: list[int]
    stem_counts: list[int]
    line: str
    line_counts: list[int]


def _read(texts: Sequence[str]) -> Features:
    seen = _tokens(texts)
    pairs, pair_text = _pairs(seen)
    parts = [np.frombuffer(seen.keys, dtype=np.uint64), pairs]
    text_of = [_spread(seen.key_counts), pair_text]
    if seen.line:
        pieces, piece_text = _chinese_pieces(seen)
        parts.append(pieces)
        text_of.append(piece_text)
    # Text, group and key in one number: sorting brings together what is counted together.
    sortable = np.concatenate(text_of).view(np.uint64)
    sortable <<= _TEXT_SHIFT
    sortable |= np.concatenate(parts)
    sortable.sort()
    is_first = np.empty(len(sortable) + 1, dtype=np.bool_)
    is_first[0] = is_first[-1] = True
    np.not_equal(sortable[1:], sortable[:-1], out=is_first[1:-1])
    firsts = np.flatnonzero(is_first)
    distinct = sortable.take(firsts[:-1])
    place = (distinct >> _KEY_SHIFT).view(np.int64)
    distinct &= KEY_MASK
    count = (firsts[1:] - firsts[:-1]).astype(np.float64)
    return Features(place, distinct, count, np.searchsorted(place, np.arange(len(texts) + 1) * GROUPS))


_KEY_SHIFT: Final = np.uint64(KEY_BITS)
_TEXT_SHIFT: Final = np.uint64(KEY_BITS + GROUPS.bit_length() - 1)


def _spread(counts: Sequence[int]) -> Ints:
    """Number of the text for each of its things, from how many each text has."""
    return np.repeat(np.arange(len(counts)), counts)


def _pairs(seen: _Seen) -> tuple[Keys, Ints]:
    """Keys of neighbouring stems, and the text of each."""
    stems, text = np.asarray(seen.stems, dtype=np.uint64), _spread(seen.stem_counts)
    follows = np.flatnonzero(text[1:] == text[:-1])
    return keys_of(hashes_of_pairs(stems.take(follows), stems.take(follows + 1)), PAIRS), text.take(follows)


def _chinese_pieces(seen: _Seen) -> tuple[Keys, Ints]:
    """Keys of every character, of every two of a run with its beginning and end, of every three; the text of each."""
    codes = np.frombuffer(seen.line.encode("utf-32-le"), dtype=np.uint32)
    is_han = codes >= _HAN_FROM_CODE
    wide = codes.astype(np.uint64)
    ones = wide * FACTORS[0]
    twos = ones[:-1] + wide[1:] * FACTORS[1]
    threes = twos[:-1] + wide[2:] * FACTORS[2]
    starts = (
        np.flatnonzero(is_han),
        np.flatnonzero(codes[:-1] != _RUN_ENDS),
        np.flatnonzero(is_han[:-2] & is_han[1:-1] & is_han[2:]),
    )
    hashes = [window.take(start) for window, start in zip((ones, twos, threes), starts, strict=True)]
    text = _spread(seen.line_counts)
    return keys_of(np.concatenate(hashes), PIECES), text.take(np.concatenate(starts))


# --- words ---------------------------------------------------------------------------------------------------------


class _Word(NamedTuple):
    """What a token comes to: hashes of its stems, keys of stems and pieces, concepts of stems and of characters."""

    stems: tuple[int, ...]
    keys: bytes
    said: Concepts
    shown: Concepts = ()


def _tokens(texts: Sequence[str]) -> _Seen:
    keys: list[bytes] = []
    stems: list[int] = []
    line: list[str] = []
    key_counts, stem_counts, line_counts = [], [], []
    for text in texts:
        own_keys: list[bytes] = []
        own_stems: list[int] = []
        said: list[int] = []
        shown: list[int] = []
        run_chars = 0
        for token in _TOKEN.findall(_spelled(text)):
            if _HAN_FROM <= token < _HAN_BELOW:
                word = _run(token)
                line.append(f"^{token}$")
                run_chars += len(token) + 2
            else:
                word = _word(token)
            own_stems += word.stems
            own_keys.append(word.keys)
            if word.said:
                said += word.said
            if word.shown:
                shown += word.shown
        said += concepts_of_pairs(own_stems)
        if said or shown:
            own_keys += concept_keys(said, shown)
        keys.append(b"".join(own_keys))
        key_counts.append(len(keys[-1]) // 8)
        stems += own_stems
        stem_counts.append(len(own_stems))
        line_counts.append(run_chars)
    return _Seen(b"".join(keys), key_counts, stems, stem_counts, "".join(line), line_counts)


@functools.lru_cache(maxsize=5_000)
def _run(run: str) -> _Word:
    """A run of Chinese; its pieces are cut together with those of others."""
    words = rjieba.cut(run)
    stems = tuple(map(hash_of, words))
    return _Word(stems, packed_keys(list(stems), STEMS), concepts_of_words(words), concepts_inside(run))


def _spelled(text: str) -> str:
    folded = fold(text[:MAX_CHARS])
    if folded.isascii():
        return folded
    folded = folded.replace("\u2019", "'")
    return folded.replace(INVISIBLE, "") if INVISIBLE in folded else folded


@functools.lru_cache(maxsize=20_000)
def _word(token: str) -> _Word:
    """A token that is not Chinese. Digits count by their number, not their value."""
    if token[0].isdigit():
        shape = f"#{min(len(token), 12)}"
        stems, pieces = [shape], [shape]
    else:
        words = [word[:_MAX_WORD] for word in _expanded(token) if word]
        stems = [stem(word) for word in words]
        pieces = [piece for word in words for piece in _cut(f" {word} ")]
    hashes = tuple(map(hash_of, stems))
    keys = packed_keys(list(hashes), STEMS) + packed_keys([_hash_of_piece(piece) for piece in pieces], PIECES)
    # Other alphabets are not told apart from Chinese that follows them without a break.
    shown = () if token.isascii() else concepts_inside(token[:_MAX_WORD])
    return _Word(hashes, keys, concepts_of_words(stems), shown)


def _cut(padded: str) -> Iterator[str]:
    """Every two to four characters in a row."""
    for size in (2, 3, 4):
        for start in range(len(padded) - size + 1):
            yield padded[start : start + size]


def _hash_of_piece(piece: str) -> int:
    """The same for a piece of Chinese as `_chinese_pieces` gives it, should one stand among other letters."""
    if len(piece) > len(FACTORS) or piece.isascii():
        return hash_of(piece)
    return sum(ord(char) * int(factor) for char, factor in zip(piece, FACTORS, strict=False)) & _64_BITS


_64_BITS: Final = (1 << 64) - 1


def _expanded(token: str) -> tuple[str, ...]:
    if "'" in token:
        if token in _NEGATED:
            return _NEGATED[token]
        if token.endswith("n't"):
            return (token[:-3], "not")
        word, mark, _ = token.partition("'")
        ending = _CONTRACTED.get(token[len(word) :])
        return (word, ending) if ending else (word + token[len(word) + len(mark) :],)
    return _BARE_CONTRACTIONS.get(token) or _NEGATED.get(token) or (token,)
