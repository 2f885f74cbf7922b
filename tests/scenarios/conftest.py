"""Whole desks in the process of the suite, which holds much more than a desk does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def the_collector_stays_as_the_suite_set_it() -> Iterator[None]:
    """A desk that starts walks through everything in its process: half a second of each test, over things of the suite.

    `frontdesk run` as a process of its own (tests/faults, tests/scenarios/test_cli.py) does it as in a deployment.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("frontdesk.app.spare_what_stays", lambda: None)
        patch.setattr("frontdesk.runtimes.spare_what_stays", lambda: None)
        yield
