"""The embedded engine: what it learns, how it is stored, and that no text breaks it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from nlu.embedded.engine import REJECTED, EmbeddedEngine
from nlu.embedded.model import Model, load_model, pack, save_model, train_model, trust_in, unpack
from nlu.evaluation import measure, parse_json, train_and_test
from nlu.training_data import AnnotatedEntity, Example, Lookup, TrainingData, load_training_data

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PHRASES = {
    "order_status": (
        "where is my order", "has my order shipped yet", "track my parcel", "my order has not arrived",
        "我的订单到哪了", "查一下物流", "包裹怎么还没到", "发货了吗",
    ),
    "complaint": (
        "I want to complain", "your staff was rude", "this is terrible service", "I am very unhappy", "我要投诉",
        "你们服务太差了", "店员态度恶劣", "非常不满意",
    ),
    "opening_hours": (
        "when do you open", "what time do you close", "are you open on Sunday", "opening hours please", "几点开门",
        "营业时间是什么", "周日营业吗", "晚上几点关门",
    ),
    "greet": ("hello", "good morning", "hi there", "hey", "你好", "早上好", "在吗", "您好"),
    "human_handoff": (
        "talk to a person", "I need a human", "connect me to an operator", "can I speak to someone", "转人工",
        "我要找真人客服", "叫个人来", "人工服务",
    ),
    "out_of_scope": (
        "what is the weather", "write a poem", "who won the match", "capital of France", "今天天气怎么样", "写首诗",
        "谁赢了比赛", "讲个笑话",
    ),
    "return_request": (
        "I want to send it back", "return this item", "I would like to return my lamp", "how do I give it back",
        "我要退货", "想把台灯退了", "这个不想要了", "退回去",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> TrainingData:
    examples = tuple(Example(text, intent) for intent, texts in PHRASES.items() for text in texts)
    return TrainingData(examples, lookups=(Lookup("product", ("desk lamp", "台灯")),))


@pytest.fixture(scope="module")
def model(data: TrainingData) -> Model:
    return train_model(data, seed=7, created_at=NOW)


@pytest.fixture(scope="module")
def engine(model: Model) -> EmbeddedEngine:
    return EmbeddedEngine(model)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("where's my order??", "order_status"),
        ("我的訂單到哪裡了", "order_status"),
        ("ＷＨＥＲＥ ＩＳ ＭＹ ＯＲＤＥＲ", "order_status"),
        ("wher is my ordr", "order_status"),
        ("I'd like to complain about rude staff", "complaint"),
        ("when are you opening", "opening_hours"),
        ("我想退货", "return_request"),
    ],
)
async def test_understands_words_it_was_not_given(engine: EmbeddedEngine, text: str, intent: str) -> None:
    understanding = await engine.parse(text, now=NOW, timezone="Asia/Shanghai")
    assert understanding.intent.name == intent
    assert understanding.engine == "embedded"
    assert understanding.model == engine.model.version


def test_scores_are_a_ranking(engine: EmbeddedEngine) -> None:
    scores = [scored.confidence for scored in engine.understand("where is my order", now=NOW).intents]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("text", ["", "   ", "🫥🫥🫥", "qwxz vbnm jklh", "\u200b\u200b", "ഇത് എന്താണ്", "！！！"])
def test_what_says_nothing_gets_a_low_score(engine: EmbeddedEngine, text: str) -> None:
    best = engine.understand(text, now=NOW).intent
    assert best.confidence < 0.5 or best.name == "out_of_scope"


def test_entities_and_dates_use_the_customers_zone(engine: EmbeddedEngine) -> None:
    late = datetime(2026, 11, 22, 20, tzinfo=UTC)
    here = engine.understand("台灯是昨天买的", now=late, timezone="Asia/Shanghai")
    assert [(e.name, e.value) for e in here.entities] == [("product", "台灯"), ("date", "2026-11-22")]
    unknown_zone = engine.understand("昨天", now=late, timezone="Mars/Olympus")
    assert unknown_zone.entities[0].value == "2026-11-21"


def test_two_requests_become_parts(engine: EmbeddedEngine) -> None:
    understanding = engine.understand("my order has not arrived and I want to complain", now=NOW)
    assert [part.intent.name for part in understanding.parts] == ["order_status", "complaint"]
    assert not EmbeddedEngine(engine.model, splits=False).understand(understanding.text, now=NOW).parts


@settings(deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=60).map(lambda b: b.decode("utf-8", "surrogateescape")))
@example("\ud800 lone")
@example("我" * 20_000)
@example("a " * 10_000)
@example("1" * 20_000)
@example("-1" * 10_000)
@example("é\u0301\u202e عربى \x00\x07")
@example("[](){}" * 100)
@example("，另外" * 500)
def test_no_text_breaks_it(engine: EmbeddedEngine, text: str) -> None:
    understanding = engine.understand(text, now=NOW)
    assert understanding.text == text
    assert 0 <= understanding.intent.confidence <= 1
    for entity in understanding.entities:
        assert text[entity.start : entity.end] == entity.text


@pytest.mark.parametrize(
    "text", ["我" * 20_000, "a " * 10_000, "-1" * 10_000, "13812345678 " * 2_000, "，另外" * 7_000]
)
def test_cost_of_very_long_text_is_bounded(engine: EmbeddedEngine, text: str) -> None:
    engine.understand(text, now=NOW)
    started = time.process_time()
    engine.understand(text, now=NOW)
    assert time.process_time() - started < 0.1


def test_same_data_and_seed_give_the_same_model(data: TrainingData, model: Model) -> None:
    shuffled = replace(data, examples=tuple(reversed(data.examples)))
    again = train_model(shuffled, seed=7, created_at=NOW)
    assert again.version == model.version
    assert np.array_equal(again.weights, model.weights)
    assert train_model(data, seed=8).version != model.version


def test_stored_model_answers_as_before(model: Model, tmp_path: Path) -> None:
    before = EmbeddedEngine(unpack(pack(model))).rank(["where is my order"])[0]
    after = EmbeddedEngine(load_model(save_model(model, tmp_path / "m"))).rank(["where is my order"])[0]
    assert [s.name for s in after] == [s.name for s in before]
    assert [s.confidence for s in after] == pytest.approx([s.confidence for s in before])
    assert pack(unpack(pack(model))) == pack(model)


def test_no_stored_file_is_a_pickle(model: Model) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(model))) as archive:
        assert sorted(archive.namelist()) == ["examples.json", "lexicon.json", "manifest.json", "weights.npz"]
        with np.load(io.BytesIO(archive.read("weights.npz")), allow_pickle=False) as arrays:
            assert {arrays[name].dtype.kind for name in arrays.files} == {"f", "u"}


def test_damaged_or_foreign_models_are_refused(model: Model, tmp_path: Path) -> None:
    folder = save_model(model, tmp_path / "m")
    with pytest.raises(AssistantInvalid, match="train one first"):
        load_model(tmp_path)
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    for changed, reason in (
        ({"format": 999}, "format 999"),
        ({"kind": "other"}, "not an NLU model"),
        ({"intents": ["a"]}, "do not fit"),
        ({"sha256": {}}, "not an NLU model"),
    ):
        (folder / "manifest.json").write_bytes(orjson.dumps(manifest | changed))
        with pytest.raises(AssistantInvalid, match=reason):
            load_model(folder)
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    (folder / "weights.npz").write_bytes(b"PK" + (folder / "weights.npz").read_bytes()[10:])
    with pytest.raises(AssistantInvalid, match=r"weights.npz was changed"):
        load_model(folder)


@settings(deadline=None)
@given(cut=st.integers(0, 4000), flip=st.integers(0, 4000))
def test_damaged_blobs_never_load_silently(model: Model, cut: int, flip: int) -> None:
    blob = bytearray(pack(model))
    blob[flip] ^= 0xFF
    with pytest.raises(AssistantInvalid):
        unpack(bytes(blob[:cut]))
    with contextlib.suppress(AssistantInvalid):
        assert unpack(bytes(blob)).version == model.version  # a byte of the archive's own bookkeeping (a date)


def test_one_intent_is_not_enough_to_train() -> None:
    with pytest.raises(AssistantInvalid, match="at least two intents"):
        train_model(TrainingData((Example("hello", "greet"),)))


def test_two_intents_with_one_example_each_are_enough() -> None:
    engine = EmbeddedEngine(train_model(TrainingData((Example("hello there", "greet"), Example("bye now", "goodbye")))))
    assert engine.rank(["hello"])[0][0].name == "greet"
    assert engine.rank(["bye"])[0][0].name == "goodbye"


def test_values_given_alone_teach_their_kind(data: TrainingData) -> None:
    products = ("kettle", "oven", "fan", "duvet", "pillow", "humidifier", "shelf")
    alone = tuple(Example(p, "inform", (AnnotatedEntity("product", p, 0, len(p)),)) for p in products[:3])
    taught = train_model(replace(data, examples=data.examples + alone, lookups=(Lookup("product", products),)))
    assert EmbeddedEngine(taught).rank(["humidifier"])[0][0].name == "inform"


def test_many_texts_are_understood_like_each_alone(engine: EmbeddedEngine) -> None:
    texts = [
        "where is my order 2391",
        "",
        "n't",
        "你好",
        "my order has not arrived and I want to complain",
        "昨天买的台灯",
    ]
    zones = ["UTC", "Asia/Shanghai", "UTC", "UTC", "UTC", "Pacific/Kiritimati"]
    together = engine.understand_many(texts, now=NOW, timezones=zones)
    for text, zone, understanding in zip(texts, zones, together, strict=True):
        alone = engine.understand(text, now=NOW, timezone=zone)
        assert parse_json(understanding)["entities"] == parse_json(alone)["entities"]
        assert [s.name for s in understanding.intents] == [s.name for s in alone.intents]
        scores = [s.confidence for s in understanding.intents]
        assert scores == pytest.approx([s.confidence for s in alone.intents], abs=1e-5)
        assert [part.intent.name for part in understanding.parts] == [part.intent.name for part in alone.parts]


def test_report_measures_rejection_only_where_there_is_something_to_reject(model: Model) -> None:
    ours = [Example("where is my order", "order_status"), Example("I want to complain", "complaint")]
    report = measure(model, ours)
    assert report["accuracy"] == report["macro_f1"] == report["mcc"] == 1.0
    assert report["oos"] == {"recall": None, "precision": None, "auroc": None}
    foreign = [Example("write a poem about the weather", "out_of_scope"), Example("capital of Spain", "out_of_scope")]
    assert measure(model, ours + foreign)["oos"] == {"recall": 1.0, "precision": 1.0, "auroc": 1.0}


def test_what_is_given_up_keeps_its_ranking_and_scores_low(model: Model) -> None:
    """A stricter share gives up more; what it gives up is below the cascade's minimum, the rest is as it was."""
    strict = replace(model, manifest=replace(model.manifest, reject_at=(0.0, *(1e9,) * 20)))
    lenient = EmbeddedEngine(strict, rejected_share=0).rank(["where is my order"])[0]
    given_up = EmbeddedEngine(strict, rejected_share=0.05).rank(["where is my order"])[0]
    assert [s.name for s in given_up] == [s.name for s in lenient]
    assert given_up[0].confidence < REJECTED <= lenient[0].confidence
    assert EmbeddedEngine(model).rank(["你好 hello"])[0][0].confidence > REJECTED


