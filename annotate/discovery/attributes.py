"""Stage two, second half: the attributes of a dimension, by votes of rounds, support in the texts, and merging."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from curate.annotate.discovery.analyst import Analyst
from curate.annotate.discovery.merging import agreed_pairs, alike, grouped, merged_by_words, seen_together
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import Caption, list_attributes, merge_attributes
from curate.annotate.discovery.sampling import draw, shuffled
from curate.annotate.discovery.structure import Dimension
from curate.annotate.discovery.words import is_name, stems, support, tidy, unique

_LEAST_TEXTS = 2


@dataclass(frozen=True, slots=True)
class Listing:
    """A dimension with what is known of its attributes so far: votes for each name, in rounds."""

    dimension: Dimension
    votes: Mapping[str, int]
    rounds: int


def list_rounds(
    captions: Sequence[Caption], listings: Sequence[Listing], analyst: Analyst, parameters: DiscoveryParameters
) -> list[Listing]:
    """Ask, round by round, which attributes of each dimension the captions show, and count the votes."""
    asked = [
        (place, draw(captions, parameters.captions, _seed(parameters, one.dimension, round_)), round_)
        for place, one in enumerate(listings)
        for round_ in range(parameters.attribute_rounds)
        if not one.dimension.locked
    ]
    questions = [
        list_attributes(
            shown, listings[place].dimension, _examples(listings[place]), parameters,
            _seed(parameters, listings[place].dimension, round_),
        )
        for place, shown, round_ in asked
    ]  # fmt: skip
    votes = [Counter(one.votes) for one in listings]
    for (place, _, _), answer in zip(asked, analyst.answers(questions), strict=True):
        values = answer.get("values") if answer is not None else None
        named = [tidy(one) for one in values if isinstance(one, str)] if isinstance(values, list) else []
        votes[place].update(unique([name for name in named if is_name(name)]))
    counted = [one.rounds + parameters.attribute_rounds for one in listings]
    return [Listing(one.dimension, v, r) for one, v, r in zip(listings, votes, counted, strict=True)]


def settle(captions: Sequence[Caption], listing: Listing, parameters: DiscoveryParameters) -> Dimension:
    """Choose the attributes of a dimension: names alike are one, and those stay that stand in enough of the texts.

    A name that stands in no text as it is written stays where half of the rounds name it: a model may sum up.
    """
    if listing.dimension.locked:
        return listing.dimension
    texts = [caption.text for caption in captions]
    classes = {stems(caption.of_class) for caption in captions}
    own = stems(listing.dimension.name)
    votes = {name: count for name, count in listing.votes.items() if stems(name) not in classes and stems(name) != own}
    stands = merged_by_words(votes)
    merged = {name: tuple(other for other in others) for name, others in stands.items()}
    found = {name: support(name, texts) for name in stands}
    total = {name: votes[name] + sum(votes[one] for one in merged[name]) for name in stands}
    kept = [name for name in stands if _is_kept(found[name], total[name], listing.rounds)]
    kept.sort(key=lambda name: (-found[name], -total[name], name))
    kept = list(unique([*listing.dimension.attributes, *kept]))[: parameters.most_attributes]
    return replace(
        listing.dimension,
        attributes=tuple(kept),
        merged={**listing.dimension.merged, **{name: merged[name] for name in kept if merged.get(name)}},
    )


def _is_kept(texts: int, votes: int, rounds: int) -> bool:
    """Whether so many texts and votes make an attribute; a single vote of several rounds is a slip."""
    return (texts >= _LEAST_TEXTS and votes >= min(2, rounds)) or 2 * votes >= max(2, rounds)


def apart(listings: Sequence[Listing]) -> list[Listing]:
    """Leave every name to the one dimension that names it, or a name alike, most often.

    A model that puts "a rainy day" under places is outvoted by those who put rain under weather.
    """
    return [
        Listing(
            one.dimension,
            {name: votes for name, votes in one.votes.items() if not any(
                _weight(other, name) > _weight(one, name) for other in listings if other is not one)},
            one.rounds,
        )
        for one in listings
    ]  # fmt: skip


def _weight(listing: Listing, name: str) -> int:
    """Return how many votes a dimension has for a name and those alike."""
    return sum(votes for other, votes in listing.votes.items() if alike(name, other))


def merge_alike(
    captions: Sequence[Caption], dimensions: Sequence[Dimension], analyst: Analyst, parameters: DiscoveryParameters
) -> list[Dimension]:
    """Merge attributes that texts say together, then those that almost all of several answers call the same."""
    texts = [caption.text for caption in captions]
    dimensions = [one if one.locked else _merged(one, seen_together(one.attributes, texts)) for one in dimensions]
    open_ones = [place for place, one in enumerate(dimensions) if len(one.attributes) > 2 and not one.locked]
    asked = [
        merge_attributes(
            dimensions[place],
            shuffled(dimensions[place].attributes, _seed(parameters, dimensions[place], 900 + vote)),
            parameters,
            _seed(parameters, dimensions[place], 900 + vote),
        )
        for place in open_ones
        for vote in range(parameters.votes)
    ]
    answers = analyst.answers(asked)
    found = list(dimensions)
    for number, place in enumerate(open_ones):
        own = answers[number * parameters.votes : (number + 1) * parameters.votes]
        found[place] = _merged(found[place], agreed_pairs(own, found[place].attributes))
    return found


def _merged(dimension: Dimension, pairs: set[frozenset[str]]) -> Dimension:
    """Merge pairs, unless nothing to tell items apart by would be left."""
    groups = grouped(dimension.attributes, pairs)
    if len(groups) < 2:
        return dimension
    merged = {first: _older(dimension, [first, *others])[1:] for first, *others in groups}
    return replace(
        dimension,
        attributes=tuple(first for first, *_ in groups),
        merged={name: olds for name, olds in merged.items() if olds},
    )


def _older(dimension: Dimension, names: Sequence[str]) -> tuple[str, ...]:
    return unique([*names, *(old for name in names for old in dimension.merged.get(name, ()))])


def _examples(listing: Listing) -> list[str]:
    if listing.dimension.attributes:
        return list(listing.dimension.attributes[:4])
    return [name for name, _ in sorted(listing.votes.items(), key=lambda entry: (-entry[1], entry[0]))[:4]]


def _seed(parameters: DiscoveryParameters, dimension: Dimension, number: int) -> int:
    return (parameters.seed * 1_000 + number) * 1_000 + sum(map(ord, dimension.name)) % 1_000
