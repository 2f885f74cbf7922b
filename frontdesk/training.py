"""`python -m frontdesk.training DATA OUT`: train in a process of its own, so that a serving one stays small.

On stdin: a JSON list of [words, intent] that were labelled and are learnt beside the files; nothing for none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from bot.errors import BotError
from config.settings import Settings
from frontdesk.candidate import with_learnt
from frontdesk.sentence_encoder import sentence_encoder
from nlu.embedded.model import pack, train_model
from nlu.training_data import load_training_data


def main(data: str, out: str) -> int:
    """Writes OUT/model.zip; on failure one sentence on stderr."""
    learnt = [(text, intent) for text, intent in orjson.loads(sys.stdin.buffer.read() or b"[]")]
    try:
        encoder = sentence_encoder(Settings().nlu.encoder)
        model = train_model(with_learnt(load_training_data(Path(data)), learnt), encoder=encoder)
    except BotError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    (Path(out) / "model.zip").write_bytes(pack(model))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
