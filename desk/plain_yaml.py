"""Rules written as YAML, as the store keeps them."""

from __future__ import annotations

from typing import Any

import yaml


class _Plain(yaml.SafeLoader):
    """Days stay as they are written: rules are kept as JSON, which has no days of its own."""


_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def plain_yaml(text: str) -> Any:
    """Raises: yaml.YAMLError."""
    return yaml.load(text, Loader=_Plain)  # noqa: S506 - a SafeLoader that reads less
