"""Making a learner from the names in a project's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from curate.errors import ConfigurationError, UnknownNameError
from curate.learners.base import BaseLearner
from curate.learners.baselines import DiscriminantParameters, MajorityClass, NearestClassMean, StreamingDiscriminant
from curate.learners.bottleneck.learner import KeyValueBottleneck
from curate.learners.bottleneck.parameters import BottleneckParameters
from curate.learners.key_value_ridge import KeyValueRidge, RidgeParameters
from curate.learners.linear import LinearParameters, SequentialLinear
from curate.learners.neighbours import NearestNeighbours, NeighbourParameters
from curate.learners.network import NetworkParameters, Replay, ReplayParameters, SequentialNetwork
from curate.learners.parameters import Parameters
from curate.types import Encoder

REPROGRAMMING = "channel-reprogramming"
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
KINDS: tuple[str, ...] = (*_MAKERS, REPROGRAMMING)


def learner_named(
    kind: str,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    encoder: Encoder | None = None,
    task: str = "",
) -> BaseLearner:
    """Return a new learner of this kind; parameters that are not given have their defaults.

    Channel reprogramming needs the `encoder` whose network it turns to its tasks, and is told by which column an item
    belongs to a `task` ("": by the increment). It learns from the features of `seen_by`.

    Raises:
        UnknownNameError: no such kind, or a parameter that this kind does not have.
        ConfigurationError: a parameter's value does not fit, the kind knows no tasks, or the encoder does not suit it.

    >>> learner_named("nearest-class-mean").classes
    ()
    """
    if kind not in KINDS:
        raise UnknownNameError("learner", kind, KINDS)
    if kind == REPROGRAMMING:
        return _reprogramming(parameters or {}, seed, encoder, task)
    if task:
        raise ConfigurationError(
            f"a learner of the kind {kind!r} knows no tasks, and task is {task!r}", hint=f'kind = "{REPROGRAMMING}"'
        )
    return _MAKERS[kind](parameters or {}, seed)


def seen_by(kind: str, encoder: Encoder) -> Encoder:
    """Return the encoder whose features a learner of this kind learns: itself, or the pixels that its network is given.

    Raises:
        ConfigurationError: the encoder does not suit the kind.
    """
    if kind != REPROGRAMMING:
        return encoder
    from curate.learners.reprogramming.pictures import Pictures

    return Pictures(encoder)


def _reprogramming(given: Mapping[str, Any], seed: int, encoder: Encoder | None, task: str) -> BaseLearner:
    """Imported when asked for, for it brings torch along."""
    from curate.learners.reprogramming.learner import ChannelReprogramming
    from curate.learners.reprogramming.parameters import ReprogrammingParameters
    from curate.learners.reprogramming.pictures import EXAMPLE, Pictures

    if encoder is None:
        raise ConfigurationError(f"the kind {REPROGRAMMING!r} needs the network of an encoder", hint=EXAMPLE)
    pictures = encoder if isinstance(encoder, Pictures) else Pictures(encoder)
    parameters = ReprogrammingParameters.from_settings(given, seed=seed)
    return ChannelReprogramming(pictures.network, parameters, tasks_by=task)
