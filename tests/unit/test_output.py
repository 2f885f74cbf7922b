"""What commands print for people to copy."""

from __future__ import annotations

import pytest

from frontdesk.commands.output import say


def test_a_long_line_is_not_broken_where_nobody_would_look_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    setting = f"  FRONTDESK_CHANNELS__WECOM__MAIN__AES_KEY={'k' * 200}"

    say(setting)

    assert capsys.readouterr().out == f"{setting}\n"
