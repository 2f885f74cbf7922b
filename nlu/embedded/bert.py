"""A BERT-like sentence model computed with NumPy alone, for folders that hold weights and no graph.

In: `config.json`, arrays by name, the numbers of a text's tokens. Out: a vector for each token. One text at a time, so
that nothing has to be padded or masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_PREFIXES: Final = ("", "bert.", "model.", "0.auto_model.")  # before the names, by what saved them
_WORDS: Final = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: Floats  # (in, out)
    bias: Floats

    def __call__(self, states: Floats) -> Floats:
        result: Floats = states @ self.weight + self.bias
        return result


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Floats
    bias: Floats
    epsilon: float

    def __call__(self, states: Floats) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self.epsilon))
        result: Floats = centred / spread * self.weight + self.bias
        return result


@dataclass(frozen=True, slots=True)
class _Layer:
    query: _Linear
    key: _Linear
    value: _Linear
    joined: _Linear
    after_attention: _Norm
    wide: _Linear
    narrow: _Linear
    after: _Norm
    heads: int

    def __call__(self, states: Floats) -> Floats:
        tokens, size = states.shape
        query, key, value = (
            each(states).reshape(tokens, self.heads, size // self.heads).transpose(1, 0, 2)
            for each in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32((size // self.heads) ** 0.5)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        seen = (shares @ value).transpose(1, 0, 2).reshape(tokens, size)
        states = self.after_attention(states + self.joined(seen))
        return self.after(states + self.narrow(gelu(self.wide(states))))


class Bert:
    """Raises ValueError or KeyError when `config` is of another kind of model, or arrays are missing or misshapen."""

    def __init__(self, config: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        if config["model_type"] != "bert":
            raise ValueError(f"a model of type {config['model_type']!r} cannot be computed here, only bert")
        ways = config.get("hidden_act", "gelu"), config.get("position_embedding_type", "absolute")
        if ways != ("gelu", "absolute"):
            raise ValueError("only gelu and absolute positions can be computed here")
        prefix = next((each for each in _PREFIXES if each + _WORDS in arrays), None)
        if prefix is None:
            raise ValueError(f"there is no {_WORDS}")
        self.size = int(config["hidden_size"])
        self._arrays, self._prefix, self._epsilon = arrays, prefix, float(config.get("layer_norm_eps", 1e-12))
        heads, wide = int(config["num_attention_heads"]), int(config["intermediate_size"])
        if heads <= 0 or self.size % heads:
            raise ValueError("the heads do not fit the size")
        self._words = self._taken(_WORDS, (int(config["vocab_size"]), self.size))
        places = (int(config["max_position_embeddings"]), self.size)
        kinds = self._taken(
            "embeddings.token_type_embeddings.weight", (int(config.get("type_vocab_size", 2)), self.size)
        )
        # Every text is of the first kind, so that both can be added once for all.
        self._places = self._taken("embeddings.position_embeddings.weight", places) + kinds[0]
        self._first = self._norm("embeddings.LayerNorm")
        self._layers = [self._layer(number, heads, wide) for number in range(int(config["num_hidden_layers"]))]
        del self._arrays

    def states(self, ids: Ids) -> Floats:
        """(tokens, size). Tokens beyond the longest text the model knows are left out."""
        ids = ids[: len(self._places)]
        states = self._first(self._words[ids] + self._places[: len(ids)])
        for layer in self._layers:
            states = layer(states)
        return states

    def _layer(self, number: int, heads: int, wide: int) -> _Layer:
        name, size = f"encoder.layer.{number}", self.size
        query, key, value = (
            self._linear(f"{name}.attention.self.{each}", size, size) for each in ("query", "key", "value")
        )
        return _Layer(
            query=query,
            key=key,
            value=value,
            joined=self._linear(f"{name}.attention.output.dense", size, size),
            after_attention=self._norm(f"{name}.attention.output.LayerNorm"),
            wide=self._linear(f"{name}.intermediate.dense", size, wide),
            narrow=self._linear(f"{name}.output.dense", wide, size),
            after=self._norm(f"{name}.output.LayerNorm"),
            heads=heads,
        )

    def _linear(self, name: str, ins: int, outs: int) -> _Linear:
        weight = np.ascontiguousarray(self._taken(f"{name}.weight", (outs, ins)).T)
        return _Linear(weight, self._taken(f"{name}.bias", (outs,)))

    def _norm(self, name: str) -> _Norm:
        shape = (self.size,)
        return _Norm(self._taken(f"{name}.weight", shape), self._taken(f"{name}.bias", shape), self._epsilon)

    def _taken(self, name: str, shape: tuple[int, ...]) -> Floats:
        array = self._arrays[self._prefix + name]
        if array.shape != shape:
            raise ValueError(f"{name} is {array.shape}, not {shape}")
        return array


def gelu(values: Floats) -> Floats:
    """x times the share of a normal distribution below x.

    The error function after Abramowitz and Stegun, 7.1.26, which is wrong by 1.5e-7 at most: NumPy has none.
    """
    scaled = np.abs(values) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * scaled)
    polynomial = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(factor)) * t
    erf = np.copysign(1 - polynomial * np.exp(-scaled * scaled), values)
    result: Floats = np.float32(0.5) * values * (1 + erf)
    return result
