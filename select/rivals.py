"""A selection beside the baselines: what every other way to choose would have brought, on the same candidates.

Nobody should believe a score that random choice beats. On a sample of the candidates each selector chooses the share
that was selected, with half of the targets; the choices are judged by the other half, which none of them has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import BadDataError
from curate.select import importance
from curate.select.alignment import ZIP_FIT, Aligner, Method
from curate.select.baselines import length_scores, random_scores
from curate.select.fused import fused
from curate.select.held_out import HeldOut
from curate.select.measures import best_of, bits_per_character, kl_reduction, length_bias, overlap
from curate.select.tfidf import tfidf_scores
from curate.statistics import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ranker = Callable[[Sequence[Sequence[str]]], "NDArray[np.float64]"]
"""Gives the texts' scores from those texts of each target that it may see."""
OWN = "align"
BASELINES = ("random", "length")
"""What knows nothing of the target: a selector that one of these beats is not worth its time."""
MOST_TARGETS = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """What one selector's choice is worth: figures of `curate.select.measures`, and the overlap with `align`'s choice.

    `bits` (per character of held-out targets; lower is better) is None where there is too little text to hold out.
    """

    selector: str
    kl_reduction: Interval
    bits: Interval | None
    length_bias: Interval
    overlap: Interval


def judge_selectors(
    item_ids: Sequence[str],
    texts: Sequence[str],
    parts: Sequence[Sequence[str]],
    count: int,
    *,
    method: Method = ZIP_FIT,
    own: Mapping[str, Ranker] | None = None,
    seed: int = 0,
) -> tuple[Judged, ...]:
    """Let alignment and its rivals choose `count` of the texts, and judge each choice; alignment comes first.

    `parts` are the texts of each target; of several all are wanted together. `method` is alignment's. `own` are
    selectors of one's own, by their names: they are judged beside the others.
    Cost: some seconds for 2,000 texts of a kilobyte. Memory: some 200 bytes for each byte of text.

    Raises:
        BadDataError: there is no text to choose from, or no target with a word in it.
    """
    if not texts or count < 1:
        raise BadDataError("there is nothing to choose from")
    known = [halves(part, 2 * MOST_TARGETS // len(parts)) for part in parts]
    seen, unseen = ([text for both in known for text in both[half]] for half in (0, 1))
    rankings = {
        OWN: Aligner(seen, method).score(texts),
        "fused": fused(texts, seen).scores,
        "importance": importance.log_weights(texts, seen),
        "tfidf": tfidf_scores(texts, seen),
        "random": random_scores(item_ids, seed),
        "length": length_scores(texts),
    }
    rankings |= {name: ranker([first for first, _ in known]) for name, ranker in (own or {}).items()}
    held_out = HeldOut(texts, unseen) if unseen else None
    return tuple(_judged(name, rankings, texts, unseen or seen, count, held_out) for name in rankings)


def halves(targets: Sequence[str], most: int = 2 * MOST_TARGETS) -> tuple[list[str], list[str]]:
    """Return every second of the first `most` targets, and the others; of a single target its first and second half.

    >>> halves(["one", "two", "three"])
    (['one', 'three'], ['two'])
    """
    known = [text for text in targets if text.strip()][:most]
    if len(known) == 1:
        middle = len(known[0]) // 2
        known = [known[0][:middle], known[0][middle:]]
    return known[::2], known[1::2]


def _judged(
    name: str,
    rankings: Mapping[str, NDArray[np.float64]],
    texts: Sequence[str],
    wanted: Sequence[str],
    count: int,
    held_out: HeldOut | None,
) -> Judged:
    scores = rankings[name]
    chosen = best_of(scores, count)
    return Judged(
        name,
        kl_reduction([texts[place] for place in chosen], texts, wanted),
        bits_per_character(held_out.bits(chosen)) if held_out else None,
        length_bias(scores, [len(text) for text in texts]),
        overlap(scores, rankings[OWN], count),
    )


def by_place(order: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return scores that rank the places as `order` does: 1 for the first; NaN for those that it leaves out."""
    import numpy as np

    scores = np.full(count, np.nan)
    scores[order] = np.linspace(1, 0, len(order))
    return scores


def beaten_by(judged: Sequence[Judged], selector: str = OWN) -> tuple[str, ...]:
    """Return the baselines that are as good as the selector in bits per character, or in KL reduction without them."""

    def worth(one: Judged) -> float:
        return -one.bits.value if one.bits else one.kl_reduction.value

    own = next(one for one in judged if one.selector == selector)
    return tuple(one.selector for one in judged if one.selector in BASELINES and worth(one) >= worth(own))
