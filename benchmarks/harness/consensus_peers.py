"""crowd-kit and cleanlab as the benchmark of consensus asks them: posteriors from votes, or from votes and a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.annotators import Draw
from curate.annotate.consensus.majority import majority
from curate.annotate.consensus.votes import Votes, normalised
from curate.errors import MissingExtraError

Posterior = NDArray[np.float64]
Methods = Mapping[str, Callable[[Draw], Posterior]]
WITH_MODEL = "cleanlab CROWDLAB"


def peers() -> Methods:
    """Return the peers' methods by name.

    Raises:
        MissingExtraError: crowd-kit or cleanlab is not installed.
    """
    try:
        import cleanlab.multiannotator  # noqa: F401
        from crowdkit.aggregation import GLAD, MMSR, DawidSkene, MajorityVote, OneCoinDawidSkene
    except ImportError as error:
        raise MissingExtraError(f"the benchmark of consensus (it lacks {error.name})", "benchmarks") from error
    return {
        "crowd-kit MajorityVote": _crowd_kit(MajorityVote),
        "crowd-kit DawidSkene": _crowd_kit(lambda: DawidSkene(n_iter=100)),
        "crowd-kit OneCoinDawidSkene": _crowd_kit(lambda: OneCoinDawidSkene(n_iter=100)),
        "crowd-kit GLAD": _crowd_kit(lambda: GLAD(n_iter=50)),
        "crowd-kit MMSR": lambda one: _mmsr(lambda: MMSR(random_state=0), one.votes),
        WITH_MODEL: _cleanlab,
    }


def _frame(votes: Votes) -> Any:
    import pandas as pd

    return pd.DataFrame({"task": votes.item, "worker": votes.annotator, "label": votes.value})


def _crowd_kit(make: Callable[[], Any]) -> Callable[[Draw], Posterior]:
    """Return a method's posterior as a function of a draw; the majority's where the method ends with an error."""

    def posterior(one: Draw) -> Posterior:
        votes = one.votes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = make().fit_predict_proba(_frame(votes))
            except ValueError:
                return majority(votes).posterior
        result = np.zeros((votes.items, votes.values))
        result[np.ix_(found.index.to_numpy(), found.columns.to_numpy().astype(int))] = np.nan_to_num(found)
        return normalised(result)

    return posterior


def _mmsr(make: Callable[[], Any], votes: Votes) -> Posterior:
    """MMSR gives values without probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = make().fit_predict(_frame(votes))
        except ValueError:
            return majority(votes).posterior
    values: Posterior = np.eye(votes.values)[found.reindex(range(votes.items), fill_value=0).to_numpy().astype(int)]
    return values


def _cleanlab(one: Draw) -> Posterior:
    """Cleanlab gives one probability per item: the rest is spread evenly over the other values."""
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator

    votes = one.votes
    table = np.full((votes.items, votes.annotators), np.nan)
    table[votes.item, votes.annotator] = votes.value
    voted = ~np.isnan(table).all(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_label_quality_multiannotator(pd.DataFrame(table[:, voted]), one.model, verbose=False)
    value = found["label_quality"]["consensus_label"].to_numpy()
    sure = found["label_quality"]["consensus_quality_score"].to_numpy()[:, None]
    rest: Posterior = (1 - sure) / (votes.values - 1)
    return np.where(np.eye(votes.values)[value] > 0, sure, rest)
