"""What learners of event streams share: one increment after the other, none of which they keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from curate.errors import BadDataError, ConfigurationError, UsageError
from curate.learners.events.batches import Clock
from curate.learners.events.forecast import forecast_next
from curate.learners.events.measuring import measure
from curate.learners.events.predictions import Predictions
from curate.learners.events.process import PointProcess
from curate.learners.events.sequences import EventSequences
from curate.learners.events.training import TrainingParameters
from curate.learners.numerics import Array
from curate.learners.state_file import pack, unpack

Process = TypeVar("Process", bound=PointProcess[Any])


@dataclass(frozen=True, slots=True)
class EventParameters(TrainingParameters):
    """`width` of the network beside how an increment is taught; see `TrainingParameters`.

    first_passes: over the first increment, where that is taught longer than later ones; 0 for as many.
    """

    width: int = 32
    first_passes: int = 0

    def __post_init__(self) -> None:
        TrainingParameters.__post_init__(self)
        self.require_positive("width")


class EventLearner(ABC, Generic[Process]):
    """Learns event sequences increment by increment, and keeps no event of them.

    The first increment sets the clock's tick. With equal seeds and increments learners are equal to the bit, whether
    they were saved and loaded in between or not.
    """

    name: str
    format: int = 1

    def __init__(self, type_count: int, parameters: EventParameters) -> None:
        self.type_count, self.increments = type_count, 0
        self._parameters = parameters
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """What was learned, for `measure`, `forecast_each` and `draw_next`.

        Raises:
            UsageError: nothing was learned yet.
        """
        if self._process is None:
            raise UsageError(f"the learner {self.name} has learned nothing yet", hint="learn an increment first")
        return self._process

    def learn(self, increment: EventSequences) -> None:
        """Learn one increment; one without events to count changes nothing.

        Raises:
            BadDataError: another unit than before, or a type that the learner does not know.
        """
        if increment.type_count > self.type_count:
            raise BadDataError(f"the learner knows {self.type_count} types of events, not {increment.type_count}")
        if not increment.counted.any():
            return
        if self._process is None:
            self._process = self._made(Clock.of(increment))
        self._process.batch(increment.select(np.arange(1)))  # refuses another unit before anything is taught
        self._learn(self._process, increment)
        self.increments += 1

    def negative_log_likelihood(self, sequences: EventSequences) -> float:
        """Return the mean per event that is not given, in nats; of a density per unit of the sequences' times."""
        return -measure(self.process, sequences).per_event

    def predict(self, sequences: EventSequences, *, horizon: float, draws: int = 32) -> Predictions:
        """Predict time and type of the event behind each sequence's last, from all of its events: (sequences, 1).

        `horizon` is in the sequences' unit and must lie behind their ends.
        """
        return forecast_next(
            self.process,
            sequences.with_given(sequences.times.shape[1]),
            draws=draws,
            horizon=horizon,
            generator=torch.Generator().manual_seed(self._parameters.seed),
        )

    def state(self) -> bytes:
        """Return all that later learning and predicting depend on: deterministic safetensors bytes.

        Raises:
            UsageError: nothing was learned yet.
        """
        clock = self.process.clock
        header = {**self._header(), "increments": self.increments, "unit": clock.unit, "tick": clock.tick}
        return pack(header, self._arrays(self.process))

    def load(self, state: bytes) -> None:
        """Go back to a state that `state` returned; what is refused leaves the learner as it was.

        Raises:
            StoreError: the bytes are corrupt.
            ConfigurationError: they belong to another learner, format, parameters or number of types.
        """
        header, arrays = unpack(state)
        mine = self._header()
        other = {name: header.get(name) for name in mine}
        if other != mine:
            raise ConfigurationError(
                f"this state belongs to another learner: {other} there and {mine} here", unchanged="the learner"
            )
        process = self._made(Clock(header["unit"], header["tick"]))
        self._restore(process, arrays)
        self._process, self.increments = process, header["increments"]

    def _training(self) -> EventParameters:
        """Return the parameters for this increment: each has a seed of its own."""
        given = self._parameters
        seed = int(np.random.SeedSequence([given.seed, self.increments]).generate_state(1)[0])
        passes = given.passes if self.increments else given.first_passes or given.passes
        return replace(given, seed=seed, passes=passes)

    def _header(self) -> dict[str, Any]:
        parameters = self._parameters.as_mapping()
        return {"learner": self.name, "format": self.format, "types": self.type_count, "parameters": parameters}

    @abstractmethod
    def _made(self, clock: Clock) -> Process:
        """Make the process as it is before anything is learned."""

    @abstractmethod
    def _learn(self, process: Process, increment: EventSequences) -> None:
        """Learn an increment that has events."""

    def _arrays(self, process: Process) -> dict[str, Array]:
        """Return the arrays of the state: the network's, unless the subclass says more."""
        return network_arrays(process)

    def _restore(self, process: Process, arrays: Mapping[str, Array]) -> None:
        """Put what `_arrays` returned into a process that was made anew."""
        restore_network(process, arrays)


_OWN = "network/"


def network_arrays(process: torch.nn.Module) -> dict[str, Array]:
    """Return all numbers of a network but those of a `pool`, which sees to its own."""
    tensors = process.state_dict()
    return {
        f"{_OWN}{name}": tensor.detach().cpu().numpy().copy()
        for name, tensor in tensors.items()
        if not name.startswith("pool.")
    }


def restore_network(process: torch.nn.Module, arrays: Mapping[str, Array]) -> None:
    """Take over what `network_arrays` returned."""
    own = {name.removeprefix(_OWN): array for name, array in arrays.items() if name.startswith(_OWN)}
    process.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in own.items()}, strict=False)
