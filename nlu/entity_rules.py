"""What an assistant says about its own entities: which check digit a number has, and which values are personal.

Written beside the training data, under a key of its own that Rasa passes over:

```yaml
entity_rules:
  card_number: {check_digit: luhn, personal: true}
```
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from bot.errors import AssistantInvalid
from nlu.check_digits import METHODS

KEY = "entity_rules"


@dataclass(frozen=True, slots=True)
class EntityRule:
    """`check_digit`: name of a method of nlu/check_digits.py, or empty. `is_personal`: logs and exports mask it."""

    check_digit: str = ""
    is_personal: bool = False


def read_entity_rules(section: yaml.Node, file: str) -> dict[str, EntityRule]:
    """The rules of the section by entity. Raises: AssistantInvalid with the line."""
    if not isinstance(section, yaml.MappingNode):
        raise _invalid(f"`{KEY}:` must be a mapping of entities", section, file)
    return {str(name.value): _rule(name, body, file) for name, body in section.value}


def _rule(name: yaml.Node, body: yaml.Node, file: str) -> EntityRule:
    if not isinstance(body, yaml.MappingNode):
        raise _invalid(f"`{name.value}` needs `check_digit` or `personal`", name, file)
    given = {str(key.value): value for key, value in body.value}
    if unknown := sorted(set(given) - {"check_digit", "personal"}):
        raise _invalid(f"unknown key `{unknown[0]}`", name, file)
    method = str(given["check_digit"].value) if "check_digit" in given else ""
    if method and method not in METHODS:
        raise _invalid(f"check_digit `{method}` is not one of {', '.join(METHODS)}", name, file)
    personal = str(given["personal"].value).lower() if "personal" in given else "false"
    if personal not in ("true", "false"):
        raise _invalid("`personal` must be true or false", name, file)
    return EntityRule(method, personal == "true")


def _invalid(reason: str, node: yaml.Node, file: str) -> AssistantInvalid:
    return AssistantInvalid(reason, file=file, line=int(node.start_mark.line) + 1)
