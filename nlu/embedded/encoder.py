"""A sentence encoder from a folder: texts as directions of meaning, beside the words the classifier counts.

In: a folder with `tokenizer.json` and either an ONNX model that gives a vector for each token, or a BERT-like model as
`model.safetensors` with its `config.json`. Out: one vector of length one for each text. Optional: it needs the packages
of the extra `encoder`. Pickled weights are never opened, and nothing is ever fetched from here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from bot.errors import AssistantInvalid
from nlu.embedded.bert import Bert, Floats, Ids
from nlu.embedded.remembered import Remembered
from nlu.embedded.safetensors import read_tensors

TOKENIZER: Final = "tokenizer.json"
MODELS: Final = ("model.onnx", "onnx/model.onnx")  # where exporters put it
WEIGHTS: Final = "model.safetensors"  # read where there is no graph
CONFIG: Final = "config.json"  # of the weights
_MOST_TOKENS: Final = 128
_LATELY: Final = 128  # texts
_TOGETHER: Final = 16  # texts of as many tokens: more are no faster
_EXTRA = "pip install 'frontdesk[encoder]'"


class SentenceEncoder:
    """Mean of the tokens' vectors, on one thread. Safe to share between threads."""

    def __init__(self, name: str, states: Callable[[Ids], Floats], size: int, tokenizer: Any) -> None:
        """`states` gives a vector of this size for each token of texts (texts, tokens) that have as many."""
        self.name = name  # changes with the weights and the tokenizer
        self.size = size
        self._states, self._tokenizer = states, tokenizer
        # The classifier and the articles ask about the same message.
        self._lately = Remembered(self._read, _LATELY)

    def vectors(self, texts: Sequence[str]) -> Floats:
        """(texts, size), each of length one; zeros for a text without tokens."""
        known = self._lately.vectors(texts)
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, self.size), dtype=np.float32)

    def _read(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Texts of as many tokens are read together, which costs half of one by one and gives the same."""
        found: dict[str, Floats] = {}
        by_length: dict[int, list[tuple[str, list[int]]]] = defaultdict(list)
        for text in texts:
            ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
            by_length[len(ids)].append((text, ids))
        for length, same in by_length.items():
            for start in range(0, len(same), _TOGETHER):
                some = same[start : start + _TOGETHER]
                means = np.zeros((len(some), self.size), dtype=np.float32)
                if length:
                    means = self._states(np.asarray([ids for _, ids in some], dtype=np.int64)).mean(axis=1)
                    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-9))
                found.update(zip((text for text, _ in some), means, strict=True))
        return found


def load_encoder(folder: Path) -> SentenceEncoder:
    """The encoder in `folder`. Raises: AssistantInvalid, saying what is missing."""
    files = files_of(folder)
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise AssistantInvalid(f"a sentence encoder needs tokenizers: {_EXTRA}", file=str(folder)) from exc
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    try:
        reader = Tokenizer.from_file(str(files[1]))
    except Exception as exc:  # plain exceptions of its own for every kind of damage
        raise AssistantInvalid(f"the sentence encoder cannot be read: {exc}", file=str(folder)) from exc
    reader.enable_truncation(_MOST_TOKENS)
    reader.no_padding()
    states, size = _from_graph(files[0]) if files[0].suffix == ".onnx" else _from_weights(files[0], files[2])
    return SentenceEncoder(digest, states, size, reader)


def _from_graph(model: Path) -> tuple[Callable[[Ids], Floats], int]:
    try:
        import onnxruntime
    except ImportError as exc:
        reason = f"a sentence encoder with an ONNX graph needs onnxruntime: {_EXTRA}"
        raise AssistantInvalid(reason, file=str(model.parent)) from exc
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors come as exceptions
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # plain exceptions of its own for every kind of damage
        raise AssistantInvalid(f"the sentence encoder cannot be read: {exc}", file=str(model.parent)) from exc
    shape, inputs = session.get_outputs()[0].shape, {each.name for each in session.get_inputs()}
    if len(shape) != 3 or not isinstance(shape[-1], int) or "input_ids" not in inputs:
        raise AssistantInvalid("the model gives no vector for each token of `input_ids`", file=str(model.parent))

    def states(ids: Ids) -> Floats:
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        found: Floats = session.run(None, {name: each for name, each in given.items() if name in inputs})[0]
        return found

    return states, shape[-1]


def _from_weights(weights: Path, config: Path) -> tuple[Callable[[Ids], Floats], int]:
    arrays = read_tensors(weights)
    try:
        bert = Bert(orjson.loads(config.read_bytes()), arrays)
    except (ValueError, KeyError, TypeError) as exc:
        missing = f"there is no {exc}" if isinstance(exc, KeyError) else str(exc)
        raise AssistantInvalid(f"the sentence encoder cannot be computed: {missing}", file=str(weights.parent)) from exc
    return lambda ids: np.stack([bert.states(row) for row in ids]), bert.size


def files_of(folder: Path) -> tuple[Path, ...]:
    """(model, tokenizer), and behind them the model's config where it is weights without a graph.

    Raises: AssistantInvalid when one is missing.
    """
    model = next((folder / name for name in (*MODELS, WEIGHTS) if (folder / name).is_file()), None)
    if model is None:
        reason = f"there is neither {MODELS[0]} nor {WEIGHTS} here"
        reason += "; pickled weights are not read: export the model to ONNX"
        raise AssistantInvalid(reason, file=str(folder))
    others = (TOKENIZER,) if model.suffix == ".onnx" else (TOKENIZER, CONFIG)
    for name in others:
        if not (folder / name).is_file():
            raise AssistantInvalid(f"there is no {name} here", file=str(folder))
    return (model, *(folder / name for name in others))
