"""`frontdesk nlu`: train, parse and test the embedded engine."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
import uvloop

from config.logging import configure_logging
from config.settings import Settings
from frontdesk.commands import nlu_learning
from frontdesk.commands.output import print_json, print_table, say

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

MOST_WARNINGS = 20  # shown of the training data

app = typer.Typer(help="Understanding.", no_args_is_help=True)
nlu_learning.register(app)


@app.command("train")
def train(
    data: Annotated[Path | None, typer.Option(help="Rasa YAML file or folder, or text,intent CSV.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the model.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Train and save a versioned model folder."""
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.embedded.model import save_model, train_model
    from nlu.training_data import load_training_data

    settings = Settings()
    data = data or settings.assistant / "data"
    out = out or settings.nlu.model_dir
    started = perf_counter()
    training = load_training_data(data)
    model = train_model(training, encoder=sentence_encoder(settings.nlu.encoder))
    folder = out / model.manifest.version
    save_model(model, folder)
    size_mb = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    seconds = perf_counter() - started
    if json_:
        facts: dict[str, Any] = {"train_s": round(seconds, 2), "examples": len(training.examples)}
        facts |= {"intents": len(model.intents), "sure_from": model.manifest.sure_from}
        facts |= {"warnings": training.warnings[:MOST_WARNINGS]}
        print_json({**facts, "model_mb": round(size_mb, 3), "version": model.version, "folder": str(folder)})
        return
    for warning in training.warnings[:MOST_WARNINGS]:
        say(warning)
    if (more := len(training.warnings) - MOST_WARNINGS) > 0:
        say(f"and {more} more; frontdesk nlu lint names them all")
    say(f"{seconds:.1f} s, {len(training.examples)} examples, {len(model.intents)} intents, {size_mb:.1f} MB: {folder}")


@app.command("parse")
def parse(
    text: str,
    model: Annotated[Path | None, typer.Option(help="Model folder; without it, the assistant's own.")] = None,
    json_: JsonFlag = False,
) -> None:
    """What the embedded engine understands, in the shape of Rasa's POST /model/parse, and the examples most like it."""
    from frontdesk.runtimes import trained
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.embedded.engine import EmbeddedEngine
    from nlu.embedded.model import load_model, unpack
    from nlu.evaluation import parse_json

    settings = Settings()
    configure_logging(settings.log_format, "warning")
    place = settings.nlu.encoder
    encoder = sentence_encoder(place)
    if model:
        loaded = load_model(newest(model), encoder)
    else:
        loaded = unpack(trained(settings.assistant, settings.nlu.model_dir, encoder=place)[1], encoder)
    engine = EmbeddedEngine(loaded, rejected_share=settings.nlu.rejected_share)
    understanding = uvloop.run(engine.parse(text, now=datetime.now(UTC), timezone=settings.timezone))
    nearest = engine.nearest(text)
    if json_:
        print_json({**parse_json(understanding), "nearest": [asdict(near) for near in nearest]})
        return
    print_table(
        "Intents", ("intent", "confidence"), ((s.name, f"{s.confidence:.3f}") for s in understanding.intents[:5])
    )
    if understanding.entities:
        print_table(
            "Entities",
            ("entity", "value", "text", "extractor"),
            ((e.name, e.value, e.text, e.extractor) for e in understanding.entities),
        )
    if nearest:
        print_table(
            "Most like it, of what was taught",
            ("example", "intent", "likeness"),
            ((near.text, near.intent, f"{near.likeness:.2f}") for near in nearest),
        )


@app.command("test")
def measure(
    train_on: Annotated[Path, typer.Option("--train", help="CSV or YAML to train on.")],
    test_on: Annotated[Path, typer.Option("--test", help="CSV or YAML to test on.")],
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    json_: JsonFlag = False,
) -> None:
    """Train on one file, test on another."""
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.evaluation import train_and_test
    from nlu.serving_cost import serving_cost
    from nlu.training_data import load_training_data

    place, testing = Settings().nlu.encoder, load_training_data(test_on)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "model.zip"
        report = train_and_test(train_on, testing, seed=seed, encoder=sentence_encoder(place), keep=kept)
        serving = serving_cost(kept.read_bytes(), [example.text for example in testing.examples], place)
    if json_:
        print_json({**report, "serving": serving})
    else:
        print_table("NLU test", ("measure", "value"), report.items())
        print_table("In a process that only serves, on one thread", ("measure", "value"), serving.items())


@app.command("lint")
def lint_data(
    data: Annotated[Path | None, typer.Argument(help="Training file or folder; without it, the assistant's.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Conflicting, duplicate and lonely examples, confusable intents, broken annotations; exit 1 on an error."""
    from nlu.lint import lint

    findings = lint(data or Settings().assistant / "data")
    if json_:
        print_json(findings)
    elif findings:
        print_table("Findings", ("", "where", "what"), ((f.level, f.where, f.message) for f in findings))
    else:
        say("Nothing to report.")
    raise typer.Exit(1 if any(finding.level == "error" for finding in findings) else 0)


encoder_app = typer.Typer(help="A sentence encoder beside the words (optional).", no_args_is_help=True)
app.add_typer(encoder_app, name="encoder")


@encoder_app.command("add")
def add_encoder(
    source: Annotated[str, typer.Argument(help="Folder, or https address below which the files lie.")],
    out: Annotated[Path | None, typer.Option(help="Where to keep it.")] = None,
) -> None:
    """Copy or fetch a sentence encoder (ONNX or safetensors), look whether it works, and say how to switch it on."""
    from frontdesk.encoder_files import bring
    from frontdesk.sentence_encoder import sentence_encoder

    folder = out or Settings().nlu.model_dir.parent / "encoder"
    bring(source, folder)
    encoder = sentence_encoder(folder)
    size = encoder.size if encoder else 0
    say(f"{folder}: {size} numbers for each text. Switch it on with FRONTDESK_NLU__ENCODER={folder} and start again:")
    say("models are trained with it then, and it counts where that is right more often about examples left out.")


def newest(folder: Path) -> Path:
    """The folder itself when it is a model, else the newest of the versions that `nlu train --out` put into it."""
    if (folder / "manifest.json").is_file():
        return folder
    versions = sorted(folder.glob("*/manifest.json"), key=lambda manifest: manifest.stat().st_mtime)
    return versions[-1].parent if versions else folder
