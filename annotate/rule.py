"""Labelling functions: regular expressions and small Python functions that claim a value, or abstain."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from curate.annotate.batches import texts
from curate.annotate.canonical import short_hash
from curate.annotate.protocol import Attribute, Protocol
from curate.errors import ConfigurationError, CurateError, UnknownNameError
from curate.types import Annotated, Claim, Failure

if TYPE_CHECKING:
    import pyarrow as pa

LabellingFunction = Callable[[str], str | Sequence[str] | None]
Conflicts = Literal["majority", "first"]


@dataclass(frozen=True)
class PatternRule:
    """A text in which the regular expression is found anywhere has this value of this attribute.

    Python's `re` can neither be interrupted nor bounded: a pattern with nested repetition, such as `(a+)+b`, may take
    time exponential in the length of a text that almost matches. Nothing here protects from that.

    Raises:
        ConfigurationError: the pattern is no regular expression.
    """

    attribute: str
    value: str
    pattern: str
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the pattern once."""
        try:
            object.__setattr__(self, "_compiled", re.compile(self.pattern))
        except re.error as error:
            raise ConfigurationError(
                f"the pattern {self.pattern!r} for {self.attribute} = {self.value!r} is no regular expression: {error}",
                hint="in TOML, write patterns in single quotes: they leave backslashes alone",
            ) from error

    def __call__(self, text: str) -> str | None:
        """Return the value where the pattern is found."""
        return self.value if self._compiled.search(text) else None

    def definition(self) -> dict[str, str]:
        """Return what the version is made of."""
        return {"attribute": self.attribute, "value": self.value, "pattern": self.pattern}


@dataclass(frozen=True)
class FunctionRule:
    """A Python function `(text) -> value or None`, given itself or as the entry "module:function".

    Of an attribute that takes several values it returns a list of them, an empty one for none.

    `version` names the function's behaviour; left empty, the function's own source text stands for it, and what the
    function calls or reads elsewhere does not show.

    Raises:
        ConfigurationError: the entry leads to no function, or there is neither a version nor a source text.
    """

    attribute: str
    function: LabellingFunction | str
    version: str = ""
    _called: LabellingFunction = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the function and its version now: a typing error shall not wait for the first item."""
        called = _load(self.function) if isinstance(self.function, str) else self.function
        object.__setattr__(self, "_called", called)
        object.__setattr__(self, "version", self.version or _source(called, self.label))

    @property
    def label(self) -> str:
        """The function's name, for messages."""
        if isinstance(self.function, str):
            return self.function
        return getattr(self.function, "__qualname__", type(self.function).__qualname__)

    def __call__(self, text: str) -> str | Sequence[str] | None:
        """Return what the function says."""
        return self._called(text)

    def definition(self) -> dict[str, str]:
        """Return what the version is made of."""
        return {"attribute": self.attribute, "function": self.label, "version": self.version}


Rule = PatternRule | FunctionRule


def rule_from_mapping(mapping: Mapping[str, Any]) -> Rule:
    """Build a rule from plain data: `attribute`, `value`, `pattern`, or `attribute`, `function` and maybe `version`.

    Raises:
        ConfigurationError: a key is missing, unknown or not text.
    """
    wanted = {"attribute", "function"} if "function" in mapping else {"attribute", "value", "pattern"}
    known = wanted | ({"version"} if "function" in mapping else set())
    for key, entry in mapping.items():
        if key not in known:
            raise UnknownNameError("key", key, known, where="a rule")
        if not isinstance(entry, str):
            raise ConfigurationError(f"a rule's {key!r} must be text, not {entry!r}")
    if missing := sorted(wanted - mapping.keys()):
        raise ConfigurationError(f"a rule lacks {', '.join(missing)}: {dict(mapping)!r}")
    return FunctionRule(**mapping) if "function" in mapping else PatternRule(**mapping)


