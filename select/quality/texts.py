"""Published rules over texts: which of them object to each text, and by which measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from curate.errors import UnknownNameError, UsageError
from curate.select.quality.bounds import described, objecting, with_bounds
from curate.select.quality.document import Document
from curate.select.quality.rules import RULE_SETS

METHOD = "2"
"""The number grows whenever a text would get other measures."""
EMPTY = "empty"
"""What is said of a text of nothing but white space, which has no measures."""
_CHARACTERS_AT_ONCE = 1_000_000


class TextQuality:
    """Sets of rules with their bounds.

    Args:
        sets: names of sets (`curate.select.quality.rules.RULE_SETS`).
        bounds: other bounds by the names of rules; each measure is compared as published.
        without: names of rules that are not asked.

    Cost: a few megabytes of text a second on one core for all the sets together. Memory: a million characters and what
    their words take, or one text that is longer.

    Raises:
        UnknownNameError: there is no such set, or no such rule in the sets.
        UsageError: no set, no rule left, or a bound that is no number.

    >>> quality = TextQuality(["gopher-quality"], bounds={"gopher_short_doc": 4})
    >>> quality.reasons(["A text of the kind that people have.", "Some text", ""])
    [(), ('gopher_short_doc', 'gopher_enough_stop_words'), ('empty',)]
    """

    name = "quality"

    def __init__(
        self,
        sets: Sequence[str],
        *,
        bounds: Mapping[str, float] = MappingProxyType({}),
        without: Sequence[str] = (),
    ) -> None:
        for name in sets:
            if name not in RULE_SETS:
                raise UnknownNameError("set of quality rules", name, RULE_SETS)
        if not sets:
            raise UsageError("no set of quality rules is named", hint=f"known are {', '.join(RULE_SETS)}")
        chosen = [RULE_SETS[name] for name in dict.fromkeys(sets)]
        self.rules = with_bounds([rule for one in chosen for rule in one.rules], bounds, without)
        asked = {rule.name for rule in self.rules}
        self._sets = [one for one in chosen if asked.intersection(rule.name for rule in one.rules)]
        self.version = f"quality:{METHOD} {described(self.rules)}"

    def reasons(self, texts: Sequence[str | None]) -> list[tuple[str, ...]]:
        """Return the names of the rules that object to each text, in the order of the sets; null is an empty text."""
        return [objecting(self.rules, found) if found else (EMPTY,) for found in self.measures(texts)]

    def measures(self, texts: Sequence[str | None]) -> Iterator[dict[str, float]]:
        """Yield the measures of each text by the names of the sets' rules; an empty text has none."""
        for part in _parts(texts):
            documents = [Document(text) for text in part if text.strip()]
            found = iter(self._measured(documents))
            yield from (next(found) if text.strip() else {} for text in part)

    def _measured(self, documents: Sequence[Document]) -> list[dict[str, float]]:
        together: list[dict[str, float]] = [{} for _ in documents]
        for one in self._sets:
            for measures, found in zip(together, one.measure(documents), strict=True):
                measures.update(found)
        return together


def _parts(texts: Sequence[str | None]) -> Iterator[list[str]]:
    """Cut a list of texts where a million characters are full."""
    part: list[str] = []
    characters = 0
    for text in texts:
        part.append(text or "")
        characters += len(part[-1])
        if characters >= _CHARACTERS_AT_ONCE:
            yield part
            part, characters = [], 0
    yield part
