"""Making a learner from the names in a project's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from curate.errors import UnknownNameError
from curate.learners.base import BaseLearner
from curate.learners.baselines import DiscriminantParameters, MajorityClass, NearestClassMean, StreamingDiscriminant
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.key_value_ridge import KeyValueRidge, RidgeParameters
from curate.learners.linear import LinearParameters, SequentialLinear
from curate.learners.neighbours import NearestNeighbours, NeighbourParameters
from curate.learners.network import NetworkParameters, Replay, ReplayParameters, SequentialNetwork
from curate.learners.parameters import Parameters

BASELINES: tuple[str, ...] = ("majority", "nearest-class-mean", "streaming-discriminant")
"""The kinds that are cheap and closed-form, to be shown beside every learner."""

_Maker = Callable[[Mapping[str, Any], int], BaseLearner]
_MAKERS: dict[str, _Maker] = {
    "key-value-bottleneck": lambda given, seed: KeyValueBottleneck(
        BottleneckParameters.from_settings(given, seed=seed)
    ),
    "key-value-ridge": lambda given, seed: KeyValueRidge(RidgeParameters.from_settings(given, seed=seed)),
    "majority": lambda given, seed: MajorityClass(Parameters.from_settings(given, seed=seed)),
    "nearest-class-mean": lambda given, seed: NearestClassMean(Parameters.from_settings(given, seed=seed)),
    "nearest-neighbours": lambda given, seed: NearestNeighbours(NeighbourParameters.from_settings(given, seed=seed)),
    "replay": lambda given, seed: Replay(ReplayParameters.from_settings(given, seed=seed)),
    "sequential-linear": lambda given, seed: SequentialLinear(LinearParameters.from_settings(given, seed=seed)),
    "sequential-network": lambda given, seed: SequentialNetwork(NetworkParameters.from_settings(given, seed=seed)),
    "streaming-discriminant": lambda given, seed: StreamingDiscriminant(
        DiscriminantParameters.from_settings(given, seed=seed)
    ),
}
KINDS: tuple[str, ...] = tuple(_MAKERS)


def learner_named(kind: str, parameters: Mapping[str, Any] | None = None, seed: int = 0) -> BaseLearner:
    """Return a new learner of this kind; parameters that are not given have their defaults.

    Raises:
        UnknownNameError: no such kind, or a parameter that this kind does not have.
        ConfigurationError: a parameter's value does not fit.

    >>> learner_named("nearest-class-mean").classes
    ()
    """
    if kind not in _MAKERS:
        raise UnknownNameError("learner", kind, KINDS)
    return _MAKERS[kind](parameters or {}, seed)
