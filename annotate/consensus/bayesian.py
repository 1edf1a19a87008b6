"""The default: Dawid and Skene's model with priors, and a model's probabilities as one more voice.

Each annotator's rows of confusion have Dirichlet priors (Kim and Ghahramani 2012, iBCC), whose means are learned at two
levels: what annotators confuse on average, and how right this annotator is. So one with few votes is taken for an
average one, and one with many speaks for itself, value by value. Rows are used at their posterior means: fitted in turn
with the posterior of the values, as in expectation-maximisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.annotate.consensus.dawid_skene import skill_of
from curate.annotate.consensus.votes import Consensus, Votes, from_logarithms, normalised
from curate.errors import BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.annotate.consensus.votes import Probabilities

_LEAST = 1e-6
_POWERS = (0.05, 5.0)


@dataclass(frozen=True, slots=True)
class Priors:
    """What is believed before a vote is seen; strengths are counted in votes.

    Annotators are right in `accuracy` of their votes (as sure as `accuracy_votes` votes would make it); one annotator
    is like all of them (`annotator` votes), each of its rows of confusion like all its rows (`row` votes), and errors
    are spread evenly (`spread` votes a row). Chosen on simulated annotators that `benchmarks.consensus` does not use.
    """

    accuracy: float = 0.7
    accuracy_votes: float = 4.0
    annotator: float = 4.0
    row: float = 20.0
    spread: float = 20.0


DEFAULT = Priors()
TICKS = Priors(row=5.0)
"""For votes on whether one of several values is there: who seldom misses it may often tick it falsely, and the other
way round. Chosen on draws 1000 to 1015 of `benchmarks.harness.list_annotators`; `benchmarks.consensus` uses others."""


def bayesian(
    votes: Votes,
    model: Probabilities | None = None,
    *,
    priors: Priors = DEFAULT,
    rounds: int = 100,
    tolerance: float = 1e-6,
) -> Consensus:
    """Return the posterior of every item's value, items without votes included.

    `model` has a row of probabilities (items, values) for each item, from something that was not fitted to these votes.
    It takes the place of the values' prior, raised to a power that is fitted with the rest: a model that is too sure of
    itself is damped. Without it, the prior is the values' estimated frequencies.

    Ends after `rounds`, or when no posterior moves by more than `tolerance`. Cost: rounds x votes x values.

    Raises:
        BadDataError: the model's shape does not fit.

    >>> import numpy as np
    >>> votes = Votes(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1, 1, 0]), 2, 2, 2)
    >>> bayesian(votes).value.tolist()
    [1, 0]
    """
    import numpy as np

    if model is not None and model.shape != (votes.items, votes.values):
        raise BadDataError(f"model probabilities of shape {model.shape} do not fit {votes.items} x {votes.values}")
    logarithms = None if model is None else np.log(np.maximum(model, _LEAST))
    posterior = normalised(votes.counts() + (1 / votes.values if model is None else model))
    power = 1.0
    for _ in range(rounds):
        before, posterior = posterior, _updated(votes, posterior, logarithms, power, priors)
        power = _power(logarithms, posterior, power)
        if float(np.abs(posterior - before).max(initial=0.0)) <= tolerance:
            break
    return Consensus("bayesian", posterior, skill_of(votes.confusion(posterior)))


def _updated(
    votes: Votes, posterior: Probabilities, logarithms: NDArray[np.float64] | None, power: float, priors: Priors
) -> Probabilities:
    """Return the posterior under the confusions that the last one makes likeliest."""
    import numpy as np

    rows = np.log(_rows(votes.confusion(posterior), priors))
    frequencies = np.log(normalised(posterior.sum(axis=0, keepdims=True) + 1))
    return from_logarithms(votes.evidence(rows) + (frequencies if logarithms is None else power * logarithms))


def _rows(counts: NDArray[np.float64], priors: Priors) -> NDArray[np.float64]:
    """Return p(given | true) of each annotator from expected counts, both of shape (annotators, true, given)."""
    import numpy as np

    values = counts.shape[1]
    right = np.eye(values)
    errors = (counts.sum(axis=0) + priors.spread / values) * (1 - right)
    errors /= errors.sum(axis=1, keepdims=True)
    accuracy = _accuracy(counts, priors)[:, None, None]
    pooled = priors.row * (accuracy * right + (1 - accuracy) * errors)
    drawn = counts + np.maximum(pooled, _LEAST)
    rows: NDArray[np.float64] = drawn / drawn.sum(axis=2, keepdims=True)
    return rows


def _accuracy(counts: NDArray[np.float64], priors: Priors) -> NDArray[np.float64]:
    import numpy as np

    right, votes = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
    of_all = (right.sum() + priors.accuracy * priors.accuracy_votes) / (votes.sum() + priors.accuracy_votes)
    result: NDArray[np.float64] = (right + priors.annotator * of_all) / (votes + priors.annotator)
    return result


def _power(logarithms: NDArray[np.float64] | None, posterior: Probabilities, power: float) -> float:
    """One Newton step for the power at which the model's probabilities are the likeliest under the posterior."""
    import numpy as np

    if logarithms is None or not len(logarithms):
        return power
    predicted = from_logarithms(power * logarithms)
    slope = float(((posterior - predicted) * logarithms).sum())
    means = (predicted * logarithms).sum(axis=1)
    curvature = float(((predicted * logarithms**2).sum(axis=1) - means**2).sum())
    return float(np.clip(power + slope / (curvature + _LEAST), *_POWERS))
