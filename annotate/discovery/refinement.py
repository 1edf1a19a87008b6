"""Stage three: the attributes are held against batches of captions, and what is missing is added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from curate.annotate.discovery.analyst import Analyst, Answer
from curate.annotate.discovery.merging import alike
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import NONE_OF_THESE, Caption, check_batch
from curate.annotate.discovery.sampling import draw, shuffled
from curate.annotate.discovery.structure import Dimension
from curate.annotate.discovery.words import UNKNOWN, is_name, stands_in, support, tidy, unique


@dataclass(frozen=True, slots=True)
class _Check:
    """One batch of captions that one dimension is held against, once."""

    place: int
    captions: Sequence[Caption]
    answer: Answer | None


def refine(
    captions: Sequence[Caption], dimensions: Sequence[Dimension], analyst: Analyst, parameters: DiscoveryParameters
) -> list[Dimension]:
    """Return dimensions with the attributes that captions show and the lists lack; attributes that nothing has go.

    Each batch is asked about `votes` times, with captions and attributes in other orders. A new attribute needs two
    votes, must stand in the captions of its batch, and is none of the words for having none. What is but another word
    for an attribute is kept as such, and not added.
    """
    checks = _checked(captions, dimensions, analyst, parameters)
    refined = []
    for place, dimension in enumerate(dimensions):
        own = [check for check in checks if check.place == place]
        refined.append(_refined(captions, dimension, own, parameters) if own else dimension)
    return refined


def _checked(
    captions: Sequence[Caption], dimensions: Sequence[Dimension], analyst: Analyst, parameters: DiscoveryParameters
) -> list[_Check]:
    asked: list[tuple[int, list[Caption]]] = []
    questions = []
    for place, dimension in enumerate(dimensions):
        if dimension.locked or not dimension.attributes:
            continue
        for number in range(parameters.refinements):
            batch = draw(captions, parameters.batch, parameters.seed * 1_000 + 700 + number)
            for vote in range(parameters.votes):
                seed = ((parameters.seed * 100 + place) * 100 + number) * 100 + vote
                shown, order = draw(batch, len(batch), seed), shuffled(dimension.attributes, seed)
                asked.append((place, shown))
                questions.append(check_batch(shown, dimension, order, parameters, seed))
    answers = analyst.answers(questions)
    return [_Check(place, shown, answer) for (place, shown), answer in zip(asked, answers, strict=True)]


def _refined(
    captions: Sequence[Caption], dimension: Dimension, checks: Sequence[_Check], parameters: DiscoveryParameters
) -> Dimension:
    votes, chosen = _counted(checks)
    texts = [caption.text for caption in captions]
    needed = min(2, parameters.votes * parameters.refinements)
    attributes, merged = list(dimension.attributes), {new: list(old) for new, old in dimension.merged.items()}
    for name, count in sorted(votes.items(), key=lambda entry: (-entry[1], entry[0])):
        same = next((one for one in attributes if alike(one, name)), None)
        if same is not None:
            if name != same:
                merged.setdefault(same, []).append(name)
        elif count >= needed and support(name, texts) > 1 and len(attributes) < parameters.most_attributes:
            attributes.append(name)
    kept = [one for one in attributes if one not in dimension.attributes or chosen[one] or support(one, texts)]
    if len(kept) < 2:
        kept = attributes
    return replace(
        dimension, attributes=tuple(kept), merged={new: unique(old) for new, old in merged.items() if new in kept}
    )


def _counted(checks: Sequence[_Check]) -> tuple[Counter[str], Counter[str]]:
    """Return the votes for names that the lists lack, and how often each attribute was chosen."""
    votes: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    for check in checks:
        if check.answer is None:
            continue
        told = [check.answer.get(str(place)) for place in range(1, len(check.captions) + 1)]
        chosen.update(one for one in told if isinstance(one, str) and one not in (NONE_OF_THESE, UNKNOWN))
        open_texts = [
            caption.text for caption, one in zip(check.captions, told, strict=True) if one in (NONE_OF_THESE, UNKNOWN)
        ]
        others = check.answer.get("others")
        names = [tidy(one) for one in others if isinstance(one, str)] if isinstance(others, list) else []
        votes.update(
            unique([one for one in names if is_name(one) and any(stands_in(one, text) for text in open_texts)])
        )
    return votes, chosen
