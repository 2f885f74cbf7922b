"""The trained classifier as a value: what it knows, how it scores a text, how it is stored.

In: texts (scoring) or a folder or bytes (loading). Out: one probability per intent, or the stored form: three JSON
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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from bot.errors import AssistantInvalid
from nlu.embedded.calibration import Scale
from nlu.embedded.encoder import SentenceEncoder
from nlu.embedded.features import MAX_CHARS, features_of
from nlu.embedded.keys import KEY_BITS
from nlu.embedded.nearest import Taught
from nlu.embedded.vocabulary import Vocabulary
from nlu.embedded.vote import Vote
from nlu.lexicon import Lexicon
from nlu.training_data import OUT_OF_SCOPE, TrainingData

FORMAT_VERSION = 5  # 2: features are known by their keys; 4: examples, part of an encoder; 5: another trust
_KIND = "frontdesk-nlu"
_MANIFEST, _LEXICON, _WEIGHTS, _EXAMPLES = "manifest.json", "lexicon.json", "weights.npz", "examples.json"
_FILES = (_LEXICON, _WEIGHTS, _EXAMPLES)
REJECTED_SHARE = 0.05  # of rightly understood messages, unless the settings say otherwise
# Margins run from about -1 to 1. That much above the lowest there is nothing to trust in.
_REACH = np.float32(1.2)
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
    scale: Scale  # makes probabilities of margins
    reject_at: tuple[float, ...]  # trust below number n rejects n in a hundred of what is rightly understood
    encoder: str  # the name of the sentence encoder there was when it was trained; empty for none
    sure_from: float  # of what scores so well, few are wrong; between rejected and sure, asking back is better


class Readings(NamedTuple):
    """`probabilities` (texts, intents), and how far each text can be trusted to mean one of the intents at all."""

    probabilities: Floats
    trust: Floats


def trust_in(margin: Floats, likeness: Floats, covered: Floats) -> Floats:
    """High where the likeliest intent fits well, the text is like its examples, and they have what the text says.

    Without an upper bound; a text that has nothing in common with the examples has 0.
    """
    fit = np.maximum(margin + _REACH, 0)
    trust: Floats = fit * fit * fit * np.maximum(likeness, 0) * covered * covered
    return trust


@dataclass(frozen=True, slots=True)
class Model:
    """One row of weights per feature of the vocabulary.

    `weights` is (features, intents) float32, `bias` (intents,), `centres` (intents, features): the mean of each
    intent's examples, of length one. Intents are in the order of `manifest.intents`.
    """

    manifest: Manifest
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats
    centres: Floats
    lexicon: Lexicon
    taught: Taught
    meaning: Floats  # (size of the encoder's vectors, intents); of size 0 without one
    encoder: SentenceEncoder | None = None
    vote: Vote | None = None  # beside `meaning`; none of very many examples

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(texts, intents): calibrated probabilities, for texts that mean one of the intents."""
        return self.read(texts).probabilities

    def read(self, texts: Sequence[str]) -> Readings:
        vectors = self.vocabulary.vectors(features_of(tuple(texts)))
        factors = vectors.values.astype(np.float32)
        margins = np.empty((len(texts), len(self.bias)), dtype=np.float32)
        offsets = self._offsets(texts)
        likeness, covered = np.empty((2, len(texts)), dtype=np.float32)
        for place, (start, end) in enumerate(itertools.pairwise(vectors.starts.tolist())):
            rows, values = vectors.rows[start:end], factors[start:end]
            own = margins[place]
            np.dot(values, self.weights.take(rows, axis=0), out=own)
            own += offsets[place]
            examples = self.centres[own.argmax()].take(rows)
            likeness[place] = np.dot(values, examples)
            covered[place] = values[examples > 0].sum() / (values.sum() or 1)
        trust = trust_in(margins.max(axis=1), likeness, covered)
        return Readings(self.manifest.scale.probabilities(margins), trust)

    def _offsets(self, texts: Sequence[str]) -> Floats:
        """(texts, intents): what is added to the weights of the words."""
        if self.encoder is None:
            return np.broadcast_to(self.bias, (len(texts), len(self.bias)))
        meant = self.encoder.vectors([text[:MAX_CHARS] for text in texts])
        offsets: Floats = meant @ self.meaning
        offsets += self.bias
        if self.vote is not None:
            offsets += self.vote.margins(meant)
        return offsets

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def intents(self) -> tuple[str, ...]:
        return self.manifest.intents

    def reject_below(self, share: float = REJECTED_SHARE) -> float:
        """The trust below which a message is given up, for a share (0 to 0.2) of rightly understood ones."""
        return self.manifest.reject_at[min(round(share * 100), len(self.manifest.reject_at) - 1)]

    @property
    def knows_out_of_scope(self) -> bool:
        return OUT_OF_SCOPE in self.manifest.intents


