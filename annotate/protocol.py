"""The label protocol: a versioned set of attributes, each a question with a closed list of values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from curate.annotate.canonical import canonical_json
from curate.annotate.migration import Migration, paths
from curate.errors import ConfigurationError, UnknownNameError
from curate.types import joined_values, separate_values

_PROTOCOL_KEYS = ("name", "version", "attribute", "migration")
_ATTRIBUTE_KEYS = ("name", "question", "values", "descriptions", "when", "multiple")
_MOST_VALUES = 62
"""So many bits an answer of several values may have where its audits are counted."""


@dataclass(frozen=True)
class Attribute:
    """One question about an item and the closed list of its answers; a description may say what a value means.

    It is asked only `when` each attribute named there has one of the values listed for it; without any, of every item.
    Where it is `multiple`, an answer is any number of the values, none included: a JSON list in their order.

    Raises:
        ConfigurationError: fewer than two values, an empty or repeated one, or no name or question.
        UnknownNameError: a description of something that is not a value.

    >>> colours = Attribute("colours", "Which colours has it?", ("red", "green", "blue"), multiple=True)
    >>> colours.answer(["blue", "red"]), '["red"]' in colours, "red" in colours
    ('["red", "blue"]', True, False)
    """

    name: str
    question: str
    values: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict, hash=False)
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    multiple: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never be answered."""
        if not self.name.strip() or not self.question.strip():
            raise ConfigurationError(f"attribute {self.name!r} needs a name and a question")
        where = f"attribute {self.name!r}"
        if len(self.values) < 2:
            raise ConfigurationError(f"{where} has {len(self.values)} values", hint="a question needs at least two")
        if any(not value.strip() for value in self.values):
            raise ConfigurationError(f"{where} has an empty value", hint="leave it out; an annotator may abstain")
        if self.multiple and len(self.values) > _MOST_VALUES:
            raise ConfigurationError(
                f"{where} has {len(self.values)} values, of which several may be chosen",
                hint=f"part it into attributes of at most {_MOST_VALUES} values",
            )
        _unique(self.values, f"{where} names the value")
        for value in self.descriptions:
            self.check(value)

    def check(self, value: str) -> str:
        """Return `value` if it is one of the attribute's values.

        Raises:
            UnknownNameError: it is none; the message lists them.
        """
        if value not in self.values:
            raise UnknownNameError("value", value, self.values, where=f"attribute {self.name!r}")
        return value

    def __contains__(self, answer: object) -> bool:
        """Whether a text is an answer to the question: a value, or the list of several in their order."""
        if not self.multiple or not isinstance(answer, str):
            return answer in self.values
        return answer == joined_values(value for value in self.values if value in separate_values(answer))

    def answer(self, given: str | Sequence[str]) -> str:
        """Return an answer in its one spelling: the value, or the list of values in the order of the attribute.

        Raises:
            UnknownNameError: something is no value of the attribute.
            ConfigurationError: it is a list, and the attribute takes one value.
        """
        if not self.multiple:
            if not isinstance(given, str):
                raise ConfigurationError(f"attribute {self.name!r} takes one value, not {list(given)!r}")
            return self.check(given)
        chosen = {self.check(value) for value in (separate_values(given) if isinstance(given, str) else given)}
        return joined_values(value for value in self.values if value in chosen)

    def parts(self, answer: str) -> tuple[str, ...]:
        """Return the values that an answer chooses.

        >>> Attribute("kind", "What is it?", ("code", "prose")).parts("code")
        ('code',)
        """
        return separate_values(answer) if self.multiple else (answer,)

    def number(self, answer: str) -> int:
        """Return the place of a value; of several, a number with a bit for the place of each; -1 for no answer."""
        if answer not in self:
            return -1
        if not self.multiple:
            return self.values.index(answer)
        return sum(1 << self.values.index(value) for value in self.parts(answer))

    def definition(self) -> dict[str, Any]:
        """Return the attribute as plain data; the descriptions follow the order of the values."""
        told = {value: self.descriptions[value] for value in self.values if value in self.descriptions}
        asked: dict[str, Any] = {"name": self.name, "question": self.question, "values": list(self.values)}
        asked |= {"descriptions": told} | ({"multiple": True} if self.multiple else {})
        return asked | ({"when": {name: list(values) for name, values in self.when.items()}} if self.when else {})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Attribute:
        """Build an attribute from plain data, such as one `[[protocol.attribute]]` of `curate.toml`.

        Raises:
            ConfigurationError: a key is missing, unknown or of the wrong type, or the values cannot be.
        """
        _known_keys(mapping, _ATTRIBUTE_KEYS, f"attribute {mapping.get('name', '')!r}")
        where = f"attribute {mapping.get('name', '')!r}"
        descriptions = mapping.get("descriptions", {})
        if not isinstance(descriptions, Mapping):
            raise ConfigurationError(f"{where}: descriptions must be a table of value = text")
        return cls(
            name=_text(mapping, "name", "attribute"),
            question=_text(mapping, "question", where),
            values=_texts(mapping, "values", where),
            descriptions={str(value): _text(descriptions, value, where) for value in descriptions},
            when=_conditions(mapping.get("when", {}), where),
            multiple=_flag(mapping, "multiple", where),
        )


