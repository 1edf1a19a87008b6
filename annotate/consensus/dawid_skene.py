"""Dawid and Skene (1979): a confusion matrix for each annotator, fitted by expectation and maximisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.annotate.consensus.majority import majority
from curate.annotate.consensus.votes import Consensus, Votes, from_logarithms, normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.annotate.consensus.votes import Probabilities

_TINY = 1e-10


def dawid_skene(votes: Votes, *, rounds: int = 100, tolerance: float = 1e-5) -> Consensus:
    """Return the maximum-likelihood posterior of Dawid and Skene, started from the majority vote.

    Ends after `rounds`, or when no posterior moves by more than `tolerance`. With few votes an annotator the estimate
    is overconfident: see `bayesian`. Cost: rounds x votes x values.
    """
    import numpy as np

    posterior = majority(votes).posterior
    for _ in range(rounds):
        updated = _step(votes, posterior)
        moved = float(np.abs(updated - posterior).max(initial=0.0))
        posterior = updated
        if moved <= tolerance:
            break
    return Consensus("dawid-skene", posterior, skill_of(votes.confusion(posterior)))


def skill_of(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected share of right votes of each annotator, from counts (annotators, true, given)."""
    import numpy as np

    right, all_votes = np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2))
    result: NDArray[np.float64] = np.divide(right, all_votes, out=np.full(len(right), np.nan), where=all_votes > 0)
    return result


def _step(votes: Votes, posterior: Probabilities) -> Probabilities:
    import numpy as np

    counts = votes.confusion(posterior).reshape(-1, votes.values)
    likelihood = np.where(counts.sum(axis=1, keepdims=True) > 0, normalised(counts), 0.0)
    logarithms = np.log(np.maximum(likelihood, _TINY)).reshape(votes.annotators, votes.values, votes.values)
    prior = np.log(np.maximum(posterior.mean(axis=0), _TINY))
    return from_logarithms(prior + votes.evidence(logarithms))
