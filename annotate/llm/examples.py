"""Few-shot examples, and how much of a text a model gets to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.annotate.protocol import Attribute, Protocol
from curate.errors import ConfigurationError, UnknownNameError
from curate.types import joined_values


@dataclass(frozen=True)
class Example:
    """A text with its right answers, `{attribute: value}`; an attribute may be left out.

    Several values of one attribute are spelled as `curate.types.joined_values` does it.
    """

    text: str
    answers: Mapping[str, str]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Example:
        """Build an example from plain data with the keys `text` and `answers`.

        Raises:
            ConfigurationError: a key is missing, unknown or of the wrong type.
        """
        for key in mapping:
            if key not in ("text", "answers"):
                raise UnknownNameError("key", key, ("text", "answers"), where="an example")
        text, answers = mapping.get("text"), mapping.get("answers")
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"an example's text must be text, not {text!r}")
        if not isinstance(answers, Mapping) or not all(map(_is_answer, answers.values())):
            raise ConfigurationError(f"an example's answers must be a table of attribute = value, not {answers!r}")
        spelled = {name: value if isinstance(value, str) else joined_values(value) for name, value in answers.items()}
        return cls(text, spelled)

    def check(self, protocol: Protocol) -> None:
        """Refuse answers outside the protocol.

        Raises:
            UnknownNameError: an attribute or a value is not among the protocol's.
        """
        for attribute, value in self.answers.items():
            protocol.attribute(attribute).answer(value)

    def definition(self) -> dict[str, Any]:
        """Return what the version is made of."""
        return {"text": self.text, "answers": dict(self.answers)}


def _is_answer(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))


def excerpt(text: str, characters: int) -> str:
    """Return the beginning of a text, marked where something was left out.

    >>> excerpt("a long text", 6), excerpt("short", 6)
    ('a long…', 'short')
    """
    return text if len(text) <= characters else text[:characters] + "…"


def balanced(examples: Sequence[Example], attribute: Attribute, per_value: int) -> tuple[list[Example], list[Example]]:
    """Choose the examples of one attribute to show to a model, and as many others of each value to calibrate it on.

    Shown are up to `per_value` examples of each value, in rounds: the first of every value, then the second of every
    value, so that no value stands together at the end, where a small model looks first. A value without an example is
    shown with its description as the text. The others are up to `per_value` of each value, and none unless every value
    has one left: texts of some values only would count against these values.
    """
    by_value: dict[str, list[Example]] = {value: [] for value in attribute.values}
    for example in examples:
        if attribute.name in example.answers:
            by_value[example.answers[attribute.name]].append(example)
    groups = [found or [_described(attribute, value)] for value, found in by_value.items()]
    shown = [group[place] for place in range(per_value) for group in groups if place < len(group)]
    left = max(0, min(len(group) for group in groups) - per_value)
    return shown, [example for group in groups for example in group[per_value:][: min(left, per_value)]]


def _described(attribute: Attribute, value: str) -> Example:
    return Example(attribute.descriptions.get(value, value), {attribute.name: value})
