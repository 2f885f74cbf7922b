"""What the classifier sees of a text: stems and their pairs, character pieces, concepts and their pairs, as strings.

In: any text. Out: three lists of features, which are weighted as separate groups. Chinese runs are cut into words by
rjieba and into runs of 1 to 3 characters. Same text, same features, always: training and serving share this file, and
a change to it needs a new `FORMAT_VERSION` in `model.py`.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import NamedTuple

import rjieba

from nlu.embedded.concepts import concepts_of
from nlu.embedded.stemming import stem
from nlu.language import INVISIBLE, fold

# Beyond this many characters a message says nothing more about its intent, and the cost per message stays bounded.
MAX_CHARS = 2000
_MAX_WORD = 40
_MAX_PAIRED_CONCEPTS = 16

_TOKEN = re.compile(
    r"[a-z]+(?:'[a-z]+)?"
    r"|\d+"
    r"|(?P<han>[\u3400-\u4dbf\u4e00-\u9fff]+)"
    r"|[^\W\d_]+"
    r"|[\u2600-\u27bf\U0001f300-\U0001faff]"
)
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


class Features(NamedTuple):
    """Features with repeats, in text order."""

    words: list[str]
    pieces: list[str]
    concepts: list[str]


@functools.lru_cache(maxsize=64)
def extract(text: str) -> Features:
    """The features of `text`, from its first 2,000 characters. Empty for a text without letters or digits.

    Remembered for a moment, because the classifier and the article index both read the same message. The lists are
    shared: nobody may change them.
    """
    folded = fold(text[:MAX_CHARS]).replace("\u2019", "'")
    if INVISIBLE in folded:
        folded = folded.replace(INVISIBLE, "")
    stems: list[str] = []
    pieces: list[str] = []
    for match in _TOKEN.finditer(folded):
        token = match.group()
        if match.lastgroup == "han":
            stems += rjieba.cut(token)
            pieces += _han_pieces(token)
            continue
        for word in _expanded(token):
            stem, word_pieces = _word(word[:_MAX_WORD])
            stems.append(stem)
            pieces += word_pieces
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(stems)]
    words = stems + pairs
    concepts = concepts_of(words, () if folded.isascii() else pieces)
    named = sorted(set(concepts))[:_MAX_PAIRED_CONCEPTS]
    concepts += [f"{first}+{second}" for first, second in itertools.combinations(named, 2)]
    return Features(words, pieces, concepts)


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


@functools.lru_cache(maxsize=20_000)
def _word(word: str) -> tuple[str, tuple[str, ...]]:
    """The stem of a word and its pieces of 2 to 4 characters. Digits count by their number, not their value."""
    if word[0].isdigit():
        shape = f"#{min(len(word), 12)}"
        return shape, (shape,)
    padded = f" {word} "
    pieces: list[str] = []
    for size in (2, 3, 4):
        if len(padded) <= size:
            pieces.append(padded)
            break
        pieces += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return stem(word), tuple(pieces)


def _han_pieces(run: str) -> list[str]:
    bounded = f"^{run}$"
    pieces = list(run)
    pieces += [bounded[i : i + 2] for i in range(len(bounded) - 1)]
    pieces += [run[i : i + 3] for i in range(len(run) - 2)]
    return pieces