def train_model(
    data: TrainingData,
    *,
    seed: int = 0,
    created_at: datetime | None = None,
    encoder: SentenceEncoder | None = None,
) -> Model:
    """A model that knows the intents and entities of `data`. The same data and seed give the same weights.

    `encoder` has its part in the scores when that is better on held-out examples. Takes seconds, an
    encoder minutes, and imports scikit-learn: for a command or a worker thread, not for a serving loop.
    Raises: AssistantInvalid when there are fewer than two intents.
    """
    from nlu.embedded.training import fit

    return fit(data, seed=seed, created_at=created_at, encoder=encoder)


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


def load_model(folder: Path | str, encoder: SentenceEncoder | None = None) -> Model:
    """The model in `folder`. `encoder` must be the one it was trained with, if it was.

    Raises: AssistantInvalid when there is none, it is damaged or of another format, or needs another encoder.
    """
    folder = Path(folder)
    if not (folder / _MANIFEST).is_file():
        raise AssistantInvalid(f"no NLU model here ({_MANIFEST} is missing); train one first", file=str(folder))
    files = {}
    for name in (_MANIFEST, *_FILES):
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as exc:
            raise AssistantInvalid(f"{name} of the NLU model cannot be read", file=str(folder)) from exc
    return _from_files(files, str(folder), encoder)


def pack(model: Model) -> bytes:
    """The model as one blob, for the store."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in _to_files(model).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(blob: bytes, encoder: SentenceEncoder | None = None) -> Model:
    """The inverse of `pack`; `encoder` as for `load_model`. Raises: AssistantInvalid."""
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
    return _from_files(files, "model blob", encoder)


def encoder_of(blob: bytes) -> str | None:
    """The name of the sentence encoder a packed model was trained beside, empty for none; None if unreadable."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            return str(orjson.loads(archive.read(_MANIFEST))["encoder"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError):
        return None


def _to_files(model: Model) -> dict[str, bytes]:
    arrays = io.BytesIO()
    np.savez(
        arrays,
        weights=model.weights.astype(np.float16),
        bias=model.bias,
        centres=model.centres.astype(np.float16),
        meaning=model.meaning.astype(np.float16),
        keys=model.vocabulary.table.keys,
        idf=model.vocabulary.idf.astype(np.float32),
        **(model.vote.arrays() if model.vote is not None else {}),
    )
    files = {
        _LEXICON: orjson.dumps(model.lexicon.to_json()),
        _WEIGHTS: arrays.getvalue(),
        _EXAMPLES: orjson.dumps(model.taught.to_json()),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    header = {"kind": _KIND, "format": FORMAT_VERSION, **asdict(model.manifest), "sha256": hashes}
    return files | {_MANIFEST: orjson.dumps(header, option=orjson.OPT_INDENT_2)}


def _from_files(files: dict[str, bytes], where: str, encoder: SentenceEncoder | None) -> Model:
    manifest = _read_manifest(files, where)
    try:
        lexicon = Lexicon.from_json(orjson.loads(files[_LEXICON]))
        taught = Taught.from_json(orjson.loads(files[_EXAMPLES]))
        with np.load(io.BytesIO(files[_WEIGHTS]), allow_pickle=False) as arrays:
            weights = arrays["weights"].astype(np.float32)
            bias = arrays["bias"].astype(np.float32)
            centres = arrays["centres"].astype(np.float32)
            meaning = arrays["meaning"].astype(np.float32)
            keys = arrays["keys"].astype(np.uint64)
            idf = arrays["idf"].astype(np.float64)
            vote = Vote.of_arrays(arrays)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as exc:
        raise AssistantInvalid("is a damaged NLU model; train again", file=where) from exc
    intents = len(manifest.intents)
    if meaning.size and (encoder is None or encoder.name != manifest.encoder):
        given = "none is" if encoder is None else f"{encoder.name} is"
        reason = f"was trained with the sentence encoder {manifest.encoder}, {given} set (FRONTDESK_NLU__ENCODER)"
        raise AssistantInvalid(f"{reason}; set it, or train again", file=where)
    size = encoder.size if encoder is not None and meaning.size else 0
    shapes = (weights.shape, centres.shape, bias.shape, idf.shape, meaning.shape)
    is_whole = shapes == ((len(keys), intents), (intents, len(keys)), (intents,), (len(keys) + 1,), (size, intents))
    is_whole = is_whole and len(manifest.reject_at) > 0 and taught.fits(intents)
    is_whole = is_whole and (vote is None or (size > 0 and vote.fits(size, intents)))
    if not is_whole or (keys[1:] <= keys[:-1]).any() or (keys >> np.uint64(KEY_BITS)).any():
        raise AssistantInvalid("is a damaged NLU model: its parts do not fit each other; train again", file=where)
    return Model(
        manifest=manifest,
        vocabulary=Vocabulary.of(keys, idf),
        weights=weights,
        bias=bias,
        centres=centres,
        lexicon=lexicon,
        taught=taught,
        meaning=meaning,
        encoder=encoder if size else None,
        vote=vote,
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
        read = {"intents": tuple(fields["intents"]), "reject_at": tuple(fields["reject_at"])}
        return Manifest(**{**fields, **read, "scale": Scale(**fields["scale"])})
    except (KeyError, TypeError, ValueError) as exc:
        raise AssistantInvalid("is not an NLU model of Frontdesk (its manifest cannot be read)", file=where) from exc
