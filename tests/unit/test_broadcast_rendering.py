"""What one person is sent of a broadcast."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from bot.reach.document import read_broadcast
from bot.reach.rendering import Message, Person, recorded, render, variant_of


def shown(person: Person, channel: str = "wechat", *, opens_links: bool = False, **variant: Any) -> Message:
    body = {
        "name": "a",
        "text": {"en": "Dear {name}: {link_book} {coupon}", "zh": "{name}：{link_book} {coupon}"},
        **variant,
    }
    broadcast = read_broadcast(
        {
            "name": "winter",
            "purpose": "promotion",
            "audience": {"segment": "all"},
            "channels": ["wechat", "telegram"],
            "content": {
                "variants": [body],
                "fallbacks": {"name": {"en": "customer", "zh": "车主"}},
                "links": {"book": "https://shop.example/book"},
                "coupons": "winter",
            },
        },
        ZoneInfo("UTC"),
    )
    assert recorded(broadcast) == {"name"}
    return render(
        broadcast,
        variant_of(broadcast, "a"),
        channel,
        person,
        coupon="C-1",
        link=lambda name: f"https://s.example/r/{name}",
        opens_links=opens_links,
    )


def test_it_speaks_the_persons_language_and_knows_their_name() -> None:
    assert shown(Person(1, "zh-Hant", values={"name": "王先生"})).reply.text == "王先生：https://s.example/r/book C-1"


def test_what_is_not_known_has_words_instead() -> None:
    assert shown(Person(1, "en")).reply.text == "Dear customer: https://s.example/r/book C-1"
    assert shown(Person(1, "en", values={"name": " \n "})).reply.text.startswith("Dear customer")


def test_a_language_nobody_wrote_in_gets_the_first_one() -> None:
    assert shown(Person(1, "fr")).language == "en"


BUTTONS = [
    {"label": {"en": "Book", "zh": "预约"}, "link": "book"},
    {"label": {"en": "Later", "zh": "以后"}, "payload": "/later"},
]


def test_a_button_that_opens_a_link_is_one_where_the_channel_can() -> None:
    message = shown(Person(1, "en"), "telegram", opens_links=True, buttons=BUTTONS)
    assert [(button.label, button.value) for button in message.reply.buttons] == [
        ("Book", "https://s.example/r/book"),
        ("Later", "/later"),
    ]


def test_elsewhere_it_is_a_line_below_the_words() -> None:
    message = shown(Person(1, "zh"), buttons=BUTTONS)
    assert message.reply.text.endswith("\n\n预约：https://s.example/r/book")
    assert [button.value for button in message.reply.buttons] == ["/later"]


def test_a_channel_has_its_own_words() -> None:
    own = {"telegram": {"text": {"en": "Hi {name}", "zh": "{name}好"}}}
    assert shown(Person(1, "en", values={"name": "Ann"}), "telegram", channels=own).reply.text == "Hi Ann"


def test_a_template_has_its_fields_and_where_it_leads() -> None:
    fields = {"first": {"en": "For {name}", "zh": "致{name}"}}
    message = shown(Person(1, "en"), kind="template", template="T1", fields=fields, buttons=BUTTONS[:1])
    assert (message.template_id, message.template_fields) == ("T1", {"first": "For customer"})
    assert message.template_url == "https://s.example/r/book"


@given(st.text(max_size=400))
def test_a_value_is_never_read_as_a_template(name: str) -> None:
    text = shown(Person(1, "en", values={"name": name})).reply.text
    assert text.startswith("Dear ")
    assert text.endswith(": https://s.example/r/book C-1")
    assert len(text) < 300


@given(st.sampled_from(["{coupon}", "{link_book}", "{name}", "{{", "}"]))
def test_braces_in_a_name_are_shown_as_they_are(name: str) -> None:
    assert f"Dear {name}:" in shown(Person(1, "en", values={"name": name})).reply.text
