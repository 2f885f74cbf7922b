"""Real Rasa servers for the suite: the mini project and the sample assistant, trained once and cached by content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import SAMPLE_ASSISTANT
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import train_model
from nlu.training_data import load_training_data
from tests.rasa_server import MINI, RasaServer, rasa_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.rasa)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RasaServer]:
    with rasa_server(MINI, tmp_path_factory.mktemp("rasa") / "mini.log") as server:
        yield server


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RasaServer]:
    with rasa_server(SAMPLE_ASSISTANT, tmp_path_factory.mktemp("rasa") / "sample.log") as server:
        yield server


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[RasaServer]:
    """A server of its own, for a test that stops it."""
    with rasa_server(MINI, tmp_path / "doomed.log") as server:
        yield server


@pytest.fixture(scope="session")
def embedded() -> EmbeddedEngine:
    """The embedded engine, trained on the very files Rasa was trained on."""
    return EmbeddedEngine(train_model(load_training_data(MINI / "data")))