def test_words_that_the_likeliest_intents_examples_lack_take_trust_away(model: Model) -> None:
    readings = model.read(["where is my order", "where is my order, the human one on Sunday", "ⴰⵣⵓⵍ"])
    assert model.intents[readings.probabilities[1].argmax()] == model.intents[readings.probabilities[0].argmax()]
    own, mixed, nothing = readings.trust.tolist()
    assert own > 2 * mixed > 2 * nothing == 0
    margin, likeness = np.full(2, 0.5, np.float32), np.full(2, 0.6, np.float32)
    whole, half = trust_in(margin, likeness, np.asarray([1, 0.5], np.float32)).tolist()
    assert half == pytest.approx(whole / 4)


def test_thresholds_come_from_texts_the_model_had_not_seen(model: Model) -> None:
    levels = model.manifest.reject_at
    assert len(levels) == 21
    assert list(levels) == sorted(levels)
    assert model.reject_below(0.05) == levels[5]
    assert model.reject_below(1.0) == levels[-1]
    assert 0.5 <= model.manifest.sure_from <= 0.9


def test_nearest_examples_say_why(engine: EmbeddedEngine) -> None:
    first, *others = engine.nearest("where is my order please")
    assert (first.text, first.intent) == ("where is my order", "order_status")
    assert 0.5 < first.likeness < 1
    assert all(other.likeness <= first.likeness for other in others)
    assert engine.nearest("where is my order")[0].likeness == pytest.approx(1, abs=0.01)
    assert engine.nearest("") == engine.nearest("ⴰⵣⵓⵍ") == ()


