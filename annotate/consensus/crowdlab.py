"""CROWDLAB (Goh, Tkachenko and Mueller 2022, arXiv 2210.06812): votes and a model, weighted by trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.annotate.consensus.majority import agreement_with
from curate.annotate.consensus.votes import Consensus, Votes, normalised
from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.annotate.consensus.votes import Positions, Probabilities

_LEAST = 1e-6


def crowdlab(votes: Votes, model: Probabilities) -> Consensus:
    """Return CROWDLAB's posterior; `model` has a row of probabilities (items, values) from outside of the votes.

    With P the mean agreement with the majority on items with several votes, w_j and w_M the trust in annotator j and in
    the model relative to always saying the commonest value:

        p(k) = [w_M model(k) + sum_j w_j L_j(k)] / [w_M + sum_j w_j],   L_j(k) = P if j said k, else (1 - P) / (K - 1)

    An item with one vote or none has no say in P and the weights. Cost: one pass over the votes.

    Raises:
        BadDataError: the model's shape does not fit, or no item has two votes.
    """
    import numpy as np

    if model.shape != (votes.items, votes.values):
        raise BadDataError(f"model probabilities of shape {model.shape} do not fit {votes.items} x {votes.values}")
    several = votes.per_item() > 1
    if not several.any():
        raise BadDataError("no item has two votes", hint="have a share of the items annotated twice")
    agreed = majority_with_model(votes, model)
    commonest = np.bincount(agreed[several]).argmax()
    base = max(float((agreed[several] != commonest).mean()), _LEAST)
    trust = np.maximum(1 - (1 - agreement_with_others(votes)) / base, _LEAST)
    model_error = float((model.argmax(axis=1) != agreed)[several].mean())
    of_model = max(1 - model_error / base, _LEAST) * float(np.sqrt(votes.per_item().mean()))
    posterior = _posterior(votes, model, _likelihood(votes, several, agreed), trust, of_model)
    return Consensus("crowdlab", posterior, agreement_with(votes, posterior))


def majority_with_model(votes: Votes, model: Probabilities) -> Positions:
    """Return each item's commonest value; of equals, the model's more probable one, then the one given less overall."""
    import numpy as np

    counts = votes.counts()
    tied = counts == counts.max(axis=1, keepdims=True)
    likely = np.where(tied, model, -1.0)
    tied &= likely == likely.max(axis=1, keepdims=True)
    rare = np.where(tied, counts.sum(axis=0), np.inf)
    result: Positions = rare.argmin(axis=1)
    return result


def agreement_with_others(votes: Votes) -> NDArray[np.float64]:
    """Return how often each annotator's vote is shared by another vote on the same item, over all such pairs.

    Who shares no item with anybody gets the mean of those who do.
    """
    import numpy as np

    same = votes.counts()[votes.item, votes.value] - 1
    others = votes.per_item()[votes.item] - 1
    shared = np.bincount(votes.annotator, same, minlength=votes.annotators)
    pairs = np.bincount(votes.annotator, others, minlength=votes.annotators)
    result: NDArray[np.float64] = np.divide(shared, pairs, out=np.full(votes.annotators, np.nan), where=pairs > 0)
    result[np.isnan(result)] = np.nanmean(result)
    return result


def _likelihood(votes: Votes, several: NDArray[np.bool_], agreed: Positions) -> tuple[float, float]:
    right = votes.counts()[range(votes.items), agreed][several] / votes.per_item()[several]
    consensus = float(right.mean())
    return consensus, (1 - consensus) / max(votes.values - 1, 1)


def _posterior(
    votes: Votes, model: Probabilities, likelihood: tuple[float, float], trust: NDArray[np.float64], of_model: float
) -> Probabilities:
    import numpy as np

    yes, no = likelihood
    weight = trust[votes.annotator]
    total = np.bincount(votes.item, weight, minlength=votes.items)
    cell = votes.item * votes.values + votes.value
    given = np.bincount(cell, weight, minlength=votes.items * votes.values).reshape(votes.items, votes.values)
    mixed = of_model * model + yes * given + no * (total[:, None] - given)
    return normalised(mixed)
