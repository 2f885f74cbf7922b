"""An assistant folder loads, or is refused with file, line and reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot.errors import AssistantInvalid
from config.settings import SAMPLE_ASSISTANT
from frontdesk.assistant import assistant_paths, load_assistant
from frontdesk.yaml_lines import MAX_BYTES, parse_yaml
from tests.builders import shop

DOMAIN = """\
intents:
- greet
- order_status
entities: [order_number]
slots:
  order_number:
    type: text
    mappings:
    - {type: from_entity, entity: order_number}
responses:
  utter_greet:
  - text: 你好
  - text: hello
    condition:
    - {type: slot, name: language, value: en}
    buttons:
    - {title: My order, payload: /order_status}
"""
ASSISTANT = "languages: [zh, en]\n"


def folder_with(tmp_path: Path, **files: str) -> Path:
    wanted = {"domain": DOMAIN, "assistant": ASSISTANT, **files}
    for name, content in wanted.items():
        (tmp_path / f"{name}.yml").write_text(content, "utf-8")
    return tmp_path


def refusal(folder: Path) -> AssistantInvalid:
    with pytest.raises(AssistantInvalid) as refused:
        load_assistant(folder)
    return refused.value


def test_the_sample_assistant_loads_with_both_languages_for_every_response() -> None:
    assistant = shop()
    assert assistant.languages == ("zh", "en")
    for name, variations in assistant.responses.items():
        assert {variation.language for variation in variations} == {"zh", "en"}, name


def test_the_bot_is_sure_from_the_score_its_model_was_measured_at_unless_the_files_say(tmp_path: Path) -> None:
    follows = load_assistant(folder_with(tmp_path, assistant=ASSISTANT + "tuning: {accept: 0.5}\n"))
    assert follows.sure_from(0.83).tuning.sure == 0.83
    assert follows.sure_from(0.83).tuning.accept == 0.5
    given = load_assistant(folder_with(tmp_path, assistant=ASSISTANT + "tuning: {sure: 0.6}\n"))
    assert given.sure_from(0.83).tuning.sure == 0.6


def test_the_parts_others_read_are_found() -> None:
    paths = assistant_paths(SAMPLE_ASSISTANT)
    assert {path.name for path in paths.nlu} >= {"nlu_zh.yml", "nlu_en.yml", "lookups.yml"}
    assert paths.knowledge.is_dir()


def test_a_small_rasa_folder_without_flows_loads(tmp_path: Path) -> None:
    assistant = load_assistant(folder_with(tmp_path))
    assert set(assistant.intents) == {"greet", "order_status"}
    assert assistant.responses["utter_greet"][1].buttons[0].value == "intent:order_status"


def test_a_folder_in_one_language_needs_no_other(tmp_path: Path) -> None:
    domain = DOMAIN.split("  - text: hello", maxsplit=1)[0]
    folder = folder_with(tmp_path, domain=domain, assistant="languages: [zh]\n")
    assert load_assistant(folder).languages == ("zh",)


def test_the_language_of_config_yml_counts_without_settings(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, domain=DOMAIN.split("  - text: hello", maxsplit=1)[0], config="language: en\n")
    (folder / "assistant.yml").unlink()
    assert load_assistant(folder).languages == ("en",)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("/order_status", "intent:order_status"),
        ('/order_status{"order_number": "2391"}', "intent:order_status?order_number=2391"),
        ("/SetSlots(order_number=2391)", "slot:order_number=2391"),
        ("intent:greet", "intent:greet"),
    ],
)
def test_rasas_payloads_become_ours(tmp_path: Path, payload: str, value: str) -> None:
    domain = DOMAIN.replace("payload: /order_status", f"payload: {payload!r}")
    button = load_assistant(folder_with(tmp_path, domain=domain)).responses["utter_greet"][1].buttons[0]
    assert button.value == value


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("intents:\n- greet", "intents:\n- greet\n- greet", 3, "listed twice"),
        ("entities: [order_number]", "entities: [phone]", 9, "unknown entity 'order_number'"),
        ("    type: text\n", "    type: words\n", 7, "needs a type"),
        ("    type: text\n", "    type: categorical\n", 7, "needs values"),
        ("  utter_greet:", "  greet:", 11, "must start with utter_"),
        ("  - text: 你好\n", "  - txt: 你好\n", 12, "unknown key 'txt'"),
        ("value: en", "value: fr", 15, "neither zh nor en"),
        ("/order_status}", "/weather}", 11, "unknown intent 'weather'"),
        ("/order_status}", "order status}", 17, "is neither"),
        ("    condition:\n    - {type: slot, name: language, value: en}\n", "", 11, "no wording in en"),
        ("  - text: 你好\n", "  - text: ''\n", 12, "non-empty text"),
        ("responses:", "answers:", 10, "unknown key 'answers'"),
        ("slots:\n", "slots:\n  order_number: {type: text}\n", 7, "appears twice (first on line 6)"),
        ("- greet\n", "- greet\n-\n", 3, "non-empty text"),
        ("type: text", "type: [text", 8, "expected"),
    ],
)
def test_a_wrong_domain_is_refused_with_line_and_reason(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in DOMAIN
    error = refusal(folder_with(tmp_path, domain=DOMAIN.replace(old, new)))
    assert reason in error.reason
    assert error.file == "domain.yml"
    assert error.line == line


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("languages: [fr]\n", "is not one of"),
        ("language: zh\n", "unknown key"),
        (ASSISTANT + "tuning: {accept: 2}\n", "from 0 to 1"),
        (ASSISTANT + "tuning: {acept: 0.5}\n", "unknown key"),
        (ASSISTANT + "tuning: {accept: yes}\n", "must be a number"),
        (ASSISTANT + 'hours: {opens: "21:00", closes: "09:00"}\n', "open before they close"),
        (ASSISTANT + "hours: {opens: early}\n", "09:00"),
        (ASSISTANT + "hours: {timezone: Mars/Phobos}\n", "known timezone"),
        (ASSISTANT + "titles: {weather: {zh: 天气, en: weather}}\n", "'weather', which does not exist"),
        (ASSISTANT + "shared_slots: [color]\n", "'color', which does not exist"),
        (ASSISTANT + "words: {order_status: {new: {de: neu}}}\n", "unknown key 'de'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: str, reason: str) -> None:
    error = refusal(folder_with(tmp_path, assistant=settings))
    assert reason in error.reason
    assert error.file == "assistant.yml"


def test_a_flow_of_an_unknown_intent_is_refused_in_its_own_file(tmp_path: Path) -> None:
    flows = "flows:\n  one:\n    description: x\n    nlu_trigger: [{intent: weather}]\n    steps: [{noop: true}]\n"
    error = refusal(folder_with(tmp_path, flows=flows))
    assert (error.file, error.line) == ("flows.yml", 2)


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    assert "no assistant folder" in refusal(tmp_path / "nowhere").reason
    assert refusal(tmp_path).file == "domain.yml"


def test_the_sample_with_one_damaged_line_names_that_line(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE_ASSISTANT, folder, ignore=shutil.ignore_patterns("knowledge", "data"))
    lines = (folder / "flows.yml").read_text("utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if "collect: since" in line)
    lines[at] = lines[at].replace("since", "sincce")
    (folder / "flows.yml").write_text("\n".join(lines), "utf-8")
    error = refusal(folder)
    assert error.file == "flows.yml"
    assert error.line in (at, at + 1)
    assert "sincce" in error.reason


# --- hostile YAML ---------------------------------------------------------------------------------------------------

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff\xfea", "not UTF-8"),
        ("语言: 中文".encode("gb18030"), "not UTF-8"),
        (b"a: 1\n---\nb: 2\n", "more than one document"),
        (b"a: !!python/object/apply:os.system [x]\n", "tag"),
        (b"a: !secret x\n", "tag"),
        (b"a: *b\n", "refers to nothing|undefined alias"),
        (b"a: &a\n  b: *a\n", "refers to nothing|undefined alias"),
        (b"? [a]\n: b\n", "plain word"),
        (b"base: &b {x: 1}\na:\n  <<: *b\n", "merge keys"),
        (LAUGHS.encode(), "aliases counted"),
        (b"[" * 100, "nested deeper"),
        (b"a: \x00\n", "characters YAML does not allow"),
        (b"a: [1\nb: 2\n", "expected"),
    ],
)
def test_hostile_yaml_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        parse_yaml(raw, name="x.yml")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    with (folder / "domain.yml").open("ab") as file:
        file.truncate(MAX_BYTES + 1)
    assert "larger than" in refusal(folder).reason


def test_scalars_follow_yaml_1_2() -> None:
    read = parse_yaml(b'a: no\nb: true\nc: 21:00\nd: 007\ne: "1"\nf: 2024-11-03\ng: ~\nh: 1.5\n', name="x.yml")
    assert read == {"a": "no", "b": True, "c": "21:00", "d": 7, "e": "1", "f": "2024-11-03", "g": None, "h": 1.5}


def test_cards_files_and_controls_are_read_from_custom(tmp_path: Path) -> None:
    custom = """\
    custom:
      text_format: markdown
      ask: rating
      status_key: case:{number}
      cards:
      - {title: Teapot, text: 0.8 l, url: "https://x.example/1", buttons: [{title: Orders, payload: /order_status}]}
      media: [{kind: document, url: "https://x.example/p.pdf", file_name: p.pdf, caption: Prices}]
