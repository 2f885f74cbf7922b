"""The few pictures of the console, drawn as lines on a 20 by 20 grid."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

_PATHS: Final = {
    "tray": "M3 11v5h14v-5M3 11l2-7h10l2 7M3 11h4l1 2h4l1-2h4",
    "board": "M3 4h4v12H3zM8 4h4v8H8zM13 4h4v10h-4z",
    "person": "M10 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4 17c0-3 2.700-5 6-5s6 2 6 5",
    "horn": "M3 8v4h3l6 4V4L6 8zM15 7c1 1 1 5 0 6",
    "book": "M4 4h5a1 1 0 0 1 1 1v11a2 2 0 0 0-2-1H4zM16 4h-5a1 1 0 0 0-1 1v11a2 2 0 0 1 2-1h4z",
    "ear": "M6 8a4 4 0 0 1 8 0c0 3-3 3-3 6a2 2 0 0 1-4 0M8 8a2 2 0 0 1 4 0",
    "branch": "M5 3v14M5 8c0 4 10 1 10 5v4M5 5a1.500 1.500 0 1 0 0-.1M15 16a1.500 1.500 0 1 0 0-.1",
    "chart": "M3 17h14M5 14V9M10 14V4M15 14v-7",
    "gear": (
        "M10 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM10 2v3M10 15v3M2 10h3M15 10h3"
        "M4.300 4.300l2.200 2.200M13.500 13.500l2.200 2.200M15.700 4.300l-2.200 2.200M6.500 13.500l-2.200 2.200"
    ),
    "bell": "M5 14V9a5 5 0 0 1 10 0v5l1 1H4zM8.500 17h3",
    "clip": "M14 6l-6 6a2 2 0 0 0 3 3l6-6a4 4 0 0 0-6-6l-6 6a6 6 0 0 0 8 8",
}


def icon(name: str) -> Markup:
    """The picture, for decoration only: the words stand beside it."""
    return Markup('<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d="{}"/></svg>').format(_PATHS[name])
