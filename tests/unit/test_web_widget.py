"""What can be told of the widget without a browser: its size, its colours, that it needs nothing from elsewhere."""

from __future__ import annotations

import re

import pytest

from channels.web.pages import STATIC, compact

SOURCE = (STATIC / "widget.js").read_text(encoding="utf-8")
MORE = (STATIC / "widget-more.js").read_text(encoding="utf-8")
PAIRS = [("text", "bg"), ("text", "surface"), ("text", "tint"), ("muted", "bg"), ("muted", "surface"), ("on", "accent")]
LINKS = [("accent", "bg"), ("bad", "bg")]


def _theme(name: str) -> dict[str, str]:
    """The colour variables of a theme; the dark one overrides the light one."""
    light, dark = (re.search(selector + r"\{(.*?)\}", SOURCE) for selector in (r":host", r":host\(\[theme=dark\]\)"))
    assert light is not None
    assert dark is not None
    colours = dict(re.findall(r"--(\w+):(#\w+)", light[1]))
    return colours if name == "light" else {**colours, **dict(re.findall(r"--(\w+):(#\w+)", dark[1]))}


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back"), PAIRS + LINKS)
def test_words_stand_out_from_what_is_behind_them(theme: str, front: str, back: str) -> None:
    colours = _theme(theme)
    lighter, darker = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_the_widget_as_served_stays_small() -> None:
    assert len(compact(SOURCE).encode()) < 25_000
    assert len(compact(MORE).encode()) < 40_000


def test_made_smaller_a_script_is_the_same_script() -> None:
    source = "// why\nconst a = 1;\n\n  // and\n  const b = 'x // y';\n"
    assert compact(source) == "const a = 1;\nconst b = 'x // y';\n"


def test_nothing_is_evaluated_and_no_markup_is_parsed() -> None:
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function", "document.write"):
        assert forbidden not in SOURCE + MORE


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert set(re.findall(r"https?://[\w.-]+", SOURCE + MORE)) == {
        "http://www.w3.org"
    }  # the name of SVG, not an address
