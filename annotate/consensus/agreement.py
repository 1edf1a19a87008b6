"""How far annotators agree beyond chance: Krippendorff's alpha, Cohen's and Fleiss' kappa, for nominal values.

1 is full agreement, 0 what chance gives, below 0 less than that. Where everybody gives one and the same value there is
nothing to tell agreement from chance by, and the coefficient is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.annotate.consensus.votes import Votes
from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def krippendorff_alpha(votes: Votes) -> float:
    """Return Krippendorff's alpha over any number of annotators, each on any items.

    Items with fewer than two votes cannot agree or disagree and are left out.
    Source: Krippendorff 2004, "Content Analysis", ch. 11: 1 - observed / expected disagreement over pairable values.
    Cost: one pass over the votes.

    >>> import numpy as np
    >>> krippendorff_alpha(Votes(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 2, 2, 2))
    1.0
    """
    counts = votes.counts()
    counts = counts[counts.sum(axis=1) > 1]
    totals = counts.sum(axis=0)
    pairable = totals.sum()
    if not pairable:
        return float("nan")
    per_item = counts.sum(axis=1)
    observed = ((per_item**2 - (counts**2).sum(axis=1)) / (per_item - 1)).sum() / pairable
    expected = (pairable**2 - (totals**2).sum()) / (pairable * (pairable - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")


def cohen_kappa(votes: Votes, first: int, second: int) -> float:
    """Return Cohen's kappa of two annotators on the items that both voted on; NaN where there are none.

    Source: Cohen 1960. Cost: one pass over the votes.
    """
    import numpy as np

    table = pair_table(votes, first, second)
    total = table.sum()
    if not total:
        return float("nan")
    agreed = np.trace(table) / total
    chance = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def pair_table(votes: Votes, first: int, second: int) -> NDArray[np.float64]:
    """Return how often one annotator's value met another's on one item: float64 of shape (values, values)."""
    import numpy as np

    given = np.full((2, votes.items), -1)
    for row, annotator in enumerate((first, second)):
        own = votes.annotator == annotator
        given[row, votes.item[own]] = votes.value[own]
    both = (given >= 0).all(axis=0)
    cells = given[0, both] * votes.values + given[1, both]
    table: NDArray[np.float64] = np.bincount(cells, minlength=votes.values**2).astype(np.float64)
    return table.reshape(votes.values, votes.values)


def fleiss_kappa(votes: Votes) -> float:
    """Return Fleiss' kappa, for items that all have the same number of votes, at least two.

    Source: Fleiss 1971. Cost: one pass over the votes.

    Raises:
        BadDataError: items have different numbers of votes, or fewer than two; `krippendorff_alpha` takes these.
    """
    counts = votes.counts()
    raters = int(counts[0].sum()) if len(counts) else 0
    if raters < 2 or (counts.sum(axis=1) != raters).any():
        raise BadDataError("Fleiss' kappa needs the same number of votes on every item, at least two")
    agreed = float((((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))).mean())
    shares = counts.sum(axis=0) / counts.sum()
    chance = float(shares @ shares)
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")
