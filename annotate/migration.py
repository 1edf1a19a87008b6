"""From one version of a protocol to the next: what an old answer says in the new words, and what must be asked anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigurationError, UnknownNameError
from curate.types import joined_values

if TYPE_CHECKING:
    from curate.annotate.protocol import Attribute, Protocol

_KEYS = ("from_version", "to_version", "attributes", "values", "reworded")
Answer = tuple[str, str]
"""An attribute and one of its values."""
_GONE = ""
"""What becomes of a value that is taken away; no protocol has an empty value."""


@dataclass(frozen=True)
class Migration:
    """How answers to `from_version` read in `to_version`.

    `attributes` renames: old name = new name. `values` says, by the new name of an attribute, what becomes of an old
    value: one new value renames it (two old values with the same one are merged), several split it (where it is one of
    them, a part of it becomes another), none takes it away; a value that is not named stays. `reworded` names
    attributes whose question or descriptions only say the same in other words.
    """

    from_version: str
    to_version: str
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    values: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, hash=False)
    reworded: tuple[str, ...] = ()

    def images(self, attribute: str, value: str) -> tuple[str, tuple[str, ...]]:
        """Return the new name of an attribute and what becomes of a value."""
        name = self.attributes.get(attribute, attribute)
        return name, self.values.get(name, {}).get(value, (value,))

    def origin(self, attribute: str, value: str) -> Answer:
        """Return what an answer was called before; where values were merged, the first of them."""
        before = [old for old, new in self.values.get(attribute, {}).items() if new == (value,)]
        names = [old for old, new in self.attributes.items() if new == attribute]
        return next(iter(names), attribute), next(iter(before), value)

    def check(self, protocol: Protocol) -> None:
        """Refuse a migration to this protocol that names what the protocol does not have.

        Raises:
            UnknownNameError: an attribute or a value.
        """
        for name in (*self.attributes.values(), *self.values, *self.reworded):
            protocol.attribute(name)
        for name, values in self.values.items():
            for value in (new for images in values.values() for new in images):
                protocol.attribute(name).check(value)

    def check_old(self, old: Protocol) -> None:
        """Refuse a migration from this protocol that names what it did not have: a slip would ask everything anew.

        Raises:
            UnknownNameError: an attribute or a value.
        """
        for name in self.attributes:
            old.attribute(name)
        earlier = {new: name for name, new in self.attributes.items()}
        for name, changes in self.values.items():
            before = old.attribute(earlier.get(name, name))
            for value in changes:
                before.check(value)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], version: str) -> Migration:
        """Build a migration from plain data, such as one `[[protocol.migration]]`; it leads to `version` by default.

        Raises:
            ConfigurationError: a key is missing, unknown or of the wrong type.
        """
        for key in mapping:
            if key not in _KEYS:
                raise UnknownNameError("key", str(key), _KEYS, where="a migration of the protocol")
        source = mapping.get("from_version")
        if not isinstance(source, str) or not source:
            raise ConfigurationError("a migration of the protocol lacks the version that it comes from",
                                     hint='from_version = "1"')  # fmt: skip
        values = {
            str(name): {str(old): _images(new, f"value {old!r} of {name!r}") for old, new in dict(changes).items()}
            for name, changes in dict(mapping.get("values", {})).items()
        }
        attributes = {str(old): str(new) for old, new in dict(mapping.get("attributes", {})).items()}
        return cls(source, mapping.get("to_version") or version, attributes, values, tuple(mapping.get("reworded", ())))


def paths(protocol: Protocol) -> dict[str, tuple[Migration, ...]]:
    """Return the migrations that lead from each older version to this one.

    Raises:
        ConfigurationError: one leads in a circle, or nowhere near this version.
    """
    found: dict[str, tuple[Migration, ...]] = {protocol.version: ()}
    waiting = list(protocol.migrations)
    while waiting:
        next_ones = [one for one in waiting if one.to_version in found]
        if not next_ones:
            raise ConfigurationError(
                f"protocol {protocol.name!r}: the migration to version {waiting[0].to_version!r} leads no further",
                hint=f"add one from there to {protocol.version!r}",
            )
        for one in next_ones:
            if one.from_version in found:
                raise ConfigurationError(
                    f"protocol {protocol.name!r}: two ways lead from version {one.from_version!r}",
                    hint="keep one migration from each version, and none from the newest",
                )
            found[one.from_version] = (one, *found[one.to_version])
            waiting.remove(one)
    return {version: path for version, path in found.items() if path}


def origin(protocol: Protocol, attribute: str, value: str) -> Answer:
    """Return an answer in the words of the oldest version that the migrations reach, the first way back each time."""
    asked = _named(protocol, attribute)
    if asked is not None and asked.multiple:
        older = [_origin(protocol, attribute, one) for one in asked.parts(value)]
        return _origin(protocol, attribute, "")[0], joined_values(sorted(one for _, one in older))
    return _origin(protocol, attribute, value)


def _origin(protocol: Protocol, attribute: str, value: str) -> Answer:
    version = protocol.version
    while step := next((one for one in protocol.migrations if one.to_version == version), None):
        attribute, value = step.origin(attribute, value)
        version = step.from_version
    return attribute, value


def readings(
    protocol: Protocol, old: Protocol, said: Iterable[Answer] = (), between: Iterable[Protocol] = ()
) -> dict[Answer, Answer]:
    """Return what each answer to an old version says in this one; an answer that must be asked anew is not in it.

    Of attributes that take several values it reads the answers `said`, for more are possible than could be listed: each
    of their values becomes what it becomes alone, one that was taken away is left out, and where one must be asked
    anew, the whole answer must be.

    Of an attribute nothing is carried over whose question or descriptions have another wording (unless the migration
    calls it reworded), or that has a value which no old one becomes: any item might have it. Of a value that was split
    or taken away nothing is either, and of the attribute's other values everything. So it is from each version to the
    next of those `between` that are known; but an attribute that is again what it was keeps its answers.
    """
    path = paths(protocol).get(old.version)
    if path is None:
        return {}
    known = {one.version: one for one in (*between, protocol)}
    found: dict[Answer, Answer] = {}
    for before in old.attributes:
        name, reached, _ = _follow(before, path)
        after = _named(protocol, name)
        if after is not None and (_is_as_before(before, after, reached) or _carries_through(before, path, known)):
            kept = (*after.values, _GONE) if after.multiple else after.values
            single = {value: images[0] for value, images in reached.items() if len(images) == 1}
            single = {value: new for value, new in single.items() if new in kept}
            if after.multiple:
                single = _read_lists(before, after, single, [value for name, value in said if name == before.name])
            found |= {(before.name, value): (name, new) for value, new in single.items()}
    return found


def _read_lists(
    before: Attribute, after: Attribute, single: Mapping[str, str], answers: Iterable[str]
) -> dict[str, str]:
    """Return what answers of several values read, of those all of whose values can be read."""
    known = {answer: before.parts(answer) for answer in (*answers, before.answer([])) if answer in before}
    return {
        answer: after.answer([single[value] for value in values if single[value] != _GONE])
        for answer, values in known.items()
        if single.keys() >= set(values)
    }


def _follow(attribute: Attribute, path: Sequence[Migration]) -> tuple[str, dict[str, tuple[str, ...]], bool]:
    """Return an attribute's newest name, what becomes of each value, and whether it was reworded on the way."""
    reached: dict[str, tuple[str, ...]] = {value: (value,) for value in attribute.values}
    name, reworded = attribute.name, False
    for step in path:
        reached = {
            value: tuple(dict.fromkeys(new for one in now for new in step.images(name, one)[1] or (_GONE,)))
            for value, now in reached.items()
        }
        name = step.attributes.get(name, name)
        reworded = reworded or name in step.reworded
    return name, reached, reworded


