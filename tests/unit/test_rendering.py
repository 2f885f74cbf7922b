"""Replies become text: the right language and channel, values that stay values, the same wording when replayed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.assistant import Assistant, TemplateButton, TemplateCard, Variation
from bot.rendering import fill, render
from bot.types import Card, OutMedia, Reply, ReplyButton
from tests.builders import shop


def saying(*variations: Variation) -> Assistant:
    return replace(shop(), responses={"utter_x": variations, "utter_failure": (Variation("sorry", "en"),)})


def test_the_wording_of_the_language_is_chosen() -> None:
    assistant = saying(Variation("你好", "zh"), Variation("hello", "en"))
    assert render(Reply("utter_x"), "en", "web", assistant).text == "hello"
    assert render(Reply("utter_x"), "zh", "web", assistant).text == "你好"
    assert render(Reply("utter_x", language="zh"), "en", "web", assistant).text == "你好"


def test_the_wording_made_for_a_channel_goes_first_there_and_nowhere_else() -> None:
    assistant = saying(Variation("general", "en"), Variation("short", "en", channel="telegram"))
    assert render(Reply("utter_x"), "en", "telegram", assistant).text == "short"
    assert render(Reply("utter_x"), "en", "web", assistant).text == "general"


def test_a_language_without_wording_gets_another_one_rather_than_none() -> None:
    assert render(Reply("utter_x"), "en", "web", saying(Variation("你好", "zh"))).text == "你好"


def test_an_unknown_template_is_an_apology_not_an_empty_message() -> None:
    assert render(Reply("utter_missing"), "en", "web", saying()).text == "sorry"


def test_the_same_seed_gives_the_same_wording_and_other_seeds_use_all_of_them() -> None:
    assistant = saying(*(Variation(f"text {number}", "en") for number in range(3)))
    texts = [render(Reply("utter_x"), "en", "web", assistant, seed).text for seed in range(60)]
    assert texts == [render(Reply("utter_x"), "en", "web", assistant, seed).text for seed in range(60)]
    assert len(set(texts)) == 3


def test_buttons_do_not_depend_on_the_chosen_wording() -> None:
    button = TemplateButton("Yes", "intent:affirm")
    assistant = saying(Variation("one", "en", buttons=(button,)), Variation("two", "en"))
    for seed in range(8):
        assert render(Reply("utter_x"), "en", "web", assistant, seed).buttons == (ReplyButton("Yes", "intent:affirm"),)


def test_the_replys_own_buttons_replace_those_of_the_template_and_plain_ones_have_none() -> None:
    assistant = saying(Variation("one", "en", buttons=(TemplateButton("Yes", "intent:affirm"),)))
    own = (ReplyButton("2391", "slot:order_number=2391"),)
    assert render(Reply("utter_x", buttons=own), "en", "web", assistant).buttons == own
    assert render(Reply("utter_x", is_plain=True), "en", "web", assistant).buttons == ()


def test_braces_in_a_customers_words_are_shown_as_they_are() -> None:
    assistant = saying(Variation("Noted: {words} for {name}", "en"))
    reply = Reply("utter_x", {"words": "{name} {0} %s {words}", "name": "Li"})
    assert render(reply, "en", "web", assistant).text == "Noted: {name} {0} %s {words} for Li"


def test_an_articles_answer_is_shown_literally() -> None:
    reply = Reply("utter_article", {"title": "x"}, literal="Use {braces} as they are")
    assert render(reply, "en", "web", shop()).text == "Use {braces} as they are"


def test_a_customers_words_are_no_markup_in_a_markdown_response() -> None:
    assistant = saying(Variation("**Noted**: {words}", "en", text_format="markdown"))
    rendered = render(Reply("utter_x", {"words": "[win](https://evil.example) *now*"}), "en", "web", assistant)
    assert rendered.text == "**Noted**: \\[win\\]\\(https://evil.example\\) \\*now\\*"
    assert rendered.text_format == "markdown"


def test_cards_files_and_the_status_key_are_filled_with_values_too() -> None:
    assistant = saying(
        Variation(
            "see",
            "en",
            media=(OutMedia("document", url="https://x.example/{number}.pdf", caption="For {name}"),),
            cards=(TemplateCard("{name}", url="https://x.example/{number}"),),
            ask="rating",
            status_key="case:{number}",
        )
    )
    rendered = render(Reply("utter_x", {"number": "C-1", "name": "Li"}), "en", "web", assistant)
    assert rendered.media == (OutMedia("document", url="https://x.example/C-1.pdf", caption="For Li"),)
    assert rendered.cards == (Card("Li", url="https://x.example/C-1"),)
    assert (rendered.ask, rendered.status_key) == ("rating", "case:C-1")


@given(st.text(max_size=200), st.dictionaries(st.text(max_size=5), st.text(max_size=20)))
def test_filling_never_fails(template: str, args: dict[str, str]) -> None:
    assert isinstance(fill(template, args), str)