"""
    (variation, _) = load_assistant(
        folder_with(tmp_path, domain=DOMAIN.replace("  - text: 你好\n", f"  - text: 你好\n{custom}"))
    ).responses["utter_greet"]

    assert (variation.text_format, variation.ask, variation.status_key) == ("markdown", "rating", "case:{number}")
    assert [(card.title, card.text, card.url) for card in variation.cards] == [
        ("Teapot", "0.8 l", "https://x.example/1")
    ]
    assert [button.value for button in variation.all_buttons] == ["intent:order_status"]
    assert [(file.kind, file.url, file.file_name, file.caption) for file in variation.media] == [
        ("document", "https://x.example/p.pdf", "p.pdf", "Prices")
    ]


@pytest.mark.parametrize(
    ("custom", "reason"),
    [
        ("{card: []}", "unknown key 'card'"),
        ("{cards: {}}", "cards must be a list"),
        ("{cards: [{text: x}]}", "title of a card must be"),
        ("{cards: [{title: x, link: y}]}", "unknown key 'link'"),
        ("{cards: [{title: x, url: 'javascript:x'}]}", "must be an address"),
        ("{cards: [{title: x, buttons: [{title: b, payload: /nowhere}]}]}", "unknown intent 'nowhere'"),
        ("{media: [{kind: image}]}", "either url or media_id"),
        ("{media: [{kind: hologram, url: 'https://x.example'}]}", "kind is one of"),
        ("{media: [{url: 'https://x.example'}]}", "needs a kind"),
        ("{ask: money}", "ask is one of"),
        ("{text_format: html}", "text_format is one of"),
        ("{status_key: 5}", "status_key must be"),
        ("[]", "custom must be a mapping"),
    ],
)
def test_a_wrong_custom_is_refused_with_its_line(tmp_path: Path, custom: str, reason: str) -> None:
    domain = DOMAIN.replace("  - text: 你好\n", f"  - text: 你好\n    custom: {custom}\n")

    error = refusal(folder_with(tmp_path, domain=domain))

    assert reason in error.reason
    assert error.file == "domain.yml"
    assert error.line in (11, 12, 13)