class RuleAnnotator:
    """Claims values by rules, each of which answers or abstains; items without text are abstained on.

    Where rules of one attribute disagree about an item, `conflicts` decides: "majority" takes the value that most of
    the answering rules give and abstains on a tie; "first" takes the answer of the first rule in the list. The
    confidence is the share of the answering rules that agree with the claim: it says how far the rules agree, not how
    often they are right. Of an attribute that takes several values, each value of which a pattern is found is one of
    them, all at once; where no rule answers, it abstains, and only a function can say that there are none.

    A Python function that raises, or that answers outside the protocol, makes its item a failure without claims.
    Cost: every rule sees every text, in order, in one thread.

    Raises:
        UnknownNameError: a rule names an attribute or value outside the protocol.
        ConfigurationError: there are no rules, or `conflicts` is neither of the two.

    >>> import pyarrow as pa
    >>> protocol = Protocol("demo", "1", (Attribute("kind", "What is it?", ("code", "prose")),))
    >>> annotator = RuleAnnotator("patterns", protocol, [PatternRule("kind", "code", "def |class ")])
    >>> annotator.annotate(pa.table({"item_id": ["1", "2"], "text": ["def f(): ...", "Once upon a time"]})).claims
    [Claim(item_id='1', attribute='kind', value='code', confidence=1.0)]
    """

    kind = "rule"

    def __init__(
        self, name: str, protocol: Protocol, rules: Iterable[Rule], *, conflicts: Conflicts = "majority"
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.rules = tuple(rules)
        if not self.rules:
            raise ConfigurationError(f"the annotator {name!r} has no rules")
        if conflicts not in ("majority", "first"):
            raise UnknownNameError("way with conflicts", conflicts, ("majority", "first"), where=f"annotator {name!r}")
        self.conflicts = conflicts
        for rule in self.rules:
            attribute = protocol.attribute(rule.attribute)
            if isinstance(rule, PatternRule):
                attribute.check(rule.value)
        self.version = short_hash({"conflicts": conflicts, "rules": [rule.definition() for rule in self.rules]})

    def annotate(self, items: pa.Table) -> Annotated:
        """Claim what the rules say, in item order and within an item in the protocol's order of attributes."""
        claims: list[Claim] = []
        failures: list[Failure] = []
        for item_id, text in texts(items):
            if text is None:
                continue
            try:
                claims += self._claims(item_id, text)
            except _RuleFailedError as error:
                failures.append(Failure(item_id, str(error)))
        return Annotated(claims, failures)

    def _claims(self, item_id: str, text: str) -> list[Claim]:
        claims = []
        for attribute in self.protocol.attributes:
            given = _answers(attribute, [rule for rule in self.rules if rule.attribute == attribute.name], text)
            value = _agree(given, self.conflicts)
            if value is not None:
                claims.append(Claim(item_id, attribute.name, value, given.count(value) / len(given)))
        return claims


class _RuleFailedError(Exception):
    """A labelling function broke its promise on one item."""


def _answers(attribute: Attribute, rules: Sequence[Rule], text: str) -> list[str]:
    """Return what the rules that do not abstain say; where several values may be, patterns say theirs together."""
    said = [(rule, value) for rule in rules if (value := _answer(rule, attribute, text)) is not None]
    if not attribute.multiple:
        return [value for _, value in said]
    found = [value for rule, value in said if isinstance(rule, PatternRule)]
    together = [attribute.answer(found)] if found else []
    return together + [value for rule, value in said if isinstance(rule, FunctionRule)]


def _answer(rule: Rule, attribute: Attribute, text: str) -> str | None:
    if isinstance(rule, PatternRule):
        return rule(text)
    try:
        value = rule(text)
    except Exception as error:  # a person's function may raise anything; it costs them this item only
        raise _RuleFailedError(f"the rule {rule.label} raised {type(error).__name__}: {error}") from error
    try:
        return None if value is None else attribute.answer(value)
    except (CurateError, TypeError) as error:
        raise _RuleFailedError(f"the rule {rule.label} answered {value!r}, no value of {attribute.name!r}") from error


def _agree(answers: Sequence[str], conflicts: Conflicts) -> str | None:
    if not answers:
        return None
    if conflicts == "first":
        return answers[0]
    first, *others = Counter(answers).most_common(2)
    return None if others and others[0][1] == first[1] else first[0]


def _load(entry: str) -> LabellingFunction:
    module_name, _, function_name = entry.partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except Exception as error:  # importing a person's module may raise anything
        raise ConfigurationError(
            f"the rule {entry!r} leads to no function: {error}", hint="write module:function, both importable"
        ) from error
    if not callable(function):
        raise ConfigurationError(f"the rule {entry!r} leads to {type(function).__name__}, which cannot be called")
    return function  # type: ignore[no-any-return]


def _source(function: LabellingFunction, label: str) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ConfigurationError(
            f"the source text of the rule {label} cannot be found, so its version cannot either",
            hint="give the FunctionRule a version",
        ) from error
