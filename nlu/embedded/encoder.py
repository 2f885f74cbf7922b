"""A sentence encoder from a folder: texts as directions of meaning, beside the words the classifier counts.

In: a folder with `tokenizer.json` and an ONNX model that gives a vector for each token. Out: one vector of length one
for each text. Optional: it needs the packages of the extra `encoder`. Only ONNX graphs are read; pickled weights
are never opened, and nothing is ever fetched from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bot.errors import AssistantInvalid

Floats = npt.NDArray[np.float32]

TOKENIZER: Final = "tokenizer.json"
MODELS: Final = ("model.onnx", "onnx/model.onnx")  # where exporters put it
_MOST_TOKENS: Final = 128
_EXTRA = "pip install 'frontdesk[encoder]'"


class SentenceEncoder:
    """Mean of the tokens' vectors, on one thread. Safe to share between threads."""

    def __init__(self, name: str, session: Any, tokenizer: Any) -> None:
        self.name = name  # changes with the weights and the tokenizer
        self._session, self._tokenizer = session, tokenizer
        self._inputs = {each.name for each in session.get_inputs()}
        self.size = int(session.get_outputs()[0].shape[-1])

    def vectors(self, texts: Sequence[str]) -> Floats:
        """(texts, size), each of length one; zeros for a text without tokens."""
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        for place, text in enumerate(texts):
            ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
            if ids:
                found[place] = self._vector(np.asarray([ids], dtype=np.int64))
        return found

    def _vector(self, ids: npt.NDArray[np.int64]) -> Floats:
        given = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (states, *_) = self._session.run(None, {name: each for name, each in given.items() if name in self._inputs})
        mean: Floats = states[0].mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)


def load_encoder(folder: Path) -> SentenceEncoder:
    """The encoder in `folder`. Raises: AssistantInvalid, saying what is missing."""
    model, tokenizer = files_of(folder)
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise AssistantInvalid(
            f"a sentence encoder needs onnxruntime and tokenizers: {_EXTRA}", file=str(folder)
        ) from exc
    digest = hashlib.sha256(model.read_bytes() + tokenizer.read_bytes()).hexdigest()[:12]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors come as exceptions
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        reader = Tokenizer.from_file(str(tokenizer))
    except Exception as exc:  # both raise plain exceptions of their own for every kind of damage
        raise AssistantInvalid(f"the sentence encoder cannot be read: {exc}", file=str(folder)) from exc
    reader.enable_truncation(_MOST_TOKENS)
    reader.no_padding()
    shape = session.get_outputs()[0].shape
    if (
        len(shape) != 3
        or not isinstance(shape[-1], int)
        or not {each.name for each in session.get_inputs()} >= {"input_ids"}
    ):
        raise AssistantInvalid("the model gives no vector for each token of `input_ids`", file=str(folder))
    return SentenceEncoder(digest, session, reader)


def files_of(folder: Path) -> tuple[Path, Path]:
    """(model, tokenizer). Raises: AssistantInvalid when one is missing."""
    model = next((folder / name for name in MODELS if (folder / name).is_file()), None)
    if model is None:
        reason = (
            f"there is no {MODELS[0]} here; other weights, pickles above all, are not read: export the model to ONNX"
        )
        raise AssistantInvalid(reason, file=str(folder))
    if not (folder / TOKENIZER).is_file():
        raise AssistantInvalid(f"there is no {TOKENIZER} here", file=str(folder))
    return model, folder / TOKENIZER
