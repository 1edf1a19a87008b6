"""Stage two, first half: which dimensions the captions differ in, by votes of rounds and merging of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

from curate.annotate.discovery.analyst import Analyst, Answer
from curate.annotate.discovery.merging import agreed_pairs, grouped
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import Caption, merge_dimensions, propose_dimensions
from curate.annotate.discovery.sampling import draw, shuffled
from curate.annotate.discovery.words import is_name, stems, support, tidy, unique

_SHARED = 0.5
_LEAST_VALUES = 2


@dataclass(slots=True)
class Candidate:
    """A dimension that was proposed: the rounds that named it, its names and the values seen, with their votes."""

    rounds: set[int]
    names: Counter[str]
    values: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The name that most rounds gave it, the first in the alphabet of several."""
        return min(self.names, key=lambda name: (-self.names[name], name))

    def take_in(self, other: Candidate) -> None:
        """Count another candidate's rounds, names and values as its own."""
        self.rounds |= other.rounds
        self.names += other.names
        self.values += other.values

    def is_same(self, other: Candidate) -> bool:
        """Whether two proposals mean one dimension: one name, or half of the values of the one that has fewer."""
        if stems(self.name) == stems(other.name):
            return True
        own, others = ({stems(value) for value in one.values} for one in (self, other))
        shared = len(own & others)
        return shared >= _LEAST_VALUES and shared >= _SHARED * min(len(own), len(others))


def find_dimensions(captions: Sequence[Caption], analyst: Analyst, parameters: DiscoveryParameters) -> list[Candidate]:
    """Return the dimensions that enough rounds propose, the most voted first; at most `most_dimensions`.

    A value counts where it stands in a caption that was shown, and a dimension where two of its values do: what a model
    expects and does not see is no vote. Classes are no dimension.
    """
    if not parameters.proposes:
        return []
    classes = sorted({caption.of_class for caption in captions if caption.of_class})
    shown = [draw(captions, parameters.captions, parameters.seed * 1_000 + one) for one in range(parameters.rounds)]
    questions = [
        propose_dimensions(some, parameters, classes, parameters.seed * 1_000 + one) for one, some in enumerate(shown)
    ]
    proposals: list[Candidate] = []
    for one, (answer, some) in enumerate(zip(analyst.answers(questions), shown, strict=True)):
        proposals += _proposals(answer, [caption.text for caption in some], one, classes)
    needed = min(parameters.rounds, max(2, ceil(parameters.least_votes * parameters.rounds)))
    found = [one for one in _united(proposals) if len(one.rounds) >= needed]
    return _merged(_ranked(found)[: 2 * parameters.most_dimensions], analyst, parameters)[: parameters.most_dimensions]


def _proposals(answer: Answer | None, texts: Sequence[str], one: int, classes: Sequence[str]) -> list[Candidate]:
    found = []
    banned = {stems(name) for name in classes}
    entries = answer.get("aspects") if answer is not None else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("aspect"), str):
            continue
        name, values = tidy(entry["aspect"]), _texts(entry.get("phrases"))
        seen = [value for value in values if is_name(value, 5) and stems(value) not in banned and support(value, texts)]
        if is_name(name) and len(seen) >= _LEAST_VALUES:
            found.append(Candidate({one}, Counter([name]), Counter(unique(seen))))
    return found


def _texts(listed: object) -> list[str]:
    return [tidy(one) for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _united(proposals: Iterable[Candidate]) -> list[Candidate]:
    """Unite proposals that mean one dimension, again until nothing changes."""
    left = list(proposals)
    while True:
        united: list[Candidate] = []
        for proposal in left:
            same = next((one for one in united if one.is_same(proposal)), None)
            if same is None:
                united.append(Candidate(set(proposal.rounds), proposal.names.copy(), proposal.values.copy()))
            else:
                same.take_in(proposal)
        if len(united) == len(left):
            return united
        left = _ranked(united)


def _ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda one: (-len(one.rounds), -one.values.total(), one.name))


def _merged(candidates: Sequence[Candidate], analyst: Analyst, parameters: DiscoveryParameters) -> list[Candidate]:
    """Ask which candidates are the same, in several orders, and unite what almost all answers put together."""
    by_name: dict[str, Candidate] = {}
    for one in candidates:
        by_name.setdefault(one.name, one)
    if len(by_name) < 2:
        return list(by_name.values())
    listed = {name: [value for value, _ in one.values.most_common(4)] for name, one in by_name.items()}
    seeds = range(parameters.seed * 1_000 + 500, parameters.seed * 1_000 + 500 + parameters.votes)
    questions = [
        merge_dimensions([(name, listed[name]) for name in shuffled(list(listed), seed)], parameters, seed)
        for seed in seeds
    ]
    pairs = agreed_pairs(analyst.answers(questions), list(by_name))
    united = []
    for first, *others in grouped(list(by_name), pairs):
        for other in others:
            by_name[first].take_in(by_name[other])
        united.append(by_name[first])
    return _ranked(united)
