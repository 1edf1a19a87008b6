"""Stage four: which attribute of each dimension an item has, by a closed set, with the words that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.annotate.discovery.analyst import Analyst, Answer, Question
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import Caption, assign
from curate.annotate.discovery.sampling import shuffled
from curate.annotate.discovery.structure import Dimension, Structure
from curate.annotate.discovery.words import UNKNOWN, evidence, quoted


@dataclass(frozen=True, slots=True)
class Assignment:
    """An item's attribute in one dimension (or unknown), the words that show it, and the share of answers for it."""

    item_id: str
    dimension: str
    attribute: str
    quote: str = ""
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Assigned:
    """What came of a batch: assignments in item order, and the items of which no answer was of use."""

    assignments: Sequence[Assignment]
    failed: Sequence[str] = ()


def assign_items(
    captions: Sequence[Caption], structure: Structure, analyst: Analyst, parameters: DiscoveryParameters
) -> Assigned:
    """Ask about each item, all its dimensions at once, `answers` times with the attributes in other orders.

    An attribute that is none of the list, or that no words of the text show, is unknown. Where the words that the model
    quotes do not stand in the text, those count in which the attribute's own words stand. Ties are unknown.
    """
    asked = [
        (caption, own, assignment_questions(caption, own, parameters))
        for caption in captions
        if (own := dimensions_of(caption, structure))
    ]
    answers = iter(analyst.answers([question for _, _, questions in asked for question in questions]))
    found: list[Assignment] = []
    failed = []
    for caption, dimensions, questions in asked:
        usable = [answer for answer in (next(answers) for _ in questions) if answer is not None]
        if not usable:
            failed.append(caption.item_id)
            continue
        found += [_agreed(caption, dimension, usable) for dimension in dimensions]
    return Assigned(found, failed)


def dimensions_of(caption: Caption, structure: Structure) -> list[Dimension]:
    """Return the dimensions that an item of this class has and that have attributes."""
    return [one for one in structure.dimensions if one.applies_to(caption.of_class) and one.attributes]


def assignment_questions(
    caption: Caption, dimensions: Sequence[Dimension], parameters: DiscoveryParameters
) -> list[Question]:
    """Return what is asked about one item; the first order is the structure's own, so that prompts begin alike."""
    questions = []
    for vote in range(parameters.answers):
        seed = parameters.seed * 100 + vote
        order: Mapping[str, Sequence[str]] = {
            one.name: shuffled(one.attributes, seed) if vote else one.attributes for one in dimensions
        }
        questions.append(assign(caption, dimensions, order, parameters, seed, drawn=parameters.answers > 1))
    return questions


def _agreed(caption: Caption, dimension: Dimension, answers: Sequence[Answer]) -> Assignment:
    told = [_told(caption, dimension, answer) for answer in answers]
    votes = Counter(attribute for attribute, _ in told)
    (best, count), *others = votes.most_common()
    if others and others[0][1] == count:
        best = UNKNOWN
    quote = next((words for attribute, words in told if attribute == best), "")
    return Assignment(caption.item_id, dimension.name, best, quote, votes[best] / len(told))


def _told(caption: Caption, dimension: Dimension, answer: Answer) -> tuple[str, str]:
    entry = answer.get(dimension.name)
    value = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or value not in dimension.attributes:
        return UNKNOWN, ""
    quote = entry.get("quote")
    words = quoted(quote, caption.text) if isinstance(quote, str) else ""
    words = words or next((found for one in _names(dimension, value) if (found := evidence(one, caption.text))), "")
    return (value, words) if words else (UNKNOWN, "")


def _names(dimension: Dimension, attribute: str) -> tuple[str, ...]:
    return attribute, *dimension.merged.get(attribute, ())