@dataclass(frozen=True)
class Protocol:
    """A named, versioned set of attributes; every annotation names the protocol and version that it answers.

    `migrations` say how answers to older versions read in this one; they are no part of the definition.

    Raises:
        ConfigurationError: no attributes, two of one name, or migrations that do not lead here.
        UnknownNameError: a condition or a migration names an attribute or a value that is not there.

    >>> protocol = Protocol.from_mapping({
    ...     "name": "demo", "version": "1",
    ...     "attribute": [{"name": "kind", "question": "What is it?", "values": ["code", "prose"]}],
    ... })
    >>> protocol.attribute("kind").values
    ('code', 'prose')
    >>> protocol.attribute("knid")
    Traceback (most recent call last):
    curate.errors.UnknownNameError: unknown attribute 'knid' in protocol 'demo'; known: kind
    """

    name: str
    version: str
    attributes: tuple[Attribute, ...]
    migrations: tuple[Migration, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a protocol that asks nothing, or the same thing twice."""
        if not self.name.strip() or not self.version.strip():
            raise ConfigurationError(f"protocol {self.name!r} needs a name and a version")
        if not self.attributes:
            raise ConfigurationError(f"protocol {self.name!r} has no attributes", hint="add a [[protocol.attribute]]")
        _unique((attribute.name for attribute in self.attributes), f"protocol {self.name!r} names the attribute")
        for place, attribute in enumerate(self.attributes):
            self._check_conditions(attribute, self.attributes[:place])
        for migration in self.migrations:
            if migration.to_version == self.version:
                migration.check(self)
        paths(self)

    def _check_conditions(self, attribute: Attribute, earlier: tuple[Attribute, ...]) -> None:
        for parent, values in attribute.when.items():
            asked = self.attribute(parent)
            for value in values:
                asked.check(value)
            if asked not in earlier:
                raise ConfigurationError(
                    f"attribute {attribute.name!r} depends on {parent!r}, which is asked later",
                    hint=f"put {parent!r} before it",
                )

    def attribute(self, name: str) -> Attribute:
        """Return the attribute of this name.

        Raises:
            UnknownNameError: there is none.
        """
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        names = [attribute.name for attribute in self.attributes]
        raise UnknownNameError("attribute", name, names, where=f"protocol {self.name!r}")

    def chosen(self, names: Iterable[str]) -> tuple[Attribute, ...]:
        """Return the attributes of these names, in the order of the names; without names, all of them.

        Raises:
            UnknownNameError: a name is not an attribute.
            ConfigurationError: a name is given twice.
        """
        names = tuple(names)
        _unique(names, "the choice of attributes names")
        return tuple(self.attribute(name) for name in names) or self.attributes

    def definition(self) -> str:
        """Return the protocol as canonical JSON: the same protocol gives the same characters everywhere."""
        return canonical_json(
            {
                "name": self.name,
                "version": self.version,
                "attribute": [attribute.definition() for attribute in self.attributes],
            }
        )

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the definition, in hex."""
        return sha256(self.definition().encode()).hexdigest()

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Protocol:
        """Build a protocol from plain data: `name`, `version`, and a list `attribute` (see `Attribute.from_mapping`).

        Raises:
            ConfigurationError: a key is missing, unknown or of the wrong type, or the attributes cannot be.
        """
        _known_keys(mapping, _PROTOCOL_KEYS, "the protocol")
        attributes = mapping.get("attribute", ())
        if not isinstance(attributes, list | tuple) or not all(isinstance(entry, Mapping) for entry in attributes):
            raise ConfigurationError("the protocol's attributes must be a list of tables, [[protocol.attribute]]")
        return cls(
            name=_text(mapping, "name", "the protocol"),
            version=_text(mapping, "version", "the protocol"),
            attributes=tuple(Attribute.from_mapping(entry) for entry in attributes),
            migrations=tuple(
                Migration.from_mapping(entry, _text(mapping, "version", "the protocol"))
                for entry in mapping.get("migration", ())
            ),
        )


def refuse_multiple(annotator: str, attributes: Iterable[Attribute], why: str) -> None:
    """Refuse to let an annotator answer what it cannot.

    Raises:
        ConfigurationError: one of the attributes takes several values.
    """
    for attribute in attributes:
        if attribute.multiple:
            raise ConfigurationError(
                f"annotator {annotator!r} {why}, and the attribute {attribute.name!r} takes several",
                hint="leave it out of the annotator's attributes, or ask yes or no for each value",
            )


def _unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigurationError(f"{what} {name!r} twice", hint="keep one of them")
        seen.add(name)


def _known_keys(mapping: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in mapping:
        if key not in known:
            raise UnknownNameError("key", str(key), known, where=where)


def _text(mapping: Mapping[str, Any], key: str, where: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str):
        problem = "is missing" if value is None else f"must be text, not {value!r}"
        raise ConfigurationError(f"{where}: {key!r} {problem}")
    return value


def _flag(mapping: Mapping[str, Any], key: str, where: str) -> bool:
    value = mapping.get(key, False)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where}: {key!r} must be true or false, not {value!r}")
    return value


def _texts(mapping: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = mapping.get(key)
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        problem = "is missing" if values is None else f"must be a list of texts, not {values!r}"
        raise ConfigurationError(f"{where}: {key!r} {problem}", hint="put each value in quotes")
    return tuple(values)


def _conditions(mapping: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(f"{where}: when must be a table of attribute = values")
    if any(not mapping[parent] for parent in mapping):
        raise ConfigurationError(f"{where}: when names no value", hint='when = { top = ["shirt"] }')
    return {str(parent): _texts(mapping, parent, f"{where}, when") for parent in mapping}
