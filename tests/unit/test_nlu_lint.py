"""`frontdesk nlu lint`: each thing it finds, with file and line, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.errors import AssistantInvalid
from config.settings import SAMPLE_ASSISTANT
from frontdesk.commands.nlu import app
from nlu.alike import nearest_kin
from nlu.lint import Finding, lint
from nlu.training_data import load_training_data

REFUND = ("give me my money back", "I want my money back please", "money back for this order", "when is my money back")
STORE = ("where is your store", "address of the nearest store", "how do I get to the store", "which store is nearest")


def intent(name: str, *examples: str) -> str:
    return f"- intent: {name}\n  examples: |\n" + "".join(f"    - {example}\n" for example in examples)


def data(folder: Path, *entries: str, file: str = "nlu.yml") -> Path:
    (folder / file).write_text("nlu:\n" + "".join(entries), "utf-8")
    return folder


def found(path: Path, words: str) -> list[Finding]:
    return [finding for finding in lint(path) if words in finding.message]


def test_good_examples_have_nothing_to_report(tmp_path: Path) -> None:
    assert lint(data(tmp_path, intent("refund", *REFUND), intent("store", *STORE))) == []


def test_the_same_words_for_two_intents_are_an_error_at_the_later_place(tmp_path: Path) -> None:
    folder = data(tmp_path, intent("refund", *REFUND), intent("store", *STORE, "Give me my money BACK!"))
    expected = "'Give me my money BACK!' is an example of store and of refund (nlu.yml:4)"
    assert lint(folder)[0] == Finding("error", "nlu.yml:14", expected)
    assert found(folder, "% like ") == []


def test_the_same_words_twice_in_one_intent_are_a_note_also_across_files(tmp_path: Path) -> None:
    data(tmp_path, intent("refund", *REFUND), intent("store", *STORE))
    folder = data(tmp_path, intent("refund", "Money back, for this order"), file="z_more.yml")
    assert lint(folder) == [Finding("note", "z_more.yml:4", "'Money back, for this order' is already at nlu.yml:6")]


def test_almost_the_same_words_for_two_intents_are_a_warning(tmp_path: Path) -> None:
    folder = data(
        tmp_path, intent("refund", *REFUND), intent("store", *STORE, "I want my money back, please!?"[:-3] + "x")
    )
    near = found(folder, "% like ")
    assert [(finding.level, finding.where) for finding in near] == [("warning", "nlu.yml:5")]
    assert "(store, nlu.yml:14)" in near[0].message


def test_an_example_in_the_wrong_intent_is_named_with_the_one_it_is_nearest_to(tmp_path: Path) -> None:
    folder = data(tmp_path, intent("refund", *REFUND), intent("store", *STORE, "my money back, please"))
    assert [(f.level, f.where) for f in found(folder, "it is nearest to refund")] == [("warning", "nlu.yml:14")]


def test_an_only_example_is_lonely(tmp_path: Path) -> None:
    folder = data(tmp_path, intent("refund", *REFUND), intent("store", "where are you"))
    assert found(folder, "only example") == [
        Finding("warning", "nlu.yml:10", "'where are you' is the only example of store")
    ]


def test_words_like_nothing_else_in_a_close_intent_are_a_note(tmp_path: Path) -> None:
    folder = data(tmp_path, intent("refund", *REFUND, "zzyzx qqq"), intent("store", *STORE))
    assert [(f.level, f.where) for f in found(folder, "like no other")] == [("note", "nlu.yml:8")]


def test_intents_that_share_their_words_are_confusable(tmp_path: Path) -> None:
    orders = [f"order {number} {what}" for number, what in enumerate(("socks", "lamps", "forks", "books", "shoes"))]
    cancels = [
        f"order {number} {what} please" for number, what in enumerate(("socks", "lamps", "forks", "books", "shoes"))
    ]
    folder = data(tmp_path, intent("order", *orders), intent("cancel", *cancels), intent("store", *STORE))
    messages = [finding.message for finding in found(folder, "are most like one of")]
    assert any(message.startswith("5 of 5 examples of cancel are most like one of order") for message in messages)
    assert not any("store" in message for message in messages)


@pytest.mark.parametrize(
    ("example", "level", "message"),
    [
        ("give [my money(thing) back", "error", "annotation is not closed"),
        ('give [my money]{"entity": thing} back', "error", "annotation is not JSON"),
        ('give [my money]{"value": "x"} back', "error", "annotation names no entity"),
        ("give [my money] (thing) back", "warning", "has brackets that mark no entity"),
        ("give [my money] back", "warning", "has brackets that mark no entity"),
        ("give [my money ](thing)back", "warning", "is marked with the blanks around it"),
    ],
)
def test_broken_annotations_are_found_with_their_line(tmp_path: Path, example: str, level: str, message: str) -> None:
    folder = data(tmp_path, intent("refund", *REFUND, example), intent("store", *STORE))
    assert [(f.level, f.where) for f in found(folder, message)] == [(level, "nlu.yml:8")]


def test_a_phrase_with_two_names_and_a_phrase_left_unmarked_are_notes(tmp_path: Path) -> None:
    marked = intent("refund", *REFUND, "[lamp](product) is broken, money back", "a [lamp](furniture) gone, money back")
    unmarked = intent("store", *STORE, "which store has the [blue desk](product)", "which store has a blue desk")
    folder = data(tmp_path, marked, unmarked)
    assert [f.where for f in found(folder, "'lamp' is marked as product at nlu.yml:8, furniture at nlu.yml:9")] == [
        "nlu.yml:9"
    ]
    assert [f.where for f in found(folder, "is marked as product at nlu.yml:16, but not here")] == ["nlu.yml:17"]


def test_phrases_of_lookups_and_recognised_values_need_no_marks(tmp_path: Path) -> None:
    lookup = "- lookup: product\n  examples: |\n    - blue desk\n"
    examples = intent(
        "refund", *REFUND, "a [blue desk](product) from [yesterday](date), money back", "blue desk yesterday"
    )
    assert found(data(tmp_path, lookup, examples, intent("store", *STORE)), "but not here") == []


def test_everything_broken_is_reported_at_once_and_the_rest_still_looked_at(tmp_path: Path) -> None:
    data(tmp_path, "- intent: [\n", file="a_broken.yml")
    regex = "- regex: card\n  examples: |\n    - (\n"
    folder = data(tmp_path, intent("refund", *REFUND, "give [it(thing)", "[x]{y}"), regex, intent("store", "where"))
    findings = lint(folder)
    assert [f.where for f in findings if f.level == "error"] == [
        "a_broken.yml:3",
        "nlu.yml:8",
        "nlu.yml:9",
        "nlu.yml:12",
    ]
    assert [f.message for f in findings if f.level == "warning"] == ["'where' is the only example of store"]


def test_what_is_no_training_data_is_one_error(tmp_path: Path) -> None:
    assert [finding.level for finding in lint(tmp_path)] == ["error"]


@pytest.mark.parametrize(("examples", "code"), [(STORE, 0), ((*STORE, "give me my money back"), 1)])
def test_the_command_says_it_in_json_and_by_its_exit_code(tmp_path: Path, examples: tuple[str, ...], code: int) -> None:
    folder = data(tmp_path, intent("refund", *REFUND), intent("store", *examples))
    done = CliRunner().invoke(app, ["lint", str(folder), "--json"])
    assert done.exit_code == code
    levels = [finding["level"] for finding in json.loads(done.stdout)]
    assert levels.count("error") == code


def test_the_sample_assistant_has_no_conflict_and_no_broken_annotation() -> None:
    assert [finding for finding in lint(SAMPLE_ASSISTANT / "data") if finding.level == "error"] == []


def test_reading_stops_at_the_first_error_where_nobody_asked_for_all(tmp_path: Path) -> None:
    folder = data(tmp_path, intent("refund", *REFUND, "give [it(thing)"))
    with pytest.raises(AssistantInvalid, match="not closed"):
        load_training_data(folder)


def test_a_single_text_has_no_kin() -> None:
    kin = nearest_kin(["alone"], ["greet"])
    assert (kin.own.tolist(), kin.other.tolist()) == ([-1], [-1])


def test_of_very_many_examples_a_part_is_compared_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlu.lint.MOST_COMPARED", 4)
    folder = data(tmp_path, intent("refund", *REFUND), intent("store", *STORE, "Give me my money BACK!"))
    said = found(folder, "are compared with each other")
    assert [(finding.level, finding.message[:15]) for finding in said] == [("note", "3 of 9 examples")]
    assert found(folder, "is an example of store and of refund")  # the same words are found among all
