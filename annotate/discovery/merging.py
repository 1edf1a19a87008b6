"""Names that mean the same: merged by their words, and by what almost all of several answers say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from curate.annotate.discovery.analyst import Answer
from curate.annotate.discovery.words import stands_in, stems


def alike(first: str, second: str) -> bool:
    """Whether two names have the same words in some form, or one has all of the other's.

    >>> alike("snowy field", "fields of snow"), alike("beach", "sandy beach"), alike("beach", "lake")
    (True, True, False)
    """
    one, other = stems(first), stems(second)
    return bool(one and other) and (one <= other or other <= one)


def agreed_pairs(answers: Sequence[Answer | None], names: Sequence[str]) -> set[frozenset[str]]:
    """Return the pairs of names that more than two thirds of the usable answers list; other names are not heard.

    To merge what differs is worse than to leave apart what is the same: a small model that pairs opposites once does
    not do so each time.

    >>> agreed_pairs([{"same": [{"name": "a", "other": "b"}]}, {"same": [{"name": "a", "other": "x"}]}], ["a", "b"])
    set()
    """
    usable = [answer for answer in answers if answer is not None]
    together: Counter[frozenset[str]] = Counter()
    for answer in usable:
        listed = answer.get("same")
        pairs = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        named = {frozenset(_texts(one)) for one in pairs}
        together.update(pair for pair in named if len(pair) == 2 and pair <= set(names))
    return {pair for pair, votes in together.items() if 3 * votes > 2 * len(usable)}


def _texts(entry: Mapping[str, Any]) -> list[str]:
    return [told for name in ("name", "other") if isinstance(told := entry.get(name), str)]


def seen_together(names: Sequence[str], texts: Sequence[str]) -> set[frozenset[str]]:
    """Return the pairs of names that stand together in most of the texts in which the rarer one stands.

    An item has one attribute of a dimension: what is said of it in one breath ("a city street") is one attribute.

    >>> seen_together(["city", "street", "sea"], ["a city street", "the street of a city", "the sea"]) == {
    ...     frozenset(("city", "street"))}
    True
    """
    places = {name: {place for place, text in enumerate(texts) if stands_in(name, text)} for name in names}
    together: set[frozenset[str]] = set()
    for first, second in combinations(names, 2):
        rarer = min(len(places[first]), len(places[second]))
        if rarer > 1 and 2 * len(places[first] & places[second]) > rarer:
            together.add(frozenset((first, second)))
    return together


def grouped(names: Sequence[str], pairs: set[frozenset[str]]) -> list[list[str]]:
    """Return groups of names, the first of each the one that came first; all of a group agree with each other.

    A name joins the first group whose every member it is paired with: a chain of pairs does not pull in what only its
    neighbour resembles.

    >>> grouped(["a", "b", "c"], {frozenset("ab"), frozenset("bc")})
    [['a', 'b'], ['c']]
    """
    groups: list[list[str]] = []
    for name in names:
        fitting = (group for group in groups if all(frozenset((name, other)) in pairs for other in group))
        if (group := next(fitting, None)) is not None:
            group.append(name)
        else:
            groups.append([name])
    return groups


def merged_by_words(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return names that stand for others that are alike, most counted first; the shorter of two alike names stands.

    >>> merged_by_words({"sandy beach": 1, "beach": 3, "lake": 2})
    {'beach': ['sandy beach'], 'lake': []}
    """
    ranked = sorted(counts, key=lambda name: (len(stems(name)), -counts[name], name))
    standing: dict[str, list[str]] = {}
    for name in ranked:
        heads = [head for head in standing if alike(head, name)]
        if len(heads) == 1:
            standing[heads[0]].append(name)
        elif not heads:
            standing[name] = []
    order = sorted(standing, key=lambda name: (-counts[name] - sum(counts[one] for one in standing[name]), name))
    return {name: standing[name] for name in order}