def test_parse_json_has_the_shape_of_rasa(engine: EmbeddedEngine) -> None:
    parsed = parse_json(engine.understand("where is order 2391", now=NOW))
    assert set(parsed) == {"text", "intent", "intent_ranking", "entities"}
    assert parsed["intent"] == parsed["intent_ranking"][0]
    assert set(parsed["entities"][0]) == {"entity", "value", "start", "end", "confidence_entity", "extractor"}
    orjson.dumps(parsed)


def test_serving_needs_no_scikit_learn(model: Model, tmp_path: Path) -> None:
    folder = save_model(model, tmp_path / "m")
    script = (
        "import sys\nfrom datetime import UTC, datetime\n"
        "from nlu.embedded.engine import EmbeddedEngine\nfrom nlu.embedded.model import load_model\n"
        f"EmbeddedEngine(load_model({str(folder)!r})).understand('我的订单 2391', now=datetime.now(UTC))\n"
        "print(sorted({'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- BANKING77: https://github.com/PolyAI-LDN/task-specific-datasets, official split --------------------------------


def banking77(name: str) -> Path:
    folder = os.environ.get("FRONTDESK_TEST_DATA")
    if not folder or not (Path(folder) / "banking77" / name).is_file():
        pytest.skip("FRONTDESK_TEST_DATA does not name a folder with banking77/ in it")
    return Path(folder) / "banking77" / name


@pytest.mark.slow
@pytest.mark.timeout(300)  # ten seconds of CPU, on a machine that may be busy
def test_ten_examples_per_intent_reach_three_quarters() -> None:
    report = train_and_test(banking77("train_10shot.csv"), banking77("test.csv"))
    assert report["accuracy"] >= 0.79
    assert report["ece"] <= 0.05
    assert (report["n_train"], report["n_test"]) == (770, 3080)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_full_training_reaches_nine_tenths() -> None:
    training, testing = load_training_data(banking77("train.csv")), load_training_data(banking77("test.csv"))
    report = train_and_test(training, testing)
    assert report["accuracy"] >= 0.915
    assert report["ece"] <= 0.05
    assert report["model_mb"] <= 20


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_examples_per_intent_reach_seven_tenths() -> None:
    report = train_and_test(banking77("train_5shot.csv"), banking77("test.csv"))
    assert report["accuracy"] >= 0.70
    assert report["ece"] <= 0.05


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_messages_of_a_shop_are_understood_or_given_up() -> None:
    folder = banking77("train.csv").parents[1] / "hint3_curekart"
    report = train_and_test(folder / "train.csv", folder / "test.csv")
    assert report["accuracy"] >= 0.87
    assert report["mcc"] >= 0.65
    assert report["oos"]["auroc"] >= 0.89
