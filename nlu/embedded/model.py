"""The trained classifier as a value: what it knows, how it scores a text, how it is stored.

In: texts (scoring) or a folder or bytes (loading). Out: one probability per intent, or the stored form: two JSON
files and one .npz, never a pickle, so that loading a model runs no code. A damaged or foreign model is
`AssistantInvalid`. Nothing here needs scikit-learn; `train_model` imports it when called.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from bot.errors import AssistantInvalid
from nlu.embedded.features import features_of
from nlu.embedded.keys import KEY_BITS
from nlu.embedded.vocabulary import Vocabulary
from nlu.lexicon import Lexicon
from nlu.training_data import OUT_OF_SCOPE, TrainingData

FORMAT_VERSION = 2  # 2: features are known by their keys
_KIND = "frontdesk-nlu"
_MANIFEST, _LEXICON, _WEIGHTS = "manifest.json", "lexicon.json", "weights.npz"
_FILES = (_LEXICON, _WEIGHTS)
# No model of ours comes near this; a larger archive is damaged or hostile.
_MAX_BYTES = 1_000_000_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the model is and where it comes from. `version` names the content: same data and seed, same version."""

    version: str
    data_hash: str
    created_at: str  # ISO 8601, UTC
    seed: int
    intents: tuple[str, ...]
    examples: int
    features: int
    train_s: float
    temperature: float  # logits are divided by it
    reject_below: float  # a best score below this is better answered with a question


@dataclass(frozen=True, slots=True)
class Model:
    """One row of weights per feature of the vocabulary.

    `weights` is (features, intents) float32, `bias` (intents,). Intents are in the order of `manifest.intents`.
    """

    manifest: Manifest
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats
    lexicon: Lexicon

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(texts, intents): calibrated probabilities. What the model never saw pulls towards not knowing.

        Where no intent `out_of_scope` takes in foreign texts, unfamiliar words flatten the ranking: on HINT3 (train,
        intents left out in turn) the area under the rejection curve goes from 0.79 to 0.86.
        """
        features = features_of(tuple(texts))
        rows, values, starts = self.vocabulary.vectors(features)
        factors = values.astype(np.float32)
        logits = np.empty((len(texts), len(self.bias)), dtype=np.float32)
        for place, (start, end) in enumerate(itertools.pairwise(starts.tolist())):
            np.dot(factors[start:end], self.weights.take(rows[start:end], axis=0), out=logits[place])
        logits += self.bias
        if not self.knows_out_of_scope:
            logits *= self.vocabulary.familiarity(features).astype(np.float32)[:, None]
        logits /= np.float32(self.manifest.temperature)
        return softmax(logits)

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def intents(self) -> tuple[str, ...]:
        return self.manifest.intents

    @property
    def knows_out_of_scope(self) -> bool:
        return OUT_OF_SCOPE in self.manifest.intents


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def train_model(data: TrainingData, *, seed: int = 0, created_at: datetime | None = None) -> Model:
    """A model that knows the intents and entities of `data`. The same data and seed give the same weights.

    Takes seconds to a minute and imports scikit-learn: for a command or a worker thread, not for a serving loop.
    Raises: AssistantInvalid when there are fewer than two intents.
    """
    from nlu.embedded.training import fit

    return fit(data, seed=seed, created_at=created_at)


# --- storing -------------------------------------------------------------------------------------------------------


def save_model(model: Model, folder: Path | str) -> Path:
    """Write the model into `folder` (created when missing) and return it.

    The manifest is written last: a folder without one is unfinished.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _to_files(model).items():
        (folder / name).write_bytes(content)
    return folder


def load_model(folder: Path | str) -> Model:
    """The model in `folder`. Raises: AssistantInvalid when there is none, or it is damaged or of another format."""
    folder = Path(folder)
    if not (folder / _MANIFEST).is_file():
        raise AssistantInvalid(f"no NLU model here ({_MANIFEST} is missing); train one first", file=str(folder))
    files = {}
    for name in (_MANIFEST, *_FILES):
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as exc:
            raise AssistantInvalid(f"{name} of the NLU model cannot be read", file=str(folder)) from exc
    return _from_files(files, str(folder))


def pack(model: Model) -> bytes:
    """The model as one blob, for the store."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _to_files(model).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(blob: bytes) -> Model:
    """The inverse of `pack`. Raises: AssistantInvalid."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise AssistantInvalid("is too large for an NLU model", file="model blob")
            files = {name: archive.read(name) for name in (_MANIFEST, *_FILES)}
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as exc:
        raise AssistantInvalid("is not a packed NLU model", file="model blob") from exc
    except Exception as exc:
        if type(exc).__module__ == "zlib":
            raise AssistantInvalid("is a damaged NLU model", file="model blob") from exc
        raise
    return _from_files(files, "model blob")


def _to_files(model: Model) -> dict[str, bytes]:
    arrays = io.BytesIO()
    np.savez(
        arrays,
        weights=model.weights.astype(np.float16),
        bias=model.bias,
        keys=model.vocabulary.table.keys,
        idf=model.vocabulary.idf.astype(np.float32),
    )
    files = {
        _LEXICON: orjson.dumps(model.lexicon.to_json()),
        _WEIGHTS: arrays.getvalue(),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    header = {"kind": _KIND, "format": FORMAT_VERSION, **asdict(model.manifest), "sha256": hashes}
    return files | {_MANIFEST: orjson.dumps(header, option=orjson.OPT_INDENT_2)}


def _from_files(files: dict[str, bytes], where: str) -> Model:
    manifest = _read_manifest(files, where)
    try:
        lexicon = Lexicon.from_json(orjson.loads(files[_LEXICON]))
        with np.load(io.BytesIO(files[_WEIGHTS]), allow_pickle=False) as arrays:
            weights = arrays["weights"].astype(np.float32)
            bias = arrays["bias"].astype(np.float32)
            keys = arrays["keys"].astype(np.uint64)
            idf = arrays["idf"].astype(np.float64)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as exc:
        raise AssistantInvalid("is a damaged NLU model; train again", file=where) from exc
    intents = len(manifest.intents)
    is_whole = weights.shape == (len(keys), intents) and bias.shape == (intents,) and idf.shape == (len(keys) + 1,)
    if not is_whole or (keys[1:] <= keys[:-1]).any() or (keys >> np.uint64(KEY_BITS)).any():
        raise AssistantInvalid("is a damaged NLU model: its parts do not fit each other; train again", file=where)
    return Model(
        manifest=manifest,
        vocabulary=Vocabulary.of(keys, idf),
        weights=weights,
        bias=bias,
        lexicon=lexicon,
    )


def _read_manifest(files: dict[str, bytes], where: str) -> Manifest:
    try:
        header: dict[str, Any] = orjson.loads(files[_MANIFEST])
        if header["kind"] != _KIND:
            raise AssistantInvalid("is not an NLU model of Frontdesk", file=where)
        if header["format"] != FORMAT_VERSION:
            reason = f"is an NLU model of format {header['format']}, this version reads {FORMAT_VERSION}; train again"
            raise AssistantInvalid(reason, file=where)
        for name in _FILES:
            if hashlib.sha256(files[name]).hexdigest() != header["sha256"][name]:
                raise AssistantInvalid(f"is a damaged NLU model: {name} was changed; train again", file=where)
        fields = {key: header[key] for key in Manifest.__dataclass_fields__}
        return Manifest(**{**fields, "intents": tuple(fields["intents"])})
    except (KeyError, TypeError, ValueError) as exc:
        raise AssistantInvalid("is not an NLU model of Frontdesk (its manifest cannot be read)", file=where) from exc
