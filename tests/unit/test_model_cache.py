"""A trained model is kept beside the desk, and one that cannot be read any more is as good as none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from frontdesk.runtimes import kept_model
from nlu.embedded.model import pack, train_model
from nlu.training_data import Example, TrainingData


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A model as it is kept. Trained for these tests alone, and not wherever the suite is collected."""
    return pack(train_model(TrainingData((Example("where is my parcel", "late"), Example("it is broken", "broken")))))


def test_a_kept_model_is_taken_as_it_is(tmp_path: Path, whole: bytes) -> None:
    kept = tmp_path / "shop.zip"
    assert kept_model(kept, None) is None
    kept.write_bytes(whole)
    found = kept_model(kept, None)
    assert found is not None
    assert found[1] == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"no archive at all",
        lambda whole: whole[:200] + b"\0" * 50 + whole[250:],
    ],
    ids=["empty", "half", "something else", "overwritten"],
)
def test_a_damaged_one_is_trained_again_and_the_log_says_which_and_why(
    tmp_path: Path, whole: bytes, damage: Callable[[bytes], bytes]
) -> None:
    kept = tmp_path / "shop.zip"
    kept.write_bytes(damage(whole))
    with capture_logs() as lines:
        assert kept_model(kept, None) is None
    assert [line["event"] for line in lines] == ["model_cache_unreadable"]
    assert lines[0]["file"].endswith("shop.zip")
    assert "NLU model" in lines[0]["reason"]