def _named(protocol: Protocol, name: str) -> Attribute | None:
    return next((one for one in protocol.attributes if one.name == name), None)


def _is_as_before(before: Attribute, after: Attribute, reached: Mapping[str, tuple[str, ...]]) -> bool:
    told = [(one.question, one.descriptions, set(one.values), one.multiple) for one in (before, after)]
    return told[0] == told[1] and all(images == (value,) for value, images in reached.items())


def _carries_through(attribute: Attribute, path: Sequence[Migration], known: Mapping[str, Protocol]) -> bool:
    """Whether answers carry over from each version of a path to the next that is known."""
    steps: list[Migration] = []
    for step in path:
        steps.append(step)
        if step.to_version in known:
            name, reached, reworded = _follow(attribute, steps)
            after = _named(known[step.to_version], name)
            if after is None or not _carries(attribute, after, reached, reworded=reworded):
                return False
            attribute, steps = after, []
    return True


def _carries(before: Attribute, after: Attribute, reached: Mapping[str, tuple[str, ...]], *, reworded: bool) -> bool:
    if before.multiple != after.multiple:
        return False
    if set(after.values) - {value for images in reached.values() for value in images}:
        return False
    # Merged values, and those that were given part of another, mean more than before, and may say so.
    sources = Counter(image for images in reached.values() for image in images)
    told = all(
        before.descriptions.get(value) == after.descriptions.get(images[0])
        for value, images in reached.items()
        if len(images) == 1 and images != (_GONE,) and sources[images[0]] == 1
    )
    return reworded or (before.question == after.question and told)


def _images(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ConfigurationError(f"a migration of the protocol: {where} must become a value or a list of values")
