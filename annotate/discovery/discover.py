"""The stages of discovery one after the other: dimensions, attributes, refinement; assignment is a step of its own.

SSD-LLM (github.com/llm-as-dataset-analyst/SSDLLM), put right where it is flawed: votes are drawn at a temperature or
over other orders, lists are closed by schema, names for having none are no names, redundant attributes are merged,
batches are checked instead of single captions, one bad answer never ends a run, seeds decide everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from curate.annotate.discovery.analyst import Analyst
from curate.annotate.discovery.attributes import Listing, apart, list_rounds, merge_alike, settle
from curate.annotate.discovery.dimensions import Candidate, find_dimensions
from curate.annotate.discovery.parameters import DiscoveryParameters
from curate.annotate.discovery.questions import Caption
from curate.annotate.discovery.refinement import refine
from curate.annotate.discovery.structure import Dimension, Structure
from curate.annotate.discovery.words import stems, tidy
from curate.errors import BadDataError

FEWEST = 4


def too_few(texts: int) -> str:
    """Say that so few texts show no structure; `FEWEST` are the least.

    >>> too_few(1)
    '1 text is too few to discover anything in'
    """
    return f"{texts} {'text is' if texts == 1 else 'texts are'} too few to discover anything in"


def discover(
    captions: Sequence[Caption], analyst: Analyst, parameters: DiscoveryParameters, known: Structure | None = None
) -> Structure:
    """Return the structure of a collection, as far as these captions show it.

    Of a `known` structure, locked dimensions stay as they are, and pinned ones are filled. Cost: see `plan_discovery`;
    the same captions, seed and answers give the same structure.

    Raises:
        BadDataError: there are too few captions to find anything in.
    """
    if len(captions) < FEWEST:
        raise BadDataError(too_few(len(captions)), hint=f"{FEWEST} are the least")
    known = known or Structure()
    kept = _kept(known, parameters)
    proposed = [one for one in find_dimensions(captions, analyst, parameters) if not _is_known(one, kept)]
    listings = [Listing(one, {}, 0) for one in kept]
    room = max(0, parameters.most_dimensions - len(kept))
    listings += [Listing(Dimension(one.name), one.values, len(one.rounds)) for one in proposed[:room]]
    listings = apart(list_rounds(captions, listings, analyst, parameters))
    settled = [settle(captions, one, parameters) for one in listings]
    settled = merge_alike(captions, settled, analyst, parameters)
    settled = refine(captions, settled, analyst, parameters)
    dimensions = [one for one in settled if one.locked or one.pinned or len(one.attributes) > 1]
    return replace(known, dimensions=tuple(dimensions))


def _kept(known: Structure, parameters: DiscoveryParameters) -> list[Dimension]:
    """Return the dimensions that stay whatever is proposed: locked ones, and those pinned in either place."""
    kept = {tidy(one.name): one for one in known.dimensions if one.locked or one.pinned}
    for name in parameters.pinned:
        kept.setdefault(tidy(name), Dimension(tidy(name), pinned=True))
    return list(kept.values())


def _is_known(candidate: Candidate, kept: Sequence[Dimension]) -> bool:
    names = {stems(one.name) for one in kept}
    values = {stems(attribute) for one in kept for attribute in one.attributes}
    own = {stems(value) for value in candidate.values}
    return stems(candidate.name) in names or 2 * len(own & values) > len(own)
