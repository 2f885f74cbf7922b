"""A sentence encoder beside the words: chosen by examples left out, kept with the model, never required."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from bot.errors import AssistantInvalid
from frontdesk.encoder_files import bring
from nlu.embedded.encoder import Floats, SentenceEncoder, load_encoder
from nlu.embedded.model import Model, encoder_of, pack, train_model, unpack
from nlu.embedded.vote import Vote, fit_vote
from nlu.training_data import Example, TrainingData

MEANINGS = ("late", "broken", "refund")
LETTERS = str.maketrans("0123456789", "ghijklmnop")
WORDS = ("alpha", "bravo", "delta", "gamma", "kappa", "omega", "sigma", "theta")
# Every example has words of its own, so that words tell nothing about the ones left out.
EXAMPLES = tuple(
    Example(hashlib.sha256(f"{meaning}{word}".encode()).hexdigest().translate(LETTERS), meaning)
    for meaning in MEANINGS
    for word in WORDS
)
KNOWN = {example.text: MEANINGS.index(example.intent) for example in EXAMPLES}


class AllKnowing:
    """Stands in for a session: it knows what each example means, and of nothing else."""

    size = 4

    def __init__(self, name: str = "all-knowing", *, knows: bool = True) -> None:
        self.name, self._knows = name, knows

    def vectors(self, texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        for place, text in enumerate(texts):
            found[place, KNOWN.get(text, 3) if self._knows else 3] = 1
        return found


def taught(encoder: AllKnowing | None) -> Model:
    return train_model(TrainingData(EXAMPLES), encoder=cast("SentenceEncoder | None", encoder))


@pytest.fixture(scope="module")
def model() -> Model:
    return taught(AllKnowing())


def test_an_encoder_that_knows_more_than_the_words_counts(model: Model) -> None:
    assert model.meaning.shape == (4, 3)
    assert model.manifest.encoder == "all-knowing"
    best = model.probabilities([example.text for example in EXAMPLES]).argmax(axis=1)
    assert [model.intents[number] for number in best] == [example.intent for example in EXAMPLES]


def test_an_encoder_that_tells_nothing_is_left_out() -> None:
    model = taught(AllKnowing(knows=False))
    assert model.meaning.shape[0] == 0
    assert model.encoder is None
    assert unpack(pack(model)).version == model.version  # serves without it


def test_a_model_with_an_encoder_is_loaded_with_that_one_only(model: Model) -> None:
    packed = pack(model)
    same = cast("SentenceEncoder", AllKnowing())
    again = unpack(packed, same)
    texts = [example.text for example in EXAMPLES[:3]]
    assert np.allclose(again.probabilities(texts), model.probabilities(texts), atol=0.01)
    assert encoder_of(packed) == "all-knowing"
    with pytest.raises(AssistantInvalid, match=r"none is set .FRONTDESK_NLU__ENCODER."):
        unpack(packed)
    with pytest.raises(AssistantInvalid, match="other is set"):
        unpack(packed, cast("SentenceEncoder", AllKnowing("other")))


def test_an_encoder_makes_another_version_of_the_same_examples(model: Model) -> None:
    plain = taught(None)
    assert plain.version != model.version
    assert encoder_of(pack(plain)) == ""
    assert encoder_of(b"no model") is None
    assert replace(plain, encoder=None).meaning.shape == (0, 3)


class Spelling:
    """Stands in for a tokenizer: one token for each letter."""

    def encode(self, text: str) -> SimpleNamespace:
        return SimpleNamespace(ids=[ord(letter) % 50 for letter in text])


def test_texts_read_together_have_the_vectors_they_have_alone() -> None:
    asked: list[tuple[int, ...]] = []

    def states(ids: npt.NDArray[np.int64]) -> Floats:
        asked.append(ids.shape)
        return np.stack([np.cos(ids), np.sin(ids), ids / 50], axis=-1).astype(np.float32)

    texts = ["late", "parcel", "refund", "", "late", "oven", *(f"t{number:03}" for number in range(40))]
    together = SentenceEncoder("spelling", states, 3, Spelling()).vectors(texts)
    assert sum(shape[0] for shape in asked) == len(set(texts)) - 1  # each once, and nothing is asked about no tokens
    assert max(shape[0] for shape in asked) == 16
    alone = SentenceEncoder("spelling", states, 3, Spelling())
    assert np.allclose(together, [alone.vectors([text])[0] for text in texts], atol=1e-6)
    assert not together[3].any()
    before = len(asked)
    alone.vectors(texts[-3:])  # they were read a moment ago
    assert len(asked) == before
    assert alone.vectors([]).shape == (0, 3)


# --- the examples' vote ---------------------------------------------------------------------------------------------


class Circles:
    """Stands in for an encoder that puts one meaning around another, so that no line divides them."""

    name, size = "circles", 4

    def vectors(self, texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        for place, text in enumerate(texts):
            near = "far" not in text
            angle = int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 65536 * 2 * np.pi
            radius = 0.25 if near else 1.2
            found[place] = 1, radius * np.cos(angle), radius * np.sin(angle), 0
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def around(count: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Vectors of which every second one lies around the others, and which."""
    texts = [f"{'far' if number % 2 else 'near'} {number}" for number in range(count)]
    return Circles().vectors(texts), np.arange(count) % 2


