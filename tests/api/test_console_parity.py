"""What the console could do and the API could not: sessions, cases opened by staff, files, learning, uncertain sends."""

from __future__ import annotations
