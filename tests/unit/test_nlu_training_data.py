"""Reading training files: what is accepted, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import AssistantInvalid
from nlu.training_data import load_training_data, parse_annotated

YAML = """version: "3.1"
nlu:
- intent: order_status
  examples: |
    - where is my [kettle](product)
    - where is my [电水壶]{"entity": "product", "value": "kettle"}
- intent: greet
  examples: |
    - hello
- synonym: kettle
  examples: |
    - water boiler
- lookup: product
  examples: |
    - kettle
- regex: order_number
  examples: |
    - \\d{4,8}
"""


def written(folder: Path, text: str | bytes, name: str = "nlu.yml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_every_section_of_rasa_yaml(tmp_path: Path) -> None:
    data = load_training_data(written(tmp_path, YAML))
    assert [(e.text, e.intent, e.line) for e in data.examples] == [
        ("where is my kettle", "order_status", 5),
        ("where is my 电水壶", "order_status", 6),
        ("hello", "greet", 9),
    ]
    marked = data.examples[1].entities[0]
    assert (marked.name, marked.value, data.examples[1].text[marked.start : marked.end]) == (
        "product",
        "kettle",
        "电水壶",
    )
    assert data.synonyms == {"water boiler": "kettle"}
    assert data.lookups[0].phrases == ("kettle",)
    assert data.regexes[0].pattern == r"\d{4,8}"


def test_folder_takes_all_yaml_and_passes_over_files_without_examples(tmp_path: Path) -> None:
    written(tmp_path, YAML)
    written(tmp_path, "version: '3.1'\nrules: []\n", "rules.yml")
    written(tmp_path, "nlu:\n- intent: thanks\n  examples: |\n    - thx\n", "more.yml")
    assert load_training_data(tmp_path).intents == ("greet", "order_status", "thanks")


@pytest.mark.parametrize("header", ["text,intent", "text,label", "Text,Category", "label,text", "sentence;intent"])
def test_reads_tables_with_the_usual_headers(tmp_path: Path, header: str) -> None:
    separator = ";" if ";" in header else ","
    row = ["greet", "hello"] if header.startswith("label") else ["hello", "greet"]
    data = load_training_data(written(tmp_path, f"{header}\n{separator.join(row)}\n", "a.csv"))
    assert [(e.text, e.intent) for e in data.examples] == [("hello", "greet")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_part_of_the_text(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "text,intent\n你好,greet\n".encode(encoding), "a.csv")
    assert load_training_data(path).examples[0].text == "你好"


def test_a_table_as_excel_saves_it_in_china_is_read_and_told(tmp_path: Path) -> None:
    data = load_training_data(written(tmp_path, "text,intent\n你好,greet\n".encode("gbk"), "a.csv"))
    assert data.examples[0].text == "你好"
    assert data.warnings == ("a.csv: was read as GB18030",)


def test_quoted_line_breaks_stay_in_their_row(tmp_path: Path) -> None:
    data = load_training_data(written(tmp_path, 'text,intent\n"a, ""b""\nc",x\nd,y\n', "a.csv"))
    assert [e.text for e in data.examples] == ['a, "b"\nc', "d"]


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("a.yml", "nlu:\n- intent: x\n  examples: |\n    - fine\n    - where is [my order(order)\n", 5, "not closed"),
        ("a.yml", "nlu:\n- intent: x\n  examples: |\n    - [a](b\n", 4, "not closed"),
        ("a.yml", 'nlu:\n- intent: x\n  examples: |\n    - [a]{"entity": }\n', 4, "not JSON"),
        ("a.yml", "nlu:\n- intent: x\n  examples: |\n    - a\n    b\n", 5, "must start with"),
        ("a.yml", "nlu:\n- intent: x\n", 2, "no `examples`"),
        ("a.yml", "nlu:\n- intnet: x\n  examples: |\n    - a\n", 2, "unknown key"),
        ("a.yml", "nlu:\n- regex: x\n  examples: |\n    - (\n", 4, "cannot be read"),
        ("a.yml", "nlu:\n- a: [\n", 3, "not YAML"),
        ("a.yml", "nlu:\n- intent: 问\n  examples: |\n    - 好\n    - hi\x07\n", 5, "not allowed"),
        ("a.yml", "nlu: []\n", None, "no examples"),
        ("a.yml", "rules: []\n", None, "no `nlu:` section"),
        ("a.csv", "", None, "empty"),
        ("a.csv", "words,intent\na,b\n", 1, "column `text`"),
        ("a.csv", "text,intent\na\n", 2, "1 of 2 columns"),
        ("a.csv", "text,intent\na,\n", 2, "no intent"),
        ("a.csv", b"text,intent\nM\xfcller,greet\n", 2, "neither UTF-8 nor GB18030"),
        ("a.yml", "nlu:\n- intent: 问候\n".encode("gbk"), 2, "not UTF-8"),
        ("a.txt", "x", None, "must be .yml"),
    ],
)
def test_mistakes_are_named_with_file_line_and_reason(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, reason: str
) -> None:
    with pytest.raises(AssistantInvalid) as caught:
        load_training_data(written(tmp_path, content, name))
    assert caught.value.file == name
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssistantInvalid, match="no such file"):
        load_training_data(tmp_path / "nothing")


def test_repeated_examples_are_kept_and_told(tmp_path: Path) -> None:
    data = load_training_data(written(tmp_path, "text,intent\na,x\na,x\na,y\n", "a.csv"))
    assert len(data.examples) == 3
    assert ["given twice" in warning for warning in data.warnings] == [True, False]
    assert "also an example of `x`" in data.warnings[1]


def test_hash_follows_content_and_not_its_order(tmp_path: Path) -> None:
    one = load_training_data(written(tmp_path, "text,intent\na,x\nb,y\n", "a.csv"))
    same = load_training_data(written(tmp_path, "intent,text\ny,b\nx,a\n", "b.csv"))
    other = load_training_data(written(tmp_path, "text,intent\na,x\nb,z\n", "c.csv"))
    assert one.content_hash() == same.content_hash() != other.content_hash()


def test_brackets_that_are_no_annotation_are_words() -> None:
    assert parse_annotated("press [1] now") == ("press [1] now", ())


def test_intent_without_examples_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    content = "nlu:\n- intent: empty\n  examples: |\n    # later\n- intent: greet\n  examples: |\n    - hello\n"
    data = load_training_data(written(tmp_path, content, "a.yml"))
    assert data.intents == ("greet",)
    assert data.warnings == ("a.yml:2: `empty` has no example and is not learnt",)


def test_intent_in_several_files_is_one_and_its_name_may_have_spaces(tmp_path: Path) -> None:
    for name, text in (("a.yml", "where is it"), ("b.yml", "track it"), ("c.yml", "")):
        written(tmp_path, f"nlu:\n- intent: order status\n  examples: |\n    - {text}\n", name)
    data = load_training_data(tmp_path)
    assert data.intents == ("order status",)
    assert [(example.text, example.file) for example in data.examples] == [
        ("where is it", "a.yml"),
        ("track it", "b.yml"),
    ]
    assert data.warnings == ()
