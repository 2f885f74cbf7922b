"""A BERT-like model from a safetensors file gives what the definition of such models says, number by number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bot.errors import AssistantInvalid
from nlu.embedded.bert import Bert, gelu
from nlu.embedded.encoder import files_of
from nlu.embedded.safetensors import read_tensors

Numbers = npt.NDArray[Any]
SIZE, WIDE, HEADS = 6, 10, 2
CONFIG = {
    "model_type": "bert",
    "hidden_size": SIZE,
    "intermediate_size": WIDE,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 2,
    "vocab_size": 9,
    "max_position_embeddings": 5,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-6,
}


def weights() -> dict[str, Numbers]:
    random = np.random.default_rng(3)

    def some(*shape: int) -> Numbers:
        return random.normal(size=shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": some(9, SIZE),
        "embeddings.position_embeddings.weight": some(5, SIZE),
        "embeddings.token_type_embeddings.weight": some(2, SIZE),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(2):
        layer = f"encoder.layer.{number}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, outs, ins in (
            ("attention.self.query", SIZE, SIZE),
            ("attention.self.key", SIZE, SIZE),
            ("attention.self.value", SIZE, SIZE),
            ("attention.output.dense", SIZE, SIZE),
            ("intermediate.dense", WIDE, SIZE),
            ("output.dense", SIZE, WIDE),
        ):
            found |= {f"{layer}.{name}.weight": some(outs, ins), f"{layer}.{name}.bias": some(outs)}
    for name in norms:
        found |= {f"{name}.weight": some(SIZE), f"{name}.bias": some(SIZE)}
    return found


def by_definition(arrays: dict[str, Numbers], ids: list[int]) -> Numbers:
    """One number after the other, as in the paper (Devlin et al. 2018; Vaswani et al. 2017)."""

    def normed(row: Numbers, name: str) -> Numbers:
        spread = math.sqrt(float(((row - row.mean()) ** 2).mean()) + 1e-6)
        return np.asarray((row - row.mean()) / spread * arrays[f"{name}.weight"] + arrays[f"{name}.bias"])

    def through(row: Numbers, name: str) -> Numbers:
        return np.asarray(arrays[f"{name}.weight"] @ row + arrays[f"{name}.bias"])

    words, places = arrays["embeddings.word_embeddings.weight"], arrays["embeddings.position_embeddings.weight"]
    kind = arrays["embeddings.token_type_embeddings.weight"][0]
    rows = [normed(words[each] + places[place] + kind, "embeddings.LayerNorm") for place, each in enumerate(ids)]
    own = SIZE // HEADS
    for number in range(2):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            [through(row, f"{layer}.attention.self.{each}") for row in rows] for each in ("query", "key", "value")
        )
        after = []
        for place, row in enumerate(rows):
            seen = np.zeros(SIZE)
            for head in range(HEADS):
                part = slice(head * own, (head + 1) * own)
                fits = [math.exp(float(query[place][part] @ other[part]) / math.sqrt(own)) for other in key]
                seen[part] = sum(fit / sum(fits) * other[part] for fit, other in zip(fits, value, strict=True))
            joined = through(seen, f"{layer}.attention.output.dense")
            seen = normed(row + joined, f"{layer}.attention.output.LayerNorm")
            wide = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in through(seen, f"{layer}.intermediate.dense")]
            narrow = through(np.asarray(wide), f"{layer}.output.dense")
            after.append(normed(seen + narrow, f"{layer}.output.LayerNorm"))
        rows = after
    return np.asarray(rows)


def written(path: Path, arrays: dict[str, Numbers], kind: str = "F32") -> Path:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, array in arrays.items():
        raw = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_tokens_come_out_as_the_definition_says(tmp_path: Path) -> None:
    arrays = weights()
    model = Bert(CONFIG, read_tensors(written(tmp_path / "model.safetensors", arrays)))
    for ids in ([1, 4, 8, 2], [5], [3, 3, 0, 7, 6]):
        assert model.states(np.asarray(ids)) == pytest.approx(by_definition(arrays, ids), abs=1e-4)
    assert len(model.states(np.asarray([1] * 9))) == 5  # it knows no more places


def test_names_may_stand_behind_the_name_of_the_model() -> None:
    arrays = weights()
    named = {f"bert.{name}": array for name, array in arrays.items()}
    ids = np.asarray([1, 2])
    assert np.array_equal(Bert(CONFIG, named).states(ids), Bert(CONFIG, arrays).states(ids))


def test_gelu_is_right_to_a_millionth() -> None:
    values = np.linspace(-8, 8, 400, dtype=np.float32)
    assert gelu(values) == pytest.approx([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in values.tolist()], abs=2e-6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "t5"}, "'t5' cannot be computed"),
        ({"hidden_act": "relu"}, "only gelu"),
        ({"num_attention_heads": 4}, "heads do not fit"),
        ({"vocab_size": 10}, "word_embeddings"),
    ],
)
def test_another_kind_of_model_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Bert({**CONFIG, **changes}, weights())


def test_halves_are_read_as_well(tmp_path: Path) -> None:
    array = np.asarray([[1.5, -2.0], [0.25, 96.0]], dtype=np.float32)
    half = read_tensors(written(tmp_path / "half", {"a": array.astype(np.float16)}, "F16"))
    upper = (array.view(np.uint32) >> 16).astype(np.uint16)
    brain = read_tensors(written(tmp_path / "brain", {"a": upper}, "BF16"))
    assert half["a"].tolist() == brain["a"].tolist() == array.tolist()
    assert read_tensors(written(tmp_path / "ids", {"a": np.asarray([1, 2])}, "I64")) == {}


@pytest.mark.parametrize(
    "harm",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: (1 << 62).to_bytes(8, "little") + whole[8:],
        lambda whole: whole.replace(b'"shape": [2]', b'"shape": [9]'),
        lambda whole: whole.replace(b'"data_offsets": [0, 8]', b'"data_offsets": [-8,8]'),
        lambda whole: (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path / "model.safetensors", {"a": np.zeros(2, dtype=np.float32)})
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(AssistantInvalid, match="damaged safetensors"):
        read_tensors(path)


def test_weights_need_their_config_beside_them_and_a_graph_goes_before(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(AssistantInvalid, match=r"no config\.json"):
        files_of(tmp_path)
    (tmp_path / "config.json").write_bytes(b"{}")
    assert [file.name for file in files_of(tmp_path)] == ["model.safetensors", "tokenizer.json", "config.json"]
    (tmp_path / "model.onnx").write_bytes(b"")
    assert [file.name for file in files_of(tmp_path)] == ["model.onnx", "tokenizer.json"]