def test_examples_that_surround_others_are_told_apart_by_their_vote() -> None:
    meant, labels = around(120)
    vote = fit_vote(meant[:80] * 2, labels[:80], 2)
    assert (vote.margins(meant[80:]).argmax(axis=1) == labels[80:]).all()
    again = Vote.of_arrays(vote.arrays())
    assert again is not None
    assert again.fits(4, 2)
    assert not again.fits(5, 2)
    assert np.allclose(again.margins(meant), vote.margins(meant), atol=0.05)
    assert Vote.of_arrays({}) is None


def test_an_encoder_that_only_the_vote_can_use_counts_and_the_vote_is_stored_with_the_model() -> None:
    texts = [(f"{words} {number}", words) for number in range(60) for words in ("far", "near")]
    hidden = {hashlib.sha256(text.encode()).hexdigest().translate(LETTERS): text for text, _ in texts}

    class Knowing(Circles):
        def vectors(self, texts: Sequence[str]) -> Floats:
            return super().vectors([hidden.get(text, text) for text in texts])

    examples = tuple(
        Example(hashlib.sha256(text.encode()).hexdigest().translate(LETTERS), intent) for text, intent in texts
    )
    encoder = cast("SentenceEncoder", Knowing())
    model = train_model(TrainingData(examples), encoder=encoder)
    assert model.vote is not None
    kept = unpack(pack(model), encoder)
    asked = [each.text for each in examples]
    assert np.allclose(kept.probabilities(asked), model.probabilities(asked), atol=0.02)
    right = [
        model.intents[n] == each.intent for n, each in zip(kept.probabilities(asked).argmax(1), examples, strict=True)
    ]
    assert np.mean(right) > 0.95


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(AssistantInvalid, match="export the model to ONNX"):
        load_encoder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(AssistantInvalid, match=r"no tokenizer\.json"):
        load_encoder(tmp_path)


def test_a_folder_is_brought_whole_or_not_at_all(tmp_path: Path) -> None:
    source, kept = tmp_path / "source", tmp_path / "kept" / "encoder"
    (source / "onnx").mkdir(parents=True)
    (source / "onnx" / "model.onnx").write_bytes(b"graph")
    (source / "tokenizer.json").write_text("{}")
    bring(str(source), kept)
    assert sorted(file.name for file in kept.iterdir()) == ["model.onnx", "tokenizer.json"]
    (source / "tokenizer.json").unlink()
    with pytest.raises(AssistantInvalid):
        bring(str(source), kept)
    assert (kept / "model.onnx").read_bytes() == b"graph"


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `encoder` is not installed")
    pytest.importorskip("tokenizers", reason="the extra `encoder` is not installed")
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(AssistantInvalid, match="cannot be read"):
        load_encoder(tmp_path)


def real_encoder() -> SentenceEncoder:
    pytest.importorskip("onnxruntime", reason="the extra `encoder` is not installed")
    place = os.environ.get("FRONTDESK_TEST_ENCODER")
    if not place:
        pytest.skip("FRONTDESK_TEST_ENCODER names no folder with model.onnx and tokenizer.json (docs/nlu.md)")
    return load_encoder(Path(place))


@pytest.mark.slow
def test_a_real_encoder_knows_what_is_alike() -> None:
    encoder = real_encoder()
    texts: list[Any] = ["my parcel is late", "the delivery has not come", "I forgot my password", "", "\ud800"]
    vectors = encoder.vectors(texts)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1
    assert np.linalg.norm(vectors[:3], axis=1) == pytest.approx(1, abs=1e-4)
