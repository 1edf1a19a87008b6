"""Majority vote: every annotator counts the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.annotate.consensus.votes import Consensus, Votes, normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.annotate.consensus.votes import Probabilities


def majority(votes: Votes) -> Consensus:
    """Return each item's shares of votes as its posterior; an item without votes is uniform.

    The skill of an annotator is the mean share that the values given by it have. Cost: one pass.

    >>> import numpy as np
    >>> votes = Votes(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([1, 1, 0]), 1, 3, 2)
    >>> majority(votes).posterior.round(2).tolist()
    [[0.33, 0.67]]
    """
    return Consensus("majority", posterior := normalised(votes.counts()), agreement_with(votes, posterior))


def agreement_with(votes: Votes, posterior: Probabilities) -> NDArray[np.float64]:
    """Return the mean posterior of the values that each annotator gave; NaN for who gave none."""
    import numpy as np

    total = np.bincount(votes.annotator, posterior[votes.item, votes.value], minlength=votes.annotators)
    count = np.bincount(votes.annotator, minlength=votes.annotators)
    result: NDArray[np.float64] = np.divide(total, count, out=np.full(votes.annotators, np.nan), where=count > 0)
    return result
